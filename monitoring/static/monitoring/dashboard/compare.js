// Several sensors over one span: at most two units share a chart, an axis each; where there are more, a chart a unit.
import { Chart } from "./chart.js";
import { columns, digitsOf, fetchSeries, Refused } from "./series.js";
import { address, exactly, isLive, narrower, pointsFor, preset, push, read, wider } from "./span.js";
import { between, lasting, moment, nameOfZone, zone } from "./moments.js";
import { follow } from "./follow.js";
import { wireRanges } from "./ranges.js";
import { average, figure, whole } from "./figure.js";
import { say } from "./words.js";

const by = (id) => document.getElementById(id);
const first = JSON.parse(by("first").textContent);
const lang = document.documentElement.lang;
const ids = first.sensors.map(({ id }) => id);
// As the lines of the legend: four colours, whole and then dashed.
const style = (place) => ({ colour: `series-${(place % 4) + 1}`, dash: place < 4 ? undefined : [7, 4] });

let shown = read(first);
let all = []; // series, in the order of ids
let charts = []; // [{unit(s), chart}]
let turn = 0;
let loading = null;
let fetchedAt = 0;

const setRanges = ids.length ? wireRanges(go) : () => {};

function go(next) {
  push(next);
  show(next);
}

function show(next) {
  shown = next;
  setRanges(shown);
  load();
}

async function load({ quiet = false } = {}) {
  if (!ids.length || (quiet && loading)) return;
  loading?.abort();
  const mine = ++turn;
  const abort = (loading = new AbortController());
  if (shown.preset) shown = preset(shown.preset);
  const plots = by("plots");
  const waits = setTimeout(() => !quiet && mine === turn && plots.classList.add("old"), 80);
  try {
    const found = await fetchSeries(ids, shown.from, shown.to, pointsFor(shown, plots.clientWidth), zone, abort.signal);
    if (mine !== turn) return;
    all = found;
    fetchedAt = Date.now();
    message("");
    draw();
    writeAround();
    reached(true);
  } catch (error) {
    if (mine !== turn || error.name === "AbortError") return;
    if (!(error instanceof Refused)) throw error;
    reached(false);
    if (!quiet) message(`${say("failed")} ${error.message}`, say("retry"), () => load());
  } finally {
    clearTimeout(waits);
    if (mine === turn) {
      loading = null;
      plots.classList.remove("old");
    }
  }
}

// --- charts --------------------------------------------------------------------------------------

// [[unit, …], …]: what shares a chart.
function layout() {
  const units = [...new Set(all.map(({ unit }) => unit))];
  return units.length <= 2 ? [units] : units.map((unit) => [unit]);
}

function draw() {
  const wanted = layout();
  if (JSON.stringify(wanted) !== JSON.stringify(charts.map(({ units }) => units))) makeCharts(wanted);
  const curves = all.map((series, place) => ({
    columns: columns(series, shown.from, shown.to), scale: series.unit || "–", isRaw: series.resolution === "raw", ...style(place), place,
  }));
  for (const { units, chart } of charts) chart.show(shown.from, shown.to, curves.filter((_, place) => units.includes(all[place].unit)));
}

function makeCharts(wanted) {
  for (const { chart, figure } of charts) {
    chart.plot?.destroy();
    figure.remove();
  }
  charts = wanted.map((units) => {
    const figure = document.createElement("figure");
    const title = document.createElement("figcaption");
    title.className = "subtle small";
    for (const unit of units) title.append(Object.assign(document.createElement("span"), { textContent: unit || "–" }));
    const box = document.createElement("div");
    box.className = wanted.length > 1 ? "canvas low" : "canvas";
    box.tabIndex = 0;
    box.setAttribute("role", "application");
    box.setAttribute("aria-label", all.filter(({ unit }) => units.includes(unit)).map(({ sensor }) => nameOf(sensor)).join(", "));
    figure.append(title, box);
    by("plots").append(figure);
    const chart = new Chart(box, {
      onZoom: (from, to) => go(exactly(from, to)),
      onWiden: () => go(wider(shown)),
      onNarrow: (at) => go(narrower(shown, at)),
      onCursor: readOut,
      group: wanted.length > 1 ? "compare" : null,
    });
    return { units, chart, figure };
  });
}

const nameOf = (id) => first.sensors.find((one) => one.id === id).name;

// The values at the cursor stand in the table, beside the names.
function readOut(t) {
  const out = by("readout");
  out.classList.toggle("subtle", t === null);
  out.textContent = t === null ? say(matchMedia("(hover: none)").matches ? "hintTouch" : "hint") : `${moment(t, shown.to - shown.from < 7200e3)} ${nameOfZone(t)}`;
  by("here").textContent = t === null ? by("here").dataset.last : say("value");
  all.forEach((series, place) => {
    const cell = row(series.sensor).querySelector('[data-cell="here"]');
    if (t === null) {
      cell.textContent = withUnit(series, series.statistics.last);
      return;
    }
    const its = (series.columns ??= columns(series, shown.from, shown.to));
    let best = null;
    its.t.forEach((one, at) => {
      if (best === null || Math.abs(one - t) < Math.abs(its.t[best] - t)) best = at;
    });
    const reach = Math.max((series.step_s ?? 0) * 1000, (series.interval_s ?? 0) * 3000, 1000);
    const isThere = best !== null && its.avg[best] !== null && Math.abs(its.t[best] - t) <= reach;
    cell.textContent = isThere ? withUnit(series, its.avg[best], series.resolution !== "raw") : "–";
  });
}

// --- what surrounds them -------------------------------------------------------------------------

const row = (id) => document.querySelector(`[data-sensor="${id}"]`);

function write(series, value, isAverage = false) {
  if (value === null || value === undefined) return "–";
  if (!isAverage) return figure(value);
  series.digits ??= digitsOf(series.points.slice(-200).flatMap(({ min, max }) => [min, max]));
  return average(value, series.digits);
}

const withUnit = (series, value, isAverage) => (value === null ? "–" : `${write(series, value, isAverage)}${series.unit ? `\u00a0${series.unit}` : ""}`);

function writeAround() {
  const share = new Intl.NumberFormat(lang, { style: "percent", maximumFractionDigits: 1 });
  for (const series of all) {
    const its = series.statistics;
    const texts = {
      here: withUnit(series, its.last), avg: write(series, its.avg, true), min: write(series, its.min), max: write(series, its.max),
      count: whole(its.count), covered: share.format(series.covered === 1 ? 1 : Math.min(series.covered, 0.999)),
    };
    for (const [name, text] of Object.entries(texts)) row(series.sensor).querySelector(`[data-cell="${name}"]`).textContent = text;
  }
  by("span").textContent = `${between(shown.from, shown.to)} ${nameOfZone(shown.to)}`;
  // Sensors that measure seldom come as readings, though others come as averages.
  const steps = [...new Set(all.filter(({ points }) => points.length).map(({ step_s: step }) => step))];
  by("resolution").textContent = steps.map((step) => (step === null ? say("raw") : say("step", { step: lasting(step * 1000) }))).join(" ") || say("empty");
}

// Whoever is added or removed is so in the span that is shown now, not in that of the page's first address.
for (const kind of ["pointerdown", "click"]) {
  document.addEventListener(kind, ({ target }) => {
    const link = target.closest("[data-add], [data-remove]");
    if (!link) return;
    const { add, remove } = link.dataset;
    const said = new URL(address(shown, { q: null }), location.href);
    said.searchParams.delete("sensor");
    for (const id of [...ids.map(String).filter((one) => one !== remove), ...(add ? [add] : [])]) said.searchParams.append("sensor", id);
    link.href = said.href.replaceAll("%3A", ":");
  }, true);
}

function message(text, label, act) {
  const box = by("message");
  box.hidden = !text;
  box.querySelector("p").textContent = text;
  const button = box.querySelector("button");
  button.hidden = !label;
  button.textContent = label ?? "";
  button.onclick = act;
}

function reached(isReached) {
  const lamp = by("lamp");
  lamp.className = `lamp ${!isReached ? "stale" : isLive(shown) ? "on" : "paused"}`;
  lamp.textContent = !isReached ? say("stale", { at: moment(fetchedAt || Date.now(), true) }) : say(isLive(shown) ? "live" : "paused");
}

// --- the beginning -------------------------------------------------------------------------------

addEventListener("popstate", () => show(read(null)));

if (ids.length) {
  by("here").dataset.last = by("here").textContent;
  setRanges(shown);
  readOut(null);
  load();
  // New values: fetched together, every five seconds at most, as far as a bucket can show them.
  const renew = () => {
    const lag = Math.max(5000, ...all.map(({ step_s: step }) => Math.min(300_000, (step ?? 0) * 100)));
    if (isLive(shown) && !document.hidden && Date.now() - fetchedAt >= lag) load({ quiet: true });
  };
  follow(ids, first.now, { onValues: renew, onAsk: renew, onState: () => {} });
}
