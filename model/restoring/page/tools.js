// What is below the picture: what of it is shown, by which way, how much of it, and downloading.

import { keyOf } from "./keys.js";
import { isDone, isOpen } from "./pictures.js";
import { distinctPaths, zip } from "./zip.js";

const KEPT_MS = 60_000; // how long a ZIP file is kept for a download that has begun
const get = (id) => document.getElementById(id);
const labels = new Map(); // way -> its name on the page

export class Tools {
  constructor(pictures, viewer, onMessage) {
    this.pictures = pictures;
    this.viewer = viewer;
    this.onMessage = onMessage; // (text)
    this.row = null; // the chosen picture
    this.packing = ""; // what is said while a ZIP file is made
    for (const button of this.ways) labels.set(button.dataset.way, button.textContent);
    this.listen();
  }

  get ways() {
    return get("ways").querySelectorAll("button");
  }

  // Offers the ways that the server has.
  open() {
    for (const button of this.ways) {
      if (!this.pictures.ways.includes(button.dataset.way)) button.remove();
    }
  }

  render(row) {
    this.row = row;
    const done = Boolean(row) && this.pictures.stateOf(row) === "done";
    for (const element of document.querySelectorAll(".tools")) element.classList.toggle("idle", !done);
    if (done) this.renderRow(row);
    this.renderZip();
  }

  renderRow(row) {
    for (const button of this.ways) {
      button.setAttribute("aria-pressed", String(button.dataset.way === row.way));
    }
    const percent = Math.round(row.strength * 100), slider = get("strength");
    if (Number(slider.value) !== percent) slider.value = percent;
    slider.setAttribute("aria-valuetext", percent === 100 ? "100 %, what the picture needs" : `${percent} %`);
    setText(get("percent"), `${percent} %`);
    const busy = isOpen(this.pictures.full(row)) || isOpen(this.pictures.asSet(row));
    get("download").setAttribute("aria-disabled", String(busy));
  }

  renderZip() {
    const { length } = this.rowsDone();
    get("zip").hidden = length < 2 && !this.packing;
    get("zip").setAttribute("aria-disabled", String(Boolean(this.packing)));
    setText(get("zip"), this.packing || `Download all ${length}`);
  }

  rowsDone() {
    return this.pictures.rows.filter((row) => this.pictures.stateOf(row) === "done");
  }

  async download(row) {
    const result = await this.pictures.make(row);
    if (!isDone(result)) return;
    save(result.url, result.name);
    row.saved = true;
  }

  async downloadAll() {
    try {
      await this.pack(this.rowsDone());
    } catch (error) {
      this.onMessage(error.message);
    } finally {
      this.packing = "";
      this.renderZip();
    }
  }

  async pack(rows) {
    const packed = [], failed = [];
    for (const [at, row] of rows.entries()) {
      this.packing = `Packing ${at + 1} of ${rows.length}…`;
      this.renderZip();
      if (!this.pictures.rows.includes(row)) continue; // removed meanwhile
      const { state, name, file } = await this.pictures.make(row);
      if (state === "done") packed.push({ row, name: row.folder + name, blob: file });
      else if (state === "failed") failed.push(row.name);
    }
    const paths = distinctPaths(packed.map(({ name }) => name));
    const address = URL.createObjectURL(
      await zip(packed.map(({ blob }, at) => ({ path: paths[at], blob }))));
    save(address, "restored.zip");
    setTimeout(() => URL.revokeObjectURL(address), KEPT_MS);
    for (const { row } of packed) row.saved = true;
    if (failed.length) this.onMessage(`Not in the ZIP file, because they could not be made: ${failed.join(", ")}`);
  }

  listen() {
    get("fit").addEventListener("click", () => this.viewer.zoom(false));
    get("one").addEventListener("click", () => this.viewer.zoom(true));
    for (const button of this.ways) {
      button.addEventListener("click", () => this.pictures.setWay(this.row, button.dataset.way));
    }
    get("strength").addEventListener("input", ({ target }) => (
      this.pictures.setStrength(this.row, target.value / 100)));
    onPress(get("download"), () => this.download(this.row));
    onPress(get("zip"), () => this.downloadAll());
    this.listenToHold(get("hold"));
  }

  listenToHold(hold) {
    hold.addEventListener("pointerdown", (event) => {
      hold.setPointerCapture(event.pointerId);
      this.viewer.hold(true);
    });
    hold.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch
    for (const end of ["lostpointercapture", "blur"]) {
      hold.addEventListener(end, () => this.viewer.hold(false));
    }
    hold.addEventListener("keydown", (event) => {
      if (![" ", "Enter"].includes(keyOf(event))) return;
      event.preventDefault();
      this.viewer.hold(true);
    });
    hold.addEventListener("keyup", () => this.viewer.hold(false));
  }
}

// What the right half shows: "After", or "CIELAB · 50 %".
export function labelOf(row, result) {
  const way = !result || result.first ? "After" : labels.get(result.way);
  return row?.strength < 1 ? `${way} · ${Math.round(row.strength * 100)} %` : way;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text; // live regions speak at changes
}

function onPress(button, act) { // a disabled button would lose the focus
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") !== "true") act();
  });
}

function save(address, name) {
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
}
