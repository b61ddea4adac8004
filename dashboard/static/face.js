// The drawn child, whose face changes at once, without a fade: somebody waits for the answer.

import { button, draw, icon, make, setAttribute } from "./dom.js";
import { ALL } from "./rounds.js";
import { say } from "./words.js";

const href = (name) => `/static/faces.svg#${name}`;

// Decoration, or with *text* a picture that tells something.
export function face(name, text = null) {
  const told = text === null ? { "aria-hidden": "true" } : { role: "img", "aria-label": text };
  const picture = draw("svg", { viewBox: "0 0 240 240", class: "face", ...told }, draw("use", { href: href(name) }));
  return make("div", { class: "portrait", "data-mood": tint(name) }, picture);
}

export function setFace(portrait, name, text = null) {
  setAttribute(portrait.querySelector("use"), "href", href(name));
  setAttribute(portrait, "data-mood", tint(name));
  if (text !== null) setAttribute(portrait.querySelector("svg"), "aria-label", text);
}

// What a drawing shows, for whoever cannot see it; it does not give the feeling away.
export const drawn = (label) => say(`play.drawn.${label}`);

// The button that leads back to the three games; Escape does too.
export function wayOut(finish) {
  const made = button("", finish, { class: "button quiet way-out" });
  made.append(icon("back"), make("span", {}, say("play.leave")));
  return made;
}

const tint = (name) => (ALL.includes(name) || name === "uncertain" ? name : name === "cheer" ? "happy" : null);
