"""What a data set folder is, for those who read it: its names, ``split.json``, frames and pairs.

A folder without a ``split.json`` of ours is somebody's own, and is read as it is. One that
`cli split` made is read only where it is whole. How it is written is in ``layout``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dataset.errors import UserError
from dataset.gate import (
    MOST_SPLIT,
    Name,
    is_regular,
    parse_json,
    read_regular,
    read_table,
)
from dataset.locks import is_held
from dataset.paths import check_path
from dataset.pictures.formats import PICTURES

DOMAIN_FOLDERS = ("trainA", "trainB", "testA", "testB")
LAYOUTS = {  # training X, Y, test X, Y
    "cyclegan": DOMAIN_FOLDERS,
    "imagefolder": ("train/X", "train/Y", "test/X", "test/Y"),
}
PICTURE_FOLDERS = {folder for folders in LAYOUTS.values() for folder in folders}
SPLIT_FILE, CARD_FILE, PAIRS_FILE = "split.json", "README.md", "pairs.csv"
SPLIT_LOCK = ".split.lock"  # held by `cli split` while it works in the folder
CACHE_FOLDER = ".cache"  # frames that a training has decoded: made again whenever they are wanted
PAIR_COLUMNS = ("over_exposed", "reference")  # of a list of pairs


class ListedFile(msgspec.Struct):
    """A file that a split made."""

    path: Name  # below the data set, with forward slashes


class SplitRecord(msgspec.Struct):
    """What of ``split.json`` is read again."""

    tool: str = ""
    complete: bool = True
    files: list[ListedFile] = []
    extras: list[Name] = []


@dataclass(frozen=True)
class Pair:
    """Two files of one viewpoint."""

    over_exposed: Path
    reference: Path


def read_split(data: Path) -> SplitRecord | None:
    """The ``split.json`` of a data set; None where there is none, or one of another program.

    Raises
    ------
    UserError
        It cannot be read, is damaged, or names a file outside.
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
    """Refuse a data set that `cli split` is still making, or did not finish, or that lost a frame.

    Raises
    ------
    UserError
        Also where its ``split.json`` cannot be read.
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
    """Those paths below a folder where no file can be read; links are followed."""
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
    alike = dict(zip(LAYOUTS["cyclegan"], LAYOUTS["imagefolder"], strict=True))
    for name in (folder, alike.get(folder)):
        found = [] if name is None else _pictures(root / name)
        if found:
            return found
    raise UserError(
        f"No pictures in {root / folder}. Make the data set first: record frames "
        "(`cli capture --hotkey`), then `cli split`; or name its folder with --data."
    )


def _pictures(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("*") if path.suffix.lower() in PICTURES)
    # By name, not by path: Windows compares paths without regard to case.
    return sorted((p for p in found if not p.name.startswith(".")), key=lambda path: path.name)


def list_pairs(path: str | Path) -> list[Pair]:
    """Read ``over_exposed,reference``; relative paths count from the file's folder.

    Raises
    ------
    UserError
        The list is missing, has other columns, or holds no pair.
    """
    path = Path(path)
    if not is_regular(path):
        raise UserError(
            f"No list of pairs {path}. `cli split` writes one where viewpoints were recorded under "
            "several lights; or name your own with --pairs."
        )
    try:
        pairs = [
            Pair(path.parent / over_exposed, path.parent / reference)
            for _, (over_exposed, reference) in read_table(path, PAIR_COLUMNS)
        ]
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.", 1) from error
    except ValueError as error:
        raise UserError(
            f"{path} is no list of pairs ({error}): it needs the columns {','.join(PAIR_COLUMNS)}."
        ) from error
    if not pairs:
        raise UserError(f"{path} lists no pair. Record viewpoints under two lights first.")
    return pairs


def read_pairs(path: str | Path) -> list[Pair]:
    """`list_pairs`, all of whose files can be read; ``UserError`` names one that cannot."""
    pairs = list_pairs(path)
    for pair in pairs:
        for picture in (pair.over_exposed, pair.reference):
            if not is_regular(picture):
                raise UserError(f"{path} names {picture}, which is no file that can be read.")
    return pairs
