// One lesson on one page: on the screen, and printed or saved as PDF by the browser.

import { ask } from "./access.js";
import { button, draw, icon, make } from "./dom.js";
import { gather, paint, stepFor } from "./chart.js";
import { legendItem, ORDER, patternOf } from "./now.js";
import { clock, day, number, percent, refusal, say } from "./words.js";

const PRINT = { width: 860, height: 230 };

// Shares as one bar; the part that was not read is hatched.
export function strip(summary) {
  const width = 300;
  const read = summary.read * width;
  const svg = draw("svg", { class: "strip", viewBox: `0 0 ${width} 20`, preserveAspectRatio: "none", "aria-hidden": "true" });
  let x = 0;
  for (const label of ORDER) {
    const part = (summary.shares[label] ?? 0) * read;
    if (part <= 0) continue;
    const place = { x, y: 0, width: part, height: 20 };
    svg.append(draw("rect", { ...place, class: `area of-${label}` }));
    if (patternOf(label)) svg.append(draw("rect", { ...place, fill: patternOf(label) }));
    x += part;
  }
  if (x < width - 0.5) {
    const place = { x, y: 0, width: width - x, height: 20 };
    svg.append(draw("rect", { ...place, class: "gap-ground" }), draw("rect", { ...place, fill: "url(#pattern-gap)" }));
  }
  return svg;
}

export function lessonReport(kit, lesson, room, close) {
  const chart = make("div", { class: "chart still", role: "img", "aria-label": "" });
  const notes = make("ul", { class: "notes" });
  const until = lesson.ends ?? Math.ceil(Date.now() / 1000);
  fillIn(kit, lesson, until, chart, notes);
  const { summary } = lesson;
  const present = ORDER.filter((label) => (summary.shares[label] ?? 0) >= 0.01);
  const facts = [
    [say("past.read.row"), percent(summary.read)],
    [say("past.people.row"), number(summary.people, 0)],
    [say("past.sure.row"), percent(summary.confidence)],
    ...Object.entries(summary.unread).filter(([, share]) => share >= 0.025).map(([reason, share]) => [say(`lesson.${reason}`), percent(share)]),
  ].map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  const title = lesson.title || say("lesson.untitled");
  const when = `${room} · ${day(lesson.starts, { weekday: "long", day: "numeric", month: "long", year: "numeric" })} · ${clock(lesson.starts)}–${clock(until)}`;
  const tools = make(
    "div",
    { class: "choices unprinted" },
    button(say("past.print"), () => print(), { class: "button main", id: "print" }),
    button(say("sheet.close"), close, { class: "button quiet" }),
  );
  return make(
    "section",
    { class: "card wide report", id: "report", tabindex: -1, "aria-labelledby": "report-title" },
    make("div", { class: "heading" }, make("h2", { id: "report-title" }, title), tools),
    make("p", { class: "when" }, when),
    chart,
    make("ul", { class: "legend" }, ...present.map((label) => legendItem(label, say("now.about", { percent: percent(summary.shares[label]) })))),
    make("dl", {}, ...facts),
    notes,
    make("p", { class: "limits" }, icon("shield"), make("span", {}, say("past.limits"))),
  );
}

async function fillIn(kit, lesson, until, chart, notes) {
  let told;
  try {
    told = await ask(`/api/windows?kit=${encodeURIComponent(kit)}&since=${lesson.starts}&until=${until}`);
  } catch (error) {
    chart.textContent = refusal(error);
    return;
  }
  const windowS = told.windows.at(-1)?.window_s ?? 5;
  const stepS = stepFor(Math.max(60, until - lesson.starts), PRINT.width, windowS);
  const buckets = gather(told.windows, lesson.starts, until, stepS);
  chart.replaceChildren(paint(PRINT, { buckets, from: lesson.starts, until, notes: told.notes }));
  const parts = ORDER.filter((label) => (lesson.summary.shares[label] ?? 0) >= 0.025).map((label) => `${say(`mood.${label}`)} ${percent(lesson.summary.shares[label])}`);
  chart.setAttribute("aria-label", `${say("lesson.title")}: ${parts.join(", ") || say("past.unread")}`);
  notes.replaceChildren(...told.notes.map((note) => make("li", {}, make("time", {}, clock(note.at)), make("span", {}, note.text))));
}
