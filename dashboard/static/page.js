// The page: what is known, who is told of it, which screen and which kit are shown.

import { may, meet, who } from "./access.js";
import { loadAlerts, openAlerts } from "./alerts.js";
import { find, icon, make, memory, refill, setText } from "./dom.js";
import { showHealth } from "./health.js";
import { addWindow, chooseRange, listenToChart, rangeMinutes, setWindows, showLesson } from "./lesson.js";
import { listenToNotes, loadNotes, showNotes } from "./notes.js";
import { showNow } from "./now.js";
import { setRooms } from "./rooms.js";
import { openStream } from "./stream.js";
import { listenToSwitches, showSwitches } from "./switches.js";
import { chooseLanguage, currentLanguage, loadWords, say } from "./words.js";

const HISTORY_MINUTES = 90;
const REDRAW_MS = 5_000;
const AHEAD_MS = 3_000; // after the first view
const SCREENS = ["now", "past", "kits", "office"];

const known = { kits: new Map(), broker: true, connected: null, ready: false, aheadS: 0, failed: false, remembered: false };
let chosen = memory.get("kit");
let loading = 0; // counts requests, so that an overtaken answer is dropped
let pendingWindows = null; // windows that arrive while the history is on its way

const kit = () => known.kits.get(chosen) ?? null;
const now = () => Date.now() / 1000 + known.aheadS;
const live = () => known.connected;

// Several pieces of news in one frame are drawn once.
let drawing = 0;
let painted = false;

function redraw() {
  if (document.hidden) return drawNow();
  if (!drawing) drawing = requestAnimationFrame(drawNow);
}

function drawNow() {
  cancelAnimationFrame(drawing);
  drawing = 0;
  if (!known.ready || !screen) return showBanners();
  chooseKit();
  tellRooms();
  showPlace();
  showBanners();
  if (LATER[screen] && !there[screen]) showScreen();
  if (screen === "kits") there.kits?.showKits([...known.kits.values()], live(), now(), nameOf);
  if (screen !== "now") document.title = `${say(`nav.${screen}`)} · ${say("page.title")}`;
  if (may("live")) {
    showSwitches(kit(), live());
    if (screen !== "now") return;
    showNow(kit(), live());
    if (painted) return drawRest();
    painted = true; // the first time the word stands there before anything below it is drawn
    requestAnimationFrame(() => requestAnimationFrame(drawRest));
  }
}

const widths = new ResizeObserver(() => screen === "now" && showLesson(now()));

function drawRest() {
  if (screen !== "now") return;
  widths.observe(find("#chart")); // again changes nothing
  showHealth(kit());
  showLesson(now());
  showNotes(kit(), live());
}

// ── Screens ────────────────────────────────────────────────────────────────────────────────────────

let screen = null;

const roomOf = (name, told = "") => who()?.rooms[name] || known.kits.get(name)?.info?.room || told || name;

function chooseScreen() {
  if (!who()) return; // neither the server nor this browser knows anybody
  const allowed = [...document.querySelectorAll("[data-tab]")].filter((tab) => !tab.dataset.needs || may(tab.dataset.needs));
  for (const tab of allowed) tab.hidden = false;
  find("#play").hidden = !may("play");
  const names = allowed.map((tab) => tab.dataset.tab);
  const wanted = location.hash.slice(1);
  const next = names.includes(wanted) ? wanted : SCREENS.find((name) => names.includes(name));
  const changed = next !== screen;
  screen = next;
  for (const tab of allowed) {
    if (tab.dataset.tab === screen) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  for (const place of document.querySelectorAll("[data-screen]")) place.hidden = place.dataset.screen !== screen;
  if (!changed) return;
  document.body.dataset.at = screen;
  showScreen();
  scrollTo(0, 0);
}

// What the first view does not need is fetched when it is asked for, or once there is nothing else to do.
const LATER = { past: () => import("./past.js"), kits: () => import("./kits.js"), office: () => import("./office.js") };
const there = {};
const coming = {};

async function fetchScreen(name) {
  coming[name] ??= LATER[name]();
  try {
    there[name] = await coming[name];
  } catch {
    coming[name] = undefined; // the server is away: the next drawing asks again
    throw new Error(name);
  }
}

function showScreen() {
  const name = screen;
  if (LATER[name] && !there[name]) {
    fetchScreen(name).then(() => name === screen && showScreen(), () => {});
    return;
  }
  if (name === "past") there.past.openPast(chosen, roomOf);
  if (name === "office") there.office.showOffice();
  redraw();
}

function readAhead() {
  for (const name of Object.keys(LATER)) fetchScreen(name).catch(() => {});
}

// Forms list rooms; the list is brought up to date in them, so that nothing typed is lost.
let roomsKey = "";

function tellRooms() {
  const kits = [...known.kits.keys()].sort();
  const key = JSON.stringify(kits.map((name) => [name, roomOf(name)]));
  if (key === roomsKey) return;
  roomsKey = key;
  setRooms(kits, roomOf);
}

function chooseKit() {
  if (known.kits.has(chosen) || !known.kits.size) return;
  const all = [...known.kits.values()];
  chosen = (all.find((one) => one.phase === "online") ?? all[0]).kit;
  if (known.connected) loadHistory(); // otherwise the stream's first snapshot does
}

const nameOf = (one) => roomOf(one.kit);

function showPlace() {
  const all = [...known.kits.values()];
  const list = find("#kits");
  list.hidden = all.length < 2 || screen !== "now";
  const heading = find("#room");
  setText(heading, screen === "now" ? (kit() ? nameOf(kit()) : say("page.title")) : say(`nav.${screen}`));
  heading.classList.toggle("visually-hidden", !list.hidden || screen !== "now" || !kit());
  const entries = all.map((one) => [one.kit, `${nameOf(one)}${one.phase === "online" ? "" : ` (${say(`phase.${one.phase}`)})`}`]);
  refill(list, JSON.stringify(entries), () => entries.map(([value, text]) => make("option", { value }, text)));
  if (chosen) list.value = chosen;
}

function showBanners() {
  const banners = [
    [who()?.demo, "banner.demo", "shield", false],
    [known.connected === false && (may("kits") || !who()) && known.ready, "banner.server", "alert", true],
    [known.connected && !known.broker, "banner.broker", "alert", true],
    [known.failed, "lesson.failed", "alert", true],
    [kit()?.info?.replay, "banner.replay", "film", false],
    [kit()?.info?.mode === "practice", "banner.practice", "alert", false],
  ].filter(([shown]) => shown);
  const lines = banners.map(([, key, name, warn]) => [say(key), name, warn]);
  for (const text of known.connected ? openAlerts() : []) lines.push([text, "alert", true]);
  refill(find("#banners"), JSON.stringify(lines), () =>
    lines.map(([text, name, warn]) =>
      make("p", { class: warn ? "banner warn" : "banner" }, icon(name), make("span", {}, text)),
    ),
  );
}

async function loadHistory() {
  if (!may("live")) return;
  const wanted = chosen;
  loadNotes(wanted, redraw);
  loadAlerts(wanted, redraw);
  const ticket = (loading += 1);
  const early = [];
  pendingWindows = early;
  setWindows([]);
  try {
    const answer = await fetch(`/api/history?kit=${encodeURIComponent(wanted)}&minutes=${HISTORY_MINUTES}`);
    if (!answer.ok) throw new Error(answer.statusText);
    const { windows } = await answer.json();
    if (ticket !== loading) return;
    setWindows(windows);
    known.failed = false;
  } catch {
    if (ticket !== loading) return;
    known.failed = known.connected;
    setTimeout(() => ticket === loading && loadHistory(), 5_000);
  }
  pendingWindows = null;
  early.forEach(addWindow);
  redraw();
}

function know(snapshot) {
  known.aheadS = snapshot.now - Date.now() / 1000;
  known.broker = snapshot.broker.connected;
  known.kits = new Map(snapshot.kits.map((one) => [one.kit, one]));
  known.ready = true;
  known.remembered = false;
}

const on = {
  snapshot(snapshot) {
    know(snapshot);
    if (known.kits.has(chosen)) loadHistory();
    on.connection(true);
    remember();
    redraw();
  },
  kit(one) {
    known.kits.set(one.kit, one);
    remember();
    redraw();
  },
  lessons(told) {
    if (told.kit === chosen) loadNotes(chosen, redraw);
    if (screen === "past") there.past?.openPast(chosen, roomOf);
  },
  alerts(told) {
    if (told.kit === chosen) loadAlerts(chosen, redraw);
  },
  // The kit learned the time, and what was read before has moved on the time line.
  placed(told) {
    if (told.kit === chosen) loadHistory();
    if (screen === "past") there.past?.openPast(chosen, roomOf);
  },
  parcel(told) {
    there.kits?.showParcel(told);
  },
  wiped(told) {
    if (told.kit === chosen) loadHistory();
    if (screen === "past") there.past?.openPast(chosen, roomOf);
  },
  window(window) {
    if (window.kit !== chosen) return;
    if (pendingWindows) pendingWindows.push(window);
    else addWindow(window);
    showLesson(now());
  },
  broker({ connected }) {
    known.broker = connected;
    redraw();
  },
  connection(connected) {
    known.connected = connected;
    if (!connected && !known.ready) recall();
    if (!connected) known.ready = true;
    redraw();
  },
};

// An installed page that finds no server shows what it last knew, and says from when that is.
function remember() {
  if (may("live")) memory.set("last", JSON.stringify([...known.kits.values()]));
}

function recall() {
  known.kits = new Map(JSON.parse(memory.get("last") ?? "[]").map((one) => [one.kit, one]));
  known.remembered = true;
}

function listen() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      chooseLanguage(button.dataset.language);
      showNotice();
      if (screen === "past") there.past?.draw();
      if (screen === "office") there.office?.showOfficeAnew();
      redraw();
    });
  }
  for (const button of document.querySelectorAll("[data-minutes]")) {
    button.addEventListener("click", () => {
      chooseRange(Number(button.dataset.minutes));
      redraw();
    });
  }
  find("#kits").addEventListener("change", (event) => {
    chosen = event.target.value;
    memory.set("kit", chosen);
    loadHistory();
    redraw();
  });
  listenToChart(() => showLesson(now()));
  listenToSwitches(kit, redraw);
  listenToNotes(kit);
  find("#health").addEventListener("toggle", redraw);
  addEventListener("hashchange", chooseScreen);
  find("#stage").addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.documentElement.requestFullscreen?.();
  });
  document.addEventListener("fullscreenchange", () => {
    document.body.classList.toggle("stage", Boolean(document.fullscreenElement));
    redraw();
  });
}

function showNotice() {
  const notice = find("#notice");
  setText(notice, who()?.notice ?? "");
  notice.hidden = !notice.textContent;
}

// Asked for while the modules are on their way (see index.html), so that the mood stands there before the stream begins.
const early = fetch("/api/kits").then((answer) => (answer.ok ? answer.json() : null), () => null);
await Promise.all([loadWords(), meet()]);
chooseRange([10, 40, 90].includes(rangeMinutes()) ? rangeMinutes() : 40);
listen();
showNotice();
chooseScreen();
if (!who()) setTimeout(() => location.reload(), 5_000);
if (may("kits")) openStream(on);
else known.ready = true;
const first = await early;
if (first && may("kits") && !known.ready) know(first);
redraw();
setInterval(redraw, REDRAW_MS);
setTimeout(readAhead, AHEAD_MS);
navigator.serviceWorker?.register("/sw.js").catch(() => {}); // only over https or on this machine
