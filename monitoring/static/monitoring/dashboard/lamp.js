// The header's lamp: whether what is shown is what is.
const lamp = document.getElementById("live");

export function showLamp(state) {
  lamp.hidden = state === "ended";
  lamp.classList.toggle("stale", state !== "live");
  lamp.textContent = state === "live" ? lamp.dataset.live : lamp.dataset.stale;
  document.getElementById("main").classList.toggle("stale-data", state === "stale");
}
