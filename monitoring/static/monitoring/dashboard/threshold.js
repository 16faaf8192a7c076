// A threshold as a line of a chart that is dragged, or moved by keys: a slider over the plot, whose value is a field's.

// `field`: the input that holds the value. onMove(): while it moves; onDone(): once it stands.
export class Threshold {
  constructor(chart, field, label, { onMove, onDone }) {
    Object.assign(this, { chart, field, onMove, onDone });
    this.handle = document.createElement("div");
    this.handle.className = "threshold";
    this.handle.tabIndex = 0;
    this.handle.setAttribute("role", "slider");
    this.handle.setAttribute("aria-orientation", "vertical");
    this.handle.setAttribute("aria-label", label);
    chart.box.append(this.handle);
    this.handle.addEventListener("pointerdown", (event) => this.grab(event));
    this.handle.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) this.handle.addEventListener(end, () => this.drop());
    this.handle.addEventListener("keydown", (event) => this.key(event));
    // A drag is none of the chart's zooming.
    this.handle.addEventListener("mousedown", (event) => event.stopPropagation());
  }

  get value() {
    const text = this.field.value.trim().replace(",", ".").replace("−", "-");
    const number = text === "" ? NaN : Number(text);
    return Number.isFinite(number) ? number : null;
  }

  // To where its value lies; hidden where there is none.
  place() {
    const { plot, curves } = this.chart;
    const value = this.value;
    this.handle.hidden = value === null || !plot || !curves.length;
    if (this.handle.hidden) return;
    const { scale } = curves[0];
    const { min, max } = plot.scales[scale];
    const over = plot.over.getBoundingClientRect();
    const box = this.chart.box.getBoundingClientRect();
    this.handle.style.top = `${over.top - box.top + plot.valToPos(value, scale)}px`;
    this.handle.style.left = `${over.left - box.left}px`;
    this.handle.style.width = `${over.width}px`;
    this.handle.setAttribute("aria-valuemin", String(rounded(min, this.step)));
    this.handle.setAttribute("aria-valuemax", String(rounded(max, this.step)));
    this.handle.setAttribute("aria-valuenow", String(value));
  }

  // A hundredth of what is shown, as people count: 0.1, 0.2, 0.5, 1 …
  get step() {
    const { plot, curves } = this.chart;
    const { min, max } = plot.scales[curves[0].scale];
    const rough = (max - min) / 100;
    const power = 10 ** Math.floor(Math.log10(rough));
    return power * ([1, 2, 5, 10].find((one) => one * power >= rough * 0.999) ?? 10);
  }

  set(value) {
    this.field.value = String(rounded(value, this.step));
    this.onMove();
    this.place();
  }

  grab(event) {
    event.preventDefault();
    event.stopPropagation();
    this.handle.focus();
    this.handle.setPointerCapture(event.pointerId);
    this.isHeld = true;
  }

  drag(event) {
    if (!this.isHeld) return;
    const { plot, curves } = this.chart;
    const over = plot.over.getBoundingClientRect();
    const top = Math.min(over.height, Math.max(0, event.clientY - over.top));
    this.set(plot.posToVal(top, curves[0].scale));
  }

  drop() {
    if (!this.isHeld) return;
    this.isHeld = false;
    this.onDone();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
    // The keys of the chart below are others.
    event.stopPropagation();
    if (steps === undefined) return;
    event.preventDefault();
    this.set(this.value + steps * this.step);
    clearTimeout(this.waits);
    this.waits = setTimeout(() => this.onDone(), 400);
  }
}

// To a step; no digits behind those of the step.
export function rounded(value, step) {
  const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  return Number((Math.round(value / step) * step).toFixed(Math.min(digits, 12)));
}
