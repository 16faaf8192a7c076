export function openLive({ onState }) {
  onState("ended");
  return { close() {}, watch() {} };
}
