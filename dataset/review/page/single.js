// One frame, as large as it fits, with what is clipped painted over it.

import { LABELS, SOURCE_WORDS } from "./state.js";
import { percent } from "./grid.js";

const get = (id) => document.getElementById(id);

export class Single {
  constructor(state) {
    this.state = state;
    this.clipped = false;
    this.near = [];
  }

  get open() { return !get("single").hidden; }

  toggle(n) {
    get("single").hidden = this.open;
    this.show(n);
  }

  show(n) {
    if (!this.open || n === undefined) return;
    const { state } = this;
    setSource(get("picture"), `frame/${n}?${state.mark}`);
    get("overlay").hidden = !this.clipped;
    if (this.clipped) setSource(get("overlay"), `overlay/${n}?${state.mark}`);
    const label = LABELS[state.label[n]];
    get("single").className = label || "none";
    get("badge").textContent = label || "–";
    get("name").textContent = `${state.sessions[state.session[n]]}/${state.file[n]}`;
    get("about").textContent = this.describe(n);
  }

  describe(n) {
    const { state } = this;
    const time = new Date(state.time_ms[n]).toLocaleString("sv-SE");
    const measured = state.p99[n] === null ? "not measured" :
      `clipped ${percent(state.fraction[n])}, largest blob ${percent(state.blob[n])}, p99 ${state.p99[n]}`;
    return `set by: ${SOURCE_WORDS[state.source[n]]}  ·  ${measured}  ·  ${time}`;
  }

  prepare(numbers) { // the frames that a key press would bring
    this.near = numbers.filter((n) => n !== undefined).map((n) => {
      const picture = new Image();
      picture.src = `frame/${n}?${this.state.mark}`;
      return picture;
    });
  }
}

function setSource(picture, address) {
  if (picture.getAttribute("src") !== address) picture.setAttribute("src", address);
}
