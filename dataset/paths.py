"""Paths that files name: they stay inside the folder that they were found in.

Session, data set or run may come from somebody else, and so may a link in it. Nothing is opened
here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from dataset.gate import LONGEST_PATH, is_regular, plain

NOT_IN_PATHS = re.compile("[\x00-\x1f\x7f\\\\\ud800-\udfff]")
_DRIVE = re.compile(r"[A-Za-z]:")
_PLAIN = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_PLAIN_PATHS = re.compile(rf"(?:{_PLAIN}(?:/{_PLAIN})*\n)*")


def check_path(name: str) -> str:
    """A path inside a folder as a file names it: relative, with forward slashes, nothing odd.

    Only its text is looked at; where it leads on this disk, `inside` tells.

    Raises
    ------
    ValueError
        It is empty, absolute, too long, leads upwards, or has characters that no name has.

    Examples
    --------
    >>> check_path("frames/000000.png")
    'frames/000000.png'
    """
    if not 0 < len(name) <= LONGEST_PATH:
        raise ValueError("a path is empty or too long")
    if NOT_IN_PATHS.search(name) or _DRIVE.match(name):
        raise ValueError(f"{plain(name[:80])!r} is no path inside a folder")
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise ValueError(f"{plain(name[:80])!r} leads out of its folder")
    return name


def check_paths(names: Sequence[str]) -> Sequence[str]:
    """`check_path` of very many, quick where they are as plain as a recorder's.

    Examples
    --------
    >>> check_paths(["frames/000000.png", "frames/000001.png"])
    ['frames/000000.png', 'frames/000001.png']
    """
    text = "\n".join(names) + "\n"
    short = max(map(len, names), default=0) <= LONGEST_PATH
    if not short or not _PLAIN_PATHS.fullmatch(text) or text.count("\n") != max(len(names), 1):
        for name in names:
            check_path(name)
    return names


def inside(root: str | Path, name: str) -> Path:
    """A path below a folder, wherever links lead: the folder itself may be a link.

    Parameters
    ----------
    root : str or Path
        The folder.
    name : str
        As for `check_path`. The file need not be there.

    Raises
    ------
    ValueError
        As for `check_path`, or a link leads out of the folder.
    """
    place = Path(root) / check_path(name)
    try:
        leads_out = not place.resolve().is_relative_to(Path(root).resolve())
    except (OSError, RuntimeError) as error:  # a link to itself
        raise ValueError(f"{plain(name)!r} cannot be followed: {error}") from error
    if leads_out:
        raise ValueError(f"{plain(name)!r} leads out of its folder")
    return place


def regular_names(folder: str | Path, root: str | Path) -> set[str]:
    """Names of the regular files in a folder below `root`; links count where they stay below it.

    For very many files: each is asked for once. Empty where the folder is missing or leads out.
    """
    top = os.path.realpath(root)
    if not _is_below(os.path.realpath(folder), top):
        return set()
    try:
        with os.scandir(folder) as entries:
            return {each.name for each in entries if _is_ours(each, top)}
    except (OSError, ValueError):
        return set()


def _is_ours(entry: os.DirEntry[str], top: str) -> bool:
    if not entry.is_symlink():
        return entry.is_file(follow_symlinks=False)
    return is_regular(entry.path) and _is_below(os.path.realpath(entry.path), top)


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip(os.sep) + os.sep)
