// A kit's settings and models: told in words to whoever sees the kit, changed by an admin. The kit decides.

import { ask, may } from "./access.js";
import { button, field, find, make, setText } from "./dom.js";
import { openSheet } from "./sheet.js";
import { currentLanguage, has, number, refusal, say } from "./words.js";

const path = (kit, what) => `/api/kits/${encodeURIComponent(kit.kit)}/${what}`;
const words = (why) => why?.[currentLanguage()] || why?.en || "";
const named = (key, otherwise) => (has(key) ? say(key) : otherwise);
const labelOf = (name) => named(`tune.${name}`, name);
const close = () => [say("sheet.close"), null, "button quiet"];

// What a kit refuses comes with its reason; it is told like a refusal of the server.
function accept(answer) {
  if (!answer.ok) throw new Error(words(answer.why) || say("tune.unknown", { error: answer.error ?? "" }));
  return answer;
}

const told = (error) => (error.status === undefined && error.name === "Error" ? error.message : refusal(error));

async function attempt(pressed, work) {
  const answer = find("#dialog-answer");
  setText(answer, "");
  pressed.disabled = true;
  pressed.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    setText(answer, told(error));
  }
  pressed.disabled = false;
  pressed.removeAttribute("aria-busy");
}

// ── Settings ───────────────────────────────────────────────────────────────────────────────────────

export function settingsButton(kit, name) {
  const made = button(say("tune.open"), () => openSettings(kit, name, made), { class: "button quiet", "data-open": "settings" });
  return made;
}

async function openSettings(kit, name, pressed) {
  pressed.disabled = true;
  try {
    const answer = accept(await ask(path(kit, "settings")));
    const inputs = answer.settings.map((one) => [one, inputOf(one)]);
    const fields = inputs.map(([one, input]) => field(labelOf(one.name), input, hintOf(one)));
    const parts = [...howItWent(answer.tuning), make("div", { class: "stack", id: "tuning" }, ...fields)];
    const choices = [close()];
    if (may("upkeep")) choices.push([say("tune.save"), () => save(kit, inputs), "button main"]);
    else parts.unshift(make("p", { class: "hint" }, say("tune.admin")));
    openSheet(say("tune.title", { room: name }), parts, choices);
  } catch (error) {
    openSheet(say("tune.title", { room: name }), [make("p", {}, told(error))], [close()]);
  }
  pressed.disabled = false;
}

function inputOf(one) {
  const kind = { number: "number", whole: "number", text: "text" }[one.kind];
  const step = one.kind === "number" ? "any" : null;
  const input = kind
    ? make("input", { type: kind, min: one.least, max: one.most, step, maxlength: kind === "text" ? 80 : null, value: one.value, name: one.name })
    : make("select", { name: one.name }, ...one.choices.map((value) => make("option", { value }, named(`tune.choice.${value}`, value))));
  if (!kind) {
    if (!one.choices.includes(one.value)) input.append(make("option", { value: one.value }, one.value));
    input.value = one.value;
  }
  input.disabled = !may("upkeep");
  return input;
}

function hintOf(one) {
  const about = named(`tune.${one.name}.about`, "");
  const range = one.least !== null ? say("tune.range", { least: number(one.least, 1), most: number(one.most, 1) }) : "";
  const usual = named(`tune.choice.${one.usual}`, one.usual);
  return [about, range, one.usual === one.value ? "" : say("tune.usual", { usual })].filter(Boolean).join(" ");
}

function howItWent(tuning) {
  if (tuning?.trial) return [make("p", { class: "hint", role: "status" }, say("tune.trial"))];
  const failed = Object.keys(tuning?.failed ?? {});
  if (!failed.length) return [];
  const values = { what: failed.map(labelOf).join(", "), why: words(tuning.why) };
  return [make("p", { class: "answer warn" }, say("tune.failed", values))];
}

async function save(kit, inputs) {
  const wrong = inputs.find(([, input]) => !input.checkValidity());
  if (wrong) {
    wrong[1].focus();
    setText(find("#dialog-answer"), `${labelOf(wrong[0].name)}: ${hintOf(wrong[0])}`);
    return "stay";
  }
  const changed = inputs.filter(([one, input]) => input.value !== one.value);
  const changes = Object.fromEntries(changed.map(([one, input]) => [one.name, input.value]));
  const pressed = find("#dialog-choices .main");
  await attempt(pressed, async () => {
    setText(find("#dialog-answer"), say("tune.trying"));
    const answer = accept(await ask(path(kit, "settings"), { method: "POST", body: { changes } }));
    find("#dialog-body").replaceChildren(make("p", { role: "status", id: "tuned" }, say(answer.begins_anew ? "tune.saved" : "tune.same")));
    setText(find("#dialog-answer"), "");
    pressed.remove();
  });
  return "stay";
}

// ── Models ─────────────────────────────────────────────────────────────────────────────────────────

// What the kit itself tells of a model; null where it cannot.
export async function askModels(kit) {
  if (kit.phase !== "online") return null;
  const answer = await ask(path(kit, "models")).catch(() => null);
  return answer?.ok && answer.models ? answer : null;
}

export function openModel(kit, model, answer) {
  const body = describeModel(model);
  if (may("upkeep")) body.push(...update(kit, model, answer));
  body.push(make("h3", {}, say("model.card")), make("pre", { class: "document", tabindex: 0 }, model.card || say("kits.card.none")));
  openSheet(`${model.name} ${model.version}`, body, [close()]);
}

function describeModel(model) {
  const { metrics } = model;
  const lines = [say(`model.task.${model.task}`), say(model.shipped ? "model.shipped" : model.trial ? "model.trial" : "model.installed")];
  const right = metrics.accuracy ?? metrics.uar;
  if (right !== undefined) lines.push(say(`model.right.${model.task}`, { n: Math.round(right * 100) }));
  if (metrics.claimed !== undefined && metrics.claimed_accuracy !== undefined) {
    lines.push(say("model.claimed", { n: Math.round(metrics.claimed * 100), right: Math.round(metrics.claimed_accuracy * 100) }));
  }
  const parts = lines.map((line) => make("p", {}, line));
  if (model.failed) parts.push(make("p", { class: "answer warn" }, say("model.failed", { version: model.failed, why: words(model.why) })));
  return parts;
}

function update(kit, model, answer) {
  if (!answer.updates) return [make("p", { class: "hint" }, say("model.file_only"))];
  const parts = [];
  if (model.back_to) {
    const back = button(say("model.back", { version: model.back_to }), () => attempt(back, async () => {
      accept(await ask(path(kit, "rollback"), { method: "POST", body: { name: model.name } }));
      done("model.back.done");
    }), { class: "button", id: "model-back" });
    parts.push(back);
  }
  const file = make("input", { type: "file", accept: ".suasana", id: "model-file" });
  const url = make("input", { type: "url", maxlength: 500, id: "model-url", autocomplete: "off" });
  const progress = make("progress", { id: "parcel", "aria-label": say("model.sending"), max: 1, value: 0, hidden: "", "data-kit": kit.kit });
  const go = button(say("model.install"), () => attempt(go, async () => {
    if (!file.files[0] && !url.value) throw new Error(say("model.which"));
    progress.hidden = false;
    try {
      accept(file.files[0] ? await upload(kit, file.files[0]) : await ask(path(kit, "models"), { method: "POST", body: { url: url.value } }));
      done("model.install.done");
    } finally {
      progress.hidden = true;
    }
  }), { class: "button main", id: "model-install" });
  parts.push(
    make("h3", {}, say("model.update")),
    make("p", { class: "hint" }, say("model.update.about")),
    make("div", { class: "stack" }, field(say("model.file"), file), field(say("model.url"), url), progress, go),
  );
  return parts;
}

const upload = (kit, file) => ask(path(kit, "models"), { method: "POST", file });

function done(key) {
  find("#dialog-body").replaceChildren(make("p", { role: "status", id: "model-done" }, say(key)));
}

// How much of a package the kit has.
export function showParcel({ kit, have, size }) {
  const progress = find("#parcel");
  if (progress?.dataset.kit === kit) progress.value = have / size;
}
