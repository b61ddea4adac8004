// The rules of the game, apart from any page: what is asked in which order, and when a face or a voice has answered.

export const EASY = ["happy", "sad", "surprise", "angry"];
export const ALL = [...EASY, "fear", "disgust", "neutral"];
export const SPOKEN = ["happy", "sad", "angry"];
export const ROUNDS = 5;
export const SENTENCES = 4;

const LIKE_S = 0.6; // one lucky frame is no answer
const PARTLY_S = 2;

// The first is always a happy one: everybody can do that. None follows itself.
export function order(labels, random = Math.random) {
  const plan = [labels[0]];
  while (plan.length < ROUNDS) {
    const others = labels.filter((label) => label !== plan.at(-1));
    const unseen = others.filter((label) => !plan.includes(label));
    plan.push(pick(unseen.length ? unseen : others, random));
  }
  return plan;
}

// Three to choose from, the right one among them, in any order.
export function choices(label, labels, random = Math.random) {
  const others = labels.filter((other) => other !== label);
  const chosen = [label];
  while (chosen.length < 3) chosen.push(pick(others.filter((other) => !chosen.includes(other)), random));
  return chosen.map((one) => [random(), one]).sort(([a], [b]) => a - b).map(([, one]) => one);
}

// "like", "partly", or null while it is worth looking on. A sentence was said once; a face has to stay a moment.
export function outcome(reading) {
  const { match, sense, held_s: held } = reading;
  if (match === "like" && (sense === "voice" || held >= LIKE_S)) return "like";
  if (match === "partly" && (sense === "voice" || held >= PARTLY_S)) return "partly";
  return null;
}

// What was claimed for most of the round; null when hardly anything was.
export function mostly(labels) {
  const counts = new Map();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const [first] = [...counts].sort(([, a], [, b]) => b - a);
  return first?.[0] ?? null;
}

const pick = (list, random) => list[Math.floor(random() * list.length)];
