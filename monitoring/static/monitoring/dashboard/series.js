// What the API says of a span, as columns that a chart draws.

export class Refused extends Error {}

// Of one sensor or several: a list in the order of `ids`. Rejects with Refused, or AbortError.
export async function fetchSeries(ids, from, to, points, zone, signal, more = {}) {
  const said = new URLSearchParams({ from: written(from), to: written(to), points, tz: zone, statistics: "true", ...more });
  for (const id of ids) said.append("sensor", id);
  let answer;
  try {
    answer = await fetch(`/api/monitoring/series/?${said}`, { signal, headers: { Accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(body.detail ?? Object.values(body).flat().join(" ") ?? String(answer.status));
  return body;
}

const written = (at) => (typeof at === "string" ? at : new Date(at).toISOString());

// {t, avg, min, max, count, start, end}: columns; a null in the values where a gap is, before the first point and after
// the last one too. `t` is the middle of a bucket, in ms: so a line does not move sideways as buckets grow.
export function columns(series, from, to) {
  const isRaw = series.resolution === "raw";
  const length = (series.step_s ?? 0) * 1000;
  const found = { t: [], avg: [], min: [], max: [], count: [], start: [], end: [] };
  const gaps = new Map(series.gaps.map((gap) => [Date.parse(gap.end), Date.parse(gap.start)]));
  const starts = series.points.map((point) => Date.parse(point.start));
  const longest = 3000 * (series.interval_s ?? Infinity);
  if (starts.length && starts[0] - from > longest) nothing(found, from, starts[0]);
  series.points.forEach((point, place) => {
    const start = starts[place];
    const end = isRaw ? start : Math.min(start + length, starts[place + 1] ?? Infinity, Math.max(to, start + 1));
    if (gaps.has(start) && place) nothing(found, gaps.get(start), start);
    add(found, { ...point, start, end, t: (start + end) / 2 });
  });
  const end = Math.min(to, Date.now());
  if (starts.length && end - found.end.at(-1) > longest) nothing(found, found.end.at(-1), end);
  return found;
}

function add(found, { t, avg, min, max, count, start, end }) {
  found.t.push(t);
  found.avg.push(avg);
  found.min.push(min);
  found.max.push(max);
  found.count.push(count);
  found.start.push(start);
  found.end.push(end);
}

function nothing(found, start, end) {
  add(found, { t: (start + end) / 2, avg: null, min: null, max: null, count: 0, start, end });
}

// A series whose points from `from` (ms) on are those of `tail`, which is as raw as it is.
export function withTail(series, tail, from, oldest) {
  const isBefore = (point) => Date.parse(point.start) < from;
  const points = series.points.filter((point) => isBefore(point) && Date.parse(point.start) >= oldest);
  points.push(...tail.points.filter((point) => !isBefore(point)));
  const interval = series.interval_s ?? tail.interval_s;
  return { ...series, interval_s: interval, points, gaps: gapsOf(points, interval) };
}

// Where raw readings are further apart than three intervals, as monitoring/rollups/gaps.py has it.
function gapsOf(points, interval) {
  if (!interval) return [];
  const gaps = [];
  for (let place = 1; place < points.length; place++) {
    const [start, end] = [points[place - 1].start, points[place].start];
    if (Date.parse(end) - Date.parse(start) > 3000 * interval) gaps.push({ start, end });
  }
  return gaps;
}

// Digits behind the point that values have, three at most: 2 for 2.57 and 20.
export function digitsOf(values) {
  let most = 0;
  for (const value of values) {
    while (most < 3 && Math.abs(value * 10 ** most - Math.round(value * 10 ** most)) > 1e-6 * 10 ** most) most++;
  }
  return most;
}
