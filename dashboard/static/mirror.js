// "Show it" and "Say it": something is asked for, the kit looks or listens for a while, and the drawn face answers.
//
// One round: prompt -> looking -> over. The kit is asked to look only after the prompt was read aloud, so that it does
// not hear that instead, and is told to stop as soon as it has seen enough.

import { button, draw, make, setAttribute, setText } from "./dom.js";
import { drawn, face, setFace, wayOut } from "./face.js";
import { mostly, order, outcome, ROUNDS, SENTENCES } from "./rounds.js";
import { hush, speak } from "./speech.js";
import { mood, refusal, say } from "./words.js";

const LOOK_S = { face: 14, voice: 20 };
const RING = 2 * Math.PI * 48;
const QUIET_MS = 3_000; // without a word from the kit

// *play* asks the kit: a round's body in, its name out; *finish* leaves the game.
export function openMirror(place, { sense, labels, play, finish }) {
  const plan = order(labels);
  const first = Math.floor(Math.random() * SENTENCES);
  let turn = 0;
  let phase = "prompt";
  let round = null;
  let begun = 0;
  let heardAt = 0;
  let claimed = [];
  let last = null;
  let trouble = null;
  let ticket = 0;

  const parts = build();
  const ticking = setInterval(tick, 250);

  function build() {
    const turns = make("p", { class: "turns", role: "img" });
    const prompt = make("h1", { class: "prompt", tabindex: "-1" });
    const how = make("p", { class: sense === "voice" ? "sentence" : "how" });
    const target = face("watching", "");
    const mirror = face("watching", "");
    const ring = draw("circle", { cx: 50, cy: 50, r: 48, class: "ring" });
    mirror.append(draw("svg", { viewBox: "0 0 100 100", class: "timer", "aria-hidden": "true" }, ring));
    const word = make("figcaption", { class: "said" });
    const answer = make("figcaption", { class: "said" });
    const sure = make("p", { class: "sure" });
    const feedback = make("p", { class: "feedback", role: "status" });
    const tools = make("div", { class: "choices" });
    const faces = make(
      "div",
      { class: "faces" },
      make("figure", { class: "target" }, target, word),
      make("figure", { class: "mirror" }, mirror, answer, sure),
    );
    const above = make("div", { class: "above" }, wayOut(finish), turns);
    place.replaceChildren(make("section", { class: "game" }, above, prompt, how, faces, feedback, tools));
    return { turns, prompt, how, target, word, mirror, answer, sure, ring, feedback, tools };
  }

  const label = () => plan[turn];
  const asked = () => (sense === "voice" ? `play.say.${label()}` : `play.show.${label()}`);
  const like = (name) => `play.${sense === "voice" ? "heard" : "seen"}.${name}`;

  async function start() {
    const mine = (ticket += 1);
    phase = "prompt";
    round = last = trouble = null;
    claimed = [];
    redraw();
    parts.prompt.focus();
    if (!(await speak(asked())) || mine !== ticket) return;
    phase = "looking";
    begun = heardAt = performance.now();
    redraw();
    try {
      const told = await play({ label: label(), seconds: LOOK_S[sense], sense });
      if (mine !== ticket) return;
      ({ round } = told);
      begun = heardAt = performance.now();
    } catch (error) {
      if (mine !== ticket) return;
      trouble = error;
      end(null);
    }
  }

  function end(how) {
    phase = how ?? (trouble ? "trouble" : "thanks");
    if (round) play({ label: "", seconds: 0, sense }).catch(() => {});
    round = null;
    redraw();
    parts.tools.querySelector("button")?.focus();
    if (phase === "like") speak(like(label()));
    else if (phase !== "trouble") speak(`play.${phase}`);
  }

  function tick() {
    if (phase !== "looking") return;
    const left = LOOK_S[sense] - (performance.now() - begun) / 1000;
    setAttribute(parts.ring, "stroke-dasharray", `${(RING * Math.max(0, left)) / LOOK_S[sense]} ${RING}`);
    if (left <= 0) end(null);
    else showAnswer();
  }

  // ── What is shown ────────────────────────────────────────────────────────────────────────────────

  function redraw() {
    if (phase === "done") return drawDone();
    setText(place.querySelector(".way-out span"), say("play.leave"));
    parts.turns.replaceChildren(...plan.map((_, index) => make("span", { class: index <= turn ? "dot on" : "dot" })));
    setAttribute(parts.turns, "aria-label", say("play.round", { n: turn + 1, of: ROUNDS }));
    setText(parts.prompt, say(asked()));
    setText(parts.how, sense === "voice" ? sentence() : say(`play.how.${label()}`));
    setFace(parts.target, label(), drawn(label()));
    setText(parts.word, mood(label()));
    showAnswer();
    showTools();
  }

  const sentence = () => say(`play.sentence.${(first + turn) % SENTENCES}`);

  function showAnswer() {
    const quiet = phase === "looking" && performance.now() - heardAt > QUIET_MS;
    let name = sense === "voice" ? "listening" : "watching";
    let text = say(sense === "voice" ? "play.quiet" : "play.looking");
    let sure = "";
    if (phase === "prompt") text = say("play.soon");
    else if (phase === "like") [name, text] = ["cheer", say(like(label()))];
    else if (phase === "partly") [name, text] = ["cheer", say("play.bit")];
    else if (phase === "thanks") [name, text] = ["watching", summary()];
    else if (phase === "trouble") [name, text] = ["asleep", ""];
    else if (sense === "face" && quiet) [name, text] = ["asleep", say("play.away")];
    else if (last && last.label === null && sense === "face") {
      [name, text] = ["asleep", say(last.people ? "play.small" : "play.nobody")];
    } else if (last) {
      [name, text] = [last.label, say(like(last.label))];
      if (last.label !== "uncertain") sure = say(`play.sure.${sureness(last.confidence)}`);
      if (last.people > 1) sure = [sure, say("play.others", { n: last.people })].filter(Boolean).join(" · ");
    }
    setFace(parts.mirror, name, text);
    setText(parts.answer, text);
    setText(parts.sure, sure);
    parts.ring.classList.toggle("gone", phase !== "looking");
    setText(parts.feedback, feedback());
    setAttribute(parts.feedback, "data-kind", phase);
  }

  function summary() {
    const seen = mostly(claimed);
    return say(like(seen ?? "uncertain"));
  }

  function feedback() {
    if (phase === "trouble") return trouble.status === 409 ? say("play.refused") : refusal(trouble);
    return ["like", "partly", "thanks"].includes(phase) ? say(`play.${phase}`) : "";
  }

  function showTools() {
    const made = [];
    if (phase === "prompt" || phase === "looking") made.push(button(say("play.other"), next, { class: "button quiet" }));
    else {
      made.push(button(say("play.next"), next, { class: "button main large" }));
      made.push(button(say("play.repeat"), start, { class: "button large" }));
    }
    parts.tools.replaceChildren(...made);
  }

  function next() {
    turn += 1;
    if (turn < plan.length) return start();
    ticket += 1;
    phase = "done";
    drawDone();
    speak("play.done");
  }

  function drawDone() {
    const title = make("h1", { class: "prompt", tabindex: "-1" }, say("play.done"));
    const again = button(say("play.more"), () => {
      close();
      finish(true);
    }, { class: "button main large" });
    const tools = make("div", { class: "choices" }, again, button(say("play.leave"), finish, { class: "button large" }));
    place.replaceChildren(make("section", { class: "game done" }, face("cheer"), title, tools));
    title.focus();
  }

  function close() {
    ticket += 1;
    clearInterval(ticking);
    if (round) play({ label: "", seconds: 0, sense }).catch(() => {});
    hush();
  }

  start();
  return {
    redraw,
    close,
    // One reading of the kit's; what is left of an earlier round is passed over.
    hear(reading) {
      if (phase !== "looking" || reading.round !== round) return;
      last = reading;
      heardAt = performance.now();
      if (reading.label && reading.label !== "uncertain") claimed.push(reading.label);
      const found = outcome(reading);
      if (found) end(found);
      else showAnswer();
    },
  };
}

function sureness(confidence) {
  if (confidence >= 0.8) return "high";
  return confidence >= 0.65 ? "middle" : "low";
}
