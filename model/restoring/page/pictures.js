// The pictures of the page and their results: restored by the server one at a time, kept here.
//
// A row is a picture. It has a result for each way in which it was restored, and for the strength
// that is set, where that is not the full one, the file that was made to be downloaded.

import { ask, Messages } from "./messages.js";

const RETRY_MS = 1500;
const TICK_MS = 250; // between two looks at the time that a picture takes
const FIRST = "restored"; // the way in which each picture is restored first

export class Pictures {
  constructor(onChange, onLost) {
    this.rows = [];
    this.queue = []; // results that are still to be restored
    this.onChange = onChange; // ()
    this.onLost = onLost; // (message, or "" when the server answers again)
    this.pixelsPerS = new Map(); // way -> of the picture before
    this.working = false;
  }

  async open() {
    Object.assign(this, await (await ask("/facts")).json());
  }

  add(files) { // [{file, folder}]
    const rows = files.map(({ file, folder }) => ({
      key: crypto.randomUUID(), file, folder, name: file.name || "pasted.png",
      way: FIRST, strength: 1, results: new Map(), made: null,
    }));
    for (const row of rows) this.enqueue(row, FIRST, 1);
    this.rows.push(...rows);
    this.onChange();
    this.work();
    return rows;
  }

  remove(row) {
    this.rows = this.rows.filter((each) => each !== row);
    for (const result of resultsOf(row)) this.cancel(result);
    release(row, "before", "thumbnail");
    this.onChange();
  }

  setWay(row, way) {
    row.way = way;
    const found = row.results.get(way);
    if (!found || found.state === "failed") this.want(row, way, 1);
    this.onChange();
  }

  setStrength(row, strength) { // 0..1
    row.strength = strength;
    this.onChange();
  }

  // Whether a picture is restored; what is asked for after that may be on its way.
  stateOf(row) {
    return row.results.get(FIRST).state;
  }

  // A picture's result by the way that is set, of full strength, if there is one yet.
  full(row) {
    return row.results.get(row.way);
  }

  // The same of the strength that is set: the file to download.
  asSet(row) {
    const { made, way, strength } = row;
    if (strength === 1) return this.full(row);
    return made?.way === way && made.strength === strength ? made : undefined;
  }

  // What is seen of a picture: its newest result until the way that is set has one.
  shown(row) {
    if (isDone(this.full(row))) row.seen = row.way;
    return row.results.get(row.seen);
  }

  // What a picture's result is waited for, if any.
  pending(row) {
    return resultsOf(row).find((result) => isOpen(result));
  }

  // The file to download, once the server has made it; its state says whether it could.
  async make(row) {
    let result = this.asSet(row);
    if (!result || result.state === "failed") result = this.want(row, row.way, row.strength);
    await result.settled;
    return result;
  }

  // Whether something would be lost with the page.
  get unsaved() {
    return this.rows.some((row) => this.stateOf(row) !== "failed" && !row.saved);
  }

  want(row, way, strength) {
    const result = this.enqueue(row, way, strength);
    this.onChange();
    this.work();
    return result;
  }

  enqueue(row, way, strength) {
    const first = !row.results.size;
    const result = { row, way, strength, first, state: "waiting", share: 0 };
    result.settled = new Promise((settle) => { result.settle = settle; });
    if (strength === 1) row.results.set(way, result);
    else {
      if (row.made) this.cancel(row.made);
      row.made = result;
    }
    // What is asked for by hand comes before the pictures that are still to be restored.
    const at = first ? -1 : this.queue.findIndex((each) => each.first);
    this.queue.splice(at < 0 ? this.queue.length : at, 0, result);
    return result;
  }

  cancel(result) {
    this.queue = this.queue.filter((each) => each !== result);
    result.state = "cancelled";
    result.sent?.abort();
    release(result, "url", "after", "thumbnail");
    result.settle();
  }

  async work() {
    if (this.working) return;
    this.working = true;
    const ticking = setInterval(this.onChange, TICK_MS);
    let result;
    while ((result = this.queue.shift())) {
      await this.restore(result);
      if (!isOpen(result)) result.settle();
      this.onChange();
    }
    clearInterval(ticking);
    this.working = false;
  }

  async restore(result) {
    const { row } = result, sent = new AbortController();
    Object.assign(result, { state: "sending", share: 0, sent });
    this.onChange();
    try {
      await this.check(row.file);
      const answer = await ask(addressOf(result), {
        method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: row.file,
        signal: sent.signal,
      });
      this.onLost("");
      const messages = new Messages(answer.body);
      while (isOpen(result)) this.take(result, await messages.next());
    } catch (error) {
      if (sent.signal.aborted) return; // nobody waits for it any more
      if (!error.lost && error.status !== 429) {
        Object.assign(result, { state: "failed", message: error.message });
        return;
      }
      result.state = "waiting";
      this.queue.unshift(result);
      if (error.lost) this.onLost(error.message);
      this.onChange();
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }

  async check(file) {
    if (file.size > this.limits.bytes) throw new Error(this.oversize(file));
    await file.slice(0, 1).arrayBuffer().catch(() => {
      throw new Error("It cannot be read: is it gone?");
    });
  }

  oversize(file) {
    const [size, limit] = [file.size, this.limits.bytes].map((bytes) => Math.ceil(bytes / 1e6));
    return `${file.name} has ${size} MB; this page takes up to ${limit} MB. Make it smaller, or restore it with: cli restore FILE`;
  }

  take(result, message) {
    if (!message || !isOpen(result)) return;
    const { row } = result, { part, type, blob, name, width, height, ...facts } = message;
    if (part === "before") hold(row, part, blob ?? row.file.slice(0, row.file.size, type));
    else if (part === "thumbnail") hold(result.file ? result : row, part, blob);
    else if (part === "after") hold(result, part, blob);
    else if (part === "result") this.keep(result, blob, name);
    else Object.assign(result, facts);
    if (width) Object.assign(row, { name, width, height });
    if (facts.state === "restoring") result.began = performance.now();
    if (facts.state === "done") {
      this.pixelsPerS.set(result.way, row.width * row.height / Math.max(result.elapsed_s, 1e-3));
    }
    this.onChange();
  }

  keep(result, file, name) {
    Object.assign(result, { file, name });
    hold(result, "url", file);
    if (result.strength === 1) hold(result, "after", file); // unless another is sent to be shown
  }

  elapsed(result) {
    return result.state === "restoring" ? (performance.now() - result.began) / 1000 : result.elapsed_s;
  }

  // How long a picture takes in all, by the one before it; 0: not known.
  expected({ row, way }) {
    const speed = this.pixelsPerS.get(way);
    return speed && row.width ? row.width * row.height / speed : 0;
  }
}

export function isDone(result) {
  return result?.state === "done";
}

export function isOpen(result) {
  return ["waiting", "sending", "restoring"].includes(result?.state);
}

function resultsOf(row) {
  return [...row.results.values(), row.made].filter(Boolean);
}

// The first time a picture is sent, its original comes back, too, as it can be shown.
function addressOf({ row, way, strength, first }) {
  const asked = new URLSearchParams({ name: row.name });
  if (!first) asked.set("way", way);
  if (strength !== 1) asked.set("strength", strength);
  return `/restore?${asked}`;
}

function hold(owner, part, blob) {
  release(owner, part);
  owner[part] = URL.createObjectURL(blob);
}

function release(owner, ...parts) {
  for (const part of parts) {
    if (owner[part]) URL.revokeObjectURL(owner[part]);
    owner[part] = "";
  }
}
