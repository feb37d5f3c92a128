// Frames and labels as the page knows them; sends every change to the server, in order.

export const LABELS = ["", "X", "Y", "unsure", "drop"];
export const SOURCES = ["", "key", "light", "clipping", "review"];
export const SOURCE_WORDS = ["not measured", "key", "light", "statistic", "hand"];
const REVIEW = 4, CLIPPING = 3;
const BATCH = 5000; // changes in one request
const RETRY_MS = 1500;

export async function ask(address, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const answer = await fetch(address, options);
  if (!answer.ok) {
    const error = new Error((await answer.text()).replace(/<[^>]*>/g, " ").trim());
    error.refused = true;
    throw error;
  }
  return answer.json();
}

export class State {
  constructor(data, onChange, onSaved) {
    Object.assign(this, data);
    this.count = data.file.length;
    this.label = Uint8Array.from(data.label);
    this.source = Uint8Array.from(data.source);
    this.onChange = onChange; // (numbers)
    this.onSaved = onSaved; // (text, is it bad)
    this.past = [];
    this.future = [];
    this.pending = [];
    this.sending = false;
  }

  setLabel(numbers, label) {
    const before = numbers.map((n) => [n, this.label[n], this.source[n]]);
    this.past.push({ before, label });
    this.future = [];
    this.make(numbers, label);
  }

  undo() {
    const step = this.past.pop();
    if (!step) return null;
    this.future.push(step);
    for (const [n, label, source] of step.before) {
      this.label[n] = label;
      this.source[n] = source;
      this.pending.push([n, source === REVIEW ? LABELS[label] : null]);
    }
    return this.changed(step.before.map((each) => each[0]));
  }

  redo() {
    const step = this.future.pop();
    if (!step) return null;
    this.past.push(step);
    return this.make(step.before.map((each) => each[0]), step.label);
  }

  make(numbers, label) {
    for (const n of numbers) {
      this.label[n] = label;
      this.source[n] = REVIEW;
      this.pending.push([n, LABELS[label]]);
    }
    return this.changed(numbers);
  }

  changed(numbers) {
    this.onChange(numbers);
    this.send();
    return numbers;
  }

  // One request at a time, so that the journal has the order of the keys.
  async send() {
    if (this.sending || !this.pending.length) return;
    this.sending = true;
    const batch = this.pending.slice(0, BATCH);
    this.onSaved(`saving ${this.pending.length}…`, false);
    try {
      const { rows } = await ask("labels", { changes: batch });
      this.pending.splice(0, batch.length);
      if (!this.pending.length) this.take(rows);
      this.onSaved("all saved", false);
      this.sending = false;
      this.send();
    } catch (error) {
      const why = error.refused ? error.message : "no answer from the server";
      this.onSaved(`${this.pending.length} not saved: ${why}`, true);
      setTimeout(() => { this.sending = false; this.send(); }, RETRY_MS);
    }
  }

  take(rows) {
    const differing = rows.filter(([n, label, source]) =>
      this.label[n] !== label || this.source[n] !== source);
    for (const [n, label, source] of differing) {
      this.label[n] = label;
      this.source[n] = source;
    }
    if (differing.length) this.onChange(differing.map((each) => each[0]));
  }

  async apply(thresholds) {
    const { label, source } = await ask("apply", { thresholds });
    this.label = Uint8Array.from(label);
    this.source = Uint8Array.from(source);
    this.thresholds = thresholds;
    this.past = []; // what they would bring back was judged by thresholds of the past
    this.future = [];
    this.onChange(null);
  }

  // As `judge` of dataset/labelling/rules.py does, so that sliders need no server; tests hold them together.
  judge(n, [x, y, blob]) {
    if (this.fraction[n] <= x) return 1;
    return this.fraction[n] >= y && this.blob[n] >= blob ? 2 : 3;
  }

  // Frames per label, with these thresholds for those that statistics decide.
  counts(thresholds) {
    const found = [0, 0, 0, 0, 0];
    for (let n = 0; n < this.count; n++) {
      const judged = thresholds && this.source[n] === CLIPPING && !this.fixed[n] && this.p99[n] !== null;
      found[judged ? this.judge(n, thresholds) : this.label[n]]++;
    }
    return found;
  }

  select({ session, label, source, order, down }) {
    const found = [];
    for (let n = 0; n < this.count; n++) {
      if (session !== "" && this.session[n] !== Number(session)) continue;
      if (label !== "" && this.label[n] !== Number(label)) continue;
      if (source !== "" && this.source[n] !== Number(source)) continue;
      found.push(n);
    }
    const column = order === "time" ? this.time_ms : this[order];
    const sign = down ? -1 : 1;
    return found.sort((a, b) => sign * ((column[a] ?? -1) - (column[b] ?? -1)) || a - b);
  }
}
