// Alerts: what is open in the room that is shown.

import { ask, may } from "./access.js";
import { clock, mood, say } from "./words.js";

export const MOODLESS = ["unread", "away"];

let open = [];
let ticket = 0;

export async function loadAlerts(kit, redraw) {
  const own = (ticket += 1);
  open = [];
  if (!kit || !may("alerts")) return;
  try {
    const { alerts } = await ask(`/api/alerts?kit=${encodeURIComponent(kit)}`);
    if (own !== ticket) return;
    open = alerts.filter((one) => one.ends === null);
    redraw();
  } catch {
    // The next event or reconnect asks again.
  }
}

export const condition = (name) => (MOODLESS.includes(name) ? say(`alert.${name}`) : mood(name));

// What is open now, as sentences.
export const openAlerts = () => open.map((one) => say("alert.open", { what: condition(one.label), time: clock(one.starts) }));
