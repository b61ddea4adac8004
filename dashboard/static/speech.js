// Prompts read aloud: by a voice of the device's own where it has one for the language, otherwise from recordings that
// espeak-ng made beforehand (static/speech). Nothing is sent to anybody's server to be spoken.

import { memory } from "./dom.js";
import { currentLanguage, say } from "./words.js";

const LONGEST_MS = 6_000; // a voice that never says that it is done holds nobody up
const SILENT_MS = 900; // time to read, when nothing is read aloud

let on = memory.get("sound") !== "off";
let stop = () => {};

export const isOn = () => on;

export function setSound(wanted) {
  on = wanted;
  memory.set("sound", on ? "on" : "off");
  hush();
}

export function hush() {
  stop();
}

// Speaks the text of *key*; resolves when it is said, true unless something else was said instead.
export function speak(key) {
  stop();
  return new Promise((resolve) => {
    const timer = setTimeout(() => done(true), on ? LONGEST_MS : SILENT_MS);
    let silence = () => {};
    const done = (whole) => {
      clearTimeout(timer);
      silence();
      stop = () => {};
      resolve(whole);
    };
    stop = () => done(false);
    if (on) silence = begin(key, () => done(true));
  });
}

// Starts speaking; returns what ends it early.
function begin(key, ended) {
  const voice = ownVoice();
  if (voice) {
    const words = new SpeechSynthesisUtterance(say(key));
    words.voice = voice;
    words.lang = voice.lang;
    words.rate = 0.9;
    words.onend = words.onerror = ended;
    speechSynthesis.speak(words);
    return () => {
      words.onend = words.onerror = null;
      speechSynthesis.cancel();
    };
  }
  const recording = new Audio(`/static/speech/${currentLanguage()}/${key}.ogg`);
  recording.onended = recording.onerror = ended;
  recording.play().catch(() => setTimeout(ended, SILENT_MS)); // before the first tap a browser stays silent
  return () => {
    recording.onended = recording.onerror = null;
    recording.pause();
  };
}

// Old systems call Indonesian "in". A voice that speaks from a server is none of ours.
function ownVoice() {
  const tags = { id: ["id", "in"], en: ["en"] }[currentLanguage()];
  const voices = globalThis.speechSynthesis?.getVoices() ?? [];
  return voices.find((one) => one.localService && tags.includes(one.lang.split(/[-_]/)[0].toLowerCase()));
}

globalThis.speechSynthesis?.getVoices(); // some browsers load them only when they are asked
