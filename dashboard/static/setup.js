// The first set-up, in five steps: code, notice and consent, rooms, two passwords, done.

import { ask } from "./access.js";
import { button, field, make } from "./dom.js";
import { openDoor, showCard } from "./entry.js";
import { currentLanguage, say } from "./words.js";

const wishes = {
  code: location.hash.slice(1),
  notice: null,
  consent: false,
  rooms: [],
  retention_days: 30,
  admin: { name: "", password: "" },
  teacher: { name: "", password: "" },
};
let step = 0;
const steps = [askCode, askNotice, askRooms, () => askPerson("admin"), () => askPerson("teacher"), showDone];

function draw() {
  steps[step]();
}

function go(number) {
  step = number;
  draw();
}

function show(title, children, onSubmit, next = say("setup.next")) {
  const back = step > 0 && step < 5 ? button(say("setup.back"), () => go(step - 1), { class: "button quiet" }) : null;
  const progress = make("p", { class: "hint" }, say("setup.step", { n: step + 1, of: steps.length }));
  const line = make("div", { class: "choices" }, back, make("button", { type: "submit", class: "button main" }, next));
  showCard(title, [progress, ...children, line], onSubmit);
}

function askCode() {
  const code = make("input", { autocomplete: "off", value: wishes.code, maxlength: 20, spellcheck: "false" });
  show(say("setup.welcome"), [make("p", {}, say("setup.about")), field(say("setup.code"), code, say("setup.code.hint"))], async () => {
    wishes.code = code.value.trim();
    const { rooms } = await ask("/api/setup/rooms", { method: "POST", body: { code: wishes.code } });
    wishes.rooms = rooms.map((one) => ({ ...wishes.rooms.find((old) => old.kit === one.kit), ...one }));
    history.replaceState(null, "", "/setup");
    go(1);
  });
}

function askNotice() {
  const notice = make("textarea", { rows: 9, maxlength: 4000 });
  notice.value = wishes.notice ?? say("setup.notice.usual");
  const agreed = make("input", { type: "checkbox", id: "agreed" });
  agreed.checked = wishes.consent;
  const days = make("input", { type: "number", min: 1, max: 3650, value: wishes.retention_days });
  const parts = [
    make("p", {}, say("setup.notice.about")),
    field(say("setup.notice"), notice),
    field(say("office.retention"), days),
    make("p", { class: "check" }, agreed, make("label", { for: "agreed" }, say("setup.consent"))),
  ];
  show(say("setup.notice.title"), parts, () => {
    wishes.notice = notice.value;
    wishes.retention_days = Number(days.value);
    wishes.consent = agreed.checked;
    if (!agreed.checked) throw Object.assign(new Error("consent"), { status: 400 });
    go(2);
  });
}

function askRooms() {
  const inputs = wishes.rooms.map((one) => [one, make("input", { maxlength: 80, value: one.room })]);
  const parts = inputs.length
    ? inputs.map(([one, input]) => field(say("setup.room", { kit: one.kit }), input))
    : [make("p", {}, say("setup.rooms.none"))];
  show(say("setup.rooms"), parts, () => {
    for (const [one, input] of inputs) one.room = input.value;
    go(3);
  });
}

function askPerson(role) {
  const person = wishes[role];
  const name = make("input", { autocomplete: "username", maxlength: 40, value: person.name });
  const password = make("input", { type: "password", autocomplete: "new-password", maxlength: 200, value: person.password });
  const parts = [
    make("p", {}, say(`setup.${role}.about`)),
    field(say("login.name"), name),
    field(say("login.password"), password, say("password.hint")),
  ];
  const last = role === "teacher";
  const onSubmit = async () => {
    Object.assign(person, { name: name.value, password: password.value });
    if (last) await finish();
    go(step + 1);
  };
  show(say(`setup.${role}`), parts, onSubmit, last ? say("setup.finish") : say("setup.next"));
}

async function finish() {
  const rooms = Object.fromEntries(wishes.rooms.map((one) => [one.kit, one.room]));
  await ask("/api/setup", { method: "POST", body: { ...wishes, rooms, language: currentLanguage() } });
  await ask("/api/login", { method: "POST", body: wishes.teacher });
}

function showDone() {
  showCard(
    say("setup.done"),
    [make("p", {}, say("setup.done.about")), make("button", { type: "submit", class: "button main" }, say("setup.open"))],
    () => location.assign("/"),
  );
}

await openDoor(draw);
