// The buttons that choose a span of time: presets, custom fields, earlier and later, zoom out.
import { LENGTHS, exactly, moved, preset, wider } from "./span.js";
import { forField, fromField } from "./moments.js";
import { say } from "./words.js";

const form = document.getElementById("custom");
const choose = document.getElementById("choose");
const error = form.querySelector("[role=alert]");

// onChoose(shown): what is to be shown now. Call the answer with what is shown, whenever that changes.
export function wireRanges(onChoose) {
  let shown;
  const set = (next) => onChoose(next);
  document.getElementById("presets").addEventListener("click", (event) => {
    const link = event.target.closest("[data-range]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    set(preset(link.dataset.range));
  });
  choose.addEventListener("click", () => open(form.hidden));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [from, to] = [fromField(form.elements.from.value), fromField(form.elements.to.value)];
    error.textContent = from < to ? "" : say("badSpan");
    if (!(from < to)) return;
    open(false);
    set(exactly(from, to));
  });
  document.getElementById("earlier").addEventListener("click", () => set(moved(shown, -0.5)));
  document.getElementById("later").addEventListener("click", () => set(moved(shown, 0.5)));
  document.getElementById("wider").addEventListener("click", () => set(wider(shown)));

  function open(isOpen) {
    form.hidden = !isOpen;
    choose.setAttribute("aria-expanded", isOpen);
    if (!isOpen) return;
    form.elements.from.value = forField(shown.from);
    form.elements.to.value = forField(shown.to);
    form.elements.from.focus();
  }

  return (now) => {
    shown = now;
    for (const link of document.querySelectorAll("#presets [data-range]")) {
      if (link.dataset.range === shown.preset) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    choose.toggleAttribute("data-chosen", !(shown.preset in LENGTHS));
    document.getElementById("later").disabled = shown.preset !== "" || shown.to >= Date.now();
  };
}
