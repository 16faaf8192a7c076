// The page asks every thirty seconds what fires (htmx); here it says when it gets no answer, and lets nobody lose
// what they write.
import { showLamp } from "./lamp.js";

const firing = document.getElementById("firing");
const EVERY = 30_000;
let answered = performance.now();
let unfolded = [];

firing.addEventListener("htmx:beforeRequest", (event) => {
  const marked = getSelection();
  const isMarking = !marked.isCollapsed && firing.contains(marked.anchorNode);
  if (isMarking || firing.querySelector(".acknowledge[open]")) {
    event.preventDefault();
    answered = performance.now();
  }
});

// What somebody has unfolded stays so.
firing.addEventListener("htmx:beforeSwap", () => {
  unfolded = [...firing.querySelectorAll(".parts[open]")].map((one) => one.closest(".incident").id);
});
firing.addEventListener("htmx:afterSwap", () => {
  for (const id of unfolded) {
    const parts = document.getElementById(id)?.querySelector(".parts");
    if (parts) parts.open = true;
  }
  answered = performance.now();
  showLamp("live");
});
for (const failure of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  firing.addEventListener(failure, () => showLamp("stale"));
}

let shown = performance.now();
document.addEventListener("visibilitychange", () => (shown = performance.now()));
setInterval(() => {
  if (!document.hidden && performance.now() - Math.max(answered, shown) > 2 * EVERY) showLamp("stale");
}, 1000);

showLamp("live");
