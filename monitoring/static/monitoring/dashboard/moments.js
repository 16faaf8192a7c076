// Moments as the viewer's zone and language write them, and where the marks of a time axis lie. The zone is the one
// that the viewer chose, whatever the browser's own is. Moments are milliseconds since 1970; "wall" is what a
// clock on the wall shows, written as if it were UTC.
const { lang, dataset } = document.documentElement;
export const zone = dataset.zone;
// English with days before months, as everywhere but in one country.
const tag = lang === "en" ? "en-GB" : lang;

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const written = (options) => new Intl.DateTimeFormat(tag, { timeZone: zone, hourCycle: "h23", ...options });
const clock = written({ hour: "2-digit", minute: "2-digit" });
const clockToSecond = written({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = written({ day: "numeric", month: "short" });
const dayOfYear = written({ day: "numeric", month: "short", year: "numeric" });
const weekday = written({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
const month = written({ month: "short" });
const year = written({ year: "numeric" });
const zoneName = written({ timeZoneName: "short", hour: "2-digit" });
const fields = new Intl.DateTimeFormat("en-US", {
  timeZone: zone, hourCycle: "h23",
  year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric",
});

export function wall(moment) {
  const at = {};
  for (const { type, value } of fields.formatToParts(moment)) at[type] = Number(value);
  return Date.UTC(at.year, at.month - 1, at.day, at.hour, at.minute, at.second) + (moment - Math.floor(moment / 1000) * 1000);
}

const offset = (moment) => wall(moment) - moment;

// Of an hour that comes twice the first; of one that the clocks skip, as much later as they skip.
export function fromWall(shown) {
  const early = shown - offset(shown - DAY);
  if (wall(early) === shown) return early;
  const late = shown - offset(shown + DAY);
  return wall(late) === shown ? late : early;
}

// "25 Oct 2026, 02:35", with seconds where they say something.
export function moment(at, withSeconds = false) {
  return `${dayOfYear.format(at)}, ${(withSeconds ? clockToSecond : clock).format(at)}`;
}

// A bucket, or a span: the day of its end only where it is another.
export function between(start, end) {
  const isDays = wall(start) % DAY === 0 && wall(end) % DAY === 0;
  if (isDays) {
    return end - start < 1.5 * DAY ? weekday.format(start) : `${dayOfYear.format(start)} – ${dayOfYear.format(end - 1)}`;
  }
  const isOneDay = Math.floor(wall(start) / DAY) === Math.floor((wall(end) - 1) / DAY);
  const from = moment(start);
  return isOneDay ? `${from}–${clock.format(end)}` : `${from} – ${moment(end)}`;
}

// CET, UTC+2: what the zone is called at that moment.
export function nameOfZone(at) {
  return zoneName.formatToParts(at).find(({ type }) => type === "timeZoneName").value;
}

// For <input type=datetime-local>, which knows no zone.
export const forField = (at) => new Date(wall(at)).toISOString().slice(0, 16);
export const fromField = (text) => fromWall(Date.parse(`${text}Z`));

// --- the marks of an axis ------------------------------------------------------------------------

const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14].map((n) => n * DAY),
];
const MONTHS = [1, 2, 3, 6, 12, 24, 60, 120];

// {at: [moments], label: [text]}: round times of the viewer's zone, as many as `most`.
export function marks(from, to, most) {
  const step = STEPS.find((one) => (to - from) / one <= most);
  if (!step) return ofMonths(from, to, MONTHS.find((one) => (to - from) / (one * 30 * DAY) <= most) ?? 240);
  const at = step <= HOUR ? byTime(from, to, step) : byWall(from, to, step);
  return { at, label: at.map((one, place) => label(one, at[place - 1], step)) };
}

// Up to an hour, marks follow time itself: an hour that comes twice has two of them.
function byTime(from, to, step) {
  const found = [];
  let at = from;
  while (at <= to) {
    const beyond = wall(at) % step;
    if (beyond) at += step - beyond;
    else {
      found.push(at);
      at += step;
    }
  }
  return found.filter((one) => one <= to);
}

// Beyond it they follow the clock on the wall: midnight and noon, on days of 23 and 25 hours too.
function byWall(from, to, step) {
  const first = wall(from);
  // Weeks begin on a Monday, and 1970 did on a Thursday.
  const since = step % (7 * DAY) === 0 ? 4 * DAY : 0;
  const found = [];
  for (let shown = since + Math.floor((first - since) / step) * step; ; shown += step) {
    const at = fromWall(shown);
    if (at > to) return found;
    if (at >= from) found.push(at);
  }
}

function ofMonths(from, to, step) {
  const first = new Date(wall(from));
  const at = [];
  const labels = [];
  for (let n = Math.floor((first.getUTCFullYear() * 12 + first.getUTCMonth()) / step) * step; ; n += step) {
    const one = fromWall(Date.UTC(Math.floor(n / 12), n % 12, 1));
    if (one > to) return { at, label: labels };
    if (one < from) continue;
    const isYear = step % 12 === 0;
    labels.push(isYear ? year.format(one) : at.length && n % 12 ? month.format(one) : `${month.format(one)}\n${year.format(one)}`);
    at.push(one);
  }
}

function label(at, before, step) {
  if (step >= DAY) {
    const isNewYear = before === undefined || year.format(at) !== year.format(before);
    return isNewYear ? `${day.format(at)}\n${year.format(at)}` : day.format(at);
  }
  const time = (step < MINUTE ? clockToSecond : clock).format(at);
  if (before === undefined || Math.floor(wall(at) / DAY) !== Math.floor(wall(before) / DAY)) return `${time}\n${day.format(at)}`;
  return offset(at) === offset(before) ? time : `${time}\n${nameOfZone(at)}`;
}

// "2 h 5 min": how long something lasted, in its two largest units.
const units = [["day", DAY], ["hour", HOUR], ["minute", MINUTE], ["second", SECOND]].map(([unit, length]) => [
  length, new Intl.NumberFormat(lang, { style: "unit", unit, unitDisplay: unit === "day" ? "long" : "short", maximumFractionDigits: 0 }),
]);

export function lasting(length) {
  let rest = Math.round(length / SECOND) * SECOND;
  const parts = [];
  for (const [unit, format] of units) {
    const count = Math.floor(rest / unit);
    rest -= count * unit;
    if (count) parts.push(format.format(count));
    else if (parts.length) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ") || units.at(-1)[1].format(0);
}
