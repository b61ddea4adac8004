// How the kit is doing, in words.

import { find, make, refill, setText } from "./dom.js";
import { deviceState } from "./switches.js";
import { clock, currentLanguage, number, say } from "./words.js";

const PROBLEMS = ["failed", "stuck", "frozen", "black", "dark", "covered", "silent", "clipped"];
const HOT_C = 80; // a Raspberry Pi slows down from here

export function showHealth(kit) {
  setText(find("#phase"), kit ? say(`phase.${kit.phase}`) : "");
  if (!find("#health").open) return; // nobody reads it
  const lines = kit ? tell(kit) : [[say("health.title"), say("health.none")]];
  refill(find("#vitals"), currentLanguage() + JSON.stringify(lines), () =>
    lines.map(([name, value, warn]) =>
      make("div", {}, make("dt", {}, name), make("dd", warn ? { class: "warn" } : {}, value)),
    ),
  );
}

export function tell(kit) {
  const { health, info } = kit;
  const lines = [
    ["health.phase", say(`phase.${kit.phase}`), kit.phase !== "online"],
    ["capture.camera", say(`device.${deviceState(kit, "camera")}`)],
    ["capture.microphone", say(`device.${deviceState(kit, "microphone")}`)],
  ];
  if (kit.heard_at) lines.push(["health.heard", clock(kit.heard_at)]);
  if (health) lines.push(...tellVitals(health));
  if (info) {
    lines.push(["health.window", say("health.window.value", { n: info.window_s, min: info.min_people })]);
    lines.push(["health.software", info.software]);
    if (info.models.length) lines.push(["health.models", info.models.map((model) => model.id).join(", ")]);
  }
  if (!health) lines.push(["health.title", say("health.none")]);
  return lines.map(([key, ...rest]) => [say(key), ...rest]);
}

function tellVitals(health) {
  const lines = [
    ["health.fps", say("health.fps.value", { n: number(health.fps, 1) })],
    ["health.memory", say("health.memory.value", { n: number(health.rss_mb) })],
    ["health.clock", say(`health.clock.${health.time_quality}`), health.time_quality !== "synced"],
    ["health.outbox", say("health.outbox.value", { n: health.outbox }), health.outbox > 100],
    ["health.uptime", uptime(health.uptime_s)],
    ["health.dropped", number(health.dropped_frames)],
  ];
  if (health.latency_p50_s !== null && health.latency_p95_s !== null) {
    const values = { typical: health.latency_p50_s * 1000, worst: health.latency_p95_s * 1000 };
    lines.push(["health.latency", say("health.latency.value", values)]);
  }
  if (health.temperature_c !== null) {
    const hot = health.temperature_c >= HOT_C;
    const key = hot ? "health.temperature.hot" : "health.temperature.value";
    lines.push(["health.temperature", say(key, { n: Math.round(health.temperature_c) }), hot]);
  }
  if (health.throttled !== null) {
    lines.push(["health.throttled", say(`health.throttled.${health.throttled ? "yes" : "no"}`), health.throttled]);
  }
  for (const source of ["camera", "microphone"]) {
    const problem = health[`${source}_problem`];
    if (problem) lines.push([`capture.${source}`, PROBLEMS.includes(problem) ? say(`problem.${problem}`) : problem, true]);
  }
  if (health.reduced) {
    const { fps, misses_far_faces: far } = health.reduced;
    lines.push(["health.reduced", say(far ? "health.reduced.far" : "health.reduced.value", { n: number(fps, 1) }), true]);
  }
  if (health.dropped_events) lines.push(["health.lost", number(health.dropped_events), true]);
  return lines;
}

function uptime(seconds) {
  if (seconds < 5400) return say("health.uptime.minutes", { n: Math.round(seconds / 60) });
  if (seconds < 172_800) return say("health.uptime.hours", { n: Math.round(seconds / 3600) });
  return say("health.uptime.days", { n: Math.round(seconds / 86_400) });
}
