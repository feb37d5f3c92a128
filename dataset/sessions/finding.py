"""Finds the pictures and recordings that an import takes. Decodes none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from natsort import natsorted, ns

from dataset.errors import UserError
from dataset.pictures.dynamic_range import hdr_among
from dataset.pictures.folders import in_thumbnails, is_pattern, matches, told_thumbnails, walk
from dataset.pictures.formats import PICTURES, VIDEOS, is_readable, left_out


@dataclass
class Importable:
    """What an import takes, in natural order, each file once, and what it leaves out."""

    files: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)  # of other formats
    thumbnails: list[tuple[Path, Path]] = field(default_factory=list)  # and the folder searched

    @property
    def notes(self) -> list[str]:
        """What was left out, in words."""
        others = left_out(self.others)
        way = f"Convert pictures to PNG, videos to MP4.{hdr_among(self.others)}"
        told = [f"{others}. {way}" if others else ""]
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
    found, seen = Importable(), set[Path]()
    for path in paths:
        for each in natsorted(_files(path, out.resolve()), alg=ns.PATH | ns.IGNORECASE):
            if path.is_dir() and in_thumbnails(each, path):
                found.thumbnails.append((each, path))
            elif each != path and not is_readable(each):
                found.others.append(each)
            elif each.resolve() not in seen:  # named by hand: tried, whatever it is called
                seen.add(each.resolve())
                found.files.append(each)
    if not found.files:
        names = ", ".join(str(path) for path in paths)
        readable = " ".join(PICTURES + VIDEOS)
        there = left_out([*found.others, *(path for path, _ in found.thumbnails)])
        held = f" (there are: {there})" if there else ""
        raise UserError(
            f"No pictures or recordings under {names}{held}. Name a folder of them; readable are "
            f"{readable}.{hdr_among(found.others)}"
        )
    return found


def _files(path: Path, out: Path) -> list[Path]:
    if path.is_dir():
        return [each for each in walk(path) if out not in each.resolve().parents]
    if path.exists():
        return [path]
    found = [each for each in matches(path) if not each.name.startswith(".")]
    if not found:
        what = "Nothing matches" if is_pattern(path) else "No such file or folder:"
        raise UserError(f"{what} {path}. Name pictures, recordings or a folder of them.")
    return found
