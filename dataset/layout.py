"""A planned data set on disk: folders of pictures, ``split.json``, tables, report, card.

``split.json`` is also the journal: it names every file before the first is made and stays
``"complete": false`` until the last is there, so that the next run can clear up after any stop.
Nothing that it does not name is ever removed or replaced.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.links import place_file

FOLDERS = ("trainA", "trainB", "testA", "testB")
LAYOUTS = {  # training X, Y, test X, Y
    "cyclegan": FOLDERS,
    "imagefolder": ("train/X", "train/Y", "test/X", "test/Y"),
}
PICTURE_FOLDERS = {folder for folders in LAYOUTS.values() for folder in folders}
SPLIT_FILE, CARD_FILE, PAIRS_FILE = "split.json", "README.md", "pairs.csv"
CROISSANT_FILE, METADATA_FILE = "croissant.json", "metadata.csv"
REPORT = ("leaks.png", "clipped.png", "sheet_X.png", "sheet_Y.png")  # in report/
EXTRAS = {f"report/{name}" for name in REPORT} | {
    f"{side}/{METADATA_FILE}" for side in ("train", "test")
}
VERSION = 2


def check_out(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier split of ours.

    Raises
    ------
    UserError
        It is no folder, or neither empty nor ours.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file. Name another folder with --out.")
    # Frames that a training has decoded are made again whenever they are wanted.
    others = out.is_dir() and any(entry.name != ".cache" for entry in out.iterdir())
    if others and _read_journal(out) is None:
        raise UserError(
            f"{out} already holds something that `cli split` did not write. Nothing was touched; "
            "name another folder with --out, or move that one away."
        )


def write_data_set(
    out: Path,
    files: Mapping[str, Path],
    record: dict[str, Any],
    texts: Mapping[str, str | bytes],
    link: str,
    on_progress: Callable[[int, int], None] | None = None,
    folders: Sequence[str] = FOLDERS,
) -> int:
    """Replace an earlier split of ours by this one.

    Parameters
    ----------
    out : Path
    files : mapping
        Path relative to `out`, with forward slashes -> the frame that it stands for.
    record : dict
        What ``split.json`` says; ``record["files"]`` lists the paths of `files`.
    texts : mapping
        Other files by name, with their contents.
    link : str
        hard | reflink | symlink | copy.
    on_progress : callable, optional
        Called with (files made, files to make).
    folders : sequence of str
        Where the pictures go; made even if they stay empty.

    Returns
    -------
    int
        Files that had to be copied.

    Raises
    ------
    UserError
        The folder is not ours, or something cannot be written.
    """
    check_out(out)
    old = _listed(out)
    try:
        for folder in folders:
            (out / folder).mkdir(parents=True, exist_ok=True)
        head = {"tool": "unclip", "version": VERSION}
        extras = sorted(EXTRAS & texts.keys())
        started = sorted(old | {*files, *extras})
        _write_json(
            out / SPLIT_FILE,
            head | {"complete": False, "files": [{"path": each} for each in started]},
        )
        for name in old:
            (out / name).unlink(missing_ok=True)
        _remove_empty(out, {*PICTURE_FOLDERS} - {*folders})
        copied = 0
        for done, (name, frame) in enumerate(files.items(), start=1):
            copied += place_file(frame.resolve(), out / name, link)
            if on_progress:
                on_progress(done, len(files))
        _write_texts(out, texts)
        _write_json(out / SPLIT_FILE, head | {"complete": True, "extras": extras} | record)
    except FileExistsError as error:
        raise UserError(
            f"{error.filename2 or error.filename} is in the way. Move it away."
        ) from error
    except OSError as error:
        raise UserError(f"Cannot write into {out}: {error.strerror}. Run it again.", 1) from error
    return copied


def _write_texts(out: Path, texts: Mapping[str, str | bytes]) -> None:
    for name, text in texts.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        if name in EXTRAS and (out / name).exists():
            raise FileExistsError(17, "File exists", str(out / name))
        write_whole(out / name, text.encode() if isinstance(text, str) else text)


def _remove_empty(out: Path, folders: set[str]) -> None:
    """Folders of another layout, if nothing is left in them."""
    parents = {folder.split("/")[0] for folder in folders if "/" in folder}
    for folder in (*folders, *parents):
        with suppress(OSError):  # missing, or holds something
            (out / folder).rmdir()


def _read_journal(out: Path) -> dict[str, Any] | None:
    """The ``split.json`` of an earlier run; None where there is none of ours."""
    try:
        values = json.loads((out / SPLIT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) and values.get("tool") == "unclip" else None


def _listed(out: Path) -> set[str]:
    """Files that an earlier run made. Anything outside the known folders is passed over."""
    journal = _read_journal(out) or {}
    entries: Sequence[dict[str, str]] = journal.get("files", [])
    paths = {entry["path"] for entry in entries} | {*journal.get("extras", [])}
    return {path for path in paths if path in EXTRAS or _is_picture(path)}


def _is_picture(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return folder in PICTURE_FOLDERS and "\\" not in name and name not in ("", ".", "..")


def _write_json(path: Path, values: dict[str, Any]) -> None:
    """One line for each group and file, so that two splits can be compared by eye."""
    lists = {key: values[key] for key in ("groups", "files") if key in values}
    rest = {key: value for key, value in values.items() if key not in lists}
    text = json.dumps(rest, indent=1, ensure_ascii=False)[:-2]
    for key, entries in lists.items():
        lines = ",\n".join("  " + json.dumps(each, ensure_ascii=False) for each in entries)
        text += f',\n "{key}": [\n{lines}\n ]'
    write_whole(path, f"{text}\n}}\n".encode())
