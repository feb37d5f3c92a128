// Keys, filters and thresholds: what the user does, and which part of the page does it.

import { keyOf } from "./keys.js";
import { LABELS, SOURCE_WORDS, State, ask } from "./state.js";
import { Grid } from "./grid.js";
import { Single } from "./single.js";
import { COLOURS, drawBlobs, drawFractions, shareAt, stepOf } from "./charts.js";

const get = (id) => document.getElementById(id);
const SLIDERS = ["x-fraction", "y-fraction", "y-blob"];
const LABEL_KEYS = { x: 1, y: 2, u: 3, d: 4 };
const FILTERS = ["by-session", "by-label", "by-source", "order"];
const format = new Intl.NumberFormat("en");

history.replaceState(null, "", "/"); // the token stays out of the history and of screenshots

let state, grid, single;
let down = false; // the order's direction
let chartsAsked = false;

function thresholds() {
  return SLIDERS.map((id, at) => {
    const slider = get(id);
    const kept = state.thresholds[at]; // a slider that was not moved stands for the exact value
    return Number(slider.value) === stepOf(kept) ? kept : shareAt(Number(slider.value));
  });
}

function setSliders() {
  SLIDERS.forEach((id, at) => { get(id).value = stepOf(state.thresholds[at]); });
  drawSoon();
}

function drawSoon() {
  if (chartsAsked) return;
  chartsAsked = true;
  requestAnimationFrame(() => { chartsAsked = false; drawCharts(); });
}

function drawCharts() {
  const values = thresholds();
  SLIDERS.forEach((id, at) => {
    get(id).parentElement.querySelector("output").value = `${Number((values[at] * 100).toPrecision(3))} %`;
  });
  drawFractions(get("fractions"), state, values);
  drawBlobs(get("blobs"), state, values);
  showCounts(values);
  get("apply").disabled = values[0] >= values[1];
}

function wantedOf(label) {
  const [trainX, trainY, testX, testY] = state.wanted;
  return label === 1 ? trainX + testX : label === 2 ? trainY + testY : null;
}

function showCounts(values) {
  const now = state.counts(null);
  const then = state.counts(values);
  get("counts").replaceChildren(...LABELS.flatMap((name, label) =>
    label === 0 && !now[0] ? [] : [chip(name || "none", now[label], wantedOf(label), label)]));
  get("table").replaceChildren(...[1, 2, 3, 4].map((label) => {
    const row = document.createElement("tr");
    const wanted = wantedOf(label);
    const cells = [LABELS[label], format.format(now[label]), format.format(then[label]),
      wanted === null ? "" : format.format(wanted)];
    row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    row.className = LABELS[label];
    row.children[2].classList.toggle("short", wanted !== null && then[label] < wanted);
    return row;
  }));
}

function chip(name, count, wanted, label) {
  const element = document.createElement("span");
  element.className = "chip";
  element.style.borderColor = COLOURS[label];
  element.textContent = `${name} ${format.format(count)}` + (wanted ? ` of ${format.format(wanted)}` : "");
  return element;
}

function refilter(keep) {
  const [session, label, source, order] = FILTERS.map((id) => get(id).value);
  grid.show(state.select({ session, label, source, order, down }), keep);
  follow();
}

function follow() {
  const place = format.format(grid.list.length ? grid.cursor + 1 : 0);
  const filtered = grid.list.length < state.count ? ` (${format.format(state.count)} in all)` : "";
  get("shown").textContent = `frame ${place} of ${format.format(grid.list.length)}${filtered}`;
  single.show(grid.current);
  if (single.open) single.prepare([grid.list[grid.cursor + 1], grid.list[grid.cursor - 1]]);
}

function label(code) {
  const numbers = grid.selected;
  if (!numbers.length) return;
  const end = grid.range[1];
  state.setLabel(numbers, code);
  grid.moveTo(end + 1, false);
  follow();
}

function goBack(numbers) {
  const place = numbers ? grid.list.indexOf(numbers[0]) : -1;
  if (place >= 0) grid.moveTo(place, false);
  follow();
}

function toggleClipped() {
  grid.clipped = single.clipped = !single.clipped;
  grid.soon();
  single.show(grid.current);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = keyOf(event);
  if (get("help").open) {
    if (key === "?") get("help").close();
    return; // Esc closes it by itself
  }
  if (key === "Escape") {
    if (single.open && document.activeElement === get("grid")) single.toggle(grid.current);
    get("grid").focus();
  } else if (/^(SELECT|INPUT)$/.test(document.activeElement.tagName)) {
    return; // theirs: arrows choose and slide there
  } else if (key === "Enter" && document.activeElement.tagName === "BUTTON") {
    return;
  } else if (!act(key, event.shiftKey)) {
    return;
  }
  event.preventDefault();
}

function act(key, shift) {
  const line = single.open ? 1 : grid.columns;
  const page = grid.rowsVisible * grid.columns;
  const steps = { ArrowLeft: -1, h: -1, ArrowRight: 1, l: 1, ArrowUp: -line, k: -line,
    ArrowDown: line, j: line, PageUp: -page, PageDown: page, Home: -state.count, End: state.count };
  if (key in steps) { grid.move(steps[key], shift && !single.open); follow(); }
  else if (key in LABEL_KEYS) label(LABEL_KEYS[key]);
  else if (key === "z") goBack(shift ? state.redo() : state.undo());
  else if (key === "Enter") { single.toggle(grid.current); follow(); }
  else if (key === "c") toggleClipped();
  else if (key === "f") get("by-session").focus();
  else if (key === "r") refilter(grid.current);
  else if (key === "?") get("help").showModal();
  else return false;
  return true;
}

function choices(id, all, names) {
  get(id).replaceChildren(new Option(all, ""), ...names.map(([value, name]) => new Option(name, value)));
}

async function apply() {
  get("apply").disabled = true;
  get("saved").textContent = "judging…";
  try {
    await state.apply(thresholds());
    setSliders();
    showSaved("thresholds applied", false);
  } catch (error) {
    showSaved(error.message, true);
  }
  get("apply").disabled = false;
}

function showSaved(text, bad) {
  get("saved").textContent = text;
  get("saved").classList.toggle("bad", bad);
}

function listen() {
  document.addEventListener("keydown", onKey);
  for (const button of document.querySelectorAll("button[data-key]")) {
    button.addEventListener("click", () => {
      act(button.dataset.key, "shift" in button.dataset);
      get("grid").focus(); // keys label again
    });
  }
  for (const id of FILTERS) get(id).addEventListener("change", () => refilter(grid.current));
  for (const id of SLIDERS) {
    get(id).addEventListener("input", drawSoon);
    get(id).addEventListener("pointerup", () => get("grid").focus()); // keys label again
  }
  get("sheet").addEventListener("click", follow);
  get("turn").addEventListener("click", () => {
    down = !down;
    get("turn").textContent = down ? "↓" : "↑";
    refilter(grid.current);
  });
  get("apply").addEventListener("click", apply);
  get("reset").addEventListener("click", setSliders);
  get("help-button").addEventListener("click", () => get("help").showModal());
  get("help-close").addEventListener("click", () => get("help").close());
  get("single").addEventListener("dblclick", () => single.toggle(grid.current));
  window.addEventListener("beforeunload", (event) => { if (state.pending.length) event.preventDefault(); });
}

async function start() {
  const data = await ask("frames");
  state = new State(data, () => { grid.soon(); single.show(grid.current); drawSoon(); }, showSaved);
  grid = new Grid(get("grid"), get("sheet"), state, () => { single.toggle(grid.current); follow(); });
  single = new Single(state);
  choices("by-session", "all sessions", state.sessions.map((name, at) => [at, name]));
  choices("by-label", "all labels", LABELS.map((name, at) => [at, name || "none yet"]));
  choices("by-source", "anybody", SOURCE_WORDS.map((name, at) => [at, name]));
  const [trainX, trainY, testX, testY] = state.wanted.map((count) => format.format(count));
  get("wanted").textContent = `Wanted: X ${trainX} training + ${testX} test, Y ${trainY} + ${testY}.`;
  const unmeasured = state.p99.filter((value, n) => value === null && !state.fixed[n]).length;
  if (unmeasured) get("unmeasured").textContent = `${format.format(unmeasured)} not measured yet: run cli label.`;
  listen();
  setSliders();
  refilter();
  get("grid").focus();
  showSaved("all saved", false);
}

start().catch((error) => showSaved(`cannot start: ${error.message}`, true));
