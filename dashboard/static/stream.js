// The server's stream of news, reopened whenever it breaks. Every stream begins with a full snapshot.

import { ask } from "./access.js";

const GRACE_MS = 1_500; // a reconnect this quick is not worth a banner
const SILENT_MS = 40_000; // the server beats every 15 s
const RETRY_MS = 3_000;

// *path* tells where from, each time it is opened. Returns what opens it anew. on.connection hears of changes only,
// and of a loss once it has lasted.
export function openStream(on, path = () => "/api/stream") {
  let source = null;
  let heard = Date.now();
  let retry = 0;
  let connected = null;
  let loss = 0;

  function tell(now) {
    clearTimeout(loss);
    if (now === connected) return;
    const change = () => on.connection((connected = now));
    if (now) change();
    else loss = setTimeout(change, GRACE_MS);
  }

  function open() {
    clearTimeout(retry);
    source?.close();
    source = new EventSource(path());
    heard = Date.now();
    source.onerror = () => {
      tell(false);
      // The browser tries again by itself unless the server refused; then it is up to us.
      if (source.readyState !== EventSource.CLOSED) return;
      ask("/api/me").catch(() => {}); // goes to the login when the session is over
      retry = setTimeout(open, RETRY_MS);
    };
    for (const name of ["snapshot", "kit", "window", "broker", "lessons", "placed", "parcel", "wiped", "alerts", "practice", "beat"]) {
      source.addEventListener(name, (event) => {
        heard = Date.now();
        on[name]?.(JSON.parse(event.data));
        tell(true);
      });
    }
  }

  setInterval(() => {
    if (Date.now() - heard > SILENT_MS) {
      tell(false); // a connection can die without anybody being told
      open();
    }
  }, 5_000);
  addEventListener("online", open);
  // A stream does not notice that its network is gone. A new one does; on this machine itself it goes on all the same.
  addEventListener("offline", open);
  // A page that the browser keeps for "back" would keep its stream, and six of those take every connection.
  addEventListener("pagehide", () => {
    clearTimeout(retry);
    source.close();
  });
  addEventListener("pageshow", (event) => event.persisted && open());
  open();
  return open;
}
