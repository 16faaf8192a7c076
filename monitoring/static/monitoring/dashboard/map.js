// Every sensor as a cell, by place, on one canvas. A state is a shape and a colour; what changes is drawn where it is.
import { openLive } from "./live.js";
import { whole } from "./figure.js";
import { showLamp } from "./lamp.js";

const STATES = ["silent", "late", "never", "ok", "off"];
const TITLE = 24;
const box = document.querySelector(".cells");
const canvas = box.querySelector("canvas");
const said = box.querySelector(".cell-said");
const pen = canvas.getContext("2d");
const stateNames = box.dataset.names.split("|");
const names = new Map();

let cells = []; // {id, state, x, y}
let after = 0; // when what is shown was read, by the server's clock (ms); 0: nothing was, and all of it is asked for again
let places = []; // {title, y}
let placeOf = new Map(); // id → index in cells
let size = 14;
let columns = 1;
let focused = -1;
let colours = {};

async function load() {
  const answer = await fetch(box.dataset.cells, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok) return showLamp("stale");
  const found = await answer.json();
  after = found.now;
  cells = [];
  places = [];
  for (const place of found.places) {
    places.push({ title: place.title || box.dataset.none, first: cells.length });
    place.ids.forEach((id, at) => cells.push({ id, state: Number(place.states[at]) }));
  }
  placeOf = new Map(cells.map((cell, at) => [cell.id, at]));
  lay();
}

function lay() {
  const width = box.clientWidth;
  size = cells.length > 2000 ? 12 : cells.length > 300 ? 18 : 26;
  columns = Math.max(1, Math.floor(width / size));
  let y = 0;
  places.forEach((place, at) => {
    place.y = y;
    y += places.length > 1 ? TITLE : 0;
    const end = places[at + 1]?.first ?? cells.length;
    for (let i = place.first; i < end; i++) {
      cells[i].x = ((i - place.first) % columns) * size;
      cells[i].y = y + Math.floor((i - place.first) / columns) * size;
    }
    y += Math.ceil((end - place.first) / columns) * size + 8;
  });
  const scale = window.devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = Math.max(y, size) * scale;
  canvas.style.height = `${Math.max(y, size)}px`;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  draw();
}

function draw() {
  // A canvas does not know light-dark(): an element works the colours out.
  const probe = document.createElement("i");
  box.append(probe);
  for (const name of [...STATES, "subtle", "text", "accent"]) {
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.font = `600 13px ${getComputedStyle(document.body).fontFamily}`;
  pen.textBaseline = "middle";
  if (places.length > 1) {
    pen.fillStyle = colours.subtle;
    for (const place of places) pen.fillText(place.title, 0, place.y + TITLE / 2);
  }
  cells.forEach(drawCell);
}

function drawCell(cell, at) {
  const inner = size - 4;
  const [x, y] = [cell.x + 2, cell.y + 2];
  const state = STATES[cell.state];
  pen.clearRect(cell.x, cell.y, size, size);
  pen.fillStyle = pen.strokeStyle = colours[state];
  pen.lineWidth = 1.5;
  pen.beginPath();
  if (state === "silent") pen.rect(x, y, inner, inner);
  else if (state === "late") {
    pen.moveTo(x + inner / 2, y);
    pen.lineTo(x + inner, y + inner);
    pen.lineTo(x, y + inner);
  } else if (state === "off") pen.rect(x + 1, y + inner / 2 - 1, inner - 2, 2);
  else pen.arc(x + inner / 2, y + inner / 2, inner / 2 - (state === "never" ? 1 : 0), 0, 7);
  if (state === "never") pen.stroke();
  else pen.fill();
  if (at === focused) {
    pen.strokeStyle = colours.accent;
    pen.lineWidth = 2;
    pen.strokeRect(cell.x + 0.5, cell.y + 0.5, size - 1, size - 1);
  }
}

function cellAt(x, y) {
  return cells.findIndex((cell) => x >= cell.x && x < cell.x + size && y >= cell.y && y < cell.y + size);
}

async function point(at) {
  const before = focused;
  focused = at;
  if (before >= 0 && cells[before]) drawCell(cells[before], before);
  said.hidden = at < 0;
  if (at < 0) return;
  const cell = cells[at];
  drawCell(cell, at);
  said.style.left = `${Math.max(0, Math.min(cell.x, box.clientWidth - 200))}px`;
  said.style.top = `${cell.y + size + 4}px`;
  said.textContent = `${names.get(cell.id) ?? `#${cell.id}`}: ${stateNames[cell.state]}`;
  if (names.has(cell.id)) return;
  const answer = await fetch(`${box.dataset.sensor}${cell.id}/`);
  if (!answer.ok) return;
  names.set(cell.id, (await answer.json()).name);
  if (focused === at) said.textContent = `${names.get(cell.id)}: ${stateNames[cell.state]}`;
}

const open = (at) => at >= 0 && (location.href = `${box.dataset.page}${cells[at].id}/`);
const under = (event) => cellAt(event.offsetX, event.offsetY);

let asked = 0;
canvas.addEventListener("pointermove", (event) => {
  canvas.style.cursor = under(event) < 0 ? "default" : "pointer";
  clearTimeout(asked);
  asked = setTimeout(() => under(event) !== focused && point(under(event)), 60);
});
canvas.addEventListener("pointerleave", () => {
  clearTimeout(asked);
  point(-1);
});
canvas.addEventListener("click", (event) => open(under(event)));
canvas.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (step) {
    event.preventDefault();
    point(Math.min(cells.length - 1, Math.max(0, focused + step)));
  } else if (event.key === "Enter") open(focused);
  else if (event.key === "Escape") point(-1);
});
new ResizeObserver(lay).observe(box);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

await load();
openLive({
  ids: [],
  topics: ["counts", "changes"],
  after,
  onStatus({ counts = {}, changed = {} }) {
    for (const [state, count] of Object.entries(counts)) {
      for (const figure of document.querySelectorAll(`[data-count="${state}"]`)) figure.textContent = whole(count);
    }
    for (const [id, state] of Object.entries(changed)) {
      const at = placeOf.get(Number(id));
      if (at === undefined) return load(); // one that was added meanwhile
      cells[at].state = STATES.indexOf(state);
      drawCell(cells[at], at);
    }
  },
  onResync: load,
  onState: showLamp,
});
