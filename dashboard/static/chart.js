// A stretch of time as stacked areas of shares. What was not read is drawn as a gap, never bridged.

import { draw } from "./dom.js";
import { ORDER, patternOf } from "./now.js";
import { clock, say } from "./words.js";

const STEPS_S = [5, 10, 15, 20, 30, 60, 120, 300, 600];
const POINT_PX = 10; // closer points make a jagged line of what is only noise
const AXIS_PX = 24;
const TICKS_S = [60, 120, 300, 600, 900, 1800, 3600, 7200];

// ── From windows to buckets ────────────────────────────────────────────────────────────────────────

// How long one bucket is, so that points are neither too close nor shorter than two windows.
export function stepFor(spanS, widthPx, windowS) {
  const wantedS = spanS / Math.max(48, widthPx / POINT_PX);
  return STEPS_S.find((step) => step >= Math.max(wantedS, 2 * windowS)) ?? Math.max(2 * windowS, wantedS);
}

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

export const reasonOf = (bucket) =>
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

// The mean shares of what was read, largest first.
export function meanShares(buckets) {
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

// ── Drawing ────────────────────────────────────────────────────────────────────────────────────────

// *buckets* from *from* until *until*; *live* names the right end "now"; *notes* are marked; *cursor* is a start.
export function paint({ width, height }, { buckets, from, until, live = false, notes = [], cursor = null }) {
  const bottom = height - AXIS_PX;
  const x = (seconds) => Math.min(width, Math.max(0, ((seconds - from) / (until - from)) * width));
  const y = (share) => bottom * (1 - share);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  svg.append(draw("rect", { class: "ground", width, height: bottom, rx: 6 }), ...axis(x, { from, until, live }, width, bottom));
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
  for (const note of notes) if (note.at >= from && note.at <= until) svg.append(flag(x(note.at), bottom, width, note));
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

function flag(x, bottom, width, note) {
  const side = x > width - 16 ? -1 : 1; // the flag stays inside the chart
  const title = draw("title", {}, `${clock(note.at)} ${note.text}`);
  return draw(
    "g",
    { class: "flag" },
    draw("line", { x1: x, x2: x, y1: 0, y2: bottom }),
    draw("path", { d: `M${x} 1h${13 * side}l${-4 * side} 5 ${4 * side} 5h${-13 * side}z` }),
    title,
  );
}

function axis(x, { from, until, live }, width, bottom) {
  const stepS = TICKS_S.find((step) => ((until - from) / step) * 84 < width) ?? 7200;
  const parts = [];
  const zone = new Date(until * 1000).getTimezoneOffset() * 60;
  for (let at = Math.ceil((from - zone) / stepS) * stepS + zone; at < until; at += stepS) {
    const where = x(at);
    parts.push(draw("line", { class: "tick", x1: where, x2: where, y1: bottom, y2: bottom + 6 }));
    if (where > 18 && where < width - (live ? 88 : 18)) {
      parts.push(draw("text", { x: where, y: bottom + 20, "text-anchor": "middle" }, clock(at)));
    }
  }
  if (live) parts.push(draw("text", { x: width, y: bottom + 20, "text-anchor": "end" }, say("lesson.now")));
  return parts;
}
