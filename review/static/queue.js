// The queue: one picture, one key, the next picture at once. Without this script the same page works by its forms.

import { isTyping, stage } from "./stage.js";

const root = document.getElementById("queue");
const at = (id) => document.getElementById(id);
let token = document.querySelector("meta[name=csrf-token]").content;
const PREFETCH = 4;
const PATIENCE = 15000;

const items = [];          // all that was seen or is to be seen in this visit, in order
const said = new Map();    // item -> {verdict, word, kind, was}: what was said in this visit
const given = [];          // items in the order in which verdicts were given, for undo
const waiting = [];        // verdicts on their way: {item, word, kind, note}
let place = 0;             // which of the items is shown
let cursor = root.dataset.at || null;
let more = true;
let reviewed = Number(root.dataset.reviewed);
const total = Number(root.dataset.total);
let sending = null, loading = null;

if (at("stage")) begin();
else document.documentElement.classList.add("scripted");

function begin() {
  const view = stage({ onPress: swipe });
  at("previous").textContent = "Back";
  at("next")?.addEventListener("click", (event) => { event.preventDefault(); step(1); });
  at("previous").addEventListener("click", (event) => { event.preventDefault(); step(-1); });
  at("help-button").addEventListener("click", () => at("help").showModal());
  at("kinds-row").addEventListener("click", (event) => {
    const button = event.target.closest(".kind");
    if (button) judge("defect", button.dataset.kind);
  });
  at("verdict").addEventListener("submit", (event) => {
    event.preventDefault();
    judge(event.submitter?.value || "defect");
  });
  for (const field of [at("kind"), at("note")]) {
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.preventDefault(); field.blur(); }
      if (event.key !== "Enter") return;
      event.preventDefault();
      field.blur();
      if (field.id === "kind" && field.value.trim()) judge("defect");
    });
  }
  document.addEventListener("keydown", (event) => {
    if (at("help").open || isTyping(event)) return;
    if (act(event, view)) event.preventDefault();
  });
  window.addEventListener("beforeunload", (event) => { if (waiting.length) event.preventDefault(); });
  window.addEventListener("online", send);
  load().then(show);
  root.addEventListener("shown", () => view.reset());
}

function act(event, view) {
  const words = { d: "defect", g: "good", u: "unsure" };
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const onButton = event.target.closest?.("button, a, summary");
  if (key in words && !event.repeat) { judge(words[key]); return true; }
  if (/^[1-9]$/.test(key) && !event.repeat) {
    const kind = at("kinds-row").children[Number(key) - 1];
    if (kind) judge("defect", kind.dataset.kind);
    return true;
  }
  if (key === "k" || key === "n") { at(key === "k" ? "kind" : "note").focus(); return true; }
  if (key === "z") { undo(); return true; }
  if (key === "?") { at("help").showModal(); return true; }
  if (view.key(event)) return true;
  if (key === "ArrowRight" || (key === " " && !onButton && !event.shiftKey)) { step(1); return true; }
  if (key === "ArrowLeft" || (key === " " && !onButton && event.shiftKey)) { step(-1); return true; }
  return false;
}

function swipe(dx, dy) {
  if (Math.abs(dx) > 60 && Math.abs(dx) > 2 * Math.abs(dy)) step(dx < 0 ? 1 : -1);
}

// Items come in portions, each asked for well before the last one of the former is reached.
function load() {
  if (!more || loading) return loading || Promise.resolve(false);
  const address = new URL(root.dataset.start, location.href);
  address.pathname += "/next";
  if (cursor) address.searchParams.set("at", cursor);
  loading = ask(address).then((answer) => {
    const known = new Set(items.map((item) => item.id));
    items.push(...answer.items.filter((item) => !known.has(item.id)));
    cursor = answer.at;
    more = Boolean(cursor);
    if (!waiting.length) trouble("");
    return true;
  }).catch((error) => {
    trouble(`The next pictures did not come: ${error.message}.`, () => load().then(show));
    return false;
  }).finally(() => { loading = null; });
  return loading;
}

async function ask(address, form, again = true) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), PATIENCE);
  try {
    const options = { headers: { Accept: "application/json" }, signal: abort.signal, redirect: "error" };
    if (form) Object.assign(options, { method: "POST", body: new URLSearchParams(form) }), options.headers["X-CSRF-Token"] = token;
    const response = await fetch(address, options);
    const answer = (response.headers.get("content-type") || "").includes("json") ? await response.json() : null;
    if (response.ok && answer) return answer;
    if (response.status === 403 && form && again && await renew()) return ask(address, form, false);
    const reason = answer?.error || (response.status === 403 ? "the page is too old, load it again" : `the server said ${response.status}`);
    throw Object.assign(new Error(reason), { final: response.status < 500 && response.status !== 429 });
  } catch (error) {
    if ("final" in error) throw error;
    throw new Error(error.name === "AbortError" ? "no answer in time" : "the server cannot be reached");
  } finally {
    clearTimeout(timer);
  }
}

// A page that was left open overnight outlives its session; the verdicts given on it are good all the same.
async function renew() {
  const page = await fetch(location.href, { redirect: "error" });
  const found = new DOMParser().parseFromString(await page.text(), "text/html").querySelector("meta[name=csrf-token]");
  if (found) token = found.content;
  return Boolean(found);
}

function show() {
  if (items.length - place <= 2 * PREFETCH && more) load().then((came) => { if (came) show(); });
  const item = items[place];
  const ended = !item;
  at("stage").hidden = ended;
  at("done").hidden = !ended;
  at("verdict").hidden = ended;
  at("what").hidden = ended;
  if (ended) {
    const heading = more ? "The next pictures are on their way" : reviewed >= total ? "All reviewed" : "That was the last one here";
    at("done").querySelector("h2").textContent = heading;
    const count = at("done-count");
    if (count) count.textContent = `${reviewed} of ${total}`;
    return;
  }
  if (at("stage").dataset.item !== String(item.id)) {
    at("stage").dataset.item = item.id;
    if (!at("picture").src.endsWith(item.picture)) change(item);
    at("stage").dataset.large = item.picture.replace("picture.webp", "large.webp");
    at("picture").alt = `The picture ${item.name}`;
    const heat = at("heat");
    heat.hidden = !item.heat || !heat.src.endsWith(item.heat);
    if (item.heat && heat.hidden) {
      heat.src = item.heat;
      heat.decode().then(() => { if (at("stage").dataset.item === String(item.id)) heat.hidden = false; }, () => {});
    }
    at("name").textContent = item.name;
    at("where").textContent = [item.line, item.lot].filter(Boolean).join(" · ");
    at("verdict").action = `/items/${item.id}/verdict`;
    at("kind").value = at("note").value = "";
    root.dispatchEvent(new Event("shown"));
  }
  for (const next of items.slice(place + 1, place + 1 + PREFETCH)) fetchAhead(next);
}

// Until the new picture is there the browser would show the former one beside the new name: so neither is to be seen,
// and no verdict is taken for a picture that nobody has seen.
function change(item) {
  const sheet = at("sheet");
  sheet.classList.add("waiting");
  at("picture").src = item.picture;
  at("picture").decode().catch(() => {}).finally(() => {
    if (at("stage").dataset.item === String(item.id)) sheet.classList.remove("waiting");
  });
}

const ahead = new Map();
function fetchAhead(item) {
  if (ahead.has(item.id)) return;
  const pictures = [item.picture, item.heat].filter(Boolean).map((source) => Object.assign(new Image(), { src: source }));
  ahead.set(item.id, pictures);
  if (ahead.size > 4 * PREFETCH) ahead.delete(ahead.keys().next().value);
}

function step(by) {
  place = Math.max(0, Math.min(items.length, place + by));
  show();
  tell(items[place] && said.get(items[place].id) ? items[place] : null);
}

function judge(word, kind = at("kind").value.trim()) {
  const item = items[place];
  if (!item || at("sheet").classList.contains("waiting")) return;
  const note = at("note").value.trim();
  const first = !said.has(item.id);
  said.set(item.id, { word, kind: word === "defect" ? kind : "", was: null, first });
  given.push(item.id);
  waiting.push({ item, word, kind: word === "defect" ? kind : "", note });
  if (first) reviewed = Math.min(total, reviewed + 1);
  if (word === "defect" && kind) remember(kind);
  counts();
  place += 1;
  while (items[place] && said.has(items[place].id)) place += 1;
  show();
  tell(item);
  send();
}

// One after the other, and none is dropped before the server has it.
async function send() {
  if (sending || !waiting.length) return;
  const one = waiting[0];
  sending = one;
  try {
    const answer = await ask(`/items/${one.item.id}/verdict`, { word: one.word, kind: one.kind, note: one.note });
    waiting.shift();
    const known = said.get(one.item.id);
    if (known) Object.assign(known, { verdict: answer.verdict, was: answer.was });
    if (given[given.length - 1] === one.item.id) tell(one.item);
    if (!waiting.length) trouble("");
  } catch (error) {
    const count = waiting.length === 1 ? "1 verdict is" : `${waiting.length} verdicts are`;
    trouble(`${count} not stored yet: ${error.message}. Keep this page open.`, send);
    if (!error.final) setTimeout(send, 3000);
    sending = null;
    return;
  }
  sending = null;
  send();
}

async function undo() {
  const id = given[given.length - 1];
  if (id === undefined) return;
  if (waiting.length) { trouble("The last verdict is still on its way: wait a moment.", send); return; }
  const known = said.get(id);
  try {
    await ask(`/items/${id}/verdicts/${known.verdict}/undo`, {});
  } catch (error) {
    trouble(`Not taken back: ${error.message}.`);
    return;
  }
  given.splice(given.lastIndexOf(id), 1);
  said.delete(id);
  if (known.first) reviewed -= 1;
  counts();
  place = items.findIndex((item) => item.id === id);
  show();
  at("last").replaceChildren(line(`Taken back: ${items[place].name}`));
}

function counts() {
  at("reviewed").textContent = reviewed;
  at("bar").value = reviewed;
}

function remember(kind) {
  const row = at("kinds-row");
  if ([...row.children].some((button) => button.dataset.kind === kind)) return;
  if (row.children.length >= 9) row.lastElementChild.remove();
  const button = Object.assign(document.createElement("button"), { type: "button", className: "kind" });
  button.dataset.kind = kind;
  // Behind the others: the numbers that somebody has in the fingers stay.
  const number = Object.assign(document.createElement("kbd"), { textContent: row.children.length + 1 });
  button.append(number, ` ${kind}`);
  row.append(button);
}

function tell(item) {
  if (!item) { at("last").replaceChildren(); return; }
  const known = said.get(item.id);
  const link = Object.assign(document.createElement("a"), { href: `/items/${item.id}`, textContent: item.name, className: "wrap" });
  const pill = Object.assign(document.createElement("span"), { className: `pill ${known.word}`, textContent: known.kind ? `${known.word}: ${known.kind}` : known.word });
  const first = document.createElement("p");
  first.append(link, ": ", pill);
  const parts = [first, line(known.was || "being stored …")];
  if (known.was && given[given.length - 1] === item.id) {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append("Undo ", Object.assign(document.createElement("kbd"), { textContent: "z" }));
    button.addEventListener("click", undo);
    parts.push(button);
  }
  at("last").replaceChildren(...parts);
}

function line(text) {
  return Object.assign(document.createElement("p"), { className: "muted wrap", textContent: text });
}

function trouble(text, again) {
  const box = at("trouble");
  box.hidden = !text;
  box.replaceChildren(text);
  if (text && again) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Try again" });
    button.addEventListener("click", () => again());
    box.append(" ", button);
  }
}
