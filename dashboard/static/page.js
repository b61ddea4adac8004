// The page: what is known, who is told of it, and which kit is shown.

import { find, icon, make, memory, refill, setText } from "./dom.js";
import { showHealth } from "./health.js";
import { addWindow, chooseRange, listenToChart, rangeMinutes, setWindows, showLesson } from "./lesson.js";
import { showNow } from "./now.js";
import { openStream } from "./stream.js";
import { listenToSwitches, showSwitches } from "./switches.js";
import { chooseLanguage, currentLanguage, loadWords, say } from "./words.js";

const GRACE_MS = 1_500; // a reconnect this quick is not worth a banner
const HISTORY_MINUTES = 90;
const REDRAW_MS = 5_000;

const known = { kits: new Map(), broker: true, connected: false, ready: false, aheadS: 0, failed: false };
let chosen = memory.get("kit");
let lossTimer = 0;
let loading = 0; // counts requests, so that an overtaken answer is dropped
let pendingWindows = null; // windows that arrive while the history is on its way

const kit = () => known.kits.get(chosen) ?? null;
const now = () => Date.now() / 1000 + known.aheadS;
const live = () => known.connected;

function redraw() {
  if (!known.ready) return;
  chooseKit();
  showPlace();
  showBanners();
  showNow(kit(), live());
  showSwitches(kit(), live());
  showHealth(kit());
  showLesson(now());
}

function chooseKit() {
  if (known.kits.has(chosen) || !known.kits.size) return;
  const all = [...known.kits.values()];
  chosen = (all.find((one) => one.phase === "online") ?? all[0]).kit;
  loadHistory();
}

const nameOf = (one) => one.info?.room || one.kit;

function showPlace() {
  const all = [...known.kits.values()];
  const list = find("#kits");
  setText(find("#room"), all.length === 1 ? nameOf(all[0]) : "");
  list.hidden = all.length < 2;
  const entries = all.map((one) => [one.kit, `${nameOf(one)}${one.phase === "online" ? "" : ` (${say(`phase.${one.phase}`)})`}`]);
  refill(list, JSON.stringify(entries), () => entries.map(([value, text]) => make("option", { value }, text)));
  if (chosen) list.value = chosen;
}

function showBanners() {
  const banners = [
    [!known.connected, "banner.server", "alert", true],
    [known.connected && !known.broker, "banner.broker", "alert", true],
    [known.failed, "lesson.failed", "alert", true],
    [kit()?.info?.replay, "banner.replay", "film", false],
    [kit()?.info?.mode === "practice", "banner.practice", "alert", false],
  ].filter(([shown]) => shown);
  refill(find("#banners"), currentLanguage() + banners.map(([, key]) => key).join(), () =>
    banners.map(([, key, name, warn]) =>
      make("p", { class: warn ? "banner warn" : "banner" }, icon(name), make("span", {}, say(key))),
    ),
  );
}

async function loadHistory() {
  const wanted = chosen;
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

const on = {
  snapshot(snapshot) {
    known.aheadS = snapshot.now - Date.now() / 1000;
    known.broker = snapshot.broker.connected;
    known.kits = new Map(snapshot.kits.map((one) => [one.kit, one]));
    known.ready = true;
    if (known.kits.has(chosen)) loadHistory();
    on.connection(true);
    redraw();
  },
  kit(one) {
    known.kits.set(one.kit, one);
    redraw();
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
    clearTimeout(lossTimer);
    if (connected === known.connected) return;
    if (connected) {
      known.connected = true;
      redraw();
    } else {
      lossTimer = setTimeout(() => {
        known.connected = false;
        known.ready = true;
        redraw();
      }, GRACE_MS);
    }
  },
};

function listen() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      chooseLanguage(button.dataset.language);
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
  new ResizeObserver(() => known.ready && showLesson(now())).observe(find("#chart"));
}

await loadWords();
chooseRange([10, 40, 90].includes(rangeMinutes()) ? rangeMinutes() : 40);
listen();
openStream(on);
setInterval(redraw, REDRAW_MS);
