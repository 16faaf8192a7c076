// The page asks for itself every five seconds (htmx); here it says when it gets no answer.
import { showLamp } from "./lamp.js";

const pipeline = document.getElementById("pipeline");
const EVERY = 5000;
let answered = performance.now();

// Whoever marks something would lose it.
pipeline.addEventListener("htmx:beforeRequest", (event) => {
  const marked = getSelection();
  if (!marked.isCollapsed && pipeline.contains(marked.anchorNode)) event.preventDefault();
});

// Where somebody has scrolled to in the table, there they stay.
let place = [0, 0];
pipeline.addEventListener("htmx:beforeSwap", () => {
  const steps = document.getElementById("steps");
  place = steps ? [steps.scrollLeft, steps.scrollTop] : [0, 0];
});
pipeline.addEventListener("htmx:afterSwap", () => {
  document.getElementById("steps")?.scrollTo(...place);
  answered = performance.now();
  showLamp("live");
});
for (const failure of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  pipeline.addEventListener(failure, () => showLamp("stale"));
}

// An answer may also just not come. While the page is hidden nothing is asked.
let shown = performance.now();
document.addEventListener("visibilitychange", () => (shown = performance.now()));
setInterval(() => {
  const since = Math.max(answered, shown);
  if (!document.hidden && performance.now() - since > 2 * EVERY) showLamp("stale");
}, 1000);

showLamp("live");
