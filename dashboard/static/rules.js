// The rules that a teacher writes, by which alerts are raised, and what they raised.

import { ask } from "./access.js";
import { condition, MOODLESS } from "./alerts.js";
import { button, field, make } from "./dom.js";
import { follow, roomOf, rooms, roomSelect } from "./rooms.js";
import { clock, day, percent, refusal, say, weekday } from "./words.js";

export function alertCard() {
  const list = make("ul", { class: "plans" });
  const past = make("ul", { class: "notes" });
  const answer = make("p", { class: "answer", role: "status" });
  let rules = [];

  async function keep(changed) {
    answer.classList.remove("warn");
    try {
      await ask("/api/rules", { method: "PUT", body: { rules: changed } });
      ({ rules } = await ask("/api/rules"));
      answer.textContent = say("office.saved");
    } catch (error) {
      answer.textContent = refusal(error);
      answer.classList.add("warn");
    }
    draw();
  }

  function sentence(rule) {
    const what = MOODLESS.includes(rule.condition) ? condition(rule.condition) : `${condition(rule.condition)} ≥ ${percent(rule.at_least)}`;
    const values = { room: roomOf(rule.kit), what, n: Math.round(rule.for_s / 60), from: rule.starts, to: rule.ends };
    return say("alert.rule", { ...values, days: rule.days.map(weekday).join(", ") });
  }

  function draw() {
    list.replaceChildren(
      ...rules.map((rule, index) => {
        const on = make("input", { type: "checkbox", id: `rule-${index}` });
        on.checked = rule.on;
        on.addEventListener("change", () => keep(rules.map((one) => (one === rule ? { ...rule, on: on.checked } : one))));
        const remove = button(say("plans.remove"), () => keep(rules.filter((one) => one !== rule)), {
          class: "link",
          "aria-label": `${say("plans.remove")}: ${sentence(rule)}`,
        });
        return make("li", {}, on, make("label", { for: on.id, class: "grow" }, sentence(rule)), remove);
      }),
    );
  }

  async function load() {
    ({ rules } = await ask("/api/rules"));
    draw();
    const told = await Promise.all(rooms().map((kit) => ask(`/api/alerts?kit=${encodeURIComponent(kit)}`)));
    const all = told.flatMap((one) => one.alerts).sort((a, b) => b.starts - a.starts).slice(0, 10);
    past.replaceChildren(
      ...all.map((one) => {
        const until = one.ends === null ? say("alert.now") : clock(one.ends);
        const when = `${day(one.starts)} ${clock(one.starts)}–${until}`;
        return make("li", {}, make("time", {}, when), make("span", {}, `${roomOf(one.kit)}: ${condition(one.label)}`));
      }),
    );
  }

  follow(() => load().catch(() => {}));
  const parts = [make("p", { class: "hint" }, say("alert.about")), list, answer, addForm((rule) => keep([...rules, rule])), past];
  return make("section", { class: "card", id: "alerts", "aria-labelledby": "alerts-title" }, make("h2", { id: "alerts-title" }, say("alert.title")), ...parts);
}

function addForm(add) {
  const kit = roomSelect();
  const names = ["sad", "angry", "fear", "disgust", "surprise", "happy", "uncertain", ...MOODLESS];
  const what = make("select", {}, ...names.map((name) => make("option", { value: name }, condition(name))));
  const part = make("input", { type: "number", min: 20, max: 100, step: 5, value: 50 });
  const minutes = make("input", { type: "number", min: 1, max: 120, value: 5 });
  const quiet = make("input", { type: "number", min: 0, max: 1440, value: 30 });
  const days = [0, 1, 2, 3, 4, 5, 6].map((index) => make("input", { type: "checkbox", id: `alert-day-${index}`, value: index }));
  const boxes = days.map((box, index) => make("span", { class: "check" }, box, make("label", { for: box.id }, weekday(index))));
  for (const box of days.slice(0, 5)) box.checked = true;
  const [starts, ends] = ["07:00", "15:00"].map((value) => make("input", { type: "time", value }));
  const hook = make("input", { type: "url", maxlength: 300 });
  const pair = (...children) => make("div", { class: "pair" }, ...children);
  const form = make(
    "form",
    { class: "stack", novalidate: "" },
    pair(field(say("kit.one"), kit), field(say("alert.what"), what)),
    pair(field(say("alert.part"), part), field(say("alert.minutes"), minutes)),
    field(say("alert.quiet"), quiet, say("alert.quiet.hint")),
    make("fieldset", { class: "days" }, make("legend", {}, say("plans.days")), ...boxes),
    pair(field(say("plans.starts"), starts), field(say("plans.ends"), ends)),
    field(say("alert.webhook"), hook, say("alert.webhook.hint")),
    make("div", { class: "choices" }, make("button", { type: "submit", class: "button main" }, say("plans.add"))),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    add({
      kit: kit.value,
      condition: what.value,
      at_least: Number(part.value) / 100,
      for_s: Number(minutes.value) * 60,
      quiet_s: Number(quiet.value) * 60,
      days: days.filter((box) => box.checked).map((box) => Number(box.value)),
      starts: starts.value,
      ends: ends.value,
      webhook: hook.value,
      on: true,
    });
  });
  return make("details", {}, make("summary", {}, say("alert.new")), form);
}
