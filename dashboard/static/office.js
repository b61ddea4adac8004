// Settings: oneself, the timetable, the dashboard's choices, accounts, wiping, the log.

import { ask, logOut, may, who } from "./access.js";
import { auditCard } from "./audit.js";
import { button, field, find, icon, make, memory } from "./dom.js";
import { follow, forgetFollowers, keepInStep, roomOf, rooms, roomSelect, roomTicks } from "./rooms.js";
import { alertCard } from "./rules.js";
import { openSheet } from "./sheet.js";
import { refusal, say, weekday } from "./words.js";

const ROLES = ["teacher", "admin", "researcher"];

// What stands in the forms, by card: drawn anew in another language, they keep it.
const typed = new Map();

export function showOffice() {
  typed.clear();
  draw();
}

export function showOfficeAnew() {
  for (const card of find("#office").children) typed.set(card.id, { fields: fieldsOf(card).map(({ value, checked }) => ({ value, checked })), open: foldsOf(card).map((one) => one.open) });
  draw();
}

const fieldsOf = (card) => [...card.querySelectorAll("form input, form select, form textarea")];
const foldsOf = (card) => [...card.querySelectorAll("details")];

function restore(card) {
  const kept = typed.get(card.id);
  const fields = fieldsOf(card);
  const folds = foldsOf(card);
  if (!kept || !folds.every((_, index) => index < kept.open.length)) return;
  for (const [index, fold] of folds.entries()) fold.open = kept.open[index];
  if (fields.length !== kept.fields.length) return; // still to come: see choiceCard
  for (const [index, one] of fields.entries()) Object.assign(one, kept.fields[index]);
  typed.delete(card.id);
}

function draw() {
  forgetFollowers();
  const parts = [selfCard()];
  if (may("notes")) parts.push(planCard());
  if (may("alerts")) parts.push(alertCard());
  if (may("settings")) parts.push(choiceCard());
  if (may("people")) parts.push(peopleCard());
  if (may("wipe")) parts.push(wipeCard());
  if (may("audit")) parts.push(auditCard(roomOf));
  find("#office").replaceChildren(...parts);
  parts.forEach(restore);
}

function section(id, title, ...children) {
  return make("section", { class: "card", id, "aria-labelledby": `${id}-title` }, make("h2", { id: `${id}-title` }, title), ...children);
}

// A form whose answer stands below it.
function form(children, label, onSubmit) {
  const answer = make("p", { class: "answer", role: "status" });
  const made = make("form", { class: "stack", novalidate: "" }, ...children, make("div", { class: "choices" }, make("button", { class: "button main", type: "submit" }, label)), answer);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    answer.classList.remove("warn");
    try {
      answer.textContent = (await onSubmit()) ?? say("office.saved");
    } catch (error) {
      answer.textContent = refusal(error);
      answer.classList.add("warn");
    }
  });
  return made;
}

const password = (use) => make("input", { type: "password", autocomplete: use, maxlength: 200 });

// ── Oneself ────────────────────────────────────────────────────────────────────────────────────────

function selfCard() {
  const me = who();
  if (me.demo) return section("self", say("self.demo"), make("p", {}, say("self.demo.about")));
  const [old, fresh] = [password("current-password"), password("new-password")];
  const change = form([field(say("self.old"), old), field(say("self.new"), fresh, say("password.hint"))], say("self.change"), async () => {
    await ask("/api/password", { method: "POST", body: { old: old.value, new: fresh.value } });
    location.assign("/login");
  });
  const out = button(say("self.logout"), () => logOut().catch(() => location.assign("/login")), { class: "button", id: "logout" });
  const about = make("p", {}, say("self.about", { name: me.name, role: say(`role.${me.role}`) }));
  return section("self", say("self.title"), about, out, make("details", {}, make("summary", {}, say("self.password")), change));
}

// ── The timetable ──────────────────────────────────────────────────────────────────────────────────

function planCard() {
  const list = make("ul", { class: "plans" });
  const card = section("plans", say("plans.title"), make("p", { class: "hint" }, say("plans.about")), list);
  let plans = [];

  async function keep(changed) {
    await ask("/api/plans", { method: "PUT", body: { plans: changed } });
    plans = changed;
    draw();
  }

  function draw() {
    list.replaceChildren(
      ...plans.map((plan) => {
        const days = plan.days.map(weekday).join(", ");
        const words = `${roomOf(plan.kit)} · ${days} · ${plan.starts}–${plan.ends}${plan.title ? ` · ${plan.title}` : ""}`;
        const remove = button(say("plans.remove"), () => keep(plans.filter((one) => one !== plan)), { class: "link", "aria-label": `${say("plans.remove")}: ${words}` });
        return make("li", {}, icon("clock"), make("span", {}, words), remove);
      }),
    );
  }

  ask("/api/plans").then((answer) => {
    plans = answer.plans;
    follow(draw);
  }, () => {});
  const kit = roomSelect();
  const title = make("input", { maxlength: 80 });
  const days = [0, 1, 2, 3, 4, 5, 6].map((index) => make("input", { type: "checkbox", id: `day-${index}`, value: index }));
  const boxes = days.map((box, index) => make("span", { class: "check" }, box, make("label", { for: `day-${index}` }, weekday(index))));
  const [starts, ends] = ["07:30", "09:00"].map((value) => make("input", { type: "time", value }));
  const group = make("fieldset", { class: "days" }, make("legend", {}, say("plans.days")), ...boxes);
  const times = make("div", { class: "pair" }, field(say("plans.starts"), starts), field(say("plans.ends"), ends));
  const add = form([field(say("kit.one"), kit), field(say("lesson.name"), title), group, times], say("plans.add"), async () => {
    const chosen = days.filter((box) => box.checked).map((box) => Number(box.value));
    await keep([...plans, { id: "", kit: kit.value, title: title.value, days: chosen, starts: starts.value, ends: ends.value }]);
    const { plans: told } = await ask("/api/plans");
    plans = told;
    draw();
  });
  card.append(make("details", {}, make("summary", {}, say("plans.new")), add));
  return card;
}

// ── This dashboard ─────────────────────────────────────────────────────────────────────────────────

function choiceCard() {
  const card = section("choices", say("office.title"));
  ask("/api/choices").then((choices) => {
    const language = make("select", {}, ...["id", "en"].map((name) => make("option", { value: name, lang: name }, name === "id" ? "Bahasa Indonesia" : "English")));
    language.value = choices.language;
    const notice = make("textarea", { rows: 7, maxlength: 4000 });
    notice.value = choices.notice;
    const days = make("input", { type: "number", min: 1, max: 3650, value: choices.retention_days });
    const names = make("div", { class: "stack" });
    follow(() => {
      const kits = [...new Set([...rooms(), ...Object.keys(choices.rooms)])];
      keepInStep(names, (kit) => field(say("setup.room", { kit }), make("input", { maxlength: 80, value: choices.rooms[kit] ?? "" })), (child, kit) => {
        child.querySelector("input").placeholder = roomOf(kit);
      }, kits);
    });
    const parts = [
      field(say("office.language"), language),
      field(say("office.retention"), days, say("office.retention.hint")),
      names,
      field(say("setup.notice"), notice),
    ];
    card.append(
      form(parts, say("office.save"), async () => {
        const named = Object.fromEntries([...names.children].map((child) => [child.dataset.room, child.querySelector("input").value]));
        await ask("/api/choices", { method: "POST", body: { language: language.value, notice: notice.value, retention_days: Number(days.value), rooms: named } });
      }),
    );
    restore(card);
  }, () => {});
  return card;
}

// ── People ─────────────────────────────────────────────────────────────────────────────────────────

function peopleCard() {
  const list = make("ul", { class: "plans" });
  const card = section("people", say("people.title"), make("p", { class: "hint" }, say("people.about")), list);
  const load = () => ask("/api/accounts").then(({ accounts }) => list.replaceChildren(...accounts.map((one) => person(one, load))), () => {});
  load();
  const name = make("input", { maxlength: 40, autocomplete: "off" });
  const role = make("select", {}, ...ROLES.map((one) => make("option", { value: one }, say(`role.${one}`))));
  const secret = password("new-password");
  const [group, ticked] = roomTicks(say("people.rooms"), "sees");
  const parts = [field(say("login.name"), name), field(say("people.role"), role, say("people.role.hint")), group, field(say("login.password"), secret, say("password.hint"))];
  const add = form(parts, say("people.add"), async () => {
    await ask("/api/accounts", { method: "POST", body: { name: name.value, role: role.value, kits: ticked(), password: secret.value } });
    add.reset();
    await load();
  });
  card.append(make("details", {}, make("summary", {}, say("people.new")), add));
  return card;
}

function person(account, load) {
  const seen = account.kits.length ? account.kits.map(roomOf).join(", ") : say("people.all");
  const words = make("span", {}, make("strong", {}, account.name), ` · ${say(`role.${account.role}`)} · ${seen}`);
  const path = `/api/accounts/${encodeURIComponent(account.name)}`;
  const reset = button(say("people.reset"), () => {
    const secret = password("new-password");
    openSheet(say("people.reset.title", { name: account.name }), [field(say("self.new"), secret, say("password.hint"))], [
      [say("sheet.cancel"), null, "button quiet"],
      [say("people.reset"), () => ask(path, { method: "POST", body: { password: secret.value } }), "button main"],
    ]);
  }, { class: "link", "aria-label": `${say("people.reset")}: ${account.name}` });
  const remove = button(say("people.remove"), () => {
    openSheet(say("people.remove.title", { name: account.name }), [make("p", {}, say("people.remove.about"))], [
      [say("sheet.cancel"), null, "button quiet"],
      [say("people.remove"), async () => { await ask(path, { method: "DELETE" }); await load(); }, "button danger"],
    ]);
  }, { class: "link", "aria-label": `${say("people.remove")}: ${account.name}` });
  return make("li", {}, icon("people"), words, reset, remove);
}

// ── Wiping ─────────────────────────────────────────────────────────────────────────────────────────

function wipeCard() {
  const room = roomSelect();
  const wipe = button(say("wipe.go"), () => {
    const kit = room.value;
    openSheet(say("wipe.title", { room: roomOf(kit) }), [make("p", {}, say("wipe.about"))], [
      [say("sheet.cancel"), null, "button quiet"],
      [say("wipe.go"), async () => { await ask("/api/wipe", { method: "POST", body: { kit } }); memory.forget(["last"]); answer.textContent = say("wipe.done"); }, "button danger"],
    ]);
  }, { class: "button danger", id: "wipe-go" });
  follow(() => {
    wipe.disabled = !rooms().length;
  });
  const answer = make("p", { class: "answer", role: "status" });
  const keeps = make("p", { class: "hint" }, say("wipe.keeps", { n: who().retention_days }));
  return section("wipe", say("wipe.card"), keeps, field(say("kit.one"), room), make("div", { class: "choices" }, wipe), answer);
}

