// The audit log: who looked, who exported, who switched.

import { ask } from "./access.js";
import { button, make } from "./dom.js";
import { clock, day, refusal, say } from "./words.js";

export function auditCard(roomOf) {
  const body = make("tbody");
  const more = button(say("audit.more"), () => load(), { class: "button quiet" });
  const answer = make("p", { class: "answer", role: "status" });
  let before = null;

  async function load() {
    try {
      const { lines } = await ask(`/api/audit${before === null ? "" : `?before=${before}`}`);
      body.append(...lines.map(row));
      before = lines.at(-1)?.seq ?? before;
      more.hidden = lines.length < 100;
    } catch (error) {
      answer.textContent = refusal(error);
    }
  }

  function row(line) {
    const when = `${day(line.at)} ${clock(line.at)}`;
    const who = line.role ? `${line.account} (${say(`role.${line.role}`)})` : line.account;
    const what = [say(`deed.${line.deed}`), line.about].filter(Boolean).join(": ");
    return make("tr", {}, make("td", {}, when), make("td", {}, who), make("td", {}, what), make("td", {}, line.kit ? roomOf(line.kit) : ""));
  }

  load();
  const head = ["when", "who", "what", "room"].map((name) => make("th", { scope: "col" }, say(`audit.${name}`)));
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...head)), body);
  const frame = make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": say("audit.title") }, table);
  return make("section", { class: "card wide", id: "audit" }, make("h2", {}, say("audit.title")), make("p", { class: "hint" }, say("audit.about")), frame, answer, more);
}
