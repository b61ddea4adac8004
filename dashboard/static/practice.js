// The practice game: which kit plays, what it says, and which of the three games is open.

import { ask, may, meet, who } from "./access.js";
import { find, icon, make, memory, refill, setAttribute, setText } from "./dom.js";
import { many, obstacle, openLobby } from "./lobby.js";
import { openMirror } from "./mirror.js";
import { openRiddle } from "./riddle.js";
import { ALL, EASY, SPOKEN } from "./rounds.js";
import { isOn, setSound } from "./speech.js";
import { openStream } from "./stream.js";
import { deviceState } from "./switches.js";
import { chooseLanguage, loadWords, say } from "./words.js";

const REDRAW_MS = 5_000;

const known = { kits: new Map(), broker: true, connected: false };
let chosen = memory.get("kit");
let scene = null;
let at = "";
let reopen = () => {};

const kit = () => known.kits.get(chosen) ?? null;
const place = find("#game");

const GAMES = {
  show: (finish) => openMirror(place, { sense: "face", labels: many() ? ALL : EASY, play, finish }),
  say: (finish) => openMirror(place, { sense: "voice", labels: SPOKEN, play, finish }),
  guess: (finish) => openRiddle(place, { labels: many() ? ALL : EASY, finish }),
};
const SENSES = { show: "face", say: "voice" };

function play(body) {
  return ask(`/api/kits/${encodeURIComponent(chosen)}/practice`, { method: "POST", body });
}

function open(name) {
  const shut = SENSES[name] && obstacle(kit(), SENSES[name], known.connected) !== null;
  scene?.close();
  at = GAMES[name] && !shut ? name : "";
  document.body.dataset.game = at || "lobby";
  if (location.hash.slice(1) !== at) history.replaceState(null, "", at ? `#${at}` : location.pathname);
  scene = at ? GAMES[at]((again) => open(again === true ? name : "")) : openLobby(place, { known, kit, open, choose });
  scrollTo(0, 0);
  redraw();
}

function choose(name) {
  chosen = name;
  memory.set("kit", chosen);
  reopen();
  redraw();
}

// ── What is always in sight ────────────────────────────────────────────────────────────────────────

function redraw() {
  document.title = `${say("play.title")} · ${say("page.title")}`;
  for (const name of ["camera", "microphone"]) {
    const state = known.connected ? deviceState(kit(), name) : "unknown";
    const light = find(`#light-${name}`);
    const open = state === "on" || state === "closing";
    light.classList.toggle("on", open);
    setText(light.querySelector(".status"), say(`device.${state}`));
    setAttribute(light.querySelector("use"), "href", `/static/icons.svg#${name}${open ? "" : "-off"}`);
  }
  setAttribute(find("#sound"), "aria-pressed", String(isOn()));
  setAttribute(find("#sound use"), "href", `/static/icons.svg#sound${isOn() ? "" : "-off"}`);
  showBanners();
  if (!at) scene?.redraw();
}

function showBanners() {
  const banners = [
    [!known.connected, "banner.server", "alert", true],
    [known.connected && !known.broker, "banner.broker", "alert", true],
    [kit()?.info?.replay, "play.replay", "film", false],
  ].filter(([shown]) => shown);
  const lines = banners.map(([, key, name, warn]) => [say(key), name, warn]);
  refill(find("#banners"), JSON.stringify(lines), () =>
    lines.map(([text, name, warn]) => make("p", { class: warn ? "banner warn" : "banner" }, icon(name), make("span", {}, text))),
  );
}

// ── News ───────────────────────────────────────────────────────────────────────────────────────────

const on = {
  snapshot(snapshot) {
    known.broker = snapshot.broker.connected;
    known.kits = new Map(snapshot.kits.map((one) => [one.kit, one]));
    chooseKit();
    redraw();
  },
  kit(one) {
    known.kits.set(one.kit, one);
    chooseKit();
    redraw();
  },
  practice(reading) {
    scene?.hear(reading);
  },
  broker({ connected }) {
    known.broker = connected;
    redraw();
  },
  connection(connected) {
    known.connected = connected;
    redraw();
  },
};

// A kit that plays already goes before one that watches a class.
function chooseKit() {
  if (known.kits.has(chosen) || !known.kits.size) return;
  const all = [...known.kits.values()];
  const there = all.filter((one) => one.phase === "online");
  chosen = (there.find((one) => one.info?.mode === "practice") ?? there[0] ?? all[0]).kit;
  reopen();
}

function listen() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      chooseLanguage(button.dataset.language);
      scene?.redraw();
      redraw();
    });
  }
  find("#sound").addEventListener("click", () => {
    setSound(!isOn());
    redraw();
  });
  addEventListener("keydown", (event) => event.key === "Escape" && at && open(""));
  addEventListener("pagehide", () => scene?.close());
  addEventListener("pageshow", (event) => event.persisted && open("")); // a game that was closed does not go on
}

await Promise.all([loadWords(), meet()]);
if (who() && !may("play")) location.replace("/");
listen();
open(location.hash.slice(1));
reopen = openStream(on, () => `/api/practice/stream${chosen ? `?kit=${encodeURIComponent(chosen)}` : ""}`);
setInterval(redraw, REDRAW_MS);
navigator.serviceWorker?.register("/sw.js").catch(() => {}); // only over https or on this machine
