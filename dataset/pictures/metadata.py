"""What a picture's file says beside its pixels."""

from __future__ import annotations

import re
from dataclasses import dataclass

GAIN_MAP_IN_XMP = re.compile(
    rb"\s(?:xmlns:)?hdrgm(?::\w+)?=[\"'][^\"']*[\"']"
    rb"|<rdf:li[^>]*>\s*<Container:Item[^>]*Semantic=[\"']GainMap[\"'][^>]*/>\s*</rdf:li>"
)
ORIENTATION_IN_XMP = re.compile(rb"(tiff:Orientation(?:=[\"']|>))[1-8]")


@dataclass(frozen=True, eq=False, kw_only=True)
class Metadata:
    """Of an upright picture."""

    icc: bytes | None = None  # colour profile
    exif: bytes | None = None  # from its byte order on
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None  # dots per inch, horizontal and vertical
    png_colour: tuple[tuple[bytes, bytes], ...] = ()  # chunks of png.COLOUR_CHUNKS, as read


def upright_xmp(xmp: bytes) -> bytes:
    """XMP for a picture that was turned upright."""
    return ORIENTATION_IN_XMP.sub(rb"\g<1>1", xmp)


def without_gain_map(xmp: bytes) -> bytes:
    """XMP for a picture whose gain map was left out, so that nobody looks for it."""
    return GAIN_MAP_IN_XMP.sub(b"", xmp)
