// Where the game begins: three doors for children, and below them what the adult beside them has to know and to set.

import { ask, may, who } from "./access.js";
import { button, make, memory } from "./dom.js";
import { face } from "./face.js";
import { learningKey, showLearning } from "./learning.js";
import { deviceState } from "./switches.js";
import { currentLanguage, refusal, say } from "./words.js";

const ANSWER_MS = 6_000;

let wished = null; // {kit, mode, timer} while the kit has not said that it changed
let trouble = null; // a text's key, or an error

// Which feelings are played with: the four that are easy to tell apart, or all seven.
export const many = () => memory.get("feelings") === "all";

// Why a game with this sense cannot begin: the end of a text's key; null when it can.
export function obstacle(kit, sense, connected) {
  if (!kit) return "none";
  if (!connected || kit.phase !== "online" || !kit.info) return "offline";
  if (kit.info.mode !== "practice") return "class";
  const device = sense === "voice" ? "microphone" : "camera";
  const state = deviceState(kit, device);
  if (state === "none") return `${device}.none`;
  return state === "on" ? null : state === "off" || state === "closing" ? `${device}.off` : `${device}.missing`;
}

export function openLobby(place, { known, kit, open, choose }) {
  function redraw() {
    settle();
    const [show, hear] = ["face", "voice"].map((sense) => obstacle(kit(), sense, known.connected));
    const names = [...known.kits.values()].map((one) => [one.kit, one.info?.room]);
    const complaint = trouble instanceof Error ? trouble.message : trouble;
    const state = [currentLanguage(), show, hear, names, kit()?.kit, kit()?.info?.mode, known.connected, many(), wished !== null, complaint, learningKey(kit())];
    const key = JSON.stringify(state);
    if (place.contentKey === key && place.querySelector(".lobby")) return; // a tap should find what it aims at
    place.contentKey = key;
    const focused = document.activeElement?.dataset?.stay;
    const doors = [door("show", "happy", show), door("guess", "surprise", null), door("say", "listening", hear)];
    const wasOpen = place.querySelector("details")?.open ?? false;
    const adult = make("details", { class: "card more", id: "adult" }, make("summary", { "data-stay": "adult" }, make("h2", {}, say("play.adult"))), ...forTheAdult());
    adult.open = wasOpen;
    place.replaceChildren(
      make("section", { class: "lobby" }, make("h1", { class: "prompt", tabindex: "-1" }, say("play.lobby")), make("div", { class: "doors" }, ...doors), adult),
    );
    if (focused) place.querySelector(`[data-stay="${focused}"]`)?.focus();
  }

  function door(name, art, why) {
    const hint = why === null ? say(`play.${name}.about`) : say(`play.not.${why}`);
    const made = make(
      "button",
      { type: "button", class: "door-card", "data-door": name, "data-stay": name, "aria-describedby": `about-${name}` },
      face(art),
      make("span", { class: "name" }, say(`play.${name}.title`)),
      make("span", { class: why === null ? "hint" : "hint warn", id: `about-${name}` }, hint),
    );
    made.classList.toggle("shut", why !== null);
    if (why !== null) made.setAttribute("aria-disabled", "true");
    made.addEventListener("click", () => {
      if (why === null) open(name);
      else openAdult();
    });
    return made;
  }

  // A door that is shut leads to what an adult can do about it.
  function openAdult() {
    const adult = place.querySelector("#adult");
    adult.open = true;
    adult.querySelector("summary").focus();
  }

  // ── For the adult ────────────────────────────────────────────────────────────────────────────────

  function forTheAdult() {
    const mode = kit()?.info?.mode;
    return [
      make(
        "div",
        { class: "stack adult" },
        ...chooseKit(),
        mode ? make("p", {}, say(`play.adult.${mode}`)) : null,
        ...switchMode(mode),
        ...chooseFeelings(),
        ...showLearning(kit(), known.connected, redraw),
        ...["honest", "kept", "law"].map((key) => make("p", { class: "hint" }, say(`play.adult.${key}`))),
      ),
    ];
  }

  function chooseKit() {
    const all = [...known.kits.values()];
    if (all.length < 2) return [];
    const list = make("select", { id: "kits", "data-stay": "kits" });
    list.append(...all.map((one) => make("option", { value: one.kit }, who()?.rooms[one.kit] || one.info?.room || one.kit)));
    list.value = kit()?.kit ?? "";
    list.addEventListener("change", () => choose(list.value));
    return [make("p", { class: "field" }, make("label", { for: "kits" }, say("play.adult.kit")), list)];
  }

  function switchMode(mode) {
    if (!mode || !may("switch")) return [];
    const other = mode === "class" ? "practice" : "class";
    const made = button(say(`play.adult.to.${other}`), () => send(other), { class: mode === "class" ? "button main" : "button", id: "mode", "data-stay": "mode" });
    made.disabled = !known.connected || kit().phase !== "online" || wished !== null;
    const text = wished ? say("capture.pending") : trouble === null ? "" : typeof trouble === "string" ? say(trouble) : refusal(trouble);
    return [make("div", { class: "line" }, made), make("p", { class: trouble ? "answer warn" : "answer", role: "status" }, text)];
  }

  function chooseFeelings() {
    const group = make("div", { class: "segments", role: "group", "aria-label": say("play.adult.feelings") });
    for (const [name, key] of [["few", "play.adult.few"], ["all", "play.adult.all"]]) {
      const one = button(say(key), () => {
        memory.set("feelings", name);
        redraw();
      }, { class: "", "data-stay": name, "aria-pressed": String(many() === (name === "all")) });
      group.append(one);
    }
    return [make("div", { class: "line" }, make("span", {}, say("play.adult.feelings")), group)];
  }

  async function send(mode) {
    const name = kit().kit;
    trouble = null;
    wished = { kit: name, mode, timer: setTimeout(() => settle("play.adult.refused") || redraw(), ANSWER_MS) };
    redraw();
    try {
      await ask(`/api/kits/${encodeURIComponent(name)}/mode`, { method: "POST", body: { mode } });
    } catch (error) {
      settle(error);
      redraw();
    }
  }

  function settle(complaint = null) {
    if (!wished) return;
    const obeyed = known.kits.get(wished.kit)?.info?.mode === wished.mode;
    if (!obeyed && complaint === null) return;
    clearTimeout(wished.timer);
    wished = null;
    trouble = obeyed ? null : complaint;
  }

  redraw();
  return { redraw, hear() {}, close() {} };
}
