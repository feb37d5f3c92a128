"""Reading a data set folder: its file names, ``split.json``, and the frames of a domain.

A folder without a ``split.json`` of ours is the user's own and is read as it is; one that
`cli split` made is read only if it is complete. `folders` writes it, `pairs` has ``pairs.csv``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from dataset.errors import UserError
from dataset.gate import (
    MOST_SPLIT,
    Count,
    Name,
    parse_json,
    read_regular,
)
from dataset.locks import is_held
from dataset.paths import check_path
from dataset.pictures.formats import PICTURES
from dataset.pictures.left_out import advice_on, left_out

DOMAIN_FOLDERS = ("trainA", "trainB", "testA", "testB")
LAYOUTS = {  # training X, Y, test X, Y
    "cyclegan": DOMAIN_FOLDERS,
    "imagefolder": ("train/X", "train/Y", "test/X", "test/Y"),
}
PICTURE_FOLDERS = {folder for folders in LAYOUTS.values() for folder in folders}
SPLIT_FILE, CARD_FILE = "split.json", "README.md"
SPLIT_LOCK = ".split.lock"  # held by `cli split` while it works in the folder
OWN_FILES = ("metadata.csv",)  # that `cli split` puts beside pictures
CACHE_FOLDER = ".cache"  # decoded frames of a training; made again when missing

_T = TypeVar("_T")


class ListedFile(msgspec.Struct):
    """A file of the data set."""

    path: Name  # below the data set, with forward slashes
    group: Count | None = None  # what stays on one side of a split


class SplitRecord(msgspec.Struct):
    """The part of ``split.json`` that is read back."""

    tool: str = ""
    complete: bool = True
    files: list[ListedFile] = []
    extras: list[Name] = []
    written: dict[Name, str] = {}  # tables and texts -> SHA-256 as they were written


def read_split(data: Path) -> SplitRecord | None:
    """The ``split.json`` of a data set; None if there is none, or it is another program's.

    Raises
    ------
    UserError
        It cannot be read, is damaged, or names a file outside the folder.
    """
    path = data / SPLIT_FILE
    if not os.path.lexists(path):
        return None
    try:
        text = read_regular(path, MOST_SPLIT)
        record = _parse(text)
        for file in record.files if record else ():
            check_path(file.path)
        return record
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.", 1) from error
    except ValueError as error:
        raise UserError(
            f"{path} is damaged ({error}), so it is not known whether the data set is whole. "
            "Move the folder away and make it again with `cli split`.",
            1,
        ) from error


def _parse(text: bytes) -> SplitRecord | None:
    try:
        record = parse_json(text, SplitRecord)
    except ValueError:
        values: object = parse_json(text)
        if isinstance(values, dict) and values.get("tool") == "unclip":
            raise
        return None
    return record if record.tool == "unclip" else None


def check_data_set_complete(data: str | Path) -> None:
    """Refuse a data set that `cli split` is still writing or did not finish, or that lost a frame.

    Raises
    ------
    UserError
        Also if its ``split.json`` cannot be read.
    """
    root = Path(data)
    if is_held(root / SPLIT_LOCK):
        raise UserError(f"`cli split` is at work in {root}. Wait until it is done.", 1)
    record = read_split(root)
    if record is None:
        return
    if not record.complete:
        raise UserError(
            f"{root} is not whole: `cli split` was stopped while it made it. Run it again.", 1
        )
    missing = find_missing(root, [file.path for file in record.files])
    if missing:
        more = f" and {len(missing) - 1:,} more pictures" if len(missing) > 1 else ""
        raise UserError(
            f"{root} is not whole: {missing[0]}{more} of its {SPLIT_FILE} cannot be found. Run "
            f"`cli split` again; or, if you took them out yourself, remove {SPLIT_FILE}, too.",
            1,
        )


def find_missing(root: Path, paths: list[str]) -> list[str]:
    """The paths below a folder that are no regular file; links are followed."""
    there: dict[str, set[str]] = {}
    missing = []
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in there:
            there[folder] = _files_in(root / folder)
        if name not in there[folder]:
            missing.append(path)
    return missing


def _files_in(folder: Path) -> set[str]:
    """Names of the regular files of a folder, and of links to such: --link symlink makes them."""
    try:
        with os.scandir(folder) as entries:
            return {each.name for each in entries if each.is_file()}
    except OSError:
        return set()


def find_frames(data: str | Path, folder: str) -> list[Path]:
    """The pictures of ``data/folder`` by name.

    Parameters
    ----------
    data : str or Path
        The data set.
    folder : str
        trainA (X), trainB (Y), testA or testB. Where it has no pictures, the folder of the
        imagefolder layout that holds the same: train/X for trainA.

    Raises
    ------
    UserError
        The folder is missing or empty, or the data set is not whole.
    """
    root = Path(data)
    check_data_set_complete(root)
    equivalents = dict(zip(LAYOUTS["cyclegan"], LAYOUTS["imagefolder"], strict=True))
    for name in (folder, equivalents.get(folder)):
        found = [] if name is None else _pictures(root / name)
        if found:
            return found
    raise UserError(
        f"No pictures in {root / folder}. Make the data set first: record frames "
        "(`cli capture --hotkey`), then `cli split`; or name its folder with --data."
    )


def list_pictures(folder: str | Path) -> list[Path]:
    """The pictures of any folder, by name.

    Raises
    ------
    UserError
        The folder is missing or holds no picture.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"No folder {folder}. Name one that holds pictures.")
    found = _pictures(folder)
    if not found:
        raise UserError(f"{folder} holds no picture. Name a folder with PNG or JPEG files.")
    return found


def left_out_beside(pictures: Sequence[Path]) -> list[str]:
    """A sentence for each folder of these pictures that holds other files, too."""
    return [told for place in dict.fromkeys(e.parent for e in pictures) if (told := _told(place))]


def _told(place: Path) -> str:
    others = [
        each
        for each in place.iterdir()
        if each.is_file()
        and not each.name.startswith(".")
        and each.suffix.lower() not in PICTURES
        and each.name not in OWN_FILES
    ]
    if not others:
        return ""
    readable = " ".join(PICTURES)
    return f"{place}: left out {left_out(others)}. Readable are {readable}.{advice_on(others)}"


def _pictures(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("*") if path.suffix.lower() in PICTURES)
    # By name, not by path: Windows compares paths without regard to case.
    return sorted((p for p in found if not p.name.startswith(".")), key=lambda path: path.name)


def evenly_spaced(items: Sequence[_T], count: int) -> list[_T]:
    """At most ``count`` items, evenly spaced from the first to the last.

    Examples
    --------
    >>> evenly_spaced("abcdefg", 3)
    ['a', 'd', 'g']
    """
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places.tolist()]
