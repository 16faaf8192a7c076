// New values of sensors while a page is open: by the live stream where there is one, else by asking.
const EVERY = 5000;

// onValues([{sensor, t, v, n}]): new ones (t in microseconds). onAsk(from): fetch what lies after `from` (ms, or null:
// what is newer than what is shown). onState("live" | "asking" | "stale"). Returns {close()}.
export async function follow(script, ids, { onValues, onAsk, onState }) {
  let timer = null;
  const ask = (isOn) => {
    if (isOn && timer === null) timer = setInterval(() => document.hidden || onAsk(null), EVERY);
    if (!isOn) timer = clearInterval(timer) ?? null;
  };
  const withoutStream = () => {
    onState("asking");
    ask(true);
    return { close: () => ask(false) };
  };
  if (!script) return withoutStream();
  let openLive;
  try {
    ({ openLive } = await import(script));
  } catch {
    return withoutStream();
  }
  const stream = openLive({
    ids, topics: [],
    onValues,
    onStatus: () => {}, onPipeline: () => {}, onRejected: () => {},
    onResync: ({ from }) => onAsk(from),
    onState: (state) => {
      ask(state !== "live");
      onState(state === "ended" ? "asking" : state);
    },
  });
  return { close: () => { ask(false); stream.close(); } };
}
