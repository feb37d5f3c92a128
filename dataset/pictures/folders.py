"""Which files a folder or a pattern stands for, for all commands. Opens none of them.

Hidden files and folders stand for nothing. Small copies that other programs keep of pictures are
known by the name of their folder, and are taken only where that folder itself is named.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dataset.errors import UserError

THUMBNAIL_FOLDERS = {  # in lower case, and whose they are
    "thumbnails": "Steam",
    ".thumbnails": "Linux desktops, Android",
    "@eadir": "Synology",
    ".@__thumb": "QNAP",
}


def walk(folder: Path, recursive: bool = True) -> Iterator[Path]:
    """The files of a folder, hidden ones left out; thumbnails among them: see `in_thumbnails`.

    Raises
    ------
    UserError
        A folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"Cannot read {error.filename}: {error.strerror}.") from error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if recursive and not _is_hidden(name)]
        paths = (Path(place, name) for name in names if not name.startswith("."))
        yield from filter(os.path.isfile, paths)


def _is_hidden(folder: str) -> bool:
    return folder.startswith(".") and folder.lower() not in THUMBNAIL_FOLDERS


def in_thumbnails(path: Path, folder: Path) -> bool:
    """Whether a file under ``folder`` is in a folder of thumbnails below it.

    Examples
    --------
    >>> in_thumbnails(Path("shots/thumbnails/1.jpg"), Path("shots"))
    True
    >>> in_thumbnails(Path("shots/thumbnails/1.jpg"), Path("shots/thumbnails"))
    False
    """
    return _thumbnails_of(path, folder) is not None


def _thumbnails_of(path: Path, folder: Path) -> Path | None:
    """The folder of thumbnails that holds a file."""
    below = path.parent.relative_to(folder)
    for depth, name in enumerate(below.parts, start=1):
        if name.lower() in THUMBNAIL_FOLDERS:
            return folder.joinpath(*below.parts[:depth])
    return None


def told_thumbnails(paths: Iterable[tuple[Path, Path]]) -> str:
    """How many thumbnails there are, and where, in words; empty if none.

    Parameters
    ----------
    paths : pairs of Path
        Thumbnails, each with the folder that was searched.
    """
    found = [place for path, folder in paths if (place := _thumbnails_of(path, folder))]
    places = sorted(set(found))
    if not places:
        return ""
    where = f"{len(places):,} folders, such as {places[0]}" if places[1:] else str(places[0])
    return f"{len(found):,} small copies in {where}. To take them, name that folder."


def is_pattern(path: Path) -> bool:
    """Whether a path that does not exist may be a pattern that the shell did not expand."""
    return glob.has_magic(str(path)) and not os.path.lexists(path)


def matches(pattern: Path) -> list[Path]:
    """The files that a pattern stands for; ``**`` stands for folders of any depth.

    A part of it that exists is taken letter by letter, and brackets are where nothing else fits:
    ``[2024] shots (1)/*.png``.
    """
    begin = Path(pattern.anchor)
    found = _expand(begin, pattern.parts[1 if pattern.anchor else 0 :])
    return list(dict.fromkeys(path for path in found if path.is_file()))


def _expand(here: Path, parts: Sequence[str]) -> Iterator[Path]:
    if not parts:
        yield here
        return
    first, rest = parts[0], parts[1:]
    if os.path.lexists(here / first):
        yield from _expand(here / first, rest)
        return
    for name in _names(here, first, bool(rest)):
        yield from _expand(here / name, rest)


def _names(here: Path, part: str, inside: bool) -> list[str]:
    """What one part of a pattern stands for in a folder."""
    if part == "**" and inside:
        return ["", *sorted(glob.glob("**/", root_dir=here, recursive=True))]
    found = glob.glob(part, root_dir=here, recursive=True)
    return sorted(found or glob.glob(part.replace("[", "[[]"), root_dir=here))
