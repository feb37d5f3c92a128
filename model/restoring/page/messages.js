// What the server is asked, and what it answers.

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
export class Messages {
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
