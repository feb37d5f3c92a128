"""Boxes of ISO base media files: what an AVIF or HEIF says of its primary picture. No decoding.

References
----------
.. [1] ISO/IEC 14496-12: ISO base media file format. ISO/IEC 23008-12: HEIF. AOM: AVIF 1.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MOST_BOXES = 10_000
MOST_METADATA = 1 << 24  # bytes of an EXIF or XMP
TURNS = ((1, 4, 2), (8, 5, 7), (3, 2, 4), (6, 7, 5))  # EXIF's, by irot, then no imir, 0 and 1
Places = dict[int, tuple[tuple[int, int], ...]]  # where each item's parts are: begin, length


@dataclass(frozen=True)
class Stated:
    """What is said of the primary picture.

    ``sizes`` are those of all pictures of the file: a grid's parts, previews.
    """

    size: tuple[int, int]
    sizes: tuple[tuple[int, int], ...]
    colour: tuple[int, int, int, bool] | None  # primaries, curve, matrix, full range
    profile: bytes  # ICC; empty if there is none
    depth: int | None  # bits of a channel, of AV1
    orientation: int
    is_cropped: bool
    has_gain_map: bool
    exif: bytes | None
    xmp: bytes | None


def boxes_of(
    data: bytes, begin: int = 0, end: int | None = None, may_be_cut: bool = False
) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of the contents of each box; one that is cut off only if asked for."""
    end = len(data) if end is None else min(end, len(data))
    for _ in range(MOST_BOXES):
        if begin + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", data, begin)
        head = 8
        if length == 1 and begin + 16 <= end:
            (length,), head = struct.unpack_from(">Q", data, begin + 8), 16
        length = length or end - begin
        if length < head or (begin + length > end and not may_be_cut):
            return
        yield kind, begin + head, min(begin + length, end)
        begin += length


def read_stated(data: bytes) -> Stated:
    """Raises ``ValueError`` where the file is damaged or cut off before its pixels."""
    try:
        return _read(data)
    except (struct.error, LookupError, StopIteration) as error:
        raise ValueError("its header is damaged or cut off") from error


def _read(data: bytes) -> Stated:
    top = {kind: (begin, end) for kind, begin, end in boxes_of(data)}
    meta = top[b"meta"]
    inner = {kind: (begin, end) for kind, begin, end in boxes_of(data, meta[0] + 4, meta[1])}
    primary = _number(data, inner[b"pitm"][0] + 4, 4 if data[inner[b"pitm"][0]] else 2)
    iprp = {kind: (begin, end) for kind, begin, end in boxes_of(data, *inner[b"iprp"])}
    properties = list(boxes_of(data, *iprp[b"ipco"]))
    used = [properties[at - 1] for at in _associated(data, iprp[b"ipma"][0], primary)]
    kinds = {kind for kind, _, _ in used}
    kinds_of = _items(data, *inner[b"iinf"])
    places = _places(data, inner[b"iloc"][0], inner.get(b"idat", (0, 0))[0])
    exif = _item(data, places, kinds_of, b"Exif")
    return Stated(
        size=_sizes(data, used)[-1],
        sizes=_sizes(data, properties),
        colour=_colour(data, used),
        profile=_profile(data, used),
        depth=next((_depth(data[begin + 2]) for kind, begin, _ in used if kind == b"av1C"), None),
        orientation=_orientation(data, used),
        is_cropped=b"clap" in kinds,
        has_gain_map=b"tmap" in kinds_of.values() or b"hdrgainmap" in data[: meta[1]],
        exif=exif[4 + int.from_bytes(exif[:4], "big") :] if exif else None,
        xmp=_item(data, places, kinds_of, b"mime"),
    )


def _number(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise LookupError
    return int.from_bytes(data[at : at + size], "big")


def _associated(data: bytes, at: int, wanted: int) -> list[int]:
    """Which properties belong to an item, from 1, in order."""
    version, wide = data[at], data[at + 3] & 1
    (count,), at = struct.unpack_from(">I", data, at + 4), at + 8
    for _ in range(min(count, MOST_BOXES)):
        item, at = _number(data, at, 4 if version else 2), at + (4 if version else 2)
        used, at = data[at], at + 1
        size = 2 if wide else 1
        found = [_number(data, at + size * n, size) for n in range(used)]
        at += size * used
        if item == wanted:
            return [each & (0x7FFF if wide else 0x7F) for each in found if each & 0x7F]
    raise LookupError


def _sizes(data: bytes, properties: list[tuple[bytes, int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple(
        struct.unpack_from(">II", data, begin + 4)
        for kind, begin, _ in properties
        if kind == b"ispe"
    )


def _colour(data: bytes, used: list[tuple[bytes, int, int]]) -> tuple[int, int, int, bool] | None:
    for kind, begin, _ in used:
        if kind == b"colr" and data[begin : begin + 4] == b"nclx":
            first, second, third, full = struct.unpack_from(">HHHB", data, begin + 4)
            return first, second, third, bool(full & 0x80)
    return None


def _profile(data: bytes, used: list[tuple[bytes, int, int]]) -> bytes:
    kinds = (b"prof", b"rICC")
    found = (
        data[begin + 4 : end]
        for kind, begin, end in used
        if kind == b"colr" and data[begin : begin + 4] in kinds
    )
    return next(found, b"")


def _depth(bits: int) -> int:
    """Of av1C: high_bitdepth, twelve_bit."""
    return 8 if not bits & 0x40 else 12 if bits & 0x20 else 10


def _orientation(data: bytes, used: list[tuple[bytes, int, int]]) -> int:
    """EXIF's number for irot and imir, which follow each other in this order."""
    turns = next((data[begin] & 3 for kind, begin, _ in used if kind == b"irot"), 0)
    mirror = next((1 + (data[begin] & 1) for kind, begin, _ in used if kind == b"imir"), 0)
    return TURNS[turns][mirror]


def _items(data: bytes, begin: int, end: int) -> dict[int, bytes]:
    """The kind of each item."""
    at = begin + 4 + (4 if data[begin] else 2)
    found = {}
    for kind, place, _ in boxes_of(data, at, end):
        version = data[place]
        if kind == b"infe" and version >= 2:
            size = 4 if version > 2 else 2
            found[_number(data, place + 4, size)] = data[place + 6 + size : place + 10 + size]
    return found


def _places(data: bytes, at: int, idat: int) -> Places:
    version, sizes = data[at], _number(data, at + 4, 2)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 4 if version == 2 else 2
    count, at = _number(data, at + 6, wide), at + 6 + wide
    found: Places = {}
    for _ in range(min(count, MOST_BOXES)):
        item, at = _number(data, at, wide), at + wide
        method = 0
        if version:
            method, at = _number(data, at, 2) & 15, at + 2
        start, at = _number(data, at + 2, base), at + 2 + base
        parts, at = _number(data, at, 2), at + 2
        spans = []
        for _ in range(min(parts, MOST_BOXES)):
            at += index if version else 0
            spans.append((start + _number(data, at, offset), _number(data, at + offset, length)))
            at += offset + length
        found[item] = tuple((b + (idat if method == 1 else 0), n) for b, n in spans)
    return found


def _item(data: bytes, places: Places, kinds: dict[int, bytes], wanted: bytes) -> bytes | None:
    item = next((each for each, kind in kinds.items() if kind == wanted), None)
    spans = places.get(item, ()) if item is not None else ()
    if not spans or sum(length for _, length in spans) > MOST_METADATA:
        return None
    return b"".join(data[begin : begin + length] for begin, length in spans) or None
