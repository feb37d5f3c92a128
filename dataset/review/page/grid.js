// The grid: only cells that can be seen are in the document, and they are used again.

import { LABELS, SOURCE_WORDS } from "./state.js";

const CELL_W = 172, CELL_H = 158, PAD = 8, SPARE_ROWS = 1;

export class Grid {
  constructor(box, sheet, state, onOpen) {
    this.box = box;
    this.sheet = sheet;
    this.state = state;
    this.list = []; // numbers of frames, in the order shown
    this.cursor = 0; // a place in the list
    this.anchor = 0; // the other end of what is selected
    this.clipped = false;
    this.cells = new Map(); // place in the list -> element
    this.free = [];
    this.asked = false;
    box.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.soon()).observe(box);
    sheet.addEventListener("click", (event) => this.click(event));
    sheet.addEventListener("dblclick", onOpen);
  }

  show(list, keep) {
    this.list = list;
    this.cursor = this.anchor = Math.max(0, keep === undefined ? 0 : list.indexOf(keep));
    for (const cell of this.cells.values()) this.release(cell);
    this.cells.clear();
    this.reveal();
    this.soon();
  }

  get columns() { return Math.max(1, Math.floor((this.box.clientWidth - 2 * PAD) / CELL_W)); }
  get margin() { return Math.max(PAD, (this.box.clientWidth - this.columns * CELL_W + PAD) / 2); }
  get rowsVisible() { return Math.max(1, Math.floor(this.box.clientHeight / CELL_H)); }
  get current() { return this.list[this.cursor]; }
  get range() { return [Math.min(this.cursor, this.anchor), Math.max(this.cursor, this.anchor)]; }
  get selected() { const [low, high] = this.range; return this.list.slice(low, high + 1); }

  move(step, extend) {
    this.moveTo(this.cursor + step, extend);
  }

  moveTo(place, extend) {
    this.cursor = Math.max(0, Math.min(this.list.length - 1, place));
    if (!extend) this.anchor = this.cursor;
    this.reveal();
    this.soon();
  }

  reveal() {
    const top = Math.floor(this.cursor / this.columns) * CELL_H;
    const bottom = top + CELL_H + 2 * PAD - this.box.clientHeight;
    this.resize();
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (bottom > this.box.scrollTop) this.box.scrollTop = bottom;
  }

  resize() {
    this.sheet.style.height = `${Math.ceil(this.list.length / this.columns) * CELL_H + 2 * PAD}px`;
  }

  soon() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.render(); });
  }

  render() {
    this.resize();
    const { columns, margin } = this;
    const row = Math.floor(this.box.scrollTop / CELL_H) - SPARE_ROWS;
    const rows = Math.ceil(this.box.clientHeight / CELL_H) + 1 + 2 * SPARE_ROWS;
    const first = Math.max(0, row * columns);
    const end = Math.min(this.list.length, (row + rows) * columns);
    for (const [place, cell] of this.cells) {
      if (place < first || place >= end) { this.release(cell); this.cells.delete(place); }
    }
    for (let place = first; place < end; place++) {
      if (!this.cells.has(place)) this.cells.set(place, this.take());
      this.fill(this.cells.get(place), place, columns, margin);
    }
  }

  release(cell) {
    cell.root.hidden = true;
    cell.picture.removeAttribute("src"); // a picture that is not wanted any more is not waited for
    cell.address = "";
    this.free.push(cell);
  }

  take() {
    const used = this.free.pop();
    if (used) { used.root.hidden = false; return used; }
    const root = document.createElement("div");
    const picture = document.createElement("img");
    const line = document.createElement("div");
    const badge = document.createElement("span");
    const how = document.createElement("span");
    const number = document.createElement("span");
    line.className = "line";
    badge.className = "badge";
    how.className = "how";
    number.className = "number";
    picture.decoding = "async";
    line.append(badge, how, number);
    root.append(picture, line);
    this.sheet.append(root);
    return { root, picture, badge, how, number, address: "", state: "" };
  }

  fill(cell, place, columns, margin) {
    const { state } = this;
    const n = this.list[place];
    const [low, high] = this.range;
    const label = LABELS[state.label[n]];
    const marks = `${place === this.cursor ? " cursor" : ""}${
      place >= low && place <= high && low < high ? " selected" : ""}`;
    const now = `${place} ${columns} ${margin} ${n} ${label} ${state.source[n]}${marks} ${this.clipped}`;
    if (cell.state === now && cell.address) return;
    cell.state = now;
    cell.root.className = `cell ${label || "none"}${marks}`;
    cell.root.dataset.place = place;
    cell.root.style.transform =
      `translate(${margin + (place % columns) * CELL_W}px, ${PAD + Math.floor(place / columns) * CELL_H}px)`;
    cell.root.title = `${state.sessions[state.session[n]]}/${state.file[n]}`;
    cell.badge.textContent = label || "–";
    cell.how.textContent = SOURCE_WORDS[state.source[n]];
    cell.number.textContent = percent(state.fraction[n]);
    const address = `thumbnail/${n}?${state.mark}${this.clipped ? "&clipped" : ""}`;
    if (cell.address !== address) cell.picture.src = cell.address = address;
  }

  click(event) {
    const cell = event.target.closest(".cell");
    if (cell) this.moveTo(Number(cell.dataset.place), event.shiftKey);
  }
}

export function percent(share) {
  if (share === null) return "";
  return share > 0 && share < 0.0005 ? "<0.1 %" : `${(share * 100).toFixed(1)} %`;
}
