// What the kit may learn from the rounds: an adult agrees, sees how it goes, and has it forgotten with one tap.

import { ask, may } from "./access.js";
import { button, make, memory } from "./dom.js";
import { currentLanguage, refusal, say } from "./words.js";

let agreeing = false; // the text of the consent is open
let busy = false;
let trouble = null;

// Changes with everything that is shown here.
export const learningKey = (kit) => [kit?.info?.adapted, kit?.info?.learning, agreeing, busy, trouble?.message];

export function showLearning(kit, connected, redraw) {
  const { mode, adapted = [], learning = [] } = kit?.info ?? {};
  if (!may("switch") || (mode !== "practice" && !adapted.length)) return [];
  const shut = !connected || kit.phase !== "online" || busy;

  async function send(what, body) {
    [busy, trouble, agreeing] = [true, null, false];
    redraw();
    try {
      await ask(`/api/kits/${encodeURIComponent(kit.kit)}/${what}`, { method: "POST", body });
    } catch (error) {
      trouble = error;
    }
    busy = false;
    redraw();
  }

  function tap(key, deed, main = false) {
    const made = button(say(`play.learn.${key}`), deed, { class: main ? "button main" : "button", id: `learn-${key}`, "data-stay": `learn-${key}` });
    made.disabled = shut;
    return made;
  }

  // What a room does shows in ordinary faces most: where they are not asked for, there is little to learn.
  function agree() {
    memory.set("feelings", "all");
    return send("learn", { consent: true });
  }

  function open(wanted) {
    agreeing = wanted;
    redraw();
  }

  const buttons = [];
  if (mode === "practice" && agreeing) buttons.push(tap("agree", agree, true), tap("not", () => open(false)));
  else if (learning.length) {
    if (learning.every((one) => one.next_at === null)) buttons.push(tap("again", () => open(true)));
    buttons.push(tap("stop", () => send("learn", { consent: false })));
  } else if (mode === "practice") buttons.push(tap("begin", () => open(true)));
  if (adapted.length) buttons.push(tap("forget", () => send("forget", {})));
  return [
    make("h3", {}, say("play.learn")),
    make("p", { id: "learn-about" }, say(agreeing ? "play.learn.consent" : "play.learn.about")),
    make("div", { class: "line" }, ...buttons),
    make("div", { role: "status" }, ...[...adapted.map(held), ...learning.flatMap(going)].map((text) => make("p", { class: "answer" }, text))),
    make("p", { class: trouble ? "answer warn" : "answer", role: "status" }, trouble ? refusal(trouble) : ""),
  ];
}

function held({ rounds, at, used }) {
  const date = new Date(at).toLocaleDateString(currentLanguage());
  return say(used ? "play.learn.held" : "play.learn.unused", { rounds, date });
}

function going({ rounds, next_at: next, refusal: why }) {
  const known = ["not_shown", "no_gain"].includes(why) ? why : "other";
  const last = why ? [say(`play.learn.why.${known}`)] : [];
  return next === null ? [...last, say("play.learn.over")] : [say("play.learn.going", { rounds, next }), ...last];
}
