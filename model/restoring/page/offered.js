// What is dropped, pasted or chosen: files and folders, sorted into pictures, videos and the rest.

const get = (id) => document.getElementById(id);
const byName = new Intl.Collator(undefined, { numeric: true }).compare;
const RESULT = /_(restored|unclipped|cielab)$/; // after the stem of a file that was downloaded here
const SYNC = 0x47; // first byte of a video .ts; the other kind of .ts is TypeScript

// [{file, folder}], folder with a slash behind it; of what cannot be read {path}. In the order given,
// folders in natural order.
export async function filesOf(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  // Both at once: the items are gone when the event is over.
  const held = items.map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  const found = [];
  for (const [entry, file] of held) {
    if (entry?.isDirectory) found.push(...ordered(await walked(entry)));
    else if (file) found.push({ file, folder: "" });
  }
  return found;
}

// The same of an input's files, which know their folder if it was chosen.
export function filesChosen(files) {
  return ordered([...files].map((file) => (
    { file, folder: file.webkitRelativePath.slice(0, -file.name.length) })));
}

async function walked(entry) {
  const path = entry.fullPath.replace(/^\//, "");
  try {
    if (entry.isFile) {
      const file = await new Promise((...done) => entry.file(...done));
      return [{ file, folder: path.slice(0, -entry.name.length) }];
    }
    const found = [];
    for (const each of await entriesOf(entry.createReader())) found.push(...await walked(each));
    return found;
  } catch {
    return [{ path }];
  }
}

function ordered(found) {
  const placed = (each) => (each.folder ? pathOf(each) : ""); // single files stay as they are
  return found.sort((a, b) => byName(placed(a), placed(b)));
}

async function entriesOf(reader) { // some at a time, until there are none
  const all = [];
  for (;;) {
    const some = await new Promise((...done) => reader.readEntries(...done));
    if (!some.length) return all;
    all.push(...some);
  }
}

// What is restored, and the paths of what is not. A file that is no picture by its name is one for
// the server to look into, unless it came with its folder.
export async function sort(found, { suffixes, unread, videos, thumbnails }) {
  const sorted = {
    pictures: [], videos: [], results: [], thumbnails: [], unread: [], others: [], unreadable: [],
  };
  const readable = found.filter(({ file }) => file);
  const paths = new Set(readable.map(pathOf));
  for (const each of readable) {
    const suffix = suffixOf(each.file.name);
    if (inThumbnails(each.folder, thumbnails)) sorted.thumbnails.push(pathOf(each));
    else if (videos.includes(suffix) && await isVideo(each.file, suffix)) sorted.videos.push(pathOf(each));
    else if (each.folder && unread.includes(suffix)) sorted.unread.push(pathOf(each));
    else if (each.folder && !suffixes.includes(suffix)) sorted.others.push(pathOf(each));
    else if (each.folder && isResult(pathOf(each), paths, suffixes)) sorted.results.push(pathOf(each));
    else sorted.pictures.push(each);
  }
  sorted.unreadable = found.filter(({ file }) => !file).map(({ path }) => path);
  return sorted;
}

function pathOf({ file, folder }) {
  return folder + file.name;
}

function suffixOf(name) {
  return name.match(/\.[^.]+$/)?.[0].toLowerCase() ?? "";
}

async function isVideo(file, suffix) {
  if (suffix !== ".ts") return true;
  const head = await file.slice(0, 1).arrayBuffer().catch(() => new ArrayBuffer(0));
  return !head.byteLength || new Uint8Array(head)[0] === SYNC;
}

// Whether a file is in a folder of small copies, below the folder that was given.
function inThumbnails(folder, names) {
  return folder.split("/").slice(1).some((name) => names.includes(name.toLowerCase()));
}

// Whether a file is the result of another that lies beside it.
function isResult(path, paths, suffixes) {
  const stem = path.slice(0, -suffixOf(path).length), bare = stem.replace(RESULT, "");
  if (bare === stem) return false;
  return ["", ...suffixes].some((suffix) => paths.has(bare + suffix) || paths.has(bare + suffix.toUpperCase()));
}

// Says what is not restored; nothing, if all is.
export function showLeftOut(sorted) {
  const words = [
    ...paragraphsOf(sorted),
    !Object.values(sorted).flat().length && paragraph("There is no file in there."),
  ].filter(Boolean);
  show(words);
}

export function showWords(text) {
  show(text ? [paragraph(text)] : []);
}

function show(words) {
  get("left-out-words").replaceChildren(...words);
  get("left-out").hidden = !words.length;
}

function paragraphsOf({ videos, results, thumbnails, unread, others, unreadable }) {
  return [
    videos.length && videoParagraph(videos),
    listParagraph(unread, "is of a format that is not read: convert it to PNG", "are of formats that are not read: convert them to PNG"),
    listParagraph(others, "is not a picture by its name", "are not pictures by their names"),
    listParagraph(results, "is a result, whose original is here, too", "are results, whose originals are here, too"),
    listParagraph(thumbnails, "is a small copy", "are small copies in folders of thumbnails"),
    listParagraph(unreadable, "cannot be read", "cannot be read"),
  ];
}

function videoParagraph(videos) {
  const one = videos.length === 1;
  const command = document.createElement("code");
  command.textContent = ["cli restore", ...videos.map(quote)].join(" ");
  const lead = one ? `${videos[0]} is a video, and this page takes pictures. Restore it with: `
    : `${videos.length} files are videos, and this page takes pictures. Restore them with: `;
  return paragraph(lead, command);
}

function listParagraph(paths, singular, plural) {
  if (!paths.length) return null;
  if (paths.length === 1) return paragraph(`Left out: ${paths[0]} ${singular}.`);
  return paragraph(`Left out: ${paths.length} files ${plural}: ${paths.join(", ")}`);
}

function paragraph(...content) {
  const element = document.createElement("p");
  element.append(...content);
  return element;
}

// A name as shells take it; double quotes, where they suffice, because Windows knows no others.
function quote(path) {
  const named = path.startsWith("-") ? `./${path}` : path;
  if (/^[\p{L}\p{N}_./@%+:,-]+$/u.test(named)) return named;
  return /["$`\\!]/.test(named) ? `'${named.replaceAll("'", "'\\''")}'` : `"${named}"`;
}
