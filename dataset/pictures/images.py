"""File <-> array. Everywhere else a picture is RGB uint8 of shape (H, W, 3).

Only this file decodes pictures; ``png.py`` beside it encodes them. OpenCV works on byte strings
and Python opens the files, because OpenCV's own file functions fail silently on non-ASCII paths
on Windows.
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
from dataset.pictures.headers import (
    HEAD,
    READERS,
    Header,
    format_of,
    is_cut_jpeg,
    is_cut_png,
    read_header,
)
from dataset.pictures.limits import TooLarge, check_header
from dataset.pictures.png import encode_png

Image = NDArray[np.uint8]

READABLE = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


# For a picture that could not be decoded while others were: once more, alone.
_alone = threading.Lock()


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
    TooLarge
        It is beyond the limits of ``limits``, or the memory cannot hold it now.
    UserError
        The bytes are not a whole picture of a format of `READABLE`.
    """
    return np.asarray(_decode(data, name, cv2.IMREAD_COLOR_RGB), dtype=np.uint8)


def decode_unchanged(data: bytes, name: str | Path) -> NDArray[Any]:
    """Decode to what the file holds: any depth and number of channels; errors as of `decode`."""
    return np.asarray(_decode(data, name, cv2.IMREAD_UNCHANGED))


def _decode(data: bytes, name: str | Path, how: int) -> Any:
    if not data:
        raise UserError(f"{name} is empty (0 bytes). Leave it out or record it again.", 1)
    header = check_picture(data, name)
    cut = header is not None and (
        (header.format == "PNG" and is_cut_png(data))
        or (header.format == "JPEG" and is_cut_jpeg(data, header.size))
    )
    picture = None if cut else _decoded(data, how)
    if picture is None and not cut:
        with _alone:
            picture = _decoded(data, how)
            if picture is None and header is not None and not _fits(header):
                raise TooLarge(
                    f"{name} takes more memory than is free. Close other programs, or make it "
                    "smaller.",
                    1,
                )
    if picture is None:
        raise UserError(f"{name} is not a readable picture. Leave it out or convert it to PNG.", 1)
    return picture


def check_picture(data: bytes, name: str | Path) -> Header | None:
    """Refuse what `decode` would not read, or not in a sensible time, by its first bytes alone.

    Returns
    -------
    Header or None
        What the picture states of itself; None where it is damaged.

    Raises
    ------
    TooLarge, UserError
        As of `decode`.
    """
    kind = format_of(data[:HEAD])
    if kind not in READERS:
        what = f"is {kind}, not" if kind else "is not"
        raise UserError(f"{name} {what} a readable picture. Leave it out or convert it to PNG.", 1)
    header = read_header(data)
    check_header(header, name)
    return header


def _decoded(data: bytes, how: int) -> Any:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), how)
    except (cv2.error, MemoryError):
        return None


def _fits(header: Header) -> bool:
    """Whether there is room for what decoding takes: OpenCV does not say why it could not."""
    width, height = header.size
    try:
        np.empty((2, height, width, 3), np.uint8)
    except (MemoryError, ValueError):
        return False
    return True


def read_image(path: str | Path) -> Image:
    """Read a picture file as RGB uint8 (H, W, 3); errors as of `decode`, or it cannot be read."""
    try:
        data = read_regular(path, MOST_PICTURE)
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
