// One sheet over the page for questions: a title, a body, and what can be chosen.

import { button, find, make, setText } from "./dom.js";
import { refusal } from "./words.js";

// *choices* are [text, action, class]; an action that throws leaves the sheet open and says why.
export function openSheet(title, body, choices) {
  const dialog = find("#dialog");
  setText(find("#dialog-title"), title);
  setText(find("#dialog-answer"), "");
  find("#dialog-body").replaceChildren(...body);
  find("#dialog-choices").replaceChildren(
    ...choices.map(([text, action, look = "button"]) => button(text, () => run(action), { class: look })),
  );
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0; // a long sheet would begin at its first field
}

export const closeSheet = () => find("#dialog").close();

async function run(action) {
  try {
    if ((await action?.()) !== "stay") closeSheet();
  } catch (error) {
    setText(find("#dialog-answer"), refusal(error));
  }
}

export const paragraphs = (text) => text.split("\n").filter(Boolean).map((line) => make("p", {}, line));
