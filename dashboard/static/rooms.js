// The rooms that one may see, for forms: a new kit is added to what is drawn, and nothing typed is lost.

import { make } from "./dom.js";

let names = [];
let nameOf = (kit) => kit;
let followers = [];

export const rooms = () => names;
export const roomOf = (kit) => nameOf(kit);

// Known from now on; what follows is brought up to date where it stands.
export function setRooms(kits, roomName) {
  names = kits;
  nameOf = roomName;
  for (const follow of followers) follow();
}

// *update* runs now, and whenever a room came, went or was renamed; until the forms are drawn anew.
export function follow(update) {
  followers.push(update);
  update();
}

export function forgetFollowers() {
  followers = [];
}

// A choice of one room; it stays what it was while others come and go.
export function roomSelect() {
  const select = make("select");
  follow(() => {
    const chosen = select.value;
    keepInStep(select, (kit) => make("option", { value: kit }), (option, kit) => {
      option.textContent = roomOf(kit);
    });
    if (names.includes(chosen)) select.value = chosen;
  });
  return select;
}

// One tick per room; *ticked* tells which.
export function roomTicks(legend, prefix) {
  const group = make("fieldset", { class: "days" }, make("legend", {}, legend));
  const list = make("span", { class: "ticks" });
  group.append(list);
  follow(() => {
    keepInStep(list, (kit) => {
      const box = make("input", { type: "checkbox", id: `${prefix}-${kit}`, value: kit });
      return make("span", { class: "check" }, box, make("label", { for: box.id }));
    }, (tick, kit) => {
      tick.querySelector("label").textContent = roomOf(kit);
    });
  });
  const ticked = () => [...list.querySelectorAll("input:checked")].map((box) => box.value);
  return [group, ticked];
}

// One child per room, in the order of the rooms. What is there stays the same element, so what is typed stays.
export function keepInStep(parent, draw, update, kits = names) {
  const there = new Map([...parent.children].map((child) => [child.dataset.room, child]));
  for (const [kit, child] of there) if (!kits.includes(kit)) child.remove();
  let place = parent.firstElementChild;
  for (const kit of kits) {
    let child = there.get(kit);
    if (child === undefined) {
      child = draw(kit);
      child.dataset.room = kit;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, kit);
  }
}
