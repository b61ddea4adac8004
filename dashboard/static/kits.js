// All rooms that one may see: there or away, how they are in words, their switches, models and doctor.

import { ask, may, who } from "./access.js";
import { button, find, icon, make, refill } from "./dom.js";
import { tell } from "./health.js";
import { inviteButton } from "./invite.js";
import { keepInStep } from "./rooms.js";
import { openSheet } from "./sheet.js";
import { deviceState, toggle } from "./switches.js";
import { askModels, openModel, settingsButton } from "./upkeep.js";
import { clock, currentLanguage, has, refusal, say } from "./words.js";

export { showParcel } from "./upkeep.js";

const DEVICES = ["camera", "microphone"];
const NOBODY_S = 20 * 60;
const HOT_C = 80;

const since = new Map(); // kit -> when its camera began to see nobody

// What a person should look after, most urgent first: [key, values, warn].
export function complaints(kit, now) {
  const found = [];
  if (kit.phase === "silent" || kit.phase === "offline") {
    return [[kit.heard_at ? "care.away.since" : "care.away", { time: kit.heard_at ? clock(kit.heard_at) : "" }, true]];
  }
  if (kit.phase !== "online") return [[`care.${kit.phase}`, {}, kit.phase === "unknown"]];
  for (const name of DEVICES) {
    const state = deviceState(kit, name);
    const problem = state === "on" || state === "recovering" ? problemOf(kit, name) : null;
    if (problem) found.push([problem, {}, true]);
    else if (state === "recovering" || state === "missing") found.push([`care.${name}.${state}`, {}, true]);
  }
  const { health, state } = kit;
  const empty = kit.fresh && state?.suppressed === "nobody" && deviceState(kit, "camera") === "on";
  if (!empty) since.delete(kit.kit);
  else if (!since.has(kit.kit)) since.set(kit.kit, now);
  if (empty && !problemOf(kit, "camera") && now - since.get(kit.kit) >= NOBODY_S) found.push(["care.covered", {}, true]);
  if (health) {
    if (health.temperature_c >= HOT_C) found.push(["care.hot", { n: Math.round(health.temperature_c) }, true]);
    if (health.throttled) found.push(["care.throttled", {}, true]);
    if (health.time_quality === "unsynced") found.push(["care.clock", {}, false]);
    if (health.dropped_events) found.push(["care.lost", { n: health.dropped_events }, true]);
    else if (health.outbox > 100) found.push(["care.waiting", { n: health.outbox }, false]);
    if (health.fps < 0.5 && deviceState(kit, "camera") === "on") found.push(["care.slow", {}, true]);
  }
  return found.length ? found : [["care.well", {}, false]];
}

// What the kit itself found wrong with a device; a later kit may know problems that have no words here.
function problemOf(kit, name) {
  const problem = kit.problems[name] ?? kit.health?.[`${name}_problem`];
  if (!problem) return null;
  const key = `care.${name}.${problem}`;
  return has(key) ? key : `care.${name}.other`;
}

export function showKits(kits, connected, now, nameOf) {
  const byName = new Map(kits.map((kit) => [kit.kit, kit]));
  const tools = find("#kit-tools");
  tools.hidden = !may("upkeep") || who().demo;
  if (!tools.hidden) refill(tools, currentLanguage(), () => [inviteButton()]);
  const empty = find("#no-kit");
  empty.hidden = kits.length > 0;
  refill(empty, currentLanguage(), () => [make("h2", {}, say("now.waiting.word")), make("p", {}, say("now.waiting"))]);
  const drawCard = (name) => make("section", { class: "card kit", "aria-labelledby": `kit-${name}`, "data-kit": name });
  keepInStep(find("#kit-cards"), drawCard, (place, name) => {
    const kit = byName.get(name);
    const { state: _mood, state_at: _at, heard_at: _heard, ...rest } = kit;
    const found = complaints(kit, now);
    const key = JSON.stringify([currentLanguage(), connected, may("switch"), nameOf(kit), rest, found]);
    refillInPlace(place, key, () => card(kit, connected, found, nameOf(kit)));
  }, [...byName.keys()]);
}

// A card is drawn anew every half minute; what was unfolded stays so, and the keyboard stays where it was.
function refillInPlace(place, key, children) {
  const buttons = () => [...place.querySelectorAll("button, summary")];
  const at = buttons().indexOf(document.activeElement);
  const open = place.querySelector("details")?.open ?? false;
  refill(place, key, children);
  const fold = place.querySelector("details");
  if (fold) fold.open = open;
  if (at >= 0 && !place.contains(document.activeElement)) buttons()[at]?.focus();
}

function card(kit, connected, found, name) {
  const id = `kit-${kit.kit}`;
  const usable = connected && may("switch") && kit.phase === "online" && kit.info;
  const badge = make("span", { class: `badge ${kit.phase}` }, icon(kit.phase === "online" ? "kit" : "alert"), say(`phase.${kit.phase}`));
  const lines = found.map(([key, values, warn]) =>
    make("li", warn ? { class: "warn" } : {}, icon(warn ? "alert" : "shield"), make("span", {}, say(key, values))),
  );
  return [
    make("div", { class: "heading" }, make("h2", { id }, name), badge),
    make("p", { class: "hint" }, kit.kit),
    make("ul", { class: "cares" }, ...lines),
    make("div", { class: "switches" }, ...["capture", ...DEVICES].map((device) => switchOf(kit, device, usable))),
    details(kit),
    make("div", { class: "choices" }, ...models(kit), doctor(kit, usable), settingsOf(kit, name, connected)),
  ];
}

function switchOf(kit, name, usable) {
  const capture = kit.info?.capture;
  const on = capture?.[name] === "on";
  const state = name === "capture" ? (capture ? (on ? "on" : "off") : "unknown") : deviceState(kit, name);
  const blocked = state === "none" || (name !== "capture" && capture?.capture === "off");
  const made = button("", () => toggle(kit, name), {
    class: "switch",
    role: "switch",
    "aria-checked": String(on),
    "aria-label": `${say(`capture.${name}`)}, ${kit.kit}`,
  });
  made.append(make("span"));
  made.disabled = !usable || blocked;
  const words = make("span", { class: "label" }, say(`capture.${name}`), make("span", { class: "status" }, say(`device.${state}`)));
  return make("div", { class: state === "on" ? "row on" : "row" }, words, made);
}

function details(kit) {
  const lines = tell(kit).map(([name, value, warn]) =>
    make("div", {}, make("dt", {}, name), make("dd", warn ? { class: "warn" } : {}, value)),
  );
  return make("details", { class: "vitals" }, make("summary", {}, say("health.title")), make("dl", {}, ...lines));
}

function models(kit) {
  return (kit.info?.models ?? []).map((model) =>
    button(say("kits.card", { model: model.id }), () => showModel(kit, model), { class: "button quiet" }),
  );
}

function settingsOf(kit, name, connected) {
  const made = settingsButton(kit, name);
  made.disabled = !connected || kit.phase !== "online" || !kit.info;
  return made;
}

// The kit tells of its models itself; the card of one that is away may lie on the dashboard's computer.
async function showModel(kit, model) {
  const answer = await askModels(kit);
  const found = answer?.models.find((one) => `${one.name}@${one.version}` === model.id);
  if (found) return openModel(kit, found, answer);
  const facts = make("p", { class: "hint" }, `${model.runtime} · sha256 ${model.sha256}`);
  let text;
  try {
    const answer = await fetch(`/api/cards/${encodeURIComponent(model.id.split("@")[0])}`);
    text = answer.ok ? await answer.text() : say("kits.card.none");
  } catch (error) {
    text = refusal(error);
  }
  openSheet(model.id, [facts, make("pre", { class: "document", tabindex: 0 }, text)], [[say("sheet.close"), null, "button main"]]);
}

function doctor(kit, usable) {
  const made = button(say("kits.doctor"), () => examine(kit, made), { class: "button quiet", "data-open": "doctor" });
  made.disabled = !usable;
  return made;
}

async function examine(kit, pressed) {
  pressed.disabled = true;
  pressed.setAttribute("aria-busy", "true");
  let body;
  try {
    body = report(await ask(`/api/kits/${encodeURIComponent(kit.kit)}/doctor`, { method: "POST", body: {} }));
  } catch (error) {
    body = [make("p", {}, refusal(error))];
  }
  pressed.disabled = false;
  pressed.removeAttribute("aria-busy");
  openSheet(say("kits.doctor.title", { kit: kit.kit }), body, [[say("sheet.close"), null, "button main"]]);
}

// What the kit's doctor found, worst first, in the reader's language.
function report(answer) {
  if (!answer.ok || !answer.doctor) {
    return [make("p", {}, say("kits.doctor.unknown")), make("p", { class: "hint" }, answer.error ?? "")];
  }
  const order = ["failure", "warning", "ok", "skipped"];
  const found = [...answer.doctor].sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
  const lines = found.map((one) => {
    const bad = one.status === "failure" || one.status === "warning";
    const todo = one.todo[currentLanguage()] ?? "";
    return make(
      "li",
      bad ? { class: "warn" } : {},
      icon(bad ? "alert" : "shield"),
      make("span", {}, one.found[currentLanguage()] ?? one.id, todo ? make("span", { class: "hint" }, ` ${todo}`) : null),
    );
  });
  const all = found.every((one) => one.status === "ok" || one.status === "skipped");
  return [make("p", {}, say(all ? "kits.doctor.well" : "kits.doctor.found")), make("ul", { class: "cares" }, ...lines)];
}
