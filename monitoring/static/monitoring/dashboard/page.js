// What every page has: keys, copying, and ages that grow.

// "/" goes to the search, as long as nobody is writing.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const search = document.querySelector("input[type=search]");
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
});

// data-copy="#id": a button that copies the text of that element.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = document.querySelector(button.dataset.copy).textContent.trim();
  const done = await copy(text);
  const label = button.textContent;
  button.textContent = done ? button.dataset.done : button.dataset.failed;
  setTimeout(() => (button.textContent = label), 2000);
});

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page from http://some-host has no clipboard of its own.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

// <time data-age datetime="…">: how long ago, in the page's language, kept up while the page is open.
const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "always", style: "short" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export function age(moment, now = Date.now()) {
  const seconds = Math.max(0, (now - moment) / 1000);
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? UNITS.at(-1);
  return words.format(-Math.floor(seconds / length), unit);
}

export function showAges(within = document) {
  for (const time of within.querySelectorAll("time[data-age][datetime]")) {
    const text = age(Date.parse(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  }
}

// What asks again and again rests while nobody looks.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.target.matches("[hx-trigger^=every]")) event.preventDefault();
});

setInterval(() => document.hidden || showAges(), 1000);
document.addEventListener("visibilitychange", () => showAges());
document.addEventListener("htmx:afterSwap", (event) => showAges(event.target));
showAges();

// How many incidents are open, in the navigation: asked for now and then while somebody looks.
const badge = document.querySelector("[data-open-incidents]");
const COUNT_EVERY = 30_000;

async function countIncidents() {
  if (document.hidden) return;
  try {
    const answer = await fetch(badge.dataset.openIncidents, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const { open } = await answer.json();
    badge.hidden = open === 0;
    badge.querySelector("b").textContent = String(open);
  } catch {
    // Whether we are connected is said elsewhere.
  }
}
if (badge) {
  if (!badge.textContent.match(/\d/)) countIncidents();
  setInterval(countIncidents, COUNT_EVERY);
}
