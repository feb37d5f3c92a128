"""The formats of pictures that are read and written, by name, suffix and a file's first bytes."""

from __future__ import annotations

from dataset.pictures.headers import HEAD as HEAD
from dataset.pictures.headers import format_of as format_of

SUFFIXES = {  # of the formats that are read and written; the first is the usual one
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WebP": (".webp",),
    "TIFF": (".tiff", ".tif"),
    "BMP": (".bmp",),
}


def format_for(suffix: str) -> str | None:
    """The format that a suffix stands for, whatever its case; None: none that is written.

    Examples
    --------
    >>> format_for(".JPG")
    'JPEG'
    """
    return next((name for name, all_ in SUFFIXES.items() if suffix.lower() in all_), None)
