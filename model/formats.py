"""The formats of pictures by name, by suffix and by the first bytes of a file. Decodes nothing."""

from __future__ import annotations

import re

SUFFIXES = {  # of the formats that are read and written; the first is the usual one
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WebP": (".webp",),
    "TIFF": (".tiff", ".tif"),
    "BMP": (".bmp",),
}
CONTENTS = {  # how files begin, also of formats that are not read
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "WebP": rb"RIFF....WEBP",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "GIF": rb"GIF8",
    "AVIF": rb"....ftypavi[fs]",
    "HEIC": rb"....ftyp(hei|hev|mif1|msf1)",
    "JPEG XL": rb"\xff\x0a|....JXL ",
    "JPEG 2000": rb"....jP  |\xff\x4f\xff\x51",
    "OpenEXR": rb"v/1\x01",
    "Photoshop": rb"8BPS",
    "PDF": rb"%PDF",
    "BMP": rb"BM....\0\0\0\0",  # a length, then two numbers that are reserved
}
HEAD = 16  # bytes that tell


def format_of(head: bytes) -> str | None:
    """The format of a file by its first 16 bytes: a key of `CONTENTS`; None: not a picture's.

    Examples
    --------
    >>> format_of(b"GIF89a")
    'GIF'
    """
    found = (name for name, pattern in CONTENTS.items() if re.match(pattern, head, re.DOTALL))
    return next(found, None)


def format_for(suffix: str) -> str | None:
    """The format that a suffix stands for, whatever its case; None: none that is written.

    Examples
    --------
    >>> format_for(".JPG")
    'JPEG'
    """
    return next((name for name, all_ in SUFFIXES.items() if suffix.lower() in all_), None)
