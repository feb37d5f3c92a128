"""File <-> array. Everywhere else a picture is RGB uint8 of shape (H, W, 3).

Only this file decodes pictures; ``png.py`` beside it encodes them. OpenCV works on byte strings
and Python opens the files, because OpenCV's own file functions fail silently on non-ASCII paths
on Windows.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.png import encode_png

Image = NDArray[np.uint8]

READABLE = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


def decode(data: bytes, name: str | Path) -> Image:
    """Decode an encoded picture to RGB uint8 (H, W, 3).

    Parameters
    ----------
    data : bytes
        The encoded file.
    name : str or Path
        What to call it in an error.

    Raises
    ------
    UserError
        The bytes are not a whole picture that OpenCV can read.
    """
    if not data:
        raise UserError(f"{name} is empty (0 bytes). Leave it out or record it again.", 1)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        picture = None
    if picture is None:
        raise UserError(f"{name} is not a readable picture. Leave it out or convert it to PNG.", 1)
    return np.asarray(picture, dtype=np.uint8)


def read_image(path: str | Path) -> Image:
    """Read a picture file as RGB uint8 (H, W, 3); ``UserError`` where that cannot be done."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    return decode(data, path)


def write_png(path: str | Path, image: Image) -> None:
    """Write RGB uint8 (H, W, 3) as a lossless PNG, renamed into place."""
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
