// What span of time a page shows, and how its address says so: ?range=24h, or ?from=…&to=…; Back goes back to the
// one before. monitoring/dashboard/span.py reads the same.
const MINUTE = 60_000;
const DAY = 1440 * MINUTE;

export const LENGTHS = {
  "15m": 15 * MINUTE, "1h": 60 * MINUTE, "6h": 360 * MINUTE, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "1y": 365 * DAY,
};
export const USUAL = "24h";
const LONGEST = 50 * LENGTHS["1y"];
const SHORTEST = 1000;

export const preset = (name, now = Date.now()) => ({ preset: name, from: now - LENGTHS[name], to: now });

// Whole seconds; of long spans whole minutes, as a bucket is no shorter than that.
export function exactly(from, to) {
  const grain = to - from > 120 * MINUTE ? MINUTE : 1000;
  const start = Math.round(from / grain) * grain;
  const end = Math.max(Math.round(to / grain) * grain, start + SHORTEST);
  return { preset: "", from: Math.max(start, end - LONGEST, 0), to: end };
}

// As the address says; `first` is what the server made of the page's first address.
export function read(first) {
  const said = new URLSearchParams(location.search);
  const [from, to] = [Date.parse(said.get("from")), Date.parse(said.get("to"))];
  if (from < to) return { preset: "", from, to };
  const name = said.get("range");
  return preset(name in LENGTHS ? name : first?.preset || USUAL);
}

// How many points a chart as wide as `width` asks for. Of months at most one a day: halves of days would show night and
// day as a saw. monitoring/dashboard/span.py has the same.
export function pointsFor({ from, to }, width) {
  const days = (to - from) / DAY;
  const most = Math.max(100, Math.min(1000, Math.floor(width)));
  return days > 120 ? Math.min(most, Math.ceil(days) + 1) : most;
}

// Does its end move on with the clock?
export const isLive = (shown) => shown.preset !== "" || shown.to > Date.now();

export const iso = (at) => new Date(at).toISOString().replace(".000Z", "Z");

export function address(shown, changed = {}) {
  const said = new URLSearchParams(location.search);
  for (const name of ["range", "from", "to"]) said.delete(name);
  if (shown.preset) {
    said.set("range", shown.preset);
  } else {
    said.set("from", iso(shown.from));
    said.set("to", iso(shown.to));
  }
  for (const [name, value] of Object.entries(changed)) value === null ? said.delete(name) : said.set(name, value);
  return `${location.pathname}?${said.toString().replaceAll("%3A", ":")}`;
}

export const push = (shown, changed) => history.pushState(null, "", address(shown, changed));

export function wider(shown) {
  const half = (shown.to - shown.from) / 2;
  const now = Date.now();
  // What lies ahead is empty: widen to the past instead.
  const to = Math.min(shown.to + half, Math.max(now, shown.to));
  return exactly(to - 4 * half, to);
}

export function narrower(shown, at) {
  const quarter = (shown.to - shown.from) / 4;
  return exactly(Math.max(shown.from, at - quarter), Math.min(shown.to, at + quarter));
}

export function moved(shown, share) {
  const by = (shown.to - shown.from) * share;
  return exactly(shown.from + by, shown.to + by);
}
