// The pictures as the page knows them: handed in two at a time, and asked after until they are done.

const POLL_MS = 250;
const RETRY_MS = 1500;
const AHEAD = 2; // unfinished ones at the server, so that it is never idle and never full
const GONE = "Let go, to keep the memory free.";

export async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw Object.assign(new Error("No answer. Is the command still running?"), { lost: true });
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const told = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(told.error || answer.statusText), { status: answer.status });
}

export class Pictures {
  constructor(onChange, onLost) {
    this.rows = [];
    this.onChange = onChange; // ()
    this.onLost = onLost; // (message, or "" when the server answers again)
    this.polling = false;
    this.sending = false;
  }

  async open() {
    const { limits, suffixes, pictures } = await ask("/pictures");
    this.limits = limits;
    this.suffixes = suffixes;
    this.rows = pictures.map((picture) => ({ ...picture, key: picture.id }));
    this.onChange();
    this.poll();
  }

  add(files) {
    const rows = files.map((file) => ({
      key: crypto.randomUUID(), file, name: file.name || "pasted.png", state: "queued", views: [],
    }));
    this.rows.push(...rows);
    this.send();
    this.onChange();
    return rows;
  }

  again(row) {
    Object.assign(row, { state: "queued", message: "", id: undefined, views: [] });
    this.send();
    this.onChange();
  }

  remove(row) {
    this.rows = this.rows.filter((each) => each !== row);
    if (row.id && row.state !== "gone") ask(`/pictures/${row.id}`, { method: "DELETE" }).catch(() => {});
    this.onChange();
    this.send();
  }

  get unfinished() {
    return this.rows.filter((row) => row.state === "waiting" || row.state === "restoring");
  }

  async send() {
    if (this.sending) return;
    this.sending = true;
    let row;
    while (this.unfinished.length < AHEAD && (row = this.rows.find((each) => each.state === "queued"))) {
      row.state = "sending";
      this.onChange();
      if (!(await this.handIn(row))) break;
    }
    this.sending = false;
    this.poll();
  }

  // False: later again.
  async handIn(row) {
    try {
      if (row.file.size > this.limits.bytes) throw new Error(this.oversize(row.file));
      await row.file.slice(0, 1).arrayBuffer().catch(() => {
        throw new Error("It cannot be read: is it a folder, or gone?");
      });
      const picture = await ask(`/pictures?name=${encodeURIComponent(row.name)}`, {
        method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: row.file,
      });
      Object.assign(row, picture);
      if (!this.rows.includes(row)) this.remove(row); // taken off the list meanwhile
    } catch (error) {
      if (error.lost || error.status === 429) {
        row.state = "queued";
        if (error.lost) this.onLost(error.message);
        setTimeout(() => this.send(), RETRY_MS);
        return false;
      }
      Object.assign(row, { state: "failed", message: error.message });
    }
    this.onChange();
    return true;
  }

  oversize(file) {
    const [size, limit] = [file.size, this.limits.bytes].map((bytes) => Math.ceil(bytes / 1e6));
    return `${file.name} has ${size} MB; this page takes up to ${limit} MB. Make it smaller, or restore it with: cli restore FILE`;
  }

  async poll() {
    if (this.polling) return;
    this.polling = true;
    let wait = POLL_MS;
    while (this.unfinished.length) {
      try {
        this.take((await ask("/pictures")).pictures);
        this.onLost("");
        wait = POLL_MS;
      } catch (error) {
        this.onLost(error.message);
        wait = RETRY_MS;
      }
      this.onChange();
      this.send();
      await new Promise((done) => setTimeout(done, wait));
    }
    this.polling = false;
  }

  take(pictures) {
    const found = new Map(pictures.map((picture) => [picture.id, picture]));
    for (const row of this.rows) {
      if (!row.id || row.state === "gone") continue;
      const picture = found.get(row.id);
      if (picture) Object.assign(row, picture);
      else Object.assign(row, { state: "gone", message: GONE, views: [] });
    }
  }
}
