// Looking back: lessons and days of a room, one beside another, exports, and the page to print.

import { ask, may } from "./access.js";
import { find, icon, make, memory } from "./dom.js";
import { ORDER, legendItem } from "./now.js";
import { lessonReport, strip } from "./report.js";
import { clock, day, mood, number, percent, refusal, say } from "./words.js";

const DAY_S = 86_400;
const RANGES = [7, 30, 365];

let rooms = [];
let kit = null;
let days = Number(memory.get("days")) || 7;
let told = null;
let picked = []; // ids of lessons to compare
let opened = null; // the lesson that is shown whole
let trouble = null;
let nameRoom = (name) => name;
let ticket = 0;

export async function openPast(wanted, roomOf) {
  nameRoom = roomOf;
  try {
    rooms = (await ask("/api/rooms")).rooms;
  } catch (error) {
    trouble = error;
    return draw();
  }
  if (!rooms.some((one) => one.kit === kit)) kit = rooms.find((one) => one.kit === wanted)?.kit ?? rooms[0]?.kit ?? null;
  return load();
}

const span = () => {
  const until = Math.ceil(Date.now() / 1000);
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  return { since: midnight.getTime() / 1000 - (days - 1) * DAY_S, until };
};

async function load() {
  const own = (ticket += 1);
  trouble = null;
  if (kit) {
    const { since, until } = span();
    try {
      const answer = await ask(`/api/past?kit=${encodeURIComponent(kit)}&since=${since}&until=${until}`);
      if (own !== ticket) return;
      told = answer;
    } catch (error) {
      trouble = error;
    }
  } else {
    told = null;
  }
  draw();
}

export function draw() {
  const place = find("#past");
  const parts = [bar()];
  if (trouble) parts.push(make("p", { class: "banner warn" }, icon("alert"), make("span", {}, refusal(trouble))));
  if (!kit && !trouble) parts.push(make("section", { class: "card wide" }, make("h2", {}, say("past.empty")), make("p", {}, say(may("live") ? "past.empty.about" : "past.empty.research"))));
  if (told && kit) parts.push(...cards());
  place.replaceChildren(...parts);
}

// ── What to look at ────────────────────────────────────────────────────────────────────────────────

function bar() {
  const select = make("select", { "aria-label": say("kit.choose"), id: "past-room" }, ...rooms.map((one) => make("option", { value: one.kit }, nameRoom(one.kit, one.room))));
  if (kit) select.value = kit;
  select.addEventListener("change", () => {
    kit = select.value;
    picked = [];
    opened = null;
    load();
  });
  const ranges = RANGES.map((own) => {
    const made = make("button", { type: "button", "aria-pressed": String(own === days), "data-days": own }, say("past.days", { n: own }));
    made.addEventListener("click", () => {
      days = own;
      memory.set("days", own);
      load();
    });
    return made;
  });
  const { since, until } = span();
  const href = `/api/export?kit=${encodeURIComponent(kit ?? "")}&since=${since}&until=${until}`;
  const get = make("a", { class: "button", href, download: "" }, icon("save"), make("span", {}, say("past.export")));
  return make(
    "div",
    { class: "wide toolbar" },
    make("h2", { class: "title" }, say("past.title")),
    select,
    make("div", { class: "segments", role: "group", "aria-label": say("lesson.range") }, ...ranges),
    kit && may("export") ? get : null,
  );
}

function cards() {
  const chosen = picked.map((id) => told.lessons.find((one) => one.id === id)).filter(Boolean);
  const parts = [];
  if (opened) parts.push(lessonReport(kit, opened, nameRoom(kit), close));
  if (chosen.length === 2) parts.push(comparison(chosen));
  parts.push(dayCard(), lessonCard());
  if (told.counts.length) parts.push(countCard());
  return parts;
}

function close() {
  opened = null;
  draw();
}

// ── Days ───────────────────────────────────────────────────────────────────────────────────────────

const noon = (text) => new Date(`${text}T12:00:00`).getTime() / 1000;

function dayCard() {
  const card = make("section", { class: "card wide", "aria-labelledby": "days-title" }, make("h2", { id: "days-title" }, say("past.by_day")));
  if (!told.days.length) {
    card.append(make("p", {}, say("past.nothing")));
    return card;
  }
  const rows = told.days.map((one) =>
    make("li", {}, make("span", { class: "when" }, day(noon(one.day))), strip(one), make("span", { class: "words" }, words(one))),
  );
  const present = ORDER.filter((label) => told.days.some((one) => (one.shares[label] ?? 0) >= 0.01));
  card.append(make("ul", { class: "strips" }, ...rows), make("ul", { class: "legend" }, ...present.map((label) => legendItem(label))), make("p", { class: "hint" }, say("past.strip")));
  return card;
}

export function words(summary) {
  if (!summary.mood) return say("past.unread");
  const text = say("past.mostly", { mood: mood(summary.mood), share: percent(summary.shares[summary.mood]) });
  return summary.read < 0.95 ? `${text} ${say("past.read", { share: percent(summary.read) })}` : text;
}

// ── Lessons ────────────────────────────────────────────────────────────────────────────────────────

const minutes = (lesson) => Math.max(1, Math.round(((lesson.ends ?? Date.now() / 1000) - lesson.starts) / 60));

export const lessonName = (lesson) => lesson.title || say("lesson.untitled");

function lessonCard() {
  const card = make("section", { class: "card wide", "aria-labelledby": "lessons-title" }, make("h2", { id: "lessons-title" }, say("past.lessons")));
  if (!told.lessons.length) {
    card.append(make("p", {}, say(may("notes") ? "past.lessons.none" : "past.nothing")));
    return card;
  }
  card.append(make("p", { class: "hint" }, say("past.compare.how")), make("ul", { class: "lessons" }, ...[...told.lessons].reverse().map(lessonRow)));
  return card;
}

function lessonRow(lesson) {
  const name = make("button", { type: "button", class: "link name" }, lessonName(lesson));
  name.addEventListener("click", () => {
    opened = lesson;
    draw();
    find("#report")?.scrollIntoView({ block: "start" });
    find("#report")?.focus({ preventScroll: true });
  });
  const when = `${day(lesson.starts)} · ${clock(lesson.starts)} · ${say("past.minutes", { n: minutes(lesson) })}`;
  const box = make("input", { type: "checkbox", id: `pick-${lesson.id}` });
  box.checked = picked.includes(lesson.id);
  box.addEventListener("change", () => {
    picked = box.checked ? [...picked, lesson.id].slice(-2) : picked.filter((id) => id !== lesson.id);
    draw();
    find(`#pick-${CSS.escape(lesson.id)}`)?.focus();
  });
  const pick = make("span", { class: "check" }, box, make("label", { for: box.id }, say("past.compare"), make("span", { class: "visually-hidden" }, ` ${lessonName(lesson)} ${when}`)));
  return make(
    "li",
    {},
    make("div", { class: "what" }, name, make("span", { class: "hint" }, when)),
    strip(lesson.summary),
    make("span", { class: "words" }, words(lesson.summary)),
    make("div", { class: "line" }, pick, may("notes") ? consent(lesson) : null),
  );
}

function consent(lesson) {
  const box = make("input", { type: "checkbox", id: `consent-${lesson.id}` });
  box.checked = lesson.consent;
  box.addEventListener("change", async () => {
    try {
      await ask(`/api/lessons/${lesson.id}`, { method: "POST", body: { consent: box.checked } });
      lesson.consent = box.checked;
    } catch {
      box.checked = lesson.consent;
    }
  });
  return make("span", { class: "check" }, box, make("label", { for: box.id }, say("past.consent"), make("span", { class: "visually-hidden" }, ` ${lessonName(lesson)}`)));
}

// ── One beside another ─────────────────────────────────────────────────────────────────────────────

function comparison([one, two]) {
  const labels = ORDER.filter((label) => Math.max(one.summary.shares[label] ?? 0, two.summary.shares[label] ?? 0) >= 0.025);
  const cell = (lesson, label) => make("td", {}, lesson.summary.read ? percent(lesson.summary.shares[label] ?? 0) : "–");
  const swatch = (label) => make("th", { scope: "row" }, make("ul", { class: "legend" }, legendItem(label)));
  const rows = labels.map((label) => make("tr", {}, swatch(label), cell(one, label), cell(two, label)));
  const other = [
    ["past.read.row", (lesson) => percent(lesson.summary.read)],
    ["past.people.row", (lesson) => number(lesson.summary.people, 0)],
    ["past.length.row", (lesson) => say("past.minutes", { n: minutes(lesson) })],
  ].map(([key, tell]) => make("tr", {}, make("th", { scope: "row" }, say(key)), make("td", {}, tell(one)), make("td", {}, tell(two))));
  const head = [one, two].map((lesson) => make("th", { scope: "col" }, lessonName(lesson), make("span", { class: "hint" }, `${day(lesson.starts)} ${clock(lesson.starts)}`)));
  const table = make("table", {}, make("thead", {}, make("tr", {}, make("td"), ...head)), make("tbody", {}, ...rows, ...other));
  return make("section", { class: "card wide", id: "comparison", "aria-labelledby": "comparison-title" }, make("h2", { id: "comparison-title" }, say("past.comparison")), make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": say("past.comparison") }, table), make("p", { class: "hint" }, say("past.comparison.limit")));
}

function countCard() {
  const rows = told.counts.map((one) => make("tr", {}, make("td", {}, mood(one.shown)), make("td", {}, mood(one.meant)), make("td", {}, number(one.times))));
  const head = ["shown", "meant", "times"].map((name) => make("th", { scope: "col" }, say(`wrong.${name}`)));
  return make("section", { class: "card wide", id: "counts" }, make("h2", {}, say("wrong.counts")), make("p", { class: "hint" }, say("wrong.kept")), make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)));
}

