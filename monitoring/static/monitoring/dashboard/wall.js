// A screen on a wall: a clock, no sleep, and all of the screen where somebody wants it.
const root = document.documentElement;
const clock = document.getElementById("clock");
const words = new Intl.DateTimeFormat(root.lang, { timeZone: root.dataset.zone, dateStyle: "medium", timeStyle: "medium" });

setInterval(() => (clock.textContent = words.format(new Date())), 1000);
clock.textContent = words.format(new Date());

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
