// One picture before and after: where the two lie on the stage, and the divider between them.

import { keyOf } from "./keys.js";

const MARGIN = 20; // CSS pixels around a picture that fits into the stage
const get = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class Viewer {
  constructor() {
    this.stage = get("stage");
    this.before = get("before");
    this.after = get("after");
    this.under = get("under"); // the original again, where the result is shown in part
    this.divider = get("divider");
    this.split = 0.5; // of what is seen of the picture
    this.one = false; // 1:1, else the picture fits
    this.held = false; // the original is shown, as long as something is held down
    this.middle = [0.5, 0.5]; // of the stage, as shares of the picture's sides; for 1:1
    this.pictures = [this.before, this.under, this.after];
    this.listen();
  }

  show(row, result, label) {
    const changed = this.row?.key !== row?.key;
    this.row = row;
    if (changed) this.middle = [0.5, 0.5];
    setSource(this.before, row?.before ?? "");
    setSource(this.after, result?.after ?? "");
    setSource(this.under, row?.strength < 1 ? row.before : "");
    this.before.alt = row ? `${row.name}, before` : "";
    this.after.alt = row ? `${row.name}: ${label}` : "";
    get("tag-after").textContent = label;
    this.lay();
  }

  zoom(one, middle = this.middle) {
    this.one = one;
    this.middle = middle;
    this.stage.classList.toggle("one", one);
    get("one").setAttribute("aria-pressed", String(one));
    get("fit").setAttribute("aria-pressed", String(!one));
    this.lay();
  }

  hold(held) {
    this.held = held;
    get("hold").setAttribute("aria-pressed", String(held));
    this.lay();
  }

  slide(split) {
    this.split = clamp(split, 0, 1);
    this.lay();
  }

  pan(x, y) { // CSS pixels
    const { width, height } = this.box(), { clientWidth: wide, clientHeight: high } = this.stage;
    const moved = (axis, by, side, stage) => { // up to the edges
      const half = Math.min(stage / side / 2, 0.5);
      return clamp(this.middle[axis] - by / side, half, 1 - half);
    };
    this.middle = [moved(0, x, width, wide), moved(1, y, height, high)];
    this.lay();
  }

  // The picture's place on the stage, in CSS pixels.
  box() {
    const { clientWidth: wide, clientHeight: high } = this.stage;
    const picture = this.before.naturalWidth ? this.before : this.after;
    const [w, h] = [picture.naturalWidth || 1, picture.naturalHeight || 1];
    const fit = Math.min((wide - 2 * MARGIN) / w, (high - 2 * MARGIN) / h);
    const scale = this.one ? 1 / devicePixelRatio : Math.max(fit, 1e-3);
    const [width, height] = [w * scale, h * scale];
    return {
      width, height, scale,
      left: this.place(wide, width, this.middle[0]),
      top: this.place(high, height, this.middle[1]),
    };
  }

  place(stage, side, middle) { // on whole pixels of the screen, lest 1:1 is blurred
    const at = side <= stage ? (stage - side) / 2 : clamp(stage / 2 - middle * side, stage - side, 0);
    return Math.round(at * devicePixelRatio) / devicePixelRatio;
  }

  // The part of the picture that is seen, in CSS pixels of the stage.
  seen({ left, top, width, height }) {
    return {
      left: Math.max(0, left), right: Math.min(this.stage.clientWidth, left + width),
      top: Math.max(0, top), bottom: Math.min(this.stage.clientHeight, top + height),
    };
  }

  lay() {
    const box = this.box(), seen = this.seen(box);
    const comparing = isThere(this.before) && isThere(this.after);
    const split = comparing && !this.held ? this.split : 1;
    const x = seen.left + split * (seen.right - seen.left);
    for (const picture of this.pictures) {
      picture.style.width = `${box.width}px`;
      picture.style.height = `${box.height}px`;
      picture.style.transform = `translate(${box.left}px, ${box.top}px)`;
      picture.classList.toggle("there", isThere(picture));
    }
    for (const picture of [this.under, this.after]) {
      picture.style.clipPath = `inset(0 0 0 ${x - box.left}px)`;
    }
    get("result").style.setProperty("--share", isThere(this.under) ? this.row.strength : 1);
    this.before.style.clipPath = `inset(0 ${box.left + box.width - x}px 0 0)`; // for transparency
    this.stage.classList.toggle("comparing", comparing && !this.held);
    this.layDivider(x, seen);
    this.layTags(x, seen, comparing);
  }

  layDivider(x, { top, bottom }) {
    Object.assign(this.divider.style, { left: `${x}px`, top: `${top}px`, height: `${bottom - top}px` });
    const share = Math.round(this.split * 100);
    this.divider.setAttribute("aria-valuenow", String(share));
    this.divider.setAttribute("aria-valuetext", `${share} % before, ${100 - share} % after`);
  }

  layTags(x, seen, comparing) {
    const [before, after] = [get("tag-before"), get("tag-after")];
    const gap = 10, top = seen.top + gap;
    before.style.transform = `translate(${seen.left + gap}px, ${top}px)`;
    after.style.transform = `translate(${seen.right - gap - after.offsetWidth}px, ${top}px)`;
    before.classList.toggle("seen", comparing && x - seen.left > before.offsetWidth + 2 * gap);
    after.classList.toggle("seen", comparing && seen.right - x > after.offsetWidth + 2 * gap);
  }

  listen() {
    for (const picture of this.pictures) picture.addEventListener("load", () => this.lay());
    new ResizeObserver(() => this.lay()).observe(this.stage);
    this.stage.addEventListener("pointerdown", (event) => this.grab(event));
    this.stage.addEventListener("dblclick", (event) => this.zoom(!this.one, this.shareAt(event)));
    this.stage.addEventListener("wheel", (event) => {
      if (!this.one) return;
      event.preventDefault();
      this.pan(-event.deltaX, -event.deltaY);
    }, { passive: false });
    this.divider.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.press(event)) return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  shareAt(event) {
    const { left, top, width, height } = this.box(), stage = this.stage.getBoundingClientRect();
    return [event.clientX - stage.left - left, event.clientY - stage.top - top].map(
      (at, axis) => clamp(at / [width, height][axis], 0, 1));
  }

  // Drag the divider, or in 1:1 the picture, where the divider is not under the pointer.
  grab(event) {
    if (event.button || !isThere(this.before)) return;
    if (event.target.closest("button, #problem")) return;
    const panning = this.one && !this.divider.contains(event.target);
    if (!panning && !isThere(this.after)) return;
    event.preventDefault();
    this.stage.setPointerCapture(event.pointerId);
    this.stage.classList.toggle("panning", panning);
    let last = [event.clientX, event.clientY];
    const move = ({ clientX, clientY }) => {
      if (panning) this.pan(clientX - last[0], clientY - last[1]);
      else this.slideTo(clientX);
      last = [clientX, clientY];
    };
    const end = () => {
      this.stage.classList.remove("panning");
      this.stage.removeEventListener("pointermove", move);
    };
    if (!panning) {
      this.divider.focus({ preventScroll: true });
      this.slideTo(event.clientX);
    }
    this.stage.addEventListener("pointermove", move);
    this.stage.addEventListener("lostpointercapture", end, { once: true });
  }

  slideTo(clientX) {
    const { left, right } = this.seen(this.box());
    this.slide((clientX - this.stage.getBoundingClientRect().left - left) / (right - left));
  }

  press(event) {
    const key = keyOf(event);
    if (event.shiftKey && this.one) return this.pressToPan(key);
    const steps = { ArrowLeft: -0.01, ArrowDown: -0.01, ArrowRight: 0.01, ArrowUp: 0.01,
      PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 };
    if (!(key in steps)) return false;
    this.slide(this.split + steps[key]);
    return true;
  }

  pressToPan(key) {
    const steps = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
    if (!(key in steps)) return false;
    this.pan(...steps[key]);
    return true;
  }
}

function isThere(picture) {
  return picture.hasAttribute("src") && picture.complete && picture.naturalWidth > 0;
}

function setSource(picture, address) {
  if ((picture.getAttribute("src") ?? "") === address) return;
  if (address) picture.setAttribute("src", address);
  else picture.removeAttribute("src");
}
