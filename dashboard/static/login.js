// Name and password.

import { ask } from "./access.js";
import { field, make, memory } from "./dom.js";
import { openDoor, showCard } from "./entry.js";
import { say } from "./words.js";

function draw() {
  const name = make("input", { name: "name", autocomplete: "username", required: "", maxlength: 40 });
  const password = make("input", {
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: "",
    maxlength: 200,
  });
  const parts = [
    field(say("login.name"), name),
    field(say("login.password"), password),
    make("button", { type: "submit", class: "button main" }, say("login.go")),
    make("p", { class: "hint" }, say("login.forgotten")),
  ];
  showCard(say("login.title"), parts, async () => {
    await ask("/api/login", { method: "POST", body: { name: name.value, password: password.value } });
    memory.forget(["last"]);
    location.assign("/");
  });
}

await openDoor(draw);
