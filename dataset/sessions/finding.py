"""Finds the pictures and recordings that an import takes. Decodes none of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from natsort import natsorted, ns

from dataset.errors import UserError
from dataset.pictures.formats import PICTURES, VIDEOS, is_readable, left_out


def find_importable(paths: Sequence[Path], out: Path) -> tuple[list[Path], list[Path]]:
    """Pictures and recordings under the paths, in natural order, each once; and the other files.

    Hidden files and those in ``out`` are neither: the latter belong to sessions already.

    Raises
    ------
    UserError
        A path is missing, or there is no picture and no recording.
    """
    found: dict[Path, Path] = {}
    others: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(
                f"No such file or folder: {path}. Name pictures, recordings or a folder of them."
            )
        for each in natsorted(_files(path, out.resolve()), alg=ns.PATH | ns.IGNORECASE):
            if each == path or is_readable(each):  # named by hand: tried, whatever it is called
                found.setdefault(each.resolve(), each)
            else:
                others.append(each)
    if not found:
        names = ", ".join(str(path) for path in paths)
        readable = " ".join(PICTURES + VIDEOS)
        held = f" (there are: {left_out(others)})" if others else ""
        raise UserError(f"No pictures or recordings under {names}{held}. Readable are {readable}.")
    return list(found.values()), others


def _files(path: Path, out: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for each in path.rglob("*"):
        if each.name.startswith("."):
            continue
        if each.is_file() and out not in each.resolve().parents:
            yield each
