// Elements are made from names and text only: what kits send never becomes markup.

const SVG = "http://www.w3.org/2000/svg";

export const find = (selector) => document.querySelector(selector);

export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function icon(name) {
  return draw("svg", { "aria-hidden": "true" }, draw("use", { href: `/static/icons.svg#${name}` }));
}

// Sets only what differs, so that screen readers and transitions are left in peace.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

// Replaces the children when *key* says that something changed.
export function refill(element, key, children) {
  if (element.contentKey === key) return;
  element.contentKey = key;
  element.replaceChildren(...children());
}

// What the browser remembers for this reader; private windows may forbid it.
export const memory = {
  get(name) {
    try {
      return localStorage.getItem(`suasana.${name}`);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`suasana.${name}`, value);
    } catch {
      // Then it is asked again next time.
    }
  },
  forget(names) {
    try {
      for (const name of names) localStorage.removeItem(`suasana.${name}`);
    } catch {
      // Nothing was remembered.
    }
  },
};

// A button that does something.
export function button(text, action, attributes = {}) {
  const made = make("button", { type: "button", class: "button", ...attributes }, text);
  made.addEventListener("click", action);
  return made;
}

// A field with its label; *input* is the element.
export function field(text, input, hint = null) {
  const id = input.id || `field-${(field.count = (field.count ?? 0) + 1)}`;
  input.id = id;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  const told = hint ? make("span", { class: "hint", id: `${id}-hint` }, hint) : null;
  return make("p", { class: "field" }, make("label", { for: id }, text), input, told);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
