// Camera and microphone: what they do, and the switches. A switch shows what the kit confirmed, not what was asked.

import { ask, may } from "./access.js";
import { find, setAttribute, setText } from "./dom.js";
import { say } from "./words.js";

const ANSWER_MS = 6_000;
const DEVICES = ["camera", "microphone"];

const asked = new Map(); // name -> {kit, value, timer}
let trouble = null; // the key of the last complaint

// on, off, closing, recovering, missing, none or unknown. None: the kit is set up without one.
// Switched off is off only when the kit has released the device.
export function deviceState(kit, name) {
  if (!kit || kit.phase !== "online" || !kit.info) return kit?.phase === "stopped" ? "off" : "unknown";
  const { absent, capture } = kit.info;
  if (absent.includes(name)) return "none";
  if (capture.capture === "off" || capture[name] === "off") {
    return { disabled: "off", offline: "off" }[kit.sources[name]] ?? (kit.sources[name] ? "closing" : "unknown");
  }
  return { online: "on", recovering: "recovering", disabled: "off", offline: "missing" }[kit.sources[name]] ?? "unknown";
}

export function showSwitches(kit, connected) {
  for (const [name, wish] of asked) {
    if (wish.kit === kit?.kit && kit.info?.capture[name] === wish.value) settle(name, null);
  }
  const usable = connected && may("switch") && kit?.phase === "online" && Boolean(kit.info);
  const capture = kit?.info?.capture;
  for (const name of DEVICES) {
    const state = connected ? deviceState(kit, name) : "unknown";
    const open = state === "on" || state === "closing";
    for (const place of [find(`#light-${name}`), find(`#row-${name}`)]) {
      place.classList.toggle("on", open);
      setText(place.querySelector(".status"), say(`device.${state}`));
      setAttribute(place.querySelector("use"), "href", `/static/icons.svg#${name}${open ? "" : "-off"}`);
    }
    const button = find(`.switch[data-switch=${name}]`);
    setAttribute(button, "aria-checked", String(capture?.[name] === "on"));
    button.disabled = !usable || state === "none" || capture.capture === "off";
    setAttribute(button, "aria-busy", asked.has(name) ? "true" : null);
  }
  const paused = capture?.capture === "off";
  const pause = find("#pause");
  pause.disabled = !usable;
  pause.classList.toggle("resume", paused);
  setAttribute(pause, "aria-busy", asked.has("capture") ? "true" : null);
  setText(pause.querySelector("span"), say(paused ? "capture.resume" : "capture.pause"));
  setAttribute(pause.querySelector("use"), "href", `/static/icons.svg#${paused ? "play" : "pause"}`);
  showAnswer();
}

export function listenToSwitches(chosenKit, redraw) {
  for (const button of document.querySelectorAll("[data-switch]")) {
    button.addEventListener("click", () => wish(chosenKit(), button.dataset.switch, redraw));
  }
}

async function wish(kit, name, redraw) {
  if (!kit?.info || asked.has(name)) return;
  const value = kit.info.capture[name] === "on" ? "off" : "on";
  trouble = null;
  const timer = setTimeout(() => {
    settle(name, "capture.unanswered");
    redraw();
  }, ANSWER_MS);
  asked.set(name, { kit: kit.kit, value, timer });
  redraw();
  try {
    await ask(`/api/kits/${encodeURIComponent(kit.kit)}/switch`, { method: "POST", body: { name, value } });
  } catch {
    settle(name, "capture.failed");
    redraw();
  }
}

// A switch elsewhere on the page; the kit's info shows whether it obeyed.
export async function toggle(kit, name) {
  const value = kit.info?.capture[name] === "on" ? "off" : "on";
  await ask(`/api/kits/${encodeURIComponent(kit.kit)}/switch`, { method: "POST", body: { name, value } });
}

function settle(name, complaint) {
  clearTimeout(asked.get(name)?.timer);
  asked.delete(name);
  trouble = complaint;
}

function showAnswer() {
  const answer = find("#answer");
  const key = asked.size ? "capture.pending" : trouble;
  setText(answer, key ? say(key) : "");
  answer.classList.toggle("warn", !asked.size && Boolean(trouble));
}
