// A sensor's page: fetches what its address says, draws it, writes what it comes to, and follows what is new.
import { Chart } from "./chart.js";
import { age } from "./page.js";
import { columns, digitsOf, fetchSeries, Refused, withTail } from "./series.js";
import { address, exactly, isLive, iso, narrower, pointsFor, preset, push, read, USUAL, wider } from "./span.js";
import { between, lasting, moment, nameOfZone, zone } from "./moments.js";
import { follow } from "./follow.js";
import { pointsTable } from "./points_table.js";
import { wireRanges } from "./ranges.js";
import { rounded } from "./threshold.js";
import { average, figure, whole } from "./figure.js";
import { say, sayCount } from "./words.js";

const by = (id) => document.getElementById(id);
const first = JSON.parse(by("first").textContent);
const lang = document.documentElement.lang;
const OVERLAP = 60_000;

let shown = first.preset ? { ...preset(first.preset, Date.parse(first.to)) } : { preset: "", from: Date.parse(first.from), to: Date.parse(first.to) };
let series = first.series;
let earlier = null; // the period before, where it is compared with
let incidents = first.incidents; // the newest first, as monitoring/dashboard/alerts/of_sensor.py has them
let newest = first.last && { t: Date.parse(first.last.at), value: first.last.value };
let liveAs = first.preset || USUAL; // the preset that "Live" goes back to
let missed = 0; // readings that came while the view was paused
let turn = 0; // of loads: what an older one brings is thrown away
let loading = null;
let fetchedAt = Date.now();
let digits = 0;

const isRaw = () => series.resolution === "raw";
const isPaused = () => !isLive(shown);
const beforeBox = by("before");

// --- numbers -------------------------------------------------------------------------------------

function write(value, isAverage = false) {
  if (value === null || value === undefined) return "–";
  return isAverage ? average(value, digits) : figure(value);
}

const withUnit = (text) => (first.unit ? `${text}\u00a0${first.unit}` : text);

// --- the chart -----------------------------------------------------------------------------------

const chart = new Chart(by("chart"), {
  onZoom: (from, to) => go(exactly(from, to)),
  onWiden: () => go(wider(shown)),
  onNarrow: (at) => go(narrower(shown, at)),
  onCursor: readOut,
  onPick: by("picked") && pick,
});

const pointsWanted = () => pointsFor(shown, by("chart").clientWidth);

function curves() {
  const found = [];
  if (earlier) {
    const length = shown.to - shown.from;
    const its = columns(earlier, 2 * shown.from - shown.to, shown.from);
    const shifted = { ...its, t: its.t.map((t) => t + length), start: its.start.map((t) => t + length), end: its.end.map((t) => t + length) };
    found.push({ columns: shifted, shift: length, scale: "y", colour: "series-2", dash: [6, 4], faded: true, isRaw: earlier.resolution === "raw" });
  }
  found.push({ columns: columns(series, shown.from, shown.to), shift: 0, scale: "y", colour: "series-1", isRaw: isRaw() });
  return found;
}

function draw() {
  const dot = newest && isLive(shown) ? [{ ...newest, scale: "y", colour: "series-1" }] : [];
  chart.show(shown.from, shown.to, curves(), dot);
}

const COLOURS = { critical: "silent", warning: "late", info: "ok" };

// The incidents of the span: shaded over the curve, counted below it, and what fires said above it.
function markIncidents() {
  const inSight = incidents.filter(({ from, to }) => from < shown.to && (to ?? Infinity) > shown.from);
  chart.mark(inSight.map(({ from, to, severity }) => ({ from, to, colour: COLOURS[severity] })).reverse());
  const fires = incidents.filter((one) => one.fires);
  for (const said of by("firing").querySelectorAll("[data-incident]")) {
    if (!fires.some(({ id }) => String(id) === said.dataset.incident)) said.remove();
  }
  for (const { id, title, url } of fires) {
    if (by("firing").querySelector(`[data-incident="${id}"]`)) continue;
    const said = Object.assign(document.createElement("p"), { className: "banner bad" });
    said.dataset.incident = id;
    said.setAttribute("role", "status");
    said.append(Object.assign(document.createElement("a"), { href: url, textContent: say("firing", { title }) }));
    by("firing").append(said);
  }
  const link = by("incidents");
  link.hidden = !inSight.length;
  link.textContent = inSight.length ? sayCount("incidents", inSight.length, whole(inSight.length)) : "";
}

async function fetchIncidents(from, to, signal) {
  const said = new URLSearchParams({ from: new Date(from).toISOString(), to: new Date(to).toISOString() });
  const answer = await fetch(`/sensors/${first.sensor}/incidents/?${said}`, { signal, headers: { Accept: "application/json" } });
  // Who may not see them has none; the curve is there all the same.
  return answer.ok ? (await answer.json()).incidents : [];
}

// A height of the chart that somebody chose: to be alerted above it, or below.
function pick(value) {
  const { min, max } = chart.plot.scales.y;
  const at = rounded(value, 10 ** Math.floor(Math.log10((max - min) / 50)));
  const box = by("picked");
  box.hidden = false;
  box.querySelector("span").textContent = say("alertHere", { value: withUnit(write(at)) });
  for (const link of box.querySelectorAll("[data-alert]")) {
    link.href = `${link.pathname}?${new URLSearchParams({ sensor: first.sensor, [link.dataset.alert]: at })}`;
  }
}

// The point under the cursor, in words; without one how to get there.
function readOut(t) {
  const out = by("readout");
  if (t === null) {
    out.classList.add("subtle");
    out.replaceChildren(say(matchMedia("(hover: none)").matches ? "hintTouch" : "hint"));
    return;
  }
  out.classList.remove("subtle");
  const parts = [];
  let until = t + 1; // where a point stands for some time, an incident may begin within it
  for (const { columns: its, shift, faded, isRaw: raw } of [...chart.curves].reverse()) {
    const place = faded ? nearest(its.t, t) : its.t.indexOf(t) >= 0 ? its.t.indexOf(t) : nearest(its.t, t);
    if (place === null) continue;
    const [start, end] = [its.start[place] - shift, its.end[place] - shift];
    if (!faded && !raw) until = Math.max(until, end);
    const when = raw && its.min[place] !== null ? moment(start, true) : between(start, end);
    const said = document.createElement("span");
    said.className = faded ? "then" : "here";
    const value = document.createElement("b");
    if (its.min[place] === null) {
      value.textContent = say("nothing", { long: lasting(end - start) });
      said.append(when, " ", value);
    } else {
      value.textContent = withUnit(write(its.avg[place], !raw));
      said.append(`${faded ? `${say("before")}: ` : ""}${when} ${faded ? "" : nameOfZone(start)} `, value);
      if (!raw) said.append(` · ${say("from_to", { min: write(its.min[place]), max: withUnit(write(its.max[place])) })} · ${sayCount("readings", its.count[place], whole(its.count[place]))}`);
    }
    parts.push(said);
  }
  for (const { from, to, title, peak } of incidents) {
    if (until <= from || t > (to ?? Infinity)) continue;
    const said = document.createElement("span");
    said.className = "incident-here";
    said.textContent = `${say("since", { title, at: moment(from) })}${peak ? ` · ${peak}` : ""}`;
    parts.push(said);
  }
  out.replaceChildren(...parts);
}

function nearest(sorted, t) {
  let best = null;
  sorted.forEach((one, place) => {
    if (best === null || Math.abs(one - t) < Math.abs(sorted[best] - t)) best = place;
  });
  return best;
}

// --- what surrounds it ---------------------------------------------------------------------------

function writeAround() {
  const { statistics: its } = series;
  digits = digitsOf([...series.points.slice(-200).flatMap(({ min, max }) => [min, max]), newest?.value ?? 0]);
  by("resolution").textContent = series.points.length === 0 ? "" : isRaw() ? say("raw") : say("step", { step: lasting(series.step_s * 1000) });
  by("span").textContent = `${between(shown.from, shown.to)} ${nameOfZone(shown.to)}`;
  for (const cell of document.querySelectorAll("[data-stat]")) {
    const name = cell.dataset.stat;
    if (name === "count") cell.textContent = whole(its.count);
    else if (name === "covered") cell.textContent = share(series.covered);
    else cell.textContent = write(its[name], name === "avg");
  }
  for (const at of document.querySelectorAll("[data-at]")) {
    const text = its[`${at.dataset.at}_at`];
    at.textContent = text ? moment(Date.parse(text), shown.to - shown.from <= 2 * 3600e3) : "";
  }
  document.querySelector("[data-pace]").textContent = series.interval_s && its.count > 1 ? say("pace", { interval: lasting(Math.max(1000, series.interval_s * 1000)) }) : "";
  const longest = Math.max(0, ...series.gaps.map((gap) => Date.parse(gap.end) - Date.parse(gap.start)));
  document.querySelector("[data-gaps]").textContent = longest ? say("longestGap", { long: lasting(longest) }) : "";
  for (const link of document.querySelectorAll("#files [data-format]")) {
    const said = new URLSearchParams({ format: link.dataset.format, from: iso(shown.from), to: iso(shown.to) });
    link.href = `${link.pathname}?${said}`;
  }
  by("address").textContent = location.origin + address({ ...shown, preset: "" });
  const said = new URL(address(shown, { before: null }), location.href).searchParams;
  said.set("sensor", first.sensor);
  by("compare").href = `${by("compare").pathname}?${said.toString().replaceAll("%3A", ":")}`;
  writeTable();
  writeMessage();
}

const share = (value) => new Intl.NumberFormat(lang, { style: "percent", maximumFractionDigits: 1 }).format(value === 1 ? 1 : Math.min(value, 0.999));

function writeTable() {
  const details = by("table");
  if (!details.open) return;
  details.querySelector(".scrolls").replaceChildren(pointsTable(columns(series, shown.from, shown.to), isRaw(), write, first.unit));
}

function writeMessage() {
  const last = newest?.t;
  if (series.points.length) return message("");
  if (!last) return message(say("never"));
  message(`${say("empty")} ${say("last", { at: moment(last) })}`, say("jump"), () => {
    const length = shown.to - shown.from;
    go(exactly(last - 0.9 * length, last + 0.1 * length));
  });
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

function writeNow() {
  if (!newest) return;
  by("now").hidden = false;
  by("value").textContent = write(newest.value);
  by("age").dateTime = new Date(newest.t).toISOString();
  by("age").title = `${moment(newest.t, true)} ${nameOfZone(newest.t)}`;
  by("age").textContent = age(newest.t);
}

// --- fetching ------------------------------------------------------------------------------------

const setRanges = wireRanges(go);

// A span that somebody chose: into the address, and what it holds onto the page.
function go(next) {
  if (shown.preset) liveAs = shown.preset;
  push(next, { before: beforeBox.checked ? "1" : null });
  show(next);
}

function show(next) {
  const wasPaused = isPaused();
  shown = next;
  if (shown.preset) liveAs = shown.preset;
  if (!wasPaused || !isPaused()) missed = 0;
  setRanges(shown);
  writeState();
  load();
}

// `quiet`: what is shown is fetched again because something is new; nothing is dimmed, and a choice goes first.
async function load({ quiet = false } = {}) {
  if (quiet && loading) return;
  loading?.abort();
  const mine = ++turn;
  const abort = (loading = new AbortController());
  if (shown.preset) shown = preset(shown.preset);
  const { from, to } = shown;
  const waits = setTimeout(() => !quiet && mine === turn && by("plot").classList.add("old"), 80);
  try {
    const ask = (start, end) => fetchSeries([first.sensor], start, end, pointsWanted(), zone, abort.signal);
    const [[now], before, found] = await Promise.all([
      ask(from, to), beforeBox.checked ? ask(from - (to - from), from) : [null], fetchIncidents(from, to, abort.signal),
    ]);
    if (mine !== turn) return;
    series = now;
    incidents = found;
    earlier = before?.[0] ?? null;
    fetchedAt = Date.now();
    const last = series.points.at(-1);
    if (last && isRaw()) seen({ t: Date.parse(last.start), value: last.last });
    writeAround();
    draw();
    markIncidents();
    writeNow();
  } catch (error) {
    if (mine !== turn || error.name === "AbortError") return;
    if (!(error instanceof Refused)) throw error;
    if (!quiet) message(`${say("failed")} ${error.message}`, say("retry"), () => load());
  } finally {
    clearTimeout(waits);
    if (mine === turn) {
      loading = null;
      by("plot").classList.remove("old");
    }
  }
}

addEventListener("popstate", () => {
  beforeBox.checked = new URLSearchParams(location.search).has("before");
  show(read(null));
});

beforeBox.addEventListener("change", () => {
  push(shown, { before: beforeBox.checked ? "1" : null });
  if (!beforeBox.checked) earlier = null;
  load();
});
by("table").addEventListener("toggle", writeTable);

// --- what is new ---------------------------------------------------------------------------------

let following = "asking";
let staleSince = null;

function seen(one) {
  if (!newest || one.t > newest.t) newest = one;
}

function writeState() {
  const lamp = by("lamp");
  const button = by("golive");
  lamp.className = "lamp";
  button.hidden = true;
  if (isPaused()) {
    lamp.textContent = missed ? say("pausedNew", { n: whole(missed) }) : say("paused");
    lamp.classList.add("paused");
    button.hidden = false;
  } else if (following === "stale") {
    lamp.textContent = say("stale", { at: moment(staleSince, true) });
    lamp.classList.add("stale");
  } else {
    lamp.textContent = say(following);
    lamp.classList.add("on");
  }
}

by("golive").addEventListener("click", () => go(preset(liveAs)));

// How long a curve of buckets may lag: a tenth of a bucket. The newest value is a dot at its end all the while.
const lag = () => Math.max(5000, Math.min(300_000, (series.step_s ?? 0) * 100));

function take(values) {
  let isBehind = false;
  for (const { t, v, n } of values) {
    const at = t / 1000;
    if (isPaused()) {
      missed += n ?? 1;
      seen({ t: at, value: v });
      continue;
    }
    const last = series.points.at(-1);
    const isNext = isRaw() && (n ?? 1) === 1 && (!last || at > Date.parse(last.start));
    if (isNext) {
      const start = new Date(Math.floor(at)).toISOString().replace("Z", `${String(Math.round(t % 1000)).padStart(3, "0")}Z`);
      series = withTail(series, { points: [{ start, count: 1, avg: v, min: v, max: v, first: v, last: v }] }, at, shown.from);
    } else {
      isBehind = true;
    }
    seen({ t: at, value: v });
  }
  writeNow();
  writeState();
  if (!isPaused()) tick();
  if (!isPaused() && isRaw()) writeTable();
  if (isBehind && isRaw()) askTail(null);
}

// What lies behind `from` (ms), or behind what is shown: again, with some overlap, so that nothing is missed.
async function askTail(from) {
  if (loading) return;
  if (isPaused()) return askNewest();
  if (!isRaw()) return from !== null || Date.now() - fetchedAt > lag() ? load({ quiet: true }) : askNewest();
  const last = series.points.at(-1);
  const start = Math.max(shown.from, Math.min(from ?? Infinity, last ? Date.parse(last.start) - OVERLAP : shown.from));
  const mine = turn;
  try {
    const [tail] = await fetchSeries([first.sensor], start, Date.now() + 1000, 2000, zone);
    if (mine !== turn || isPaused()) return;
    if (tail.resolution !== "raw" || series.points.length + tail.points.length > 1500) return void load({ quiet: true });
    series = withTail(series, tail, start, shown.from);
    const end = tail.points.at(-1);
    if (end) seen({ t: Date.parse(end.start), value: end.last });
    reached(true);
    writeNow();
    writeTable();
    tick();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    reached(false);
  }
}

// Only what came last, and how many, for the head of the page.
async function askNewest() {
  const since = newest ? newest.t + 1 : shown.from;
  if (since >= Date.now()) return;
  try {
    const [tail] = await fetchSeries([first.sensor], since, Date.now() + 1000, 1, zone);
    const end = tail.statistics;
    if (end.count) {
      if (isPaused()) missed += end.count;
      seen({ t: Date.parse(end.last_at), value: end.last });
    }
    reached(true);
    writeNow();
    draw();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    reached(false);
  }
}

function reached(isReached) {
  if (isReached && staleSince !== null && following === "stale") {
    following = "asking";
    staleSince = null;
  } else if (!isReached && following !== "stale") {
    following = "stale";
    staleSince = Date.now();
  }
  document.body.classList.toggle("stale-data", following === "stale");
  writeState();
}

// The window moves on with the clock.
function tick() {
  if (document.hidden || loading || isPaused()) return;
  if (shown.preset) shown = preset(shown.preset);
  writeMessage();
  draw();
}

setInterval(() => {
  tick();
  // Statistics, and a curve of buckets, now and then: each fetch brings both.
  if (!document.hidden && !isPaused() && following !== "stale" && Date.now() - fetchedAt > Math.max(lag(), 30_000)) load({ quiet: true });
}, 1000);

document.addEventListener("visibilitychange", () => document.hidden || isPaused() || load({ quiet: true }));

// --- the beginning -------------------------------------------------------------------------------

beforeBox.checked = new URLSearchParams(location.search).has("before");
setRanges(shown);
writeAround();
draw();
markIncidents();
writeNow();
readOut(null);
by("unpick")?.addEventListener("click", () => {
  by("picked").hidden = true;
  by("chart").focus();
});
writeState();
if (beforeBox.checked) load();
// What came with the page may be finer than a phone can show.
else if (series.points.length > 2 * pointsWanted()) load({ quiet: true });

follow([first.sensor], first.now, {
  onStatus: (_, status) => by("state").replaceChildren(by(`state-${status}`).content.cloneNode(true)),
  onValues: take,
  onAsk: askTail,
  onState: (state) => {
    following = state;
    staleSince = state === "stale" ? Date.now() : null;
    document.body.classList.toggle("stale-data", state === "stale");
    writeState();
  },
});
