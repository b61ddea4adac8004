// Adding a kit: an admin gives it a name, and is shown the token and QR code that `suasana pair` takes.

import { ask } from "./access.js";
import { button, draw, field, find, make, setText } from "./dom.js";
import { openSheet } from "./sheet.js";
import { clock, refusal, say } from "./words.js";

const LOOK_MS = 2000;
const QUIET = 4; // squares around a QR code that have to stay light

const close = () => [say("sheet.close"), null, "button quiet"];

export const inviteButton = () => button(say("invite.open"), openInvite, { class: "button", id: "add-kit" });

function openInvite() {
  const name = make("input", { id: "invite-name", maxlength: 63, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const replaces = make("input", { type: "checkbox", id: "invite-replaces" });
  const tick = make("p", { class: "check" }, replaces, make("label", { for: "invite-replaces" }, say("invite.replaces")));
  const parts = [make("p", {}, say("invite.about")), field(say("invite.name"), name, say("invite.name.hint")), tick];
  openSheet(say("invite.title"), parts, [
    close(),
    [say("invite.go"), () => invite(name.value.trim().toLowerCase(), replaces.checked), "button main"],
  ]);
  name.focus();
}

async function invite(kit, replaces) {
  const made = await ask("/api/invitations", { method: "POST", body: { kit, replaces } });
  showInvitation(made);
  return "stay";
}

function showInvitation({ kit, token, lasts_s: lastsS, code }) {
  const until = Date.now() / 1000 + lastsS;
  const state = make("p", { class: "answer", role: "status", id: "invite-state" }, say("invite.waiting", { kit, time: clock(until) }));
  const words = make("code", { class: "token", id: "invite-token", tabindex: 0 }, token);
  const steps = make(
    "ul",
    { class: "steps" },
    make("li", {}, say("invite.step.camera"), " ", make("code", {}, "sudo suasana pair --camera")),
    make("li", {}, say("invite.step.token"), " ", make("code", {}, "sudo suasana pair")),
  );
  const once = make("p", { class: "hint" }, say("invite.once"));
  const shown = make("div", { class: "invitation" }, drawCode(code, say("invite.code", { kit })), make("div", { class: "stack" }, steps, words, once));
  const path = `/api/invitations/${encodeURIComponent(kit)}`;
  const take = async () => {
    await ask(path, { method: "DELETE" });
  };
  openSheet(say("invite.for", { kit }), [shown, state], [[say("invite.withdraw"), take, "button quiet"], [say("sheet.close"), null, "button main"]]);
  watch(path, kit, state, shown);
}

// Until it was used, ran out, or nobody looks any more.
async function watch(path, kit, state, shown) {
  while (find("#dialog").open && state.isConnected) {
    await new Promise((done) => setTimeout(done, LOOK_MS));
    if (!state.isConnected || !find("#dialog").open) return;
    try {
      const told = await ask(path);
      if (told.state === "waiting") continue;
      shown.remove();
      setText(state, say(`invite.${told.state === "joined" ? "joined" : "over"}`, { kit }));
      find("#dialog-choices").replaceChildren(button(say("sheet.close"), () => find("#dialog").close(), { class: "button main" }));
      return;
    } catch (error) {
      setText(find("#dialog-answer"), refusal(error));
    }
  }
}

// Dark squares on light ones in either theme: not every reader takes the opposite.
function drawCode(rows, label) {
  const size = rows.length + 2 * QUIET;
  let path = "";
  rows.forEach((row, y) => {
    for (const run of row.matchAll(/1+/g)) path += `M${run.index + QUIET} ${y + QUIET}h${run[0].length}v1h-${run[0].length}z`;
  });
  return draw(
    "svg",
    { class: "qr", viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": label, "shape-rendering": "crispEdges" },
    draw("rect", { width: size, height: size, fill: "#fff" }),
    draw("path", { d: path, fill: "#000" }),
  );
}
