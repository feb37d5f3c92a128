"""Size, pages and scans of a picture by its header, and whether the file is cut off. No decoding.

Every number comes from the file, which may be damaged or hostile: one that makes no sense counts
as not stated, and the decoder reports what is wrong.

References
----------
.. [1] W3C: Portable Network Graphics (PNG) Specification, third edition, 2025.
.. [2] ITU-T T.81: JPEG, 1992, annex B (markers).
.. [3] Adobe: TIFF revision 6.0, 1992; and the BigTIFF design of 2004.
.. [4] Google: WebP container specification, and RFC 9649.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from dataset.pictures.formats import HEAD, format_of

MOST_DIRECTORIES = 1000  # of a TIFF that are counted
WIDTH, LENGTH = 256, 257  # tags of TIFF
SHORT, LONG, LONG8 = 3, 4, 16
START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of JPEG with a size
ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without content
START_OF_SCAN, END = 0xDA, 0xD9


@dataclass(frozen=True)
class Header:
    """What a picture's header states."""

    format: str  # a key of formats.SUFFIXES
    size: tuple[int, int]  # width and height, pixels
    pages: int = 1  # whole directories of a TIFF, up to `MOST_DIRECTORIES`
    scans: int = 1  # of a JPEG


def read_header(data: bytes) -> Header | None:
    """What a picture's header states; None: nothing, or the format is not read.

    Examples
    --------
    >>> read_header(b"BM" + bytes(16) + struct.pack("<ii", 4, -3)).size
    (4, 3)
    """
    name = format_of(data[:HEAD])
    reader = READERS.get(name or "")
    try:
        return reader(data) if reader else None
    except (struct.error, IndexError):  # it ends too early
        return None


def is_cut(data: bytes, header: Header) -> bool:
    """Whether a file is too short for what it states; decoders make room for all of it first.

    A JPEG takes at least one bit for each block of 8x8 pixels; a PNG states the length of each
    chunk; a TIFF without a whole directory has no pages.

    Examples
    --------
    >>> is_cut(bytes(1900), Header("JPEG", (56_560, 6_894)))
    True
    >>> is_cut(bytes(8) + struct.pack(">I4s", 1 << 31, b"IDAT"), Header("PNG", (8, 8)))
    True
    """
    width, height = header.size
    if header.format == "JPEG":
        return width * height > 64 * 8 * len(data)
    if header.format == "PNG":
        return _is_cut_png(data)
    return header.pages == 0


def _is_cut_png(data: bytes) -> bool:
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return False
        at += 12 + length
    return at > len(data)


def _png(data: bytes) -> Header:
    width, height = struct.unpack_from(">II", data, 16)
    return Header("PNG", (width, height))


def _bmp(data: bytes) -> Header:
    if len(data) > 17 and data[14:18] == b"\x0c\0\0\0":  # OS/2's first header has 16 bits
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return Header("BMP", (abs(width), abs(height)))  # negative: from the top row down


def _webp(data: bytes) -> Header | None:
    kind = data[12:16]
    if kind == b"VP8X":
        sides = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        sides = ((bits >> shift & 0x3FFF) + 1 for shift in (0, 14))
    elif kind == b"VP8 ":
        sides = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        return None
    width, height = sides
    return Header("WebP", (width, height))


def _jpeg(data: bytes) -> Header | None:
    """Size by the first frame header; scans up to the end of the first picture."""
    size, scans = None, 0
    for marker, at in _markers(data):
        if marker in START_OF_FRAME and size is None:
            height, width = struct.unpack_from(">HH", data, at + 3)
            size = width, height
        scans += marker == START_OF_SCAN
    return Header("JPEG", size, scans=scans) if size else None


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Markers of a JPEG and where their contents begin, without those within coded data."""
    at = 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return
        marker = data[at + 1]
        if marker == END:
            return
        if marker in (0x00, 0xFF) or marker in ALONE:  # an escaped 255, padding, a restart
            at += 1 if marker == 0xFF else 2
            continue
        at += 2
        yield marker, at
        (length,) = struct.unpack_from(">H", data, at)
        at += max(2, length)
        if marker == START_OF_SCAN:
            at = _end_of_scan(data, at)


NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)


def _end_of_scan(data: bytes, at: int) -> int:
    found = NEXT_MARKER.search(data, at)
    return found.start() if found else len(data)


def _tiff(data: bytes) -> Header:
    order = ">" if data[:2] == b"MM" else "<"
    big = data[2:4] in (b"+\0", b"\0+")
    sides: dict[int, int] = {}
    pages, seen = 0, set[int]()
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    while at and at not in seen and pages <= MOST_DIRECTORIES:
        seen.add(at)
        try:
            tags, at = _directory(data, order, big, at)
        except struct.error:
            break
        sides = sides or tags
        pages += 1
    return Header("TIFF", (sides.get(WIDTH, 0), sides.get(LENGTH, 0)), pages=pages)


def _directory(data: bytes, order: str, big: bool, at: int) -> tuple[dict[int, int], int]:
    """Width and length that a directory of TIFF states, and where the next one is."""
    head, entry, link = ("Q", 20, "Q") if big else ("H", 12, "I")
    (count,) = struct.unpack_from(order + head, data, at)
    at += struct.calcsize(order + head)
    (after,) = struct.unpack_from(order + link, data, at + entry * count)
    sides = {}
    for place in range(at, at + entry * count, entry):
        tag, kind = struct.unpack_from(order + "HH", data, place)
        if tag in (WIDTH, LENGTH):
            code = {SHORT: "H", LONG: "I", LONG8: "Q"}.get(kind, "")
            value_at = place + (12 if big else 8)
            sides[tag] = struct.unpack_from(order + code, data, value_at)[0] if code else 0
        if tag > LENGTH:  # they are in ascending order
            break
    return sides, after


READERS = {"PNG": _png, "JPEG": _jpeg, "WebP": _webp, "TIFF": _tiff, "BMP": _bmp}
