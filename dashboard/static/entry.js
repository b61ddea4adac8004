// What the login and the first set-up share: words, the language buttons, and one card in the middle.

import { find, make, setText } from "./dom.js";
import { chooseLanguage, loadWords, refusal } from "./words.js";

export async function openDoor(draw) {
  const { language } = await (await fetch("/api/welcome")).json().catch(() => ({ language: null }));
  await loadWords(language);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      chooseLanguage(button.dataset.language);
      draw();
    });
  }
  draw();
}

export function showCard(title, children, onSubmit) {
  const answer = make("p", { class: "answer warn", role: "alert", id: "answer" });
  const form = make("form", { class: "card sheet", novalidate: "" }, make("h1", {}, title), ...children, answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const busy = [...form.querySelectorAll("button")];
    for (const one of busy) one.disabled = true;
    setText(answer, "");
    try {
      await onSubmit();
    } catch (error) {
      setText(answer, refusal(error));
    }
    for (const one of busy) one.disabled = false;
  });
  find("#door").replaceChildren(form);
  form.querySelector("input, textarea, select")?.focus();
}
