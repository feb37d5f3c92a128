"""Frames: file <-> RGB uint8 (H, W, 3), quickly.

What matters of a frame is its 8-bit colour; ``picture.py`` reads depth, transparency, profile and
metadata too, and whatever is no PNG. OpenCV decodes byte strings and Python opens the files, as
OpenCV's own file functions fail silently on non-ASCII paths on Windows.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.gate import MOST_PICTURE, read_regular
from dataset.pictures.accepted import check_picture
from dataset.pictures.headers import Header
from dataset.pictures.limits import TooLarge
from dataset.pictures.picture import decode_frame
from dataset.pictures.png import SIGNATURE, encode_png, essence

Image = NDArray[np.uint8]

# A picture that failed beside others is decoded once more, alone: memory may have been short.
_alone = threading.Lock()


def decode(data: bytes, name: str | Path) -> Image:
    """Decode an encoded picture to RGB uint8 (H, W, 3), upright.

    Parameters
    ----------
    data : bytes
        The encoded file.
    name : str or Path
        What an error calls it.

    Raises
    ------
    TooLarge
        It is over a limit of ``limits.py``, or over the free memory.
    UserError
        It is damaged, or not taken: see ``accepted.py``.
    """
    header = check_picture(data, name)
    if not data.startswith(SIGNATURE):
        return decode_frame(data, name)  # OpenCV's own libraries would write to the terminal
    try:
        needed = essence(data)
    except ValueError as error:
        raise _damaged(name) from error
    image = _decoded(needed)
    if image is not None:
        return image
    with _alone:
        image = _decoded(needed)
        if image is None and header is not None and not _fits(header):
            raise TooLarge(
                f"{name} takes more memory than is free. Close other programs, or make it smaller.",
                1,
            )
    if image is None:
        raise _damaged(name)
    return image


def _damaged(name: str | Path) -> UserError:
    remedy = "Leave it out or convert it to PNG."
    return UserError(f"{name} is not a readable picture.", 1, remedy=remedy)


def _decoded(data: bytes) -> Image | None:
    try:
        found: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except (cv2.error, MemoryError):
        return None
    return None if found is None else np.asarray(found, np.uint8)


def _fits(header: Header) -> bool:
    """Whether there is memory for decoding; OpenCV does not say why it failed."""
    width, height = header.size
    try:
        np.empty((2, height, width, 3), np.uint8)
    except (MemoryError, ValueError):
        return False
    return True


def read_image(path: str | Path) -> Image:
    """Read a file as RGB uint8 (H, W, 3); raises as `decode`, and where it cannot be read."""
    try:
        data = read_regular(path, MOST_PICTURE)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    return decode(data, path)


def write_png(path: str | Path, image: Image) -> None:
    """Write RGB uint8 (H, W, 3) as a PNG, renamed into place."""
    write_whole(path, encode_png(image))


def rgb_of(bgrx: NDArray[np.uint8]) -> Image:
    """BGRX uint8 (H, W, 4), as screens are grabbed -> RGB uint8 (H, W, 3); X has no meaning."""
    return np.asarray(cv2.cvtColor(bgrx, cv2.COLOR_BGRA2RGB), dtype=np.uint8)


def resize_area(image: Image, size: tuple[int, int]) -> Image:
    """Resize to ``(width, height)``, area-averaged when shrinking, cubic when growing."""
    width, height = size
    if (image.shape[1], image.shape[0]) == (width, height):
        return image
    shrinks = width * height < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)
