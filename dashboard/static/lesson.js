// The lesson so far, live: the chart that grows, read by pointer and by keys.

import { find, make, memory, refill, setAttribute, setText } from "./dom.js";
import { gather, meanShares, paint, reasonOf, stepFor } from "./chart.js";
import { legendItem, ORDER } from "./now.js";
import { clock, currentLanguage, mood, percent, say } from "./words.js";

const LONGEST_MINUTES = 90;

let windows = [];
let notes = [];
let minutes = Number(memory.get("minutes")) || 40;
let buckets = [];
let cursor = null; // the start of the bucket being read, in seconds

export function setWindows(loaded) {
  windows = loaded;
}

export function setChartNotes(loaded) {
  notes = loaded;
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
  const from = now - minutes * 60;
  const stepS = stepFor(minutes * 60, size.width, windowS);
  buckets = gather(windows, from, now, stepS);
  // The running bucket is empty until its first window closes; that is no gap.
  while (buckets.length && !buckets.at(-1).count && now - buckets.at(-1).start < stepS + 2 * windowS + 5) buckets.pop();
  chart.replaceChildren(...(buckets.length ? [paint(size, { buckets, from, until: now, live: true, notes, cursor })] : []));
  showLegend();
  setText(find("#summary"), summarise());
  showReadout();
}

// ── In words ───────────────────────────────────────────────────────────────────────────────────────

function summarise() {
  const [first, second] = meanShares(buckets);
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
