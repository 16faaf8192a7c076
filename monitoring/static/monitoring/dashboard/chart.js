// Draws curves over time with uPlot: an average's line on the band from lowest to highest, gaps as gaps, a lone point as
// a dot. Knows nothing of where curves come from. A curve: {columns (series.js), scale, colour, dash, faded, isRaw}.
import { marks } from "./moments.js";

const lang = document.documentElement.lang;
// Of uPlot.join: a null ends a line though other curves have moments beside it.
const EXPAND = 2;

// A custom property may be light-dark(…): only a computed colour is one that a canvas takes.
function colours(names) {
  const probe = document.createElement("i");
  document.body.append(probe);
  const found = {};
  for (const name of names) {
    probe.style.color = `var(--${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

const see = (colour, alpha) => colour.replace(/^rgb\((.+)\)$/, `rgba($1, ${alpha})`);

export class Chart {
  // onZoom(from, to), onWiden(), onNarrow(at), onCursor(t or null); onPick(value): somebody chose a height of the chart;
  // onDrawn(); `box` has a place of fixed height for it.
  constructor(box, { onZoom, onWiden, onNarrow, onCursor, onPick, onDrawn, group = null }) {
    Object.assign(this, { box, onZoom, onWiden, onNarrow, onCursor, onPick, onDrawn, group });
    this.curves = [];
    this.spans = [];
    this.lines = [];
    this.plot = null;
    this.newest = null;
    new ResizeObserver(() => this.fit()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.plot && this.make());
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("blur", () => this.point(null));
    // While somebody drags, nothing moves under the mouse.
    box.addEventListener("mousedown", () => (this.isHeld = true));
    addEventListener("mouseup", () => setTimeout(() => this.release()));
  }

  get size() {
    return { width: Math.max(200, this.box.clientWidth), height: Math.max(120, this.box.clientHeight) };
  }

  // `newest`: [{t, value, scale, colour}], drawn as dots.
  show(from, to, curves, newest = []) {
    if (this.isHeld) {
      this.waiting = [from, to, curves, newest];
      return;
    }
    const isSame = this.plot && this.form(curves) === this.form(this.curves);
    Object.assign(this, { from, to, curves, newest });
    this.data = this.joined();
    if (!isSame) return this.make();
    this.plot.batch(() => {
      this.plot.setData(this.data, false);
      this.plot.setScale("x", { min: from, max: to });
      for (const scale of this.scales()) this.plot.setScale(scale, this.extent(scale));
    });
  }

  // `spans`: [{from, to, colour}], `to` null while one lasts: shaded. `lines`: [{value, scale, colour, dash}]: across
  // the chart, which makes room for them.
  mark(spans, lines = []) {
    this.spans = spans;
    this.lines = lines;
    if (!this.plot) return;
    if (spans.some(({ colour }) => !(colour in this.theme)) || lines.some(({ colour }) => !(colour in this.theme))) return this.make();
    for (const scale of this.scales()) this.plot.setScale(scale, this.extent(scale));
    this.plot.redraw(false);
  }

  release() {
    this.isHeld = false;
    const waiting = this.waiting;
    this.waiting = null;
    if (waiting) this.show(...waiting);
  }

  form = (curves) => curves.map(({ scale, colour, dash, faded }) => [scale, colour, dash, faded].join()).join(";");
  scales = () => [...new Set(this.curves.map(({ scale }) => scale))];

  joined() {
    const tables = this.curves.map(({ columns }) => [columns.t, columns.avg]);
    return tables.length === 1 ? tables[0] : tables.length ? uPlot.join(tables, tables.map(() => [EXPAND, EXPAND])) : [[]];
  }

  // From the lowest to the highest that any curve of the scale has in sight, and some room.
  extent(scale) {
    let [low, high] = [Infinity, -Infinity];
    for (const { columns, scale: its } of this.curves) {
      if (its !== scale) continue;
      columns.min.forEach((value, place) => {
        if (value === null || columns.end[place] < this.from || columns.start[place] > this.to) return;
        low = Math.min(low, value);
        high = Math.max(high, columns.max[place]);
      });
    }
    for (const { t, value, scale: its } of this.newest) {
      if (its === scale && t >= this.from && t <= this.to) [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
    for (const { value, scale: its } of this.lines) if (its === scale) [low, high] = [Math.min(low, value), Math.max(high, value)];
    if (low > high) return { min: 0, max: 1 };
    if (low === high) [low, high] = [low - (Math.abs(low) * 0.05 || 1), high + (Math.abs(high) * 0.05 || 1)];
    const room = (high - low) * 0.08;
    return { min: low - room, max: high + room };
  }

  make() {
    this.plot?.destroy();
    const theme = (this.theme = colours(["text", "subtle", "line", "soft", "paper", ...new Set([...this.curves, ...this.spans, ...this.lines].map(({ colour }) => colour))]));
    const font = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
    const axis = { stroke: theme.subtle, font, grid: { stroke: theme.line, width: 1 }, ticks: { stroke: theme.line, width: 1, size: 4 } };
    const scales = this.scales();
    const label = new Map();
    const options = {
      ...this.size,
      legend: { show: false },
      padding: [10, scales.length > 1 ? 0 : 26, 0, 0],
      cursor: {
        drag: { x: true, y: false, setScale: false, dist: 5 },
        y: false,
        points: { size: 9, width: 2 },
        bind: { dblclick: () => () => { this.onWiden?.(); return null; } },
        ...(this.group && { sync: { key: this.group } }),
      },
      scales: {
        x: { time: false, auto: false, min: this.from, max: this.to },
        ...Object.fromEntries(scales.map((scale) => [scale, { auto: false, ...this.extent(scale) }])),
      },
      axes: [
        {
          ...axis, size: 44, gap: 6, lineGap: 1.25,
          splits: (plot) => {
            const found = marks(plot.scales.x.min, plot.scales.x.max, Math.max(2, plot.bbox.width / uPlot.pxRatio / 58));
            found.at.forEach((at, place) => label.set(at, found.label[place]));
            return found.at;
          },
          values: (_, splits) => splits.map((at) => label.get(at)),
        },
        ...scales.map((scale, place) => ({
          ...axis, scale, side: place ? 1 : 3, grid: place ? { show: false } : axis.grid, space: 44,
          values: (_, splits) => {
            const step = Math.abs(splits[1] - splits[0]) || 1;
            // A step of 2.5 wants one more than a step of 2.
            const isEven = Math.abs(step / 10 ** Math.floor(Math.log10(step) + 1e-9) - 2.5) > 1e-6;
            const digits = Math.min(8, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9), isEven ? 0 : 1 - Math.floor(Math.log10(step))));
            const plain = new Intl.NumberFormat(lang, { minimumFractionDigits: digits, maximumFractionDigits: digits, notation: Math.abs(splits.at(-1)) >= 1e7 ? "scientific" : "standard" });
            return splits.map((value) => plain.format(value));
          },
          // Charts above one another begin at the same place.
          size: (_, values) => 18 + 7 * Math.max(this.group ? 6 : 3, ...(values ?? []).map((text) => text.length)),
        })),
      ],
      series: [
        {},
        ...this.curves.map(({ scale, colour, dash, faded }) => ({
          scale, spanGaps: false, width: faded ? 1.25 : 1.75, dash: dash ?? [],
          stroke: faded ? see(theme[colour], 0.65) : theme[colour],
          points: { show: false },
        })),
      ],
      hooks: {
        drawAxes: [() => this.drawGaps(), () => this.drawSpans(), () => this.drawBands()],
        draw: [() => this.drawLines(), () => this.drawDots(), () => this.drawNewest(), () => this.drawn()],
        setSelect: [(plot) => this.selected(plot)],
        setCursor: [(plot) => this.pointed(plot)],
      },
    };
    this.plot = new uPlot(options, this.data, this.box);
    this.plot.over.addEventListener("mouseleave", () => this.onCursor?.(null));
    // uPlot lets no click through that ended a drag.
    this.plot.over.addEventListener("click", (event) => {
      const top = event.clientY - this.plot.over.getBoundingClientRect().top;
      if (this.curves.length) this.onPick?.(this.plot.posToVal(top, this.curves[0].scale));
    });
  }

  fit() {
    if (!this.plot) return;
    const { width, height } = this.size;
    if (width !== this.plot.width || height !== this.plot.height) this.plot.setSize({ width, height });
  }

  // --- what uPlot does not draw ------------------------------------------------------------------

  clipped(draw) {
    const { ctx, bbox } = this.plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    draw(ctx);
    ctx.restore();
  }

  x = (t) => this.plot.valToPos(t, "x", true);
  y = (value, scale) => this.plot.valToPos(value, scale, true);

  // Of a chart's own curve: where several are drawn, a gap of one is no gap of the others.
  drawGaps() {
    const own = this.curves.filter(({ faded }) => !faded);
    if (own.length !== 1) return;
    const [{ columns }] = own;
    this.clipped((ctx) => {
      ctx.fillStyle = this.theme.soft;
      columns.min.forEach((value, place) => {
        if (value !== null) return;
        const left = this.x(columns.start[place]);
        ctx.fillRect(left, this.plot.bbox.top, this.x(columns.end[place]) - left, this.plot.bbox.height);
      });
    });
  }

  // Shaded, with a bar along the top that greyscale shows too; one too short to see is two pixels wide.
  drawSpans() {
    const ratio = uPlot.pxRatio;
    this.clipped((ctx) => {
      for (const { from, to, colour } of this.spans) {
        const left = this.x(from);
        const width = Math.max(2 * ratio, this.x(Math.min(to ?? Infinity, this.to)) - left);
        const { top, height } = this.plot.bbox;
        ctx.fillStyle = see(this.theme[colour], 0.14);
        ctx.fillRect(left, top, width, height);
        ctx.fillStyle = this.theme[colour];
        ctx.fillRect(left, top, width, 4 * ratio);
      }
    });
  }

  drawLines() {
    this.clipped((ctx) => {
      for (const { value, scale, colour, dash } of this.lines) {
        const y = this.y(value, scale);
        ctx.strokeStyle = this.theme[colour];
        ctx.lineWidth = 1.5 * uPlot.pxRatio;
        ctx.setLineDash((dash ?? []).map((length) => length * uPlot.pxRatio));
        ctx.beginPath();
        ctx.moveTo(this.plot.bbox.left, y);
        ctx.lineTo(this.plot.bbox.left + this.plot.bbox.width, y);
        ctx.stroke();
      }
    });
  }

  drawBands() {
    this.clipped((ctx) => {
      for (const { columns, scale, colour, faded, isRaw } of this.curves) {
        if (isRaw || faded) continue;
        ctx.fillStyle = see(this.theme[colour], this.curves.length > 3 ? 0.1 : 0.2);
        for (const [first, last] of runs(columns.avg, columns.min)) {
          ctx.beginPath();
          if (first === last) {
            const left = this.x(columns.start[first]);
            const width = Math.max(2 * uPlot.pxRatio, this.x(columns.end[first]) - left);
            const top = this.y(columns.max[first], scale);
            ctx.rect(left, top, width, Math.max(uPlot.pxRatio, this.y(columns.min[first], scale) - top));
          } else {
            for (let place = first; place <= last; place++) ctx.lineTo(this.x(columns.t[place]), this.y(columns.max[place], scale));
            for (let place = last; place >= first; place--) ctx.lineTo(this.x(columns.t[place]), this.y(columns.min[place], scale));
          }
          ctx.fill();
        }
      }
    });
  }

  // A reading with a gap on both sides has no line: a dot. Where readings are far apart, each has one.
  drawDots() {
    const ratio = uPlot.pxRatio;
    this.clipped((ctx) => {
      for (const { columns, scale, colour, faded, isRaw } of this.curves) {
        ctx.fillStyle = see(this.theme[colour], faded ? 0.65 : 1);
        const seen = columns.t.filter((t) => t >= this.from && t <= this.to).length;
        const isSparse = isRaw && seen * 12 < this.plot.bbox.width / ratio;
        for (const [first, last] of runs(columns.avg, columns.avg)) {
          if (first !== last && !isSparse) continue;
          for (let place = first; place <= last; place++) this.dot(ctx, this.x(columns.t[place]), this.y(columns.avg[place], scale), 2.5 * ratio);
        }
      }
    });
  }

  // Not clipped: the newest value mostly lies at the edge.
  drawNewest() {
    const { ctx } = this.plot;
    for (const { t, value, scale, colour } of this.newest) {
      if (t < this.from || t > this.to) continue;
      const [x, y] = [this.x(t), this.y(value, scale)];
      ctx.fillStyle = see(this.theme[colour], 0.25);
      this.dot(ctx, x, y, 7 * uPlot.pxRatio);
      ctx.fillStyle = this.theme[colour];
      this.dot(ctx, x, y, 3.5 * uPlot.pxRatio);
    }
  }

  dot(ctx, x, y, radius) {
    ctx.beginPath();
    ctx.arc(x, y, radius, 0, 2 * Math.PI);
    ctx.fill();
  }

  drawn() {
    this.box.dataset.drawn = String(Number(this.box.dataset.drawn ?? 0) + 1);
    if (this.box.dataset.drawn === "1") performance.mark("first chart");
    this.onDrawn?.(this.plot);
  }

  // --- pointing, with a mouse or with keys -------------------------------------------------------

  selected(plot) {
    const { left, width } = plot.select;
    if (width < 5) return;
    const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.onZoom?.(from, to);
  }

  pointed(plot) {
    const { idx, left } = plot.cursor;
    this.at = left >= 0 && idx != null ? idx : null;
    this.onCursor?.(this.at === null ? null : this.data[0][this.at], this);
  }

  point(place) {
    if (!this.plot) return;
    if (place === null) return this.plot.setCursor({ left: -10, top: -10 });
    const t = this.data[0][place];
    const value = this.data.slice(1).map((column) => column[place]).find((one) => one != null);
    const top = value == null ? this.plot.over.clientHeight / 2 : this.plot.valToPos(value, this.curves[0].scale);
    this.plot.setCursor({ left: this.plot.valToPos(t, "x"), top });
  }

  // The value of the point under the cursor.
  pick() {
    const value = this.data.slice(1).map((column) => column[this.at]).findLast((one) => one != null);
    if (value != null) this.onPick(value);
  }

  key(event) {
    if (!this.plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const inSight = this.data[0].flatMap((t, place) => (t >= this.from && t <= this.to ? [place] : []));
    if (!inSight.length) return;
    const here = this.at == null ? -1 : inSight.indexOf(this.at);
    const last = inSight.length - 1;
    const to = { ArrowLeft: here < 0 ? last : here - 1, ArrowRight: here < 0 ? 0 : here + 1, Home: 0, End: last, PageUp: here - 20, PageDown: here + 20 }[event.key];
    if (to !== undefined) this.point(inSight[Math.min(last, Math.max(0, to))]);
    else if (event.key === "Escape") this.point(null);
    else if (event.key === "Enter" && this.at != null && this.onPick) this.pick();
    else if (event.key === "+" && this.at != null) this.onNarrow?.(this.data[0][this.at]);
    else if (event.key === "-") this.onWiden?.();
    else return;
    event.preventDefault();
  }
}

// [first, last] of each stretch with no null in either column.
function* runs(line, edge) {
  let first = null;
  for (let place = 0; place <= line.length; place++) {
    const isThere = place < line.length && line[place] != null && edge[place] != null;
    if (isThere && first === null) first = place;
    if (!isThere && first !== null) {
      yield [first, place - 1];
      first = null;
    }
  }
}
