// Settings: oneself, the timetable, the dashboard's choices, accounts, wiping, the log.

import { ask, logOut, may, who } from "./access.js";
import { alertCard } from "./alerts.js";
import { auditCard } from "./audit.js";
import { button, field, find, icon, make, memory } from "./dom.js";
import { openSheet } from "./sheet.js";
import { refusal, say, weekday } from "./words.js";

const ROLES = ["teacher", "admin", "researcher"];

let place = { rooms: [], roomOf: (kit) => kit };

export function showOffice(rooms, roomOf) {
  place = { rooms, roomOf };
  const parts = [selfCard()];
  if (may("notes")) parts.push(planCard());
  if (may("alerts")) parts.push(alertCard(rooms, roomOf));
  if (may("settings")) parts.push(choiceCard());
  if (may("people")) parts.push(peopleCard());
  if (may("wipe")) parts.push(wipeCard());
  if (may("audit")) parts.push(auditCard(roomOf));
  find("#office").replaceChildren(...parts);
}

const redraw = () => showOffice(place.rooms, place.roomOf);

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
        const words = `${place.roomOf(plan.kit)} · ${days} · ${plan.starts}–${plan.ends}${plan.title ? ` · ${plan.title}` : ""}`;
        const remove = button(say("plans.remove"), () => keep(plans.filter((one) => one !== plan)), { class: "link", "aria-label": `${say("plans.remove")}: ${words}` });
        return make("li", {}, icon("clock"), make("span", {}, words), remove);
      }),
    );
  }

  ask("/api/plans").then((answer) => {
    plans = answer.plans;
    draw();
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

function roomSelect() {
  return make("select", {}, ...place.rooms.map((kit) => make("option", { value: kit }, place.roomOf(kit))));
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
    const kits = [...new Set([...place.rooms, ...Object.keys(choices.rooms)])];
    const names = kits.map((kit) => [kit, make("input", { maxlength: 80, value: choices.rooms[kit] ?? "", placeholder: place.roomOf(kit) })]);
    const parts = [
      field(say("office.language"), language),
      field(say("office.retention"), days, say("office.retention.hint")),
      ...names.map(([kit, input]) => field(say("setup.room", { kit }), input)),
      field(say("setup.notice"), notice),
    ];
    card.append(
      form(parts, say("office.save"), async () => {
        const rooms = Object.fromEntries(names.map(([kit, input]) => [kit, input.value]));
        await ask("/api/choices", { method: "POST", body: { language: language.value, notice: notice.value, retention_days: Number(days.value), rooms } });
      }),
    );
  }, () => {});
  return card;
}

// ── People ─────────────────────────────────────────────────────────────────────────────────────────

function peopleCard() {
  const list = make("ul", { class: "plans" });
  const card = section("people", say("people.title"), make("p", { class: "hint" }, say("people.about")), list);
  ask("/api/accounts").then(({ accounts }) => list.replaceChildren(...accounts.map(person)), () => {});
  const name = make("input", { maxlength: 40, autocomplete: "off" });
  const role = make("select", {}, ...ROLES.map((one) => make("option", { value: one }, say(`role.${one}`))));
  const secret = password("new-password");
  const boxes = place.rooms.map((kit, index) => make("input", { type: "checkbox", id: `sees-${index}`, value: kit }));
  const rooms = boxes.map((box, index) => make("span", { class: "check" }, box, make("label", { for: `sees-${index}` }, place.roomOf(box.value))));
  const group = make("fieldset", { class: "days" }, make("legend", {}, say("people.rooms")), ...rooms);
  const parts = [field(say("login.name"), name), field(say("people.role"), role, say("people.role.hint")), group, field(say("login.password"), secret, say("password.hint"))];
  const add = form(parts, say("people.add"), async () => {
    const kits = boxes.filter((box) => box.checked).map((box) => box.value);
    await ask("/api/accounts", { method: "POST", body: { name: name.value, role: role.value, kits, password: secret.value } });
    redraw();
  });
  card.append(make("details", {}, make("summary", {}, say("people.new")), add));
  return card;
}

function person(account) {
  const rooms = account.kits.length ? account.kits.map(place.roomOf).join(", ") : say("people.all");
  const words = make("span", {}, make("strong", {}, account.name), ` · ${say(`role.${account.role}`)} · ${rooms}`);
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
      [say("people.remove"), async () => { await ask(path, { method: "DELETE" }); redraw(); }, "button danger"],
    ]);
  }, { class: "link", "aria-label": `${say("people.remove")}: ${account.name}` });
  return make("li", {}, icon("people"), words, reset, remove);
}

// ── Wiping ─────────────────────────────────────────────────────────────────────────────────────────

function wipeCard() {
  const rooms = roomSelect();
  const wipe = button(say("wipe.go"), () => {
    const kit = rooms.value;
    openSheet(say("wipe.title", { room: place.roomOf(kit) }), [make("p", {}, say("wipe.about"))], [
      [say("sheet.cancel"), null, "button quiet"],
      [say("wipe.go"), async () => { await ask("/api/wipe", { method: "POST", body: { kit } }); memory.forget(["last"]); answer.textContent = say("wipe.done"); }, "button danger"],
    ]);
  }, { class: "button danger", id: "wipe-go" });
  wipe.disabled = !place.rooms.length;
  const answer = make("p", { class: "answer", role: "status" });
  const keeps = make("p", { class: "hint" }, say("wipe.keeps", { n: who().retention_days }));
  return section("wipe", say("wipe.card"), keeps, field(say("kit.one"), rooms), make("div", { class: "choices" }, wipe), answer);
}

