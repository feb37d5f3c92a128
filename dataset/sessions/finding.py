"""Finds the pictures and recordings that an import takes. Opens none of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from natsort import natsorted, ns

from dataset.errors import UserError
from dataset.pictures.formats import PICTURES, VIDEOS, is_readable


def find_importable(paths: Sequence[Path], out: Path) -> list[Path]:
    """Pictures and recordings under the paths, in natural order, each once.

    Files in ``out`` are skipped: they belong to sessions already.

    Raises
    ------
    UserError
        A path is missing, or there is no picture and no recording.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise UserError(
                f"No such file or folder: {path}. Name pictures, recordings or a folder of them."
            )
        for each in natsorted(_files(path, out.resolve()), alg=ns.PATH | ns.IGNORECASE):
            found.setdefault(each.resolve(), each)
    if not found:
        names = ", ".join(str(path) for path in paths)
        readable = " ".join(PICTURES + VIDEOS)
        raise UserError(f"No pictures or recordings under {names}. Readable are {readable}.")
    return list(found.values())


def _files(path: Path, out: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path  # named by hand: tried, whatever it is called
        return
    for each in path.rglob("*"):
        if each.name.startswith(".") or not is_readable(each):
            continue
        if each.is_file() and out not in each.resolve().parents:
            yield each
