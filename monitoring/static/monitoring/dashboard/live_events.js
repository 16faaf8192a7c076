// text/event-stream, read from a fetch: the browser's own EventSource gives up for good at a 503, and does not say
// what status or which comments came.

// Yields {id, name, data}: id is null where none was given; data is null for an id alone. `heard` is called for
// whatever comes, comments too.
export async function* eventsOf(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      for (const part of parts) yield eventOf(part);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function eventOf(part) {
  const event = { id: null, name: "message", data: null };
  for (const line of part.split("\n")) {
    const [, field, value] = /^([a-z]*): ?(.*)$/.exec(line) ?? [];
    if (field === "id") event.id = value;
    else if (field === "event") event.name = value;
    else if (field === "data") event.data = event.data === null ? value : `${event.data}\n${value}`;
  }
  return event;
}
