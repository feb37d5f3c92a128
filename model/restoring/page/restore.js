// What the user does, and which part of the page does it; the list, and what is said of a picture.

import { Pictures } from "./pictures.js";
import { Viewer } from "./viewer.js";

const get = (id) => document.getElementById(id);
const format = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

history.replaceState(null, "", "/"); // the token stays out of the history and of screenshots

const viewer = new Viewer();
const pictures = new Pictures(render, showLost);
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
  viewer.show(chosen);
  renderChosen();
}

function renderItem(row) {
  const item = items.get(row.key) ?? makeItem(row);
  item.className = `${row.state}${row === chosen ? " chosen" : ""}`;
  item.querySelector(".pick").setAttribute("aria-current", String(row === chosen));
  setText(item.querySelector(".state"), stateOf(row));
  const bar = item.querySelector("progress");
  bar.hidden = row.state !== "restoring";
  setProgress(bar, row);
  const small = item.querySelector("img");
  if (row.thumbnail && small.getAttribute("src") !== row.thumbnail) small.setAttribute("src", row.thumbnail);
}

function makeItem(row) {
  const item = document.createElement("li");
  item.innerHTML = `<button type="button" class="pick"><span class="thumb"><img class="small" alt=""></span>
    <span class="words"><span class="title"></span><span class="state"></span><progress max="1" aria-hidden="true"></progress></span></button>
    <button type="button" class="remove">×</button>`;
  item.querySelector(".title").textContent = item.querySelector(".pick").title = row.name;
  item.querySelector(".remove").setAttribute("aria-label", `Remove ${row.name}`);
  item.querySelector(".pick").addEventListener("click", () => choose(row));
  item.querySelector(".remove").addEventListener("click", () => pictures.remove(row));
  item.addEventListener("keydown", (event) => {
    if (event.key === "Delete") pictures.remove(row);
  });
  items.set(row.key, item);
  get("list").append(item);
  return item;
}

function stateOf(row) {
  if (row.state === "done") return factsOf(row);
  if (row.state === "failed") return row.message;
  return { waiting: "waiting", sending: "reading…", restoring: "restoring…" }[row.state];
}

function factsOf(row) {
  return `${row.width} × ${row.height} · ${format.format(pictures.elapsed(row))} s`;
}

function setProgress(bar, row) {
  const expected = row.width ? pictures.expected(row) : 0; // as long as the one before
  const guess = expected ? pictures.elapsed(row) / expected : 0;
  const share = row.share || guess;
  if (share) bar.value = Math.min(0.97, share);
  else bar.removeAttribute("value");
}

function renderChosen() {
  const row = chosen, bad = row?.state === "failed";
  const busy = row && !bad && row.state !== "done";
  get("busy").hidden = !busy;
  if (busy) {
    setText(get("busy-text"), busyText(row));
    setProgress(get("bar"), row.state === "restoring" ? row : {});
  }
  get("problem").hidden = !bad;
  if (bad) setText(get("problem-text"), row.message);
  setText(get("name"), row?.name ?? "");
  setText(get("facts"), row?.state === "done" ? factsOf(row) : "");
  setText(get("notes"), row?.notes?.join("; ") ?? "");
  const done = row?.state === "done";
  get("tools").hidden = !done;
  if (done) Object.assign(get("download"), { href: row.result, download: row.resultName });
  announce();
}

function busyText(row) {
  if (row.state !== "restoring") return "Waiting for the pictures before it…";
  const [elapsed, expected] = [pictures.elapsed(row), pictures.expected(row)];
  const of = expected ? ` of about ${format.format(Math.max(expected, elapsed))}` : "";
  return `Restoring… ${format.format(elapsed)}${of} s`;
}

function announce() {
  const count = (state) => pictures.rows.filter((row) => row.state === state).length;
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

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text; // live regions speak at changes
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

function take(files) {
  if (!files.length) return;
  choose(pictures.add([...files])[0]);
}

function listenToFiles() {
  get("add").addEventListener("click", () => get("files").click());
  get("choose").addEventListener("click", () => get("files").click());
  get("files").addEventListener("change", ({ target }) => {
    take(target.files);
    target.value = ""; // the same file may be chosen again
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
  let depth = 0; // enter and leave come for each element that is crossed
  const within = (by) => { depth = by ? depth + by : 0; get("drop").hidden = depth <= 0; };
  const bringsFiles = (event) => event.dataTransfer.types.includes("Files");
  document.addEventListener("dragenter", (event) => { if (bringsFiles(event)) within(1); });
  document.addEventListener("dragleave", (event) => { if (bringsFiles(event)) within(-1); });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    within(0);
    take(event.dataTransfer.files);
  });
}

function listenToTools() {
  get("fit").addEventListener("click", () => viewer.zoom(false));
  get("one").addEventListener("click", () => viewer.zoom(true));
  get("download").addEventListener("click", () => { chosen.saved = true; });
  const hold = get("hold");
  hold.addEventListener("pointerdown", (event) => {
    hold.setPointerCapture(event.pointerId);
    viewer.hold(true);
  });
  hold.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch
  for (const end of ["lostpointercapture", "blur"]) hold.addEventListener(end, () => viewer.hold(false));
  hold.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    viewer.hold(true);
  });
  hold.addEventListener("keyup", () => viewer.hold(false));
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !chosen) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
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
  listenToFiles();
  listenToTools();
  document.addEventListener("keydown", onKey);
  document.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "o") viewer.hold(false); });
  window.addEventListener("blur", () => viewer.hold(false));
  window.addEventListener("beforeunload", (event) => { if (pictures.unsaved) event.preventDefault(); });
  await pictures.open();
  get("files").accept = pictures.suffixes.join(",");
  const { bytes, pixels } = pictures.limits;
  get("takes").textContent = `PNG, JPEG, WebP, TIFF or BMP, up to ${bytes / 1e6} MB and ${pixels / 1e6} million pixels`;
}

start().catch((error) => showLost(error.message));
