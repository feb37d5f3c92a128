// A ZIP file of files that are compressed already, so they are stored as they are.
//
// The parts stay blobs, which the browser may keep on disk: no file is copied. Without ZIP64 there
// is room for 4 GiB and 65535 files; more is refused.

const MOST_BYTES = 0xffffffff;
const MOST_FILES = 0xffff;
const LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50; // signatures
const VERSION = 20; // 2.0: folders in names
const UTF8 = 0x0800; // flag: so are the names

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

// files: [{path, blob}], without two of the same path -> a blob
export async function zip(files, time = new Date()) {
  const entries = files.map(({ path, blob }) => ({ name: new TextEncoder().encode(path), blob }));
  checkSize(entries);
  const parts = [], central = [];
  let offset = 0;
  for (const entry of entries) {
    const facts = factsOf(entry, await crc32(entry.blob), time);
    const header = [...fields([LOCAL, 4]), ...facts, entry.name];
    central.push(...fields([CENTRAL, 4], [VERSION, 2]), ...facts);
    central.push(...fields([0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]), entry.name);
    parts.push(...header, entry.blob);
    offset += sizeOf(header) + entry.blob.size;
  }
  const count = [entries.length, 2];
  const end = fields([END, 4], [0, 2], [0, 2], count, count, [sizeOf(central), 4], [offset, 4], [0, 2]);
  return new Blob([...parts, ...central, ...end], { type: "application/zip" });
}

// What stands in both headers of a file: version, flags, method 0, time, CRC, sizes, lengths.
function factsOf({ name, blob }, crc, time) {
  const clock = (time.getHours() << 11) | (time.getMinutes() << 5) | (time.getSeconds() >> 1);
  const day = ((time.getFullYear() - 1980) << 9) | ((time.getMonth() + 1) << 5) | time.getDate();
  return fields([VERSION, 2], [UTF8, 2], [0, 2], [clock, 2], [day, 2], [crc, 4],
    [blob.size, 4], [blob.size, 4], [name.length, 2], [0, 2]);
}

function checkSize(entries) {
  const headers = entries.reduce((sum, { name }) => sum + 2 * name.length + 30 + 46, 22);
  const bytes = entries.reduce((sum, { blob }) => sum + blob.size, headers);
  if (bytes <= MOST_BYTES && entries.length <= MOST_FILES) return;
  throw new Error(`${entries.length} results of ${(bytes / 2 ** 30).toFixed(1)} GiB are more than a ZIP file holds (4 GiB, ${MOST_FILES} files). Download them one by one, or remove some from the list.`);
}

// Little-endian numbers: [[value, bytes], ...]
function fields(...numbers) {
  return numbers.map(([value, bytes]) => (
    Uint8Array.from({ length: bytes }, (_, at) => value / 2 ** (8 * at))));
}

function sizeOf(parts) {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

async function crc32(blob) {
  let crc = 0xffffffff;
  const reader = blob.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return ~crc >>> 0;
    for (let at = 0; at < value.length; at++) crc = TABLE[(crc ^ value[at]) & 0xff] ^ (crc >>> 8);
  }
}

// Names for files in a ZIP: what unpackers refuse is replaced, and no two of them are the same.
export function distinctPaths(paths) {
  const taken = new Set();
  return paths.map((path) => {
    const clean = cleanPath(path), [, stem, suffix] = clean.match(/^(.*?)(\.[^./]*)?$/s);
    let found = clean;
    for (let n = 2; taken.has(fold(found)); n++) found = `${stem} (${n})${suffix ?? ""}`;
    taken.add(fold(found));
    return found;
  });
}

function cleanPath(path) {
  const parts = path.split("/").map((part) => part.replace(/[\\<>:"|?*\p{Cc}]/gu, "_"));
  return parts.filter((part) => !["", ".", ".."].includes(part)).join("/");
}

function fold(path) { // some file systems tell neither case nor composition apart
  return path.normalize("NFC").toLowerCase();
}
