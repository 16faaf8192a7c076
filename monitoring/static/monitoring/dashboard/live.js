// The stream of /live/: values as they are stored. It reopens by itself, and says when the page is behind.
//
//   const live = openLive({ ids: [1, 2], topics: ["counts"], after: 1796000000000, onValues, onState });
//   live.watch([1, 2, 3]);
//   live.close();
//
// after               when the page was made, by the server's clock (ms): what has come since is sent too
// onValues(list)      [{ sensor, t, v, n }]: t in microseconds since 1970; n rows were stored, this is the newest
// onStatus({ counts, changed })    each only where it is new; `changed` is {sensor: status}
// onPipeline(object), onRejected({ new, codes }), onStored({ rows, sensors, some })
// onResync({ from })  something was missed: fetch what lies after `from` (ms)
// onState(state, detail)    "live"; "stale": what the page shows may be old; "ended": it may not watch any more
//
// A page that nobody sees lets go of its stream, and takes it up again when somebody looks. Where the browser has no
// stream left for it, the server is full, or something on the way holds streams back, it asks every few seconds
// (?once=1).

import { eventsOf } from "./live_events.js";
import { Slot } from "./live_slots.js";

const SILENT_MS = 8000; // the server says something every 4 s
const GRACE_MS = 3000; // to reopen, before the page is called stale
const STEADY_MS = 10000; // a stream that has held for so long has not failed
const HIDDEN_MS = 20000;
const POLL_MS = 2000;
const POLL_FOR_MS = 60000;
const MOST_WAIT_MS = 8000;
const REMEMBERED = 150; // moments of a sensor: more than a replay of a minute has

export function openLive({ ids = [], topics = [], after = null, url = "/live/", ...tell }) {
  const slot = new Slot();
  const seen = new Map(); // sensor: Set of moments
  let lastId = after;
  let state = "";
  let reading = new AbortController(); // of what is under way
  let wake = () => {}; // ends a pause
  let heardAt = performance.now();
  let openSince = null;
  let lostAt = heardAt;
  let hiddenSince = null;
  let failures = 0;
  let unheard = 0; // streams that opened, and of which nothing came
  let pollUntil = 0;
  let isGone = false; // into the browser's cache of pages
  let isAtOnce = false;
  let isReading = false;
  let isClosed = false;

  function say(now, detail = "") {
    if (`${now} ${detail}` === state) return;
    state = `${now} ${detail}`;
    call("onState", now, detail);
  }

  // A page's mistake must not end its stream.
  function call(name, ...what) {
    try {
      tell[name]?.(...what);
    } catch (error) {
      reportError(error);
    }
  }

  const handlers = {
    hello({ now, stale }) {
      lastId ??= now;
      openSince = performance.now();
      unheard = 0;
      stale ? say("stale", stale) : say("live");
    },
    m({ s, t, v, n }) {
      const fresh = s.map((sensor, i) => ({ sensor, t: t[i], v: v[i], n: n[i] })).filter(isNew);
      if (fresh.length) call("onValues", fresh);
    },
    status: (data) => call("onStatus", { counts: {}, changed: {}, ...data }),
    pipeline: (data) => call("onPipeline", data),
    rejected: (data) => call("onRejected", data),
    stored: (data) => call("onStored", data),
    stale: ({ why }) => say("stale", why),
    resync(data) {
      say("live");
      call("onResync", data);
    },
    bye({ why }) {
      if (why === "not_allowed") end(why);
    },
  };

  // What was sent before the stream was lost comes again.
  function isNew({ sensor, t }) {
    if (!seen.has(sensor)) seen.set(sensor, new Set());
    const moments = seen.get(sensor);
    if (moments.has(t)) return false;
    moments.add(t);
    if (moments.size > REMEMBERED) moments.delete(moments.values().next().value);
    return true;
  }

  // Until the stream ends; returns how long to wait before the next, or null: as after a failure.
  async function read(isPoll) {
    const query = new URLSearchParams({ ids: ids.join(), topics: topics.join() });
    if (lastId !== null) query.set("after", lastId);
    if (isPoll) query.set("once", "1");
    const { signal } = reading;
    const answer = await fetch(`${url}?${query}`, { signal, cache: "no-store" });
    if (!answer.ok) return refused(answer, isPoll);
    for await (const { id, name, data } of eventsOf(answer.body, heard)) {
      if (signal.aborted) return null;
      if (data !== null) handlers[name]?.(JSON.parse(data));
      if (id !== null) lastId = Number(id);
    }
    return isPoll ? POLL_MS : null;
  }

  function heard() {
    heardAt = performance.now();
  }

  async function refused(answer, isPoll) {
    const wait = 1000 * Number(answer.headers.get("Retry-After")) || 0;
    if ([400, 401, 403, 404].includes(answer.status)) {
      const { detail = "" } = await answer.json().catch(() => ({}));
      end(answer.status === 401 ? "signed_out" : detail);
    } else if (!isPoll && [429, 503].includes(answer.status)) {
      pollUntil = performance.now() + Math.max(wait, POLL_MS);
      return 0;
    }
    return wait ? Math.min(wait, MOST_WAIT_MS) : null;
  }

  // Not the same for all who lost it together.
  function backoff() {
    return Math.min(MOST_WAIT_MS, 800 * 2 ** failures) * (0.25 + 0.75 * Math.random());
  }

  async function run() {
    while (!isClosed) {
      if (isAway()) {
        slot.release();
        await new Promise((resolve) => (wake = resolve));
        continue;
      }
      reading = new AbortController();
      heard();
      const isPoll = performance.now() < pollUntil || !(await slot.take());
      isReading = true;
      const wait = await read(isPoll).catch(() => null);
      isReading = false;
      if (openSince !== null) {
        failures = performance.now() - openSince > STEADY_MS ? 0 : failures;
        lostAt = performance.now() + (isPoll ? POLL_MS : 0);
        openSince = null;
      }
      if (isPoll) slot.release();
      const pause = isAtOnce ? 0 : wait ?? backoff();
      failures = wait === POLL_MS ? 0 : Math.min(failures + 1, 5);
      isAtOnce = false;
      if (pause && !isClosed) await new Promise((resolve) => ((wake = resolve), setTimeout(resolve, pause)));
    }
  }

  const isAway = () => isGone || (hiddenSince !== null && performance.now() - hiddenSince >= HIDDEN_MS);

  // What is under way is given up, and the next begins.
  function again() {
    isAtOnce = true;
    reading.abort();
    wake();
  }

  function look() {
    const now = performance.now();
    slot.renew();
    if (isAway()) {
      reading.abort();
      return;
    }
    if (isReading && now - heardAt > SILENT_MS) {
      if (openSince !== null) {
        openSince = null;
        lostAt = heardAt;
      } else if (++unheard >= 2) {
        unheard = 0;
        pollUntil = now + POLL_FOR_MS;
      }
      heard();
      again();
    }
    if (openSince === null && now - lostAt > GRACE_MS) say("stale", "lost");
  }

  function seenOrNot() {
    if (document.hidden) {
      hiddenSince ??= performance.now();
      return;
    }
    const wasAway = isAway();
    hiddenSince = null;
    if (wasAway) lookAgain();
  }

  function lookAgain() {
    isGone = false;
    failures = 0;
    lostAt = performance.now();
    again();
  }

  function goAway() {
    isGone = true;
    reading.abort();
    slot.release();
  }

  function end(why) {
    close();
    say("ended", why);
  }

  const listeners = [
    [document, "visibilitychange", seenOrNot],
    [window, "online", again],
    [window, "offline", again],
    [window, "pagehide", goAway],
    [window, "pageshow", ({ persisted }) => persisted && lookAgain()],
  ];

  function close() {
    isClosed = true;
    clearInterval(looking);
    for (const [target, name, listener] of listeners) target.removeEventListener(name, listener);
    goAway();
    wake();
  }

  const looking = setInterval(look, 1000);
  for (const [target, name, listener] of listeners) target.addEventListener(name, listener);
  seenOrNot();
  run();
  return {
    close,
    watch(others) {
      if (others.join() === ids.join()) return;
      ids = [...others];
      failures = 0;
      again();
    },
  };
}
