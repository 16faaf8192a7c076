// New values of sensors since `after` (ms, by the server's clock), while a page is open: by the live stream, and
// while there is none by asking.
import { openLive } from "./live.js";

const EVERY = 5000;

// onValues([{sensor, t, v, n}]): new ones (t in microseconds). onAsk(from): fetch what lies after `from` (ms, or null:
// what is newer than what is shown). onState("live" | "asking" | "stale"); onStatus(status) of the
// sensor that changed. Returns {close()}.
export function follow(ids, after, { onValues, onAsk, onState, onStatus = () => {} }) {
  let timer = null;
  const ask = (isOn) => {
    if (isOn && timer === null) timer = setInterval(() => document.hidden || onAsk(null), EVERY);
    if (!isOn) timer = clearInterval(timer) ?? null;
  };
  const stream = openLive({
    ids, topics: [], after,
    onValues,
    onStatus: ({ changed = {} }) => ids.forEach((id) => id in changed && onStatus(id, changed[id])),
    onPipeline: () => {}, onRejected: () => {},
    onResync: ({ from }) => onAsk(from),
    onState: (state) => {
      ask(state !== "live");
      onState(state === "ended" ? "asking" : state);
    },
  });
  return { close: () => { ask(false); stream.close(); } };
}
