"""What readers of HDR, and by packages of the extra ``hdr``, ask: is there room, is it there."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from dataset.errors import UserError
from dataset.memory import check_room, free_memory
from dataset.own_program import how_to_install
from dataset.pictures.headers import Header
from dataset.pictures.limits import check_header

TAKEN_BYTES = 64  # per pixel; measured are 23 (JPEG XR) to 48 (HLG), and a gain map takes more


def check_size(
    kind: str, width: int, height: int, path: Path, taken_bytes: int = TAKEN_BYTES
) -> None:
    """Refuse a picture by the size that its file states; ``taken_bytes`` are those of a pixel.

    Raises
    ------
    TooLarge
        It is over a limit.
    UserError
        It takes more memory than is free.
    ValueError
        It states no pixels.
    """
    if width < 1 or height < 1:
        raise ValueError("it states no pixels")
    check_header(Header(kind, (width, height)), path)
    check_room(width, height, taken_bytes * width * height, free_memory())


def package(name: str, distribution: str, path: Path, kind: str) -> Any:
    """A package of the extra ``hdr``.

    Raises
    ------
    UserError
        It is not installed, or does not start.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f"{path} is {kind}, which takes the package {distribution} to read.",
            1,
            remedy=f"{how_to_install('hdr')}.",
        ) from error
