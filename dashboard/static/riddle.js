// "Guess the feeling": drawn faces only. In turns a face is to be found, and a word is to be found for a face.

import { button, make, setAttribute } from "./dom.js";
import { drawn, face, wayOut } from "./face.js";
import { choices, order, ROUNDS } from "./rounds.js";
import { hush, speak } from "./speech.js";
import { mood, say } from "./words.js";

export function openRiddle(place, { labels, finish }) {
  const plan = order(labels);
  let turn = 0;
  let offered = choices(plan[0], labels);
  let tried = [];
  let found = false;
  let done = false;
  let ticket = 0;

  const label = () => plan[turn];
  const byWord = () => turn % 2 === 1; // the first one needs no reading
  const asked = () => (byWord() ? "play.which" : `play.find.${label()}`);

  async function start() {
    const mine = (ticket += 1);
    redraw();
    place.querySelector("h1").focus();
    if (!(await speak(asked())) || mine !== ticket || !byWord()) return;
    await readAloud(mine);
  }

  // The words one after the other, each lit up while it is spoken.
  async function readAloud(mine = (ticket += 1)) {
    for (const name of offered) {
      const place = optionOf(name);
      place?.classList.add("spoken");
      const whole = await speak(`mood.${name}`);
      place?.classList.remove("spoken");
      if (!whole || mine !== ticket) return;
    }
  }

  const optionOf = (name) => place.querySelector(`[data-option=${name}]`);

  function choose(name) {
    ticket += 1;
    if (found) return;
    if (name === label()) {
      found = true;
      redraw();
      place.querySelector(".choices button").focus();
      speak(`play.this.${label()}`);
      return;
    }
    if (!tried.includes(name)) tried.push(name);
    redraw();
    optionOf(name).focus();
    speak(byWord() ? "play.look" : `play.this.${name}`);
  }

  function next() {
    turn += 1;
    if (turn === plan.length) {
      done = true;
      redraw();
      place.querySelector("h1").focus();
      speak("play.done");
      return;
    }
    offered = choices(label(), labels);
    tried = [];
    found = false;
    start();
  }

  // ── What is shown ────────────────────────────────────────────────────────────────────────────────

  function redraw() {
    const section = done ? drawDone() : drawTurn();
    place.replaceChildren(section);
  }

  function drawTurn() {
    const dots = plan.map((_, index) => make("span", { class: index <= turn ? "dot on" : "dot" }));
    const told = { class: "turns", role: "img", "aria-label": say("play.round", { n: turn + 1, of: ROUNDS }) };
    return make(
      "section",
      { class: "game" },
      make("div", { class: "above" }, wayOut(finish), make("p", told, ...dots)),
      make("h1", { class: "prompt", tabindex: "-1" }, say(asked())),
      byWord() ? face(label(), drawn(label())) : null,
      make("div", { class: byWord() ? "options by-word" : "options by-face" }, ...offered.map(option)),
      make("p", { class: "feedback", role: "status", "data-kind": found ? "like" : "look" }, feedback()),
      make("div", { class: "choices" }, ...tools()),
    );
  }

  function option(name, index) {
    const right = found && name === label();
    const seen = tried.includes(name);
    const children = byWord()
      ? [seen || right ? face(name) : null, make("span", {}, mood(name))]
      : [face(name, drawn(name)), make("span", { class: "said" }, seen || right ? mood(name) : "\u00a0")];
    const made = make("button", { type: "button", class: "option", "data-option": name, "data-key": index + 1 }, ...children.filter(Boolean));
    made.classList.toggle("tried", seen);
    made.classList.toggle("right", right);
    if (right) made.append(make("span", { class: "mark", "aria-hidden": "true" }, "★"));
    if (seen) setAttribute(made, "aria-description", say("play.tried"));
    made.addEventListener("click", () => choose(name));
    return made;
  }

  function feedback() {
    if (found) return `${say("play.yes")} ${say(`play.this.${label()}`)}`;
    const name = tried.at(-1);
    if (!name) return "";
    return byWord() ? `${say("play.word", { word: mood(name) })} ${say("play.look")}` : `${say(`play.this.${name}`)} ${say("play.look")}`;
  }

  function tools() {
    const made = [];
    if (found) made.push(button(say("play.next"), next, { class: "button main large" }));
    else if (byWord()) made.push(button(say("play.read"), () => readAloud(), { class: "button" }));
    return made;
  }

  function drawDone() {
    const again = button(say("play.more"), () => finish(true), { class: "button main large" });
    const leave = button(say("play.leave"), finish, { class: "button large" });
    const title = make("h1", { class: "prompt", tabindex: "-1" }, say("play.done"));
    return make("section", { class: "game done" }, face("cheer"), title, make("div", { class: "choices" }, again, leave));
  }

  function press(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    place.querySelector(`.option[data-key="${event.key}"]`)?.click();
  }

  addEventListener("keydown", press);
  start();
  return {
    redraw,
    hear() {},
    close() {
      ticket += 1;
      removeEventListener("keydown", press);
      hush();
    },
  };
}
