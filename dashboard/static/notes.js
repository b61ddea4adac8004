// The teacher's side of the lesson: beginning and ending it, notes on its time line, and "that was wrong".

import { ask, may } from "./access.js";
import { button, find, make, refill, setText } from "./dom.js";
import { setChartNotes } from "./lesson.js";
import { ORDER } from "./now.js";
import { openSheet } from "./sheet.js";
import { clock, currentLanguage, mood, refusal, say } from "./words.js";

const SINCE_S = 95 * 60;

let known = { notes: [], running: null };
let ticket = 0;

export async function loadNotes(kit, redraw) {
  known = { notes: [], running: null };
  setChartNotes([]);
  if (!kit || !may("notes")) return;
  const own = (ticket += 1);
  const until = Math.ceil(Date.now() / 1000) + 60;
  try {
    const answer = await ask(`/api/notes?kit=${encodeURIComponent(kit)}&since=${until - SINCE_S}&until=${until}`);
    if (own !== ticket) return;
    known = answer;
    setChartNotes(known.notes);
    redraw();
  } catch {
    // The next event or reconnect asks again.
  }
}

export function showNotes(kit, connected) {
  find("#tools").hidden = !may("notes") || !kit;
  for (const element of find("#tools").querySelectorAll("input, button")) element.disabled = !connected;
  const { running } = known;
  find("#lesson-name").hidden = Boolean(running);
  setText(find("#lesson-button"), say(running ? "lesson.end" : "lesson.begin"));
  find("#lesson-button").classList.toggle("main", !running);
  const values = running ? { title: running.title || say("lesson.untitled"), time: clock(running.starts) } : null;
  setText(find("#running"), values ? say("lesson.running", values) : "");
  refill(find("#notes"), currentLanguage() + JSON.stringify(known.notes) + connected, () =>
    [...known.notes].reverse().map((note) => {
      const remove = button("", () => forget(kit, note), { class: "link", "aria-label": say("note.remove", { text: note.text }) });
      remove.textContent = "×";
      return make("li", {}, make("time", {}, clock(note.at)), make("span", {}, note.text), remove);
    }),
  );
  const { state } = kit ?? {};
  find("#wrong").hidden = !(may("notes") && connected && kit?.phase === "online" && kit.fresh && state?.mood);
}

async function forget(kit, note) {
  await attempt(() => ask(`/api/notes/${note.id}?kit=${encodeURIComponent(kit.kit)}`, { method: "DELETE" }));
}

async function attempt(work) {
  const answer = find("#lesson-answer");
  setText(answer, "");
  try {
    await work();
    return true;
  } catch (error) {
    setText(answer, refusal(error));
    answer.classList.add("warn");
    return false;
  }
}

export function listenToNotes(chosenKit) {
  find("#lesson-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const { running } = known;
    const name = find("#lesson-name");
    attempt(async () => {
      if (running) await ask(`/api/lessons/${running.id}`, { method: "POST", body: { end: true } });
      else await ask("/api/lessons", { method: "POST", body: { kit: chosenKit().kit, title: name.value } });
      name.value = "";
    });
  });
  find("#note-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = find("#note-text");
    const body = { kit: chosenKit().kit, text: text.value };
    if (text.value.trim() && (await attempt(() => ask("/api/notes", { method: "POST", body })))) text.value = "";
  });
  find("#wrong").addEventListener("click", () => askWhat(chosenKit()));
}

function askWhat(kit) {
  const shown = kit.state.mood;
  const choices = ORDER.filter((label) => label !== shown).map((label) => [
    mood(label),
    async () => {
      await ask("/api/wrong", { method: "POST", body: { kit: kit.kit, shown, meant: label } });
      openSheet(say("wrong.thanks"), [make("p", {}, say("wrong.kept"))], [[say("sheet.close"), null, "button main"]]);
      return "stay";
    },
  ]);
  const about = make("p", {}, say("wrong.about", { shown: mood(shown) }));
  openSheet(say("wrong.title"), [about], [...choices, [say("sheet.cancel"), null, "button quiet"]]);
}
