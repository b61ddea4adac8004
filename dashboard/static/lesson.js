// The lesson so far: shares over time as stacked areas. What was not read is drawn as a gap, never bridged.

import { draw, find, make, memory, refill, setAttribute, setText } from "./dom.js";
import { legendItem, ORDER, patternOf } from "./now.js";
import { clock, currentLanguage, mood, percent, say } from "./words.js";

const LONGEST_MINUTES = 90;
const STEPS_S = [5, 10, 15, 20, 30, 60, 120];
const POINT_PX = 10; // closer points make a jagged line of what is only noise
const AXIS_PX = 24;

let windows = [];
let minutes = Number(memory.get("minutes")) || 40;
let buckets = [];
let cursor = null; // the start of the bucket being read, in seconds

export function setWindows(loaded) {
  windows = loaded;
}

export function addWindow(window) {
  if (windows.length && windows.at(-1).ends >= window.ends) {
    // Late from the outbox, or told twice while the history was being loaded.
    if (windows.some((known) => Math.abs(known.ends - window.ends) < 0.001)) return;
    windows.push(window);
    windows.sort((a, b) => a.ends - b.ends);
  } else {
    windows.push(window);
  }
}

export const rangeMinutes = () => minutes;

export function chooseRange(wanted) {
  minutes = wanted;
  cursor = null;
  memory.set("minutes", wanted);
}

// ── From windows to buckets ────────────────────────────────────────────────────────────────────────

export function gather(all, from, until, stepS) {
  const found = [];
  for (let start = Math.floor(from / stepS) * stepS; start < until; start += stepS) {
    found.push({ start, end: start + stepS, count: 0, read: 0, shares: {}, people: 0, suppressed: {} });
  }
  for (const window of all) {
    const middle = window.ends - window.window_s / 2;
    const bucket = found[Math.floor((middle - found[0]?.start) / stepS)];
    if (!bucket) continue;
    bucket.windowS = window.window_s;
    bucket.count += 1;
    if (window.suppressed) {
      bucket.suppressed[window.suppressed] = (bucket.suppressed[window.suppressed] ?? 0) + 1;
      if (!bucket.read) bucket.people = Math.max(bucket.people, window.people);
      continue;
    }
    bucket.people = bucket.read ? Math.max(bucket.people, window.people) : window.people;
    bucket.read += 1;
    for (const [label, share] of Object.entries(window.shares)) {
      bucket.shares[label] = (bucket.shares[label] ?? 0) + share;
    }
  }
  const first = found.find((bucket) => bucket.count);
  for (const bucket of found) {
    for (const label of Object.keys(bucket.shares)) bucket.shares[label] /= bucket.read;
    // Mostly unread counts as unread, or a coarse step would hide the gaps. The ends may be cut off.
    const due = (Math.min(bucket.end, until - bucket.windowS) - bucket.start) / bucket.windowS;
    if (bucket !== first && bucket.read < due / 2) bucket.read = 0;
  }
  return found;
}

const reasonOf = (bucket) =>
  bucket.read ? null : (Object.entries(bucket.suppressed).sort((a, b) => b[1] - a[1])[0]?.[0] ?? "gap");

function runs(found, keyOf) {
  const result = [];
  for (const bucket of found) {
    const key = keyOf(bucket);
    if (result.at(-1)?.key === key) result.at(-1).buckets.push(bucket);
    else result.push({ key, buckets: [bucket] });
  }
  return result;
}

// ── Drawing ────────────────────────────────────────────────────────────────────────────────────────

export function showLesson(now) {
  for (const button of document.querySelectorAll("[data-minutes]")) {
    const own = Number(button.dataset.minutes);
    setText(button, say("lesson.minutes", { n: own }));
    setAttribute(button, "aria-pressed", String(own === minutes));
  }
  windows = windows.filter((window) => window.ends > now - (LONGEST_MINUTES + 5) * 60);
  const chart = find("#chart");
  const size = { width: Math.max(chart.clientWidth, 200), height: Math.max(chart.clientHeight, 120) };
  const windowS = windows.at(-1)?.window_s ?? 5;
  const wantedS = (minutes * 60) / Math.max(48, size.width / POINT_PX);
  const stepS = STEPS_S.find((step) => step >= Math.max(wantedS, 2 * windowS)) ?? 2 * windowS;
  buckets = gather(windows, now - minutes * 60, now, stepS);
  // The running bucket is empty until its first window closes; that is no gap.
  while (buckets.length && !buckets.at(-1).count && now - buckets.at(-1).start < stepS + 2 * windowS + 5) buckets.pop();
  chart.replaceChildren(...(buckets.length ? [paint(size, now)] : []));
  showLegend();
  setText(find("#summary"), summarise());
  showReadout();
}

function paint({ width, height }, now) {
  const bottom = height - AXIS_PX;
  const from = now - minutes * 60;
  const x = (seconds) => Math.min(width, Math.max(0, ((seconds - from) / (minutes * 60)) * width));
  const y = (share) => bottom * (1 - share);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  svg.append(draw("rect", { class: "ground", width, height: bottom, rx: 6 }), ...axis(x, from, now, width, bottom));
  const first = buckets.findIndex((bucket) => bucket.count);
  if (first < 0) {
    svg.append(label(width / 2, bottom / 2, say("lesson.empty")));
    return svg;
  }
  const lead = x(buckets[first].start);
  if (lead > 150) svg.append(label(lead / 2, bottom / 2, say("lesson.before")));
  for (const run of runs(buckets.slice(first), reasonOf)) {
    if (run.key === null) svg.append(...stack(run.buckets, x, y));
    else svg.append(...gap(run, x, bottom));
  }
  const read = buckets.find((bucket) => bucket.start === cursor);
  if (read) {
    const at = x((read.start + read.end) / 2);
    svg.append(draw("line", { class: "cursor", x1: at, x2: at, y1: 0, y2: bottom }));
  }
  return svg;
}

function stack(run, x, y) {
  const left = x(run[0].start);
  const right = x(run.at(-1).end);
  const points = run.map((bucket) => x((bucket.start + bucket.end) / 2));
  let floor = run.map(() => 0);
  const parts = [];
  for (const name of ORDER) {
    if (!run.some((bucket) => bucket.shares[name] > 0)) continue;
    const roof = floor.map((share, index) => Math.min(1, share + (run[index].shares[name] ?? 0)));
    const upper = curve(points, roof.map(y), left, right);
    const lower = curve([...points].reverse(), [...floor].reverse().map(y), right, left);
    const d = `M${upper}L${lower}Z`;
    parts.push(draw("path", { d, class: `area of-${name}` }));
    if (patternOf(name)) parts.push(draw("path", { d, fill: patternOf(name) }));
    parts.push(draw("path", { d: `M${upper}`, class: `edge of-${name} line` }));
    floor = roof;
  }
  return parts;
}

// A cubic through every point that is level at each peak and so never rises above what was read.
function curve(xs, ys, begin, end) {
  const at = (value) => value.toFixed(1);
  const slopes = xs.map((_, i) => {
    if (i === 0 || i === xs.length - 1) return 0;
    const before = (ys[i] - ys[i - 1]) / (xs[i] - xs[i - 1]);
    const after = (ys[i + 1] - ys[i]) / (xs[i + 1] - xs[i]);
    return before * after > 0 ? (2 * before * after) / (before + after) : 0;
  });
  let path = `${at(begin)} ${at(ys[0])}L${at(xs[0])} ${at(ys[0])}`;
  for (let i = 1; i < xs.length; i += 1) {
    const third = (xs[i] - xs[i - 1]) / 3;
    const leave = `${at(xs[i - 1] + third)} ${at(ys[i - 1] + slopes[i - 1] * third)}`;
    const arrive = `${at(xs[i] - third)} ${at(ys[i] - slopes[i] * third)}`;
    path += `C${leave} ${arrive} ${at(xs[i])} ${at(ys[i])}`;
  }
  return `${path}L${at(end)} ${at(ys.at(-1))}`;
}

function gap(run, x, bottom) {
  const left = x(run.buckets[0].start);
  const place = { x: left, y: 0, width: Math.max(0, x(run.buckets.at(-1).end) - left), height: bottom };
  const text = say(`lesson.${run.key}`);
  const hatched = draw("rect", { ...place, class: "gap" }, draw("title", {}, text));
  const parts = [draw("rect", { ...place, class: "gap-ground" }), hatched];
  if (place.width > text.length * 7 + 16) parts.push(label(left + place.width / 2, bottom / 2, text));
  return parts;
}

const label = (x, y, text) => draw("text", { class: "gap-text", x, y: y + 4 }, text);

function axis(x, from, now, width, bottom) {
  const stepS = [60, 120, 300, 600, 900, 1800].find((step) => ((minutes * 60) / step) * 84 < width) ?? 1800;
  const parts = [];
  const zone = new Date(now * 1000).getTimezoneOffset() * 60;
  for (let at = Math.ceil((from - zone) / stepS) * stepS + zone; at < now; at += stepS) {
    const where = x(at);
    parts.push(draw("line", { class: "tick", x1: where, x2: where, y1: bottom, y2: bottom + 6 }));
    if (where > 18 && where < width - 88) {
      parts.push(draw("text", { x: where, y: bottom + 20, "text-anchor": "middle" }, clock(at)));
    }
  }
  parts.push(draw("text", { x: width, y: bottom + 20, "text-anchor": "end" }, say("lesson.now")));
  return parts;
}

// ── In words ───────────────────────────────────────────────────────────────────────────────────────

function meanShares() {
  const total = {};
  let read = 0;
  for (const bucket of buckets) {
    if (!bucket.read) continue;
    read += 1;
    for (const [name, share] of Object.entries(bucket.shares)) total[name] = (total[name] ?? 0) + share;
  }
  return Object.entries(total)
    .map(([name, sum]) => [name, sum / read])
    .sort((a, b) => b[1] - a[1]);
}

function summarise() {
  const [first, second] = meanShares();
  if (!first) return "";
  const values = { n: minutes, first: mood(first[0]), share: percent(first[1]) };
  const begun = buckets.slice(buckets.findIndex((bucket) => bucket.count));
  const unread = begun.filter((bucket) => !bucket.read).length / begun.length;
  const sentences = [
    second?.[1] >= 0.05
      ? say("lesson.summary.second", { ...values, second: mood(second[0]), share2: percent(second[1]) })
      : say("lesson.summary", values),
  ];
  if (unread >= 0.025) sentences.push(say("lesson.unread", { share: percent(unread) }));
  return sentences.join(" ");
}

function showLegend() {
  const present = ORDER.filter((name) => buckets.some((bucket) => bucket.shares[name] >= 0.01));
  refill(find("#lesson-legend"), currentLanguage() + present.join(), () => present.map((name) => legendItem(name)));
}

function showReadout() {
  const chart = find("#chart");
  const index = buckets.findIndex((bucket) => bucket.start === cursor);
  const bucket = buckets[index];
  setAttribute(chart, "aria-valuemax", Math.max(0, buckets.length - 1));
  setAttribute(chart, "aria-valuenow", Math.max(0, index));
  if (!bucket) {
    setText(find("#readout"), say("lesson.hint"));
    setAttribute(chart, "aria-valuetext", summarise() || say("lesson.empty"));
    return;
  }
  const parts = bucket.read
    ? Object.entries(bucket.shares)
        .filter(([, share]) => share >= 0.025)
        .sort((a, b) => b[1] - a[1])
        .map(([name, share]) => `${mood(name)} ${percent(share)}`)
        .concat(say("now.people", { n: bucket.people }))
    : [bucket.count ? say(`lesson.${reasonOf(bucket)}`) : say("lesson.gap")];
  const time = clock(bucket.start);
  find("#readout").replaceChildren(make("strong", {}, time), ` · ${parts.join(" · ")}`);
  setAttribute(chart, "aria-valuetext", `${time}: ${parts.join(", ")}`);
}

// ── Pointer and keys ───────────────────────────────────────────────────────────────────────────────

export function listenToChart(redraw) {
  const chart = find("#chart");
  const move = (start) => {
    if (start === cursor) return;
    cursor = start;
    redraw();
  };
  const follow = (event) => {
    const box = chart.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const span = buckets.length ? buckets.at(-1).end - buckets[0].start : 0;
    if (!span) return;
    const at = buckets[0].start + share * minutes * 60;
    move((buckets.find((bucket) => at < bucket.end) ?? buckets.at(-1)).start);
  };
  chart.addEventListener("pointermove", follow);
  chart.addEventListener("pointerdown", follow);
  chart.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && move(null));
  chart.addEventListener("blur", () => move(null));
  chart.addEventListener("keydown", (event) => {
    const last = buckets.length - 1;
    const index = buckets.findIndex((bucket) => bucket.start === cursor);
    const from = index < 0 ? last + 1 : index;
    const next = {
      ArrowLeft: from - 1,
      ArrowDown: from - 1,
      ArrowRight: index < 0 ? last : from + 1,
      ArrowUp: index < 0 ? last : from + 1,
      PageUp: from - 10,
      PageDown: from + 10,
      Home: 0,
      End: last,
    }[event.key];
    if (event.key === "Escape") move(null);
    if (next === undefined || last < 0) return;
    event.preventDefault();
    move(buckets[Math.min(last, Math.max(0, next))].start);
  });
}
