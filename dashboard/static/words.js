// The page's words in two languages, and numbers and times the way each writes them.

import { memory } from "./dom.js";

const LANGUAGES = ["id", "en"];
const texts = {};
let language = "id";

export async function loadWords(usual = null) {
  const answers = await Promise.all(LANGUAGES.map((name) => fetch(`/static/texts/${name}.json`)));
  for (const [index, name] of LANGUAGES.entries()) texts[name] = await answers[index].json();
  const wanted = [memory.get("language"), usual, ...navigator.languages.map((tag) => tag.split("-")[0])];
  // Old browsers call Indonesian "in".
  choose(wanted.map((name) => (name === "in" ? "id" : name)).find((name) => LANGUAGES.includes(name)) ?? "id");
}

export function chooseLanguage(name) {
  memory.set("language", name);
  choose(name);
}

export const currentLanguage = () => language;
export const has = (key) => key in texts[language];

// The text of *key* with {n} and the like filled in; "key.one" is used where the language has a singular.
export function say(key, values = {}) {
  const singular = values.n === 1 ? texts[language][`${key}.one`] : undefined;
  const text = singular ?? texts[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name] ?? "";
    return typeof value === "number" ? number(value) : value;
  });
}

export const mood = (label) => say(`mood.${label}`);

// Made once per language and form: making one costs more than everything that is written with it.
const formats = new Map();

function format(kind, tag, options) {
  const key = `${kind.name} ${tag} ${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new kind(tag, options));
  return formats.get(key);
}

// Small whole numbers and whole per cents look the same in both languages, and the first view has nothing else.
export const number = (value, digits = 0) =>
  Number.isInteger(value) && Math.abs(value) < 1000 ? String(value) : format(Intl.NumberFormat, language, { maximumFractionDigits: digits }).format(value);

// Readings of a few faces do not carry single per cents.
export function percent(share, step = 5) {
  const rounded = Math.round((share * 100) / step) * step;
  return `${rounded}%`;
}

const place = () => (language === "en" ? "en-GB" : language);

export const day = (seconds, options = { weekday: "short", day: "numeric", month: "short" }) =>
  format(Intl.DateTimeFormat, place(), options).format(seconds * 1000);

export const weekday = (index) =>
  format(Intl.DateTimeFormat, place(), { weekday: "short", timeZone: "UTC" }).format(Date.UTC(2024, 0, 1 + index));

export const clock = (seconds) =>
  format(Intl.DateTimeFormat, place(), { hour: "2-digit", minute: "2-digit" }).format(seconds * 1000);

function choose(name) {
  language = name;
  document.documentElement.lang = name;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset.label));
  }
  for (const element of document.querySelectorAll("[data-placeholder]")) {
    element.placeholder = say(element.dataset.placeholder);
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === name));
  }
}

// Why the server refused, in the reader's language; its own words where there are none here.
export function refusal(error) {
  if (error.status === undefined) return say("refused.offline");
  return texts[language][`refused.${error.message}`] ?? texts[language][`refused.${error.status}`] ?? error.message;
}
