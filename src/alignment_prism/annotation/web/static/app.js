// Autosave, shortcuts, time on task. Everything works without it but these three; no text leaves the page but to its server.
"use strict";

const PAUSE = 500; // ms without a key after which a draft is saved
const LONGEST = 1200; // ms of typing without a pause after which it is saved all the same
const RETRY = 1500; // ms between tries while the server is away
const IDLE = 60000; // ms without a sign of life after which the clock stands
const KEPT = "prism-draft:"; // drafts that could not be saved, kept on this machine until they are

let form = null;
let dirtySince = 0;
let timer = 0;
let saving = false;
let handedIn = false;
let seconds = 0;
let lastLife = Date.now();
let ahead = 0; // seconds that the server's clock is ahead of this one's

const $ = (id) => document.getElementById(id);

// The browser's storage, where there is one: it can be full or forbidden, and then the page does without it.
const store = {
  get(key) {
    try { return localStorage.getItem(key); } catch { return null; }
  },
  set(key, value) {
    try { localStorage.setItem(key, value); } catch { /* the page has the words, and tries to send them again */ }
  },
  drop(wanted) {
    try {
      for (const key of Object.keys(localStorage)) if (key.startsWith(wanted)) localStorage.removeItem(key);
    } catch { /* there is none */ }
  },
};

// ---- what is in a form ----

function fields() {
  const data = new URLSearchParams(new FormData(form));
  data.set("seconds", seconds.toFixed(1));
  return data;
}

function fill(text) {
  const data = new URLSearchParams(text);
  for (const field of form.elements) {
    if (!field.name || field.type === "hidden" || field.type === "submit" || field.type === "button") continue;
    if (field.type === "checkbox" || field.type === "radio") field.checked = data.getAll(field.name).includes(field.value);
    else if (data.has(field.name)) field.value = data.get(field.name);
  }
}

// ---- what the page says ----

function clock(seconds) {
  const time = new Date(seconds * 1000);
  return new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(time);
}

function say(saved) {
  const place = $("saved");
  if (!place) return;
  const text = saved ? place.dataset.saved.replace("{time}", clock(saved)) : place.dataset.saving;
  if (place.textContent !== text) place.textContent = text; // a screen reader says it once
}

function trouble(kind) {
  const place = $("trouble");
  place.hidden = !kind;
  const text = kind ? place.dataset[kind] : "";
  if (place.textContent !== text) place.textContent = text;
}

// ---- drafts ----

function changed() {
  if (!form || handedIn) return;
  const at = Date.now();
  if (!dirtySince) dirtySince = at;
  say(0); // "Saved" is never there beside what is not
  clearTimeout(timer);
  timer = setTimeout(save, Math.max(0, Math.min(PAUSE, dirtySince + LONGEST - at)));
}

async function save() {
  clearTimeout(timer);
  if (!form || saving || !dirtySince || handedIn) return;
  const mine = form;
  const address = mine.dataset.draft;
  const body = fields();
  const spent = seconds;
  const since = dirtySince;
  dirtySince = 0;
  saving = true;
  say(0);
  let answer = null;
  try {
    answer = await fetch(address, { method: "POST", body, keepalive: body.toString().length < 60000 });
  } catch {
    answer = null;
  }
  saving = false;
  if (answer && answer.ok) {
    const kept = await answer.json();
    store.drop(KEPT + address);
    if (form !== mine) return;
    seconds = Math.max(0, seconds - spent);
    trouble("");
    if (dirtySince) changed();
    else say(kept.at);
    return;
  }
  if (form !== mine || handedIn) return;
  dirtySince = dirtySince || since;
  body.delete("token");
  store.set(KEPT + address, JSON.stringify({ at: Date.now() / 1000 + ahead, fields: body.toString() }));
  const signedOut = answer && (answer.status === 401 || answer.status === 403);
  trouble(signedOut ? "signedOut" : "lost");
  if (signedOut) await renewToken();
  timer = setTimeout(save, RETRY);
}

// Somebody who signed in again in another window has another token.
async function renewToken() {
  try {
    const answer = await fetch("/token");
    if (!answer.ok) return;
    const { token } = await answer.json();
    for (const field of document.querySelectorAll("input[name=token]")) field.value = token;
  } catch {
    // the server is away; it is tried again with the draft
  }
}

function restore() {
  const address = form.dataset.draft;
  const said = ($("saved") || { dataset: {} }).dataset;
  const at = Number(said.at || 0);
  // Both times are the server's: a clock of this machine that is slow must not make newer words look older.
  ahead = Number(said.now || Date.now() / 1000) - Date.now() / 1000;
  if (at) say(at);
  let kept = null;
  try {
    kept = JSON.parse(store.get(KEPT + address));
  } catch {
    kept = null;
  }
  if (kept && kept.at > at) {
    fill(kept.fields);
    changed();
  } else {
    store.drop(KEPT + address);
  }
}

// ---- time on task ----

setInterval(() => {
  if (form && document.visibilityState === "visible" && Date.now() - lastLife < IDLE) seconds += 1;
}, 1000);

for (const kind of ["keydown", "pointermove", "pointerdown", "scroll"]) {
  addEventListener(kind, () => { lastLife = Date.now(); }, { passive: true, capture: true });
}

// ---- shortcuts: the place of a key and not its letter, so that they work in every layout ----

function keysOn() {
  return store.get("prism-keys") !== "off";
}

addEventListener("keydown", (event) => {
  if (event.isComposing || event.keyCode === 229 || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!keysOn() || event.target.closest("input:not([type=checkbox],[type=radio]), textarea, select, [contenteditable]")) return;
  const code = event.code.replace(/^Numpad(?=\d$)/, "Digit");
  const target = document.querySelector(`[data-key="${CSS.escape(code)}"]`);
  if (!target) return;
  event.preventDefault();
  if (handedIn) return; // the next item is not there yet: a key that is meant for it must not change this one
  if (target.matches("textarea, input")) target.focus();
  else target.click();
});

// ---- pages ----

function begin() {
  form = document.querySelector("form[data-draft]");
  dirtySince = 0;
  saving = false;
  handedIn = false;
  seconds = 0;
  trouble("");
  const keys = $("keys");
  if (keys) {
    keys.checked = keysOn();
    document.body.classList.toggle("no-keys", !keysOn());
  }
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    time.textContent = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "short", timeStyle: "short" }).format(at);
  }
  if (form) restore();
  const faults = $("faults");
  if (faults) faults.focus();
}

addEventListener("input", (event) => {
  if (form && form.contains(event.target)) changed();
});

addEventListener("change", (event) => {
  if (event.target.id === "keys") {
    store.set("prism-keys", event.target.checked ? "on" : "off");
    document.body.classList.toggle("no-keys", !event.target.checked);
  }
  if (event.target.matches("[data-languages]")) {
    const option = event.target.selectedOptions[0];
    const prompt = $("prompt");
    prompt.lang = option.value;
    prompt.dir = option.dataset.dir;
  }
  if (form && form.contains(event.target)) changed();
});

addEventListener("submit", (event) => {
  if (event.target === form && handedIn) {
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  for (const field of event.target.querySelectorAll("input[name=seconds]")) field.value = seconds.toFixed(1);
  if (event.target === form) handedIn = true;
  if (event.target.matches("[data-leave]")) store.drop(KEPT);
}, true);

// A page that is left in mid-word sends what there is, whatever else is under way.
function leave() {
  if (form && dirtySince && !handedIn) fetch(form.dataset.draft, { method: "POST", body: fields(), keepalive: true }).catch(() => {});
}
addEventListener("pagehide", leave);
addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") save(); });
addEventListener("online", () => { save(); });

// The form was not taken: the page stays as it is, and so do its words.
for (const kind of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  addEventListener(kind, (event) => {
    if (event.target.id === "warnings") return;
    if (!form) return trouble("failed");
    handedIn = false;
    dirtySince = Date.now();
    trouble("lost");
    save();
  });
}
addEventListener("htmx:afterSettle", (event) => { if (event.target === document.body) begin(); });
addEventListener("DOMContentLoaded", begin);
