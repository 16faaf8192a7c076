// The form of a rule: shows the fields that the chosen kind has, the curve with the threshold as a line that can be
// moved, and what the rule would have fired for. Without a script each of that works by sending the form.
import { Chart } from "./chart.js";
import { columns, fetchSeries, Refused } from "./series.js";
import { Threshold } from "./threshold.js";
import { zone } from "./moments.js";
import { say } from "./words.js";

const by = (id) => document.getElementById(id);
const first = JSON.parse(by("first").textContent);
const form = by("rule");
const kind = form.elements.kind;
const COLOURS = { critical: "silent", warning: "late", info: "ok" };

// --- the fields of a kind ------------------------------------------------------------------------

function showFields() {
  for (const part of form.querySelectorAll("[data-kinds]")) {
    const isAsked = part.dataset.kinds.split(" ").includes(kind.value);
    part.hidden = !isAsked;
    if (part.classList.contains("field")) for (const input of part.querySelectorAll("input, select, textarea")) input.disabled = !isAsked;
  }
}

// --- the curve -----------------------------------------------------------------------------------

let chart = null;
let thresholds = [];
let spans = [];

const value = (name) => {
  const text = form.elements[name].value.trim().replace(",", ".").replace("−", "-");
  return text === "" || form.elements[name].disabled || !Number.isFinite(Number(text)) ? null : Number(text);
};

function mark() {
  if (!chart) return;
  const lines = [];
  for (const name of first.lines[kind.value] ?? []) {
    if (value(name) !== null) lines.push({ value: value(name), scale: "y", colour: "silent" });
    const clear = value(`clear_${name}`);
    if (clear !== null) lines.push({ value: clear, scale: "y", colour: "subtle", dash: [4, 4] });
  }
  chart.mark(spans, lines);
  for (const { its, name } of thresholds) {
    const isAsked = (first.lines[kind.value] ?? []).includes(name);
    its.place();
    if (!isAsked) its.handle.hidden = true;
  }
}

async function draw() {
  chart = new Chart(by("chart"), { onDrawn: () => thresholds.forEach(({ its, name }) => (first.lines[kind.value] ?? []).includes(name) && its.place()) });
  const ask = { onMove: mark, onDone: tryIt };
  thresholds = ["low", "high"].map((name) => ({ name, its: new Threshold(chart, form.elements[name], labelOf(name), ask) }));
  try {
    const points = Math.max(100, Math.min(1000, Math.floor(by("chart").clientWidth)));
    const [series] = await fetchSeries([first.sensor], first.from, first.to, points, zone);
    const isRaw = series.resolution === "raw";
    chart.show(first.from, first.to, [{ columns: columns(series, first.from, first.to), shift: 0, scale: "y", colour: "series-1", isRaw }]);
    if (!series.points.length) message(say("empty"));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    message(`${say("failed")} ${error.message}`);
  }
  mark();
}

const labelOf = (name) => [...form.querySelectorAll(`label[for="${form.elements[name].id}"] > span`)].find((one) => !one.hidden)?.textContent ?? name;

function message(text) {
  by("message").hidden = false;
  by("message").querySelector("p").textContent = text;
}

// --- trying it -----------------------------------------------------------------------------------

let waits = null;

// Whatever changes what it would have fired for asks anew.
const tryIt = () => {
  clearTimeout(waits);
  waits = setTimeout(() => by("try").dispatchEvent(new Event("tried")), 300);
};

function takeSpans() {
  const block = by("tried-spans");
  const found = block ? JSON.parse(block.textContent) : [];
  spans = found.map(({ from, to, severity }) => ({ from, to, colour: COLOURS[severity] }));
  mark();
}

const TELLS = new Set(["name", "note", "channels", "renotify_s_amount", "renotify_s_unit"]);

form.addEventListener("input", (event) => {
  if (event.target.name in { high: 1, low: 1, clear_high: 1, clear_low: 1 }) mark();
});
form.addEventListener("change", (event) => {
  if (event.target === kind) {
    showFields();
    mark();
  }
  // Another sensor has another curve: that comes with the page.
  if (!TELLS.has(event.target.name) && form.elements.sensor.value) tryIt();
});
document.addEventListener("htmx:afterSwap", (event) => event.target.id === "tried" && takeSpans());

showFields();
if (first.sensor) await draw();
takeSpans();
const isReady = (first.lines[kind.value] ?? []).some((name) => value(name) !== null);
if (first.sensor && isReady && !by("tried-spans") && !form.querySelector(".is-wrong")) tryIt();
