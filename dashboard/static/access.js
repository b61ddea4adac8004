// Who is using the page, what they may do, and requests that carry the page's token.

import { memory } from "./dom.js";

let me = null;

export class Refusal extends Error {
  constructor(status, key) {
    super(key);
    this.status = status;
  }
}

export const who = () => me;
export const may = (right) => Boolean(me?.rights.includes(right));

// Offline, the page trusts what it knew last: there is nothing to ask, and nothing new to see.
export async function meet() {
  try {
    me = await ask("/api/me");
    const { csrf: _secret, ...known } = me;
    memory.set("me", JSON.stringify(known));
  } catch (error) {
    if (error.status === 401) leave();
    if (error instanceof Refusal) throw error;
    me = JSON.parse(memory.get("me") ?? "null");
  }
}

// *body* goes as JSON, a *file* as its bytes.
export async function ask(path, { method = "GET", body, file } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (file !== undefined) headers["Content-Type"] = "application/octet-stream";
  if (method !== "GET" && me?.csrf) headers["X-CSRF-Token"] = me.csrf;
  const answer = await fetch(path, { method, headers, body: body === undefined ? file : JSON.stringify(body) });
  if (answer.ok) return answer.json();
  const { error } = await answer.json().catch(() => ({ error: answer.statusText }));
  if (answer.status === 401 && me !== null) leave();
  throw new Refusal(answer.status, error);
}

// Back to the login; what was known of the class is forgotten here.
export function leave() {
  memory.forget(["me", "last"]);
  location.assign("/login");
}

export async function logOut() {
  await ask("/api/logout", { method: "POST" });
  leave();
}
