// The pictures of the page, before and after: restored by the server one at a time, kept here.

const RETRY_MS = 1500;
const TICK_MS = 250; // between two looks at the time that a picture takes

export async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw lostServer();
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(told.error || answer.statusText), { status: answer.status });
}

function lostServer() {
  return Object.assign(new Error("No answer. Is the command still running?"), { lost: true });
}

// The server's answer: lines of JSON, and behind a line that states bytes, as many bytes.
class Messages {
  constructor(body) {
    this.reader = body.getReader();
    this.rest = new Uint8Array();
  }

  async next() {
    const line = await this.line();
    const message = line && JSON.parse(line);
    if (message?.bytes) message.blob = await this.blob(message.bytes, message.type);
    return message;
  }

  async more() {
    const { done, value } = await this.reader.read().catch(() => ({ done: true }));
    if (done) throw lostServer();
    return value;
  }

  async line() {
    const parts = [];
    let end;
    while ((end = this.rest.indexOf(10)) < 0) {
      parts.push(this.rest);
      this.rest = await this.more();
    }
    parts.push(this.rest.subarray(0, end));
    this.rest = this.rest.subarray(end + 1);
    return new Blob(parts).text();
  }

  async blob(bytes, type) {
    const parts = [];
    for (let left = bytes; left; left -= parts.at(-1).length) {
      if (!this.rest.length) this.rest = await this.more();
      parts.push(this.rest.subarray(0, left));
      this.rest = this.rest.subarray(parts.at(-1).length);
    }
    return new Blob(parts, { type });
  }
}

export class Pictures {
  constructor(onChange, onLost) {
    this.rows = [];
    this.onChange = onChange; // ()
    this.onLost = onLost; // (message, or "" when the server answers again)
    this.pixelsPerS = 0; // of the picture before
    this.working = false;
  }

  async open() {
    Object.assign(this, await (await ask("/facts")).json());
  }

  add(files) {
    const rows = files.map((file) => (
      { key: crypto.randomUUID(), file, name: file.name || "pasted.png", state: "waiting" }));
    this.rows.push(...rows);
    this.onChange();
    this.work();
    return rows;
  }

  remove(row) {
    this.rows = this.rows.filter((each) => each !== row);
    row.sent?.abort();
    for (const part of ["before", "after", "result", "thumbnail"]) this.show(row, part, null);
    this.onChange();
  }

  // Whether something would be lost with the page.
  get unsaved() {
    return this.rows.some((row) => row.state !== "failed" && !row.saved);
  }

  async work() {
    if (this.working) return;
    this.working = true;
    const ticking = setInterval(this.onChange, TICK_MS);
    let row;
    while ((row = this.rows.find((each) => each.state === "waiting"))) {
      await this.restore(row);
      this.onChange();
    }
    clearInterval(ticking);
    this.working = false;
  }

  async restore(row) {
    Object.assign(row, { state: "sending", share: 0, sent: new AbortController() });
    this.onChange();
    try {
      await this.check(row.file);
      const answer = await ask(`/restore?name=${encodeURIComponent(row.name)}`, {
        method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: row.file,
        signal: row.sent.signal,
      });
      this.onLost("");
      const messages = new Messages(answer.body);
      while (row.state === "sending" || row.state === "restoring") this.take(row, await messages.next());
    } catch (error) {
      if (row.sent.signal.aborted) return; // taken off the list
      if (!error.lost && error.status !== 429) {
        Object.assign(row, { state: "failed", message: error.message });
        return;
      }
      row.state = "waiting";
      if (error.lost) this.onLost(error.message);
      this.onChange();
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }

  async check(file) {
    if (file.size > this.limits.bytes) throw new Error(this.oversize(file));
    await file.slice(0, 1).arrayBuffer().catch(() => {
      throw new Error("It cannot be read: is it a folder, or gone?");
    });
  }

  oversize(file) {
    const [size, limit] = [file.size, this.limits.bytes].map((bytes) => Math.ceil(bytes / 1e6));
    return `${file.name} has ${size} MB; this page takes up to ${limit} MB. Make it smaller, or restore it with: cli restore FILE`;
  }

  take(row, message) {
    if (!message || row.sent.signal.aborted) return;
    const { part, type, blob, name, ...facts } = message;
    if (part) {
      this.show(row, part, blob ?? row.file.slice(0, row.file.size, type));
      if (part === "result") this.show(row, "after", blob);
      if (part === "result") row.resultName = name;
    } else {
      Object.assign(row, facts, name && { name });
    }
    if (facts.state === "restoring") row.began = performance.now();
    if (facts.state === "done") this.pixelsPerS = row.width * row.height / Math.max(row.elapsed_s, 1e-3);
    this.onChange();
  }

  show(row, part, blob) {
    if (row[part]) URL.revokeObjectURL(row[part]);
    row[part] = blob ? URL.createObjectURL(blob) : "";
  }

  elapsed(row) {
    return row.state === "restoring" ? (performance.now() - row.began) / 1000 : row.elapsed_s;
  }

  // How long a picture takes in all, by the one before it; 0: not known.
  expected(row) {
    return this.pixelsPerS ? row.width * row.height / this.pixelsPerS : 0;
  }
}
