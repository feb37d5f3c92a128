"""Writes a planned data set: folders of pictures, ``split.json``, tables, report, card.

``split.json`` is also a journal: it lists every file before the first is made and stays
``"complete": false`` until the last exists, so that the next run can clean up after any
interruption. Only files that it lists are removed or replaced, and nothing behind a link. One
process at a time works in the folder. `readers` reads it.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from dataset.errors import UserError
from dataset.files import move_aside, remove_empty, remove_file, write_whole
from dataset.gate import MOST_TABLE, read_regular, refuse_links
from dataset.layout.links import place_file
from dataset.layout.readers import (
    CACHE_FOLDER,
    DOMAIN_FOLDERS,
    PICTURE_FOLDERS,
    SPLIT_FILE,
    SPLIT_LOCK,
    SplitRecord,
    read_split,
)
from dataset.locks import hold_folder
from dataset.parts import PART_NAME, remove_parts
from dataset.paths import check_path
from dataset.pictures.formats import PICTURES
from dataset.pictures.hashing import sha256
from dataset.terminal import ProgressCallback

CROISSANT_FILE, METADATA_FILE = "croissant.json", "metadata.csv"
REPORT = ("leaks.png", "clipped.png", "sheet_X.png", "sheet_Y.png")  # in report/
EXTRAS = {f"report/{name}" for name in REPORT} | {
    f"{side}/{METADATA_FILE}" for side in ("train", "test")
}
OUR_FOLDERS = sorted(PICTURE_FOLDERS | {"train", "test", "report"})
DATA_SET_VERSION = 2


@contextmanager
def hold_out(out: Path) -> Iterator[None]:
    """Hold the folder of a data set for this process alone, after checking what it holds.

    Raises
    ------
    UserError
        As for `check_split_folder`; or another process is writing a data set there.
    """
    check_split_folder(out)
    with hold_folder(out, SPLIT_LOCK, f"Another `cli split` is at work in {out}. Wait for it."):
        check_split_folder(out)  # another process may have used it meanwhile
        for folder in (out, *(out / each for each in OUR_FOLDERS)):
            if folder.is_dir():
                remove_parts(folder, alive=False)
        yield


def check_split_folder(out: Path) -> None:
    """Refuse a folder that holds anything other than an earlier split of ours.

    Raises
    ------
    UserError
        It is no folder, neither empty nor ours, or a folder in it is a link.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file. Name another folder with --out.")
    others = out.is_dir() and any(not _is_passing(each.name) for each in out.iterdir())
    if others and _own_record(out) is None:
        raise UserError(
            f"{out} already holds something that `cli split` did not write. Nothing was touched; "
            "name another folder with --out, or move that one away."
        )
    for folder in OUR_FOLDERS:
        refuse_links(out / folder, "a folder of the data set")


def _is_passing(name: str) -> bool:
    """Whether a file does not show whose folder it is."""
    return name in (CACHE_FOLDER, SPLIT_LOCK) or (
        name.startswith(f".{SPLIT_FILE}.") and PART_NAME.fullmatch(name) is not None
    )


def write_data_set(
    out: Path,
    files: Mapping[str, Path],
    record: dict[str, Any],
    texts: Mapping[str, str | bytes],
    link: str,
    on_progress: ProgressCallback | None = None,
    folders: Sequence[str] = DOMAIN_FOLDERS,
) -> tuple[int, list[Path]]:
    """Write a split in place of an earlier one of ours; call it within `hold_out`.

    Tables and texts that a person changed since then are set aside: ``pairs.edited.csv``.

    Parameters
    ----------
    out : Path
    files : mapping
        Path relative to `out`, with forward slashes -> the frame to link or copy.
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
    (int, list of Path)
        Number of files that were copied; what was set aside.

    Raises
    ------
    UserError
        Something cannot be written, or is in the way.
    """
    old = _listed(out)
    try:
        edited = _set_edited_aside(out)
        head = {"tool": "unclip", "version": DATA_SET_VERSION}
        extras = sorted(EXTRAS & texts.keys())
        started = sorted(old | {*files, *extras})
        _write_json(
            out / SPLIT_FILE,
            head | {"complete": False, "files": [{"path": each} for each in started]},
        )
        for name in old:
            remove_file(out / name)
        _remove_empty(out, {*PICTURE_FOLDERS} - {*folders})
        for folder in folders:
            (out / folder).mkdir(parents=True, exist_ok=True)
        copied = 0
        for done, (name, frame) in enumerate(files.items(), start=1):
            copied += place_file(frame.resolve(), out / name, link)
            if on_progress:
                on_progress(done, len(files))
        _write_texts(out, texts)
        written = {name: sha256(_bytes(text)) for name, text in texts.items()}
        facts = {"complete": True, "extras": extras, "written": written}
        _write_json(out / SPLIT_FILE, head | facts | record)
    except FileExistsError as error:
        raise UserError(
            f"{error.filename2 or error.filename} is in the way. Move it away."
        ) from error
    except OSError as error:
        raise UserError(f"Cannot write into {out}: {error.strerror}. Run it again.", 1) from error
    return copied, edited


def _set_edited_aside(out: Path) -> list[Path]:
    """Move tables and texts away that are not as an earlier run wrote them; their new places."""
    record, found = _own_record(out) or SplitRecord(), []
    for name, digest in record.written.items():
        path = out / check_path(name)
        ours = path.is_file() and not path.is_symlink()
        if ours and sha256(read_regular(path, MOST_TABLE)) != digest:
            found.append(move_aside(path, path.parent, f"{path.stem}.edited{path.suffix}"))
    return found


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _write_texts(out: Path, texts: Mapping[str, str | bytes]) -> None:
    for name, text in texts.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        if name in EXTRAS and os.path.lexists(out / name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(out / name))
        write_whole(out / name, _bytes(text))


def _remove_empty(out: Path, folders: set[str]) -> None:
    """Remove folders of another layout that are empty now."""
    parents = {folder.split("/")[0] for folder in folders if "/" in folder}
    for folder in (*folders, *parents):
        remove_empty(out / folder)


def _own_record(out: Path) -> SplitRecord | None:
    """The ``split.json`` of an earlier run; None if there is none of ours."""
    try:
        return read_split(out)
    except UserError:
        return None


def _listed(out: Path) -> set[str]:
    """Files that an earlier run made; only pictures in the known folders count."""
    record = _own_record(out) or SplitRecord()
    paths = {each.path for each in record.files} | {*record.extras}
    return {path for path in paths if path in EXTRAS or _is_picture(path)}


def _is_picture(path: str) -> bool:
    try:
        place = PurePosixPath(check_path(path))
    except ValueError:
        return False
    return str(place.parent) in PICTURE_FOLDERS and place.suffix.lower() in PICTURES


def _write_json(path: Path, values: dict[str, Any]) -> None:
    """Write one line per group and file, so that two splits can be compared by eye."""
    lists = {key: values[key] for key in ("groups", "files") if key in values}
    rest = {key: value for key, value in values.items() if key not in lists}
    text = json.dumps(rest, indent=1, ensure_ascii=False)[:-2]
    for key, entries in lists.items():
        lines = ",\n".join("  " + json.dumps(each, ensure_ascii=False) for each in entries)
        text += f',\n "{key}": [\n{lines}\n ]'
    write_whole(path, f"{text}\n}}\n".encode())
