// The page without its server: the shell is kept, so that an installed page opens and shows what it last knew.
// The class's data is never kept here; /api is left alone.

const SHELL = "suasana-shell-1";
const FILES = [
  "access.js", "alerts.js", "audit.js", "board.css", "chart.js", "dom.js", "entry.js", "face.js", "faces.svg", "health.js", "icons.svg", "invite.js", "kits.js", "learning.js", "lesson.js", "lobby.js", "login.js",
  "logo.svg", "mirror.js", "moods.svg", "notes.js", "now.js", "office.js", "page.js", "past.js", "practice.css", "practice.js", "report.js", "riddle.js", "rooms.js", "rounds.js", "rules.js", "screens.css", "sheet.js", "speech.js",
  "stream.js", "switches.js", "upkeep.js", "words.js", "texts/id.json", "texts/en.json",
].map((name) => `/static/${name}`);

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (names) => Promise.all(names.filter((name) => name !== SHELL).map((name) => caches.delete(name)));
  event.waitUntil(caches.keys().then(old).then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const ours = url.origin === location.origin && (["/", "/practice"].includes(url.pathname) || url.pathname.startsWith("/static/"));
  if (event.request.method === "GET" && ours) event.respondWith(fresh(event.request, url.pathname));
});

// The server's answer whenever there is one: nobody should read yesterday's page.
async function fresh(request, path) {
  try {
    const answer = await fetch(request);
    if (answer.ok && !answer.redirected) (await caches.open(SHELL)).put(path, answer.clone());
    return answer;
  } catch (error) {
    const kept = await (await caches.open(SHELL)).match(path);
    if (kept) return kept;
    throw error;
  }
}
