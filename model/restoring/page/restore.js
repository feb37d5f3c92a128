// What the user does, and which part of the page does it; the list, and what is said of a picture.

import { filesChosen, filesOf, showLeftOut, showWords, sort } from "./offered.js";
import { keyOf } from "./keys.js";
import { isDone, Pictures } from "./pictures.js";
import { labelOf, setText, Tools } from "./tools.js";
import { Viewer } from "./viewer.js";

const get = (id) => document.getElementById(id);
const format = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

history.replaceState(null, "", "/"); // the token stays out of the history and of screenshots

const viewer = new Viewer();
const pictures = new Pictures(render, showLost);
const tools = new Tools(pictures, viewer, showWords);
const opened = pictures.open();
const items = new Map(); // key of a row -> its element in the list
let chosen = null; // a row
let lost = ""; // what is said while the server does not answer

function render() {
  if (!pictures.rows.includes(chosen)) chosen = pictures.rows[0] ?? null;
  document.body.classList.toggle("empty", !chosen);
  for (const [key, item] of items) {
    if (!pictures.rows.some((row) => row.key === key)) { item.remove(); items.delete(key); }
  }
  for (const row of pictures.rows) renderItem(row);
  const seen = chosen && pictures.shown(chosen);
  viewer.show(chosen, seen, labelOf(chosen, seen));
  tools.render(chosen);
  renderChosen(seen);
}

function renderItem(row) {
  const item = items.get(row.key) ?? makeItem(row), state = pictures.stateOf(row);
  item.className = `${state}${row === chosen ? " chosen" : ""}`;
  item.querySelector(".pick").setAttribute("aria-current", String(row === chosen));
  setText(item.querySelector(".state"), wordsOf(row));
  const bar = item.querySelector("progress");
  bar.hidden = state !== "restoring";
  setProgress(bar, pictures.pending(row));
  const small = item.querySelector("img"), thumbnail = pictures.shown(row)?.thumbnail || row.thumbnail;
  if (thumbnail && small.getAttribute("src") !== thumbnail) small.setAttribute("src", thumbnail);
}

function makeItem(row) {
  const item = document.createElement("li");
  item.innerHTML = `<button type="button" class="pick"><span class="thumb"><img class="small" alt=""></span>
    <span class="words"><span class="title"></span><span class="state"></span><progress max="1" aria-hidden="true"></progress></span></button>
    <button type="button" class="remove">×</button>`;
  item.querySelector(".title").textContent = row.name;
  item.querySelector(".pick").title = row.folder + row.name;
  item.querySelector(".remove").setAttribute("aria-label", `Remove ${row.name}`);
  item.querySelector(".pick").addEventListener("click", () => choose(row));
  item.querySelector(".remove").addEventListener("click", () => pictures.remove(row));
  item.addEventListener("keydown", (event) => {
    if (keyOf(event) === "Delete") pictures.remove(row);
  });
  items.set(row.key, item);
  get("list").append(item);
  return item;
}

function wordsOf(row) {
  const state = pictures.stateOf(row), seen = pictures.shown(row);
  if (state === "done") return seen ? factsOf(row, seen) : "";
  if (state === "failed") return pictures.full(row).message;
  return { waiting: "waiting", sending: "reading…", restoring: "restoring…" }[state];
}

function factsOf(row, result) {
  return `${row.width} × ${row.height} · ${format.format(pictures.elapsed(result))} s`;
}

function setProgress(bar, result) {
  const expected = result?.state === "restoring" ? pictures.expected(result) : 0;
  const guess = expected ? pictures.elapsed(result) / expected : 0; // as long as the one before
  const share = result?.share || guess;
  if (share) bar.value = Math.min(0.97, share);
  else bar.removeAttribute("value");
}

function renderChosen(seen) {
  const pending = chosen && pictures.pending(chosen);
  get("busy").hidden = !pending;
  if (pending) {
    setText(get("busy-text"), busyText(pending));
    setProgress(get("bar"), pending);
  }
  const bad = chosen && [pictures.full(chosen), pictures.asSet(chosen)].find(
    (result) => result?.state === "failed");
  get("problem").hidden = !bad;
  if (bad) setText(get("problem-text"), bad.message);
  setText(get("name"), chosen?.name ?? "");
  setText(get("facts"), seen ? factsOf(chosen, seen) : "");
  setText(get("notes"), seen?.notes?.join("; ") ?? "");
  announce();
}

function busyText(result) {
  if (result.state === "waiting") return "Waiting for the pictures before it…";
  const begun = result.strength < 1 ? "Making the file…" : "Restoring…";
  if (result.state === "sending") return begun;
  const [elapsed, expected] = [pictures.elapsed(result), pictures.expected(result)];
  const of = expected ? ` of about ${format.format(Math.max(expected, elapsed))}` : "";
  return `${begun} ${format.format(elapsed)}${of} s`;
}

function announce() {
  const count = (state) => pictures.rows.filter((row) => pictures.stateOf(row) === state).length;
  const [done, failed] = [count("done"), count("failed")];
  const open = pictures.rows.length - done - failed;
  const parts = [open && `${open} to do`, done && `${done} restored`, failed && `${failed} failed`];
  setText(get("status"), lost || parts.filter(Boolean).join(" · "));
  get("status").classList.toggle("bad", Boolean(lost));
}

function showLost(message) {
  lost = message;
  announce();
}

function choose(row) {
  chosen = row;
  render();
}

function step(by) {
  const row = pictures.rows[pictures.rows.indexOf(chosen) + by];
  if (!row) return;
  choose(row);
  items.get(row.key).querySelector(".pick").focus();
}

async function take(found) { // of files, or a promise of them
  const offered = await found;
  await opened;
  const sorted = await sort(offered, pictures);
  showLeftOut(sorted);
  if (sorted.pictures.length) choose(pictures.add(sorted.pictures)[0]);
}

function offer(found) {
  take(found).catch((error) => showLost(error.message));
}

function listenToInputs() {
  for (const [button, input] of [["add", "files"], ["choose", "files"], ["add-folder", "folder"], ["choose-folder", "folder"]]) {
    get(button).addEventListener("click", () => get(input).click());
  }
  for (const input of ["files", "folder"]) {
    get(input).addEventListener("change", ({ target }) => {
      offer(filesChosen(target.files));
      target.value = ""; // the same file may be chosen again
    });
  }
  get("left-out-close").addEventListener("click", () => showWords(""));
}

function listenToDrops() {
  document.addEventListener("paste", ({ clipboardData }) => {
    if (clipboardData.files.length) offer(filesChosen(clipboardData.files));
  });
  let depth = 0; // enter and leave come for each element that is crossed
  const within = (by) => { depth = by ? depth + by : 0; get("drop").hidden = depth <= 0; };
  const bringsFiles = (event) => event.dataTransfer.types.includes("Files");
  document.addEventListener("dragenter", (event) => { if (bringsFiles(event)) within(1); });
  document.addEventListener("dragleave", (event) => { if (bringsFiles(event)) within(-1); });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    within(0);
    if (bringsFiles(event)) offer(filesOf(event.dataTransfer));
  });
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !chosen) return;
  const key = keyOf(event);
  if (event.target.matches("input, #left-out-words") && key.length > 1) return; // theirs
  const pans = event.shiftKey && viewer.one;
  if (pans && viewer.press(event)) event.preventDefault();
  if (pans) return;
  if (key === "ArrowUp") step(-1);
  else if (key === "ArrowDown") step(1);
  else if (key === "f") viewer.zoom(false);
  else if (key === "1") viewer.zoom(true);
  else if (key === "o") viewer.hold(true);
  else if (!viewer.press(event)) return;
  event.preventDefault();
}

async function start() {
  listenToInputs();
  listenToDrops();
  document.addEventListener("keydown", onKey);
  document.addEventListener("keyup", (event) => { if (keyOf(event) === "o") viewer.hold(false); });
  window.addEventListener("blur", () => viewer.hold(false));
  window.addEventListener("beforeunload", (event) => { if (pictures.unsaved) event.preventDefault(); });
  await opened;
  tools.open();
  get("files").accept = pictures.suffixes.join(",");
  const { bytes, pixels } = pictures.limits;
  get("takes").textContent = `PNG, JPEG, WebP, TIFF, BMP, or HDR such as JPEG XR, up to ${bytes / 1e6} MB and ${pixels / 1e6} million pixels`;
}

start().catch((error) => showLost(error.message));
