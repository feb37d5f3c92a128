"""Finds the pictures and recordings that an import takes, and HDR shots. Decodes none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from natsort import natsorted, ns

from dataset.errors import UserError
from dataset.gate import MOST_PICTURE, read_regular
from dataset.pictures.dynamic_range import has_gain_map
from dataset.pictures.folders import in_thumbnails, is_pattern, matches, told_thumbnails, walk
from dataset.pictures.formats import (
    HDR_PICTURES,
    PICTURES,
    VIDEOS,
    first_bytes,
    format_of,
    is_readable,
)
from dataset.pictures.hdr import OF_MAPS, is_hdr
from dataset.pictures.left_out import advice_on, left_out


@dataclass
class Importable:
    """What an import takes, in natural order, each file once, and what it leaves out."""

    files: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)  # of other formats
    thumbnails: list[tuple[Path, Path]] = field(default_factory=list)  # and the folder searched
    advice: str = "Convert pictures to PNG, videos to MP4."  # on the others

    @property
    def notes(self) -> list[str]:
        """What was left out, in words."""
        others = left_out(self.others)
        told = [f"{others}. {self.advice}" if others else ""]
        told.append(told_thumbnails(self.thumbnails))
        return [f"left out: {each}" for each in told if each]


def find_importable(paths: Sequence[Path], out: Path) -> Importable:
    """Pictures and recordings among files, in folders, and that patterns stand for.

    Hidden files and those in ``out`` are passed over: the latter belong to sessions already.

    Raises
    ------
    UserError
        A path is missing, or there is no picture and no recording.
    """
    found = _find(paths, out, is_readable)
    if not found.files:
        readable = " ".join(PICTURES + VIDEOS)
        raise UserError(
            f"No pictures or recordings under {_where(paths, found)}. Name a folder of them; "
            f"readable are {readable}.{advice_on(found.others)}"
        )
    found.advice += advice_on(found.others)
    return found


def find_shots(paths: Sequence[Path], out: Path) -> Importable:
    """HDR pictures among files, in folders, and that patterns stand for; else as `find_importable`.

    In folders they are known by what they hold, among SDR pictures and videos. A folder inside
    ``out`` that is named is searched: recordings keep HDR shots there.
    """
    found = _find(paths, out, is_shot, inside=True)
    found.advice = "They are not HDR, or of a kind that is not read as HDR (docs/hdr.md)."
    if not found.files:
        raise UserError(
            f"No HDR pictures under {_where(paths, found)}. Save shots as HDR, which docs/hdr.md "
            "describes, or bring in SDR pictures with `cli import`."
        )
    return found


def is_shot(path: Path) -> bool:
    """Whether a file is HDR, has a gain map, or is called as HDR pictures are and is damaged."""
    kind = format_of(first_bytes(path))
    if kind is None:
        return path.suffix.lower() in HDR_PICTURES
    if is_hdr(path):
        return True
    with suppress(OSError):
        return kind in OF_MAPS and has_gain_map(read_regular(path, MOST_PICTURE))
    return False


def _find(
    paths: Sequence[Path], out: Path, takes: Callable[[Path], bool], inside: bool = False
) -> Importable:
    found, seen = Importable(), set[Path]()
    for path in paths:
        for each in natsorted(_files(path, out.resolve(), inside), alg=ns.PATH | ns.IGNORECASE):
            if path.is_dir() and in_thumbnails(each, path):
                found.thumbnails.append((each, path))
            elif each != path and not takes(each):
                found.others.append(each)
            elif each.resolve() not in seen:  # named by hand: tried, whatever it is called
                seen.add(each.resolve())
                found.files.append(each)
    return found


def _where(paths: Sequence[Path], found: Importable) -> str:
    """What was searched, and what is there instead."""
    there = left_out([*found.others, *(path for path, _ in found.thumbnails)])
    return ", ".join(map(str, paths)) + (f" (there are: {there})" if there else "")


def _files(path: Path, out: Path, inside: bool) -> list[Path]:
    if path.is_dir():
        if inside and out in path.resolve().parents:
            return list(walk(path))
        return [each for each in walk(path) if out not in each.resolve().parents]
    if path.exists():
        return [path]
    found = [each for each in matches(path) if not each.name.startswith(".")]
    if not found:
        what = "Nothing matches" if is_pattern(path) else "No such file or folder:"
        raise UserError(f"{what} {path}. Check the name, or name a folder.")
    return found
