// The room's mood at a glance: one picture, one word, and why.

import { draw, find, icon, make, refill, setAttribute, setText } from "./dom.js";
import { clock, currentLanguage, mood, percent, say } from "./words.js";

// From the bottom of the chart to the top, and from the left of the bar to the right.
export const ORDER = ["happy", "surprise", "neutral", "sad", "fear", "disgust", "angry", "uncertain"];
const PLAIN = new Set(["happy", "neutral"]);
const SHOWN_FROM = 0.025;

export const patternOf = (label) => (PLAIN.has(label) ? null : `url(#pattern-${label})`);

export function describe(kit) {
  const still = (art, key, values = {}) => ({ art, word: say(`${key}.word`), why: say(key, values), long: true });
  if (!kit) return still("waiting", "now.waiting");
  if (kit.phase === "stopped") return still("offline", "now.stopped");
  if (kit.phase !== "online") {
    const reading = still("offline", "now.offline");
    if (kit.heard_at) reading.why = say("now.offline.since", { time: clock(kit.heard_at) });
    return reading;
  }
  const { state, info } = kit;
  if (info?.capture.capture === "off") return still("paused", "now.paused");
  if (info?.mode === "practice") return still("paused", "now.practice");
  if (info?.absent.includes("camera") && (!kit.fresh || state.suppressed)) return still("paused", "now.no_camera");
  if (info?.capture.camera === "off" && (!kit.fresh || state.suppressed)) return still("paused", "now.camera_off");
  const camera = kit.sources.camera;
  if (kit.state && (camera === "recovering" || camera === "offline") && (!kit.fresh || state.suppressed)) {
    return still("offline", "now.camera_lost");
  }
  if (!kit.fresh || state.suppressed === "capture_off") {
    const reading = still("waiting", "now.starting");
    if (state && state.suppressed !== "capture_off") reading.why = say("now.stale");
    return reading;
  }
  if (state.suppressed === "nobody") return still("nobody", "now.nobody");
  if (state.suppressed === "too_few_people") {
    const values = { n: state.people, min: info?.min_people ?? 5 };
    const reading = still(`few-${seats(values)}`, "now.few", values);
    if (state.people >= values.min) reading.why = say("now.few.unread", values);
    return reading;
  }
  const claimed = state.mood !== "uncertain";
  return {
    art: state.mood,
    mood: state.mood,
    word: mood(state.mood),
    why: say(claimed ? "now.guess" : "now.uncertain"),
    long: !claimed,
    sure: claimed ? say(`now.sure.${sureness(state.confidence)}`) : null,
    people: say("now.people", { n: state.people }),
    shares: state.shares,
  };
}

// How many of the picture's five places are taken; neither none nor all, whatever the numbers are.
const seats = ({ n, min }) => Math.min(4, Math.max(1, Math.round((5 * n) / Math.max(1, min))));

export function sureness(confidence) {
  if (confidence >= 0.8) return "high";
  return confidence >= 0.65 ? "middle" : "low";
}

export function showNow(kit, connected) {
  const reading = describe(kit);
  const card = find("#now");
  setAttribute(card, "data-mood", reading.mood ?? null);
  card.classList.toggle("old", !connected);
  changePicture(reading.art);
  setText(find("#word"), reading.word);
  find("#word").classList.toggle("long", reading.long);
  setText(find("#why"), reading.why);
  showFacts(reading, kit, connected);
  showShares(reading.shares);
  const why = reading.mood ? reading.sure ?? reading.why : reading.why;
  setText(find("#spoken"), say("now.spoken", { word: reading.word, why }));
  document.title = `${reading.word} · ${say("page.title")}`;
}

function changePicture(art) {
  const use = find("#art");
  const href = `/static/moods.svg#${art}`;
  if (use.getAttribute("href") === href || use.dataset.next === href) return;
  use.dataset.next = href;
  const picture = find(".picture");
  picture.classList.add("fading");
  setTimeout(() => {
    use.setAttribute("href", use.dataset.next);
    picture.classList.remove("fading");
  }, 450);
}

function showFacts(reading, kit, connected) {
  const facts = [
    ["gauge", reading.sure],
    ["people", reading.people],
    ["clock", !connected && kit?.state_at ? say("now.as_of", { time: clock(kit.state_at) }) : null],
  ].filter(([, text]) => text);
  refill(find("#facts"), JSON.stringify(facts), () =>
    facts.map(([name, text]) => make("li", {}, icon(name), make("span", {}, text))),
  );
}

function showShares(shares) {
  find("#shares").hidden = !shares;
  if (!shares) return;
  const shown = ORDER.filter((label) => (shares[label] ?? 0) > 0);
  const bar = find("#bar");
  // In parts of its width: asking how wide it is would have the browser lay the whole page out at once.
  refill(bar, JSON.stringify(shares), () => {
    let x = 0;
    return shown.flatMap((label) => {
      const place = { x: `${100 * x}%`, y: 0, width: `${100 * shares[label]}%`, height: "100%" };
      x += shares[label];
      return [
        draw("rect", { ...place, class: `area of-${label}` }),
        patternOf(label) ? draw("rect", { ...place, fill: patternOf(label) }) : null,
        x < 0.995 ? draw("rect", { ...place, x: `${100 * x}%`, width: 2, transform: "translate(-1 0)", class: "divider" }) : null,
      ].filter(Boolean);
    });
  });
  const listed = shown.filter((label) => shares[label] >= SHOWN_FROM).sort((a, b) => shares[b] - shares[a]);
  refill(find("#share-list"), currentLanguage() + JSON.stringify(shares), () =>
    listed.map((label) => legendItem(label, say("now.about", { percent: percent(shares[label]) }))),
  );
}

export function legendItem(label, part = null) {
  const swatch = draw(
    "svg",
    { viewBox: "0 0 20 20", "aria-hidden": "true" },
    draw("rect", { width: 20, height: 20, class: `area of-${label}` }),
    patternOf(label) ? draw("rect", { width: 20, height: 20, fill: patternOf(label) }) : null,
  );
  return make("li", {}, swatch, make("span", {}, mood(label)), part ? make("span", { class: "part" }, part) : null);
}
