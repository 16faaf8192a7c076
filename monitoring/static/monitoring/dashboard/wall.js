// A screen on a wall: a clock, no sleep, and all of the screen where somebody wants it.
import { moment } from "./moments.js";

const root = document.documentElement;
const clock = document.getElementById("clock");
const show = () => (clock.textContent = moment(Date.now(), true));

setInterval(show, 1000);
show();

const full = document.getElementById("full");
full.hidden = !document.fullscreenEnabled;
full.addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen()));

// The browser gives it back whenever the page is hidden.
async function stayAwake() {
  if (document.hidden || !navigator.wakeLock) return;
  try {
    await navigator.wakeLock.request("screen");
  } catch {
    // Refused where the battery is low: then the screen may sleep.
  }
}
document.addEventListener("visibilitychange", stayAwake);
stayAwake();
