// The list of sensors, kept up: values and ages change where they stand, and no row moves until somebody asks.
import { openLive } from "./live.js";
import { figure, whole } from "./figure.js";
import { showLamp } from "./lamp.js";
import { showAges } from "./page.js";

let live = null;
let moved = new Set();

const rows = () => [...document.querySelectorAll("#sensors tr[data-sensor]")];
const row = (id) => document.querySelector(`#sensors tr[data-sensor="${id}"]`);

function showValue({ sensor, t, v }) {
  const tr = row(sensor);
  if (!tr) return;
  const time = tr.querySelector("time");
  const moment = new Date(t / 1000);
  if (time.dateTime && Date.parse(time.dateTime) > moment.getTime()) return; // an older one that came late
  time.dateTime = moment.toISOString();
  time.title = moment.toLocaleString(document.documentElement.lang, {
    timeZone: document.documentElement.dataset.zone, timeZoneName: "short", hour12: false,
  });
  tr.querySelector("[data-value]").textContent = figure(v);
  tr.classList.add("fresh");
  setTimeout(() => tr.classList.remove("fresh"), 900);
}

// Whether it is another than the one that is shown: the stream begins with what the page may have already.
function showState(id, state) {
  const tr = row(id);
  if (!tr || tr.dataset.state === state) return false;
  tr.dataset.state = state;
  tr.querySelector(".is").replaceChildren(document.getElementById(`state-${state}`).content.cloneNode(true));
  return true;
}

function onStatus({ counts = {}, changed = {} }) {
  for (const [state, count] of Object.entries(counts)) {
    const figure = document.querySelector(`[data-count="${state}"]`);
    if (figure) figure.textContent = whole(count);
  }
  for (const [id, state] of Object.entries(changed)) {
    if (showState(id, state)) moved.add(id);
  }
  const note = document.getElementById("changed");
  if (!note || !moved.size) return;
  const text = moved.size === 1 ? note.dataset.one : note.dataset.many.replace("%d", whole(moved.size));
  note.querySelector("span").textContent = text;
  note.hidden = false;
}

// What was missed meanwhile: the list as it is now, in the same order of rows as far as they are the same.
const again = () => htmx.ajax("GET", location.href, { target: "#content" });

function watch() {
  moved = new Set();
  const ids = rows().map((tr) => Number(tr.dataset.sensor));
  if (!document.getElementById("sensors")) {
    live?.close();
    live = null;
    return showLamp("ended");
  }
  if (live) return live.watch(ids);
  live = openLive({
    ids,
    topics: ["counts"],
    after: Number(document.getElementById("sensors").dataset.now),
    onValues: (values) => {
      values.forEach(showValue);
      showAges(document.getElementById("sensors"));
    },
    onStatus,
    onResync: again,
    onState: showLamp,
  });
}

// What somebody types while the answer to what they typed before comes stays.
let typed = null;
document.addEventListener("htmx:beforeSwap", () => {
  const search = document.activeElement?.id === "q" ? document.activeElement : null;
  typed = search && { value: search.value, at: search.selectionStart };
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id !== "content") return;
  const search = document.getElementById("q");
  if (typed && search) {
    const isBehind = search.value !== typed.value;
    search.value = typed.value;
    search.focus();
    search.setSelectionRange(typed.at, typed.at);
    if (isBehind) search.dispatchEvent(new Event("input", { bubbles: true }));
  }
  watch();
});
document.addEventListener("htmx:responseError", () => showLamp("stale"));
watch();
