"""Boxes of ISO base media files: the items of an AVIF or HEIF, and what it says of its primary
picture. No decoding.

References
----------
.. [1] ISO/IEC 14496-12: ISO base media file format. ISO/IEC 23008-12: HEIF. AOM: AVIF 1.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_BOXES = 10_000
MOST_METADATA = 1 << 24  # bytes of an EXIF or XMP
SEQUENCES = (b"avis", b"hevc", b"hevx", b"msf1")  # brands
ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
OF_MAKERS = b":aux:hdrgainmap"  # kinds of auxiliary pictures: Apple's, Samsung's
XMP = b"application/rdf+xml"
NO_HEADER = "its header is damaged or cut off"
TURNS = ((1, 4, 2), (8, 5, 7), (3, 2, 4), (6, 7, 5))  # EXIF's, by irot, then no imir, 0 and 1
Places = dict[int, tuple[tuple[int, int], ...]]  # where each item's parts are: begin, length
Property = tuple[bytes, int, int]  # a box: kind, begin and end of its content


@dataclass(frozen=True)
class Items:
    """What a file holds: pictures, parts of pictures, and what describes them, by number."""

    data: bytes
    primary: int
    kinds: dict[int, bytes]  # of what is XMP, its type
    references: tuple[tuple[bytes, int, tuple[int, ...]], ...]  # kind, from, to
    properties: tuple[Property, ...]  # of all items
    uses: dict[int, tuple[tuple[int, bool], ...]]  # which are an item's, and are essential for it
    places: Places

    def properties_of(self, item: int) -> list[Property]:
        """In the order in which they apply."""
        return [self.properties[at] for at, _ in self.uses[item]]

    def referred(self, kind: bytes, item: int) -> tuple[int, ...]:
        """The items to which an item has a reference of a kind."""
        found = (to for each, begin, to in self.references if (each, begin) == (kind, item))
        return next(found, ())

    def referring(self, kind: bytes, item: int) -> list[int]:
        """The items that have a reference of a kind to an item."""
        return [begin for each, begin, to in self.references if each == kind and item in to]

    def content_of(self, item: int) -> bytes:
        """Raises ``ValueError`` where it is cut off, or nowhere."""
        spans = self.places.get(item, ())
        length, end = sum(n for _, n in spans), max((b + n for b, n in spans), default=0)
        if not length or max(length, end) > len(self.data):
            raise ValueError("it is damaged or cut off")
        return b"".join(self.data[begin : begin + length] for begin, length in spans)


@dataclass(frozen=True)
class Stated:
    """What is said of the primary picture.

    ``sizes`` are those of all pictures of the file: a grid's parts, previews.
    """

    size: tuple[int, int]
    sizes: tuple[tuple[int, int], ...]
    colour: tuple[int, int, int, bool] | None  # primaries, curve, matrix, full range
    profile: bytes  # ICC; empty if there is none
    depth: int | None  # bits of a channel, of AV1 and HEVC
    coding: bytes  # of the pixels: av1C, hvcC or another box; empty if it is not known
    grey: bool
    alpha: bool
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
        return _stated(_items(data))
    except (struct.error, LookupError, StopIteration) as error:
        raise ValueError(NO_HEADER) from error


def read_items(data: bytes) -> Items:
    """Raises as `read_stated`."""
    try:
        return _items(data)
    except (struct.error, LookupError) as error:
        raise ValueError(NO_HEADER) from error


def _items(data: bytes) -> Items:
    top = {kind: (begin, end) for kind, begin, end in boxes_of(data)}
    meta = top[b"meta"]
    inner = {kind: (begin, end) for kind, begin, end in boxes_of(data, meta[0] + 4, meta[1])}
    iprp = {kind: (begin, end) for kind, begin, end in boxes_of(data, *inner[b"iprp"])}
    properties = tuple(boxes_of(data, *iprp[b"ipco"]))
    return Items(
        data=data,
        primary=_number(data, inner[b"pitm"][0] + 4, 4 if data[inner[b"pitm"][0]] else 2),
        kinds=_kinds(data, *inner[b"iinf"]),
        references=tuple(_references(data, *inner[b"iref"])) if b"iref" in inner else (),
        properties=properties,
        uses=_associations(data, iprp[b"ipma"][0], len(properties)),
        places=_places(data, inner[b"iloc"][0], inner.get(b"idat", (0, 0))[0]),
    )


def _stated(items: Items) -> Stated:
    data, properties = items.data, items.properties
    used = items.properties_of(items.primary)
    exif = _described(items, b"Exif", items.primary)
    return Stated(
        size=_sizes(data, used)[-1],
        sizes=_sizes(data, properties),
        colour=colour_of(data, used),
        profile=profile_in(data, used),
        depth=_depth(data, used) or _depth(data, properties),
        coding=next((kind for kind, _, _ in (*used, *properties) if kind in CODINGS), b""),
        grey=any(kind == b"pixi" and data[begin + 4] == 1 for kind, begin, _ in used),
        alpha=any(
            kind == b"auxC" and data[begin + 4 : end].startswith(ALPHA)
            for kind, begin, end in properties
        ),
        orientation=orientation_by(data, used) or 1,
        is_cropped=b"clap" in {kind for kind, _, _ in used},
        has_gain_map=b"tmap" in items.kinds.values() or is_gain_map(data, properties),
        exif=exif_in(exif) if exif else None,
        xmp=xmp_about(items, items.primary),
    )


def is_gain_map(data: bytes, used: Sequence[Property]) -> bool:
    """Whether a picture with these properties is a maker's gain map."""
    return any(
        kind == b"auxC" and data[begin + 4 : end].split(b"\0")[0].endswith(OF_MAKERS)
        for kind, begin, end in used
    )


def xmp_about(items: Items, item: int) -> bytes | None:
    """The XMP of a picture."""
    return _described(items, XMP, item)


def exif_in(content: bytes) -> bytes:
    """A block of EXIF without what precedes it in boxes: how far away it begins."""
    return content[4 + int.from_bytes(content[:4], "big") :]


def exif_of_jpegxl(data: bytes) -> bytes:
    """The block in a box that is not compressed; empty if there is none."""
    found = (data[begin:end] for kind, begin, end in boxes_of(data) if kind == b"Exif")
    return exif_in(next(found, b""))


def _number(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise LookupError
    return int.from_bytes(data[at : at + size], "big")


def _associations(data: bytes, at: int, known: int) -> dict[int, tuple[tuple[int, bool], ...]]:
    """Which properties belong to each item, from 0, and whether they are essential; in order."""
    version, size = data[at], 2 if data[at + 3] & 1 else 1
    essential = 0x80 << 8 * (size - 1)
    (count,), at = struct.unpack_from(">I", data, at + 4), at + 8
    found: dict[int, tuple[tuple[int, bool], ...]] = {}
    for _ in range(min(count, MOST_BOXES)):
        item, at = _number(data, at, 4 if version else 2), at + (4 if version else 2)
        used, at = data[at], at + 1
        numbers = [_number(data, at + size * n, size) for n in range(used)]
        at += size * used
        places = [(each % essential - 1, each >= essential) for each in numbers if each % essential]
        if any(place >= known for place, _ in places):
            raise LookupError
        found.setdefault(item, tuple(places))
    return found


def _sizes(data: bytes, properties: Sequence[Property]) -> tuple[tuple[int, int], ...]:
    return tuple(
        struct.unpack_from(">II", data, begin + 4)
        for kind, begin, _ in properties
        if kind == b"ispe"
    )


def colour_of(data: bytes, used: Sequence[Property]) -> tuple[int, int, int, bool] | None:
    """Primaries, curve, matrix and whether of full range, where a picture states numbers."""
    for kind, begin, _ in used:
        if kind == b"colr" and data[begin : begin + 4] == b"nclx":
            first, second, third, full = struct.unpack_from(">HHHB", data, begin + 4)
            return first, second, third, bool(full & 0x80)
    return None


def profile_in(data: bytes, used: Sequence[Property]) -> bytes:
    """The ICC profile of a picture; empty if there is none."""
    kinds = (b"prof", b"rICC")
    found = (
        data[begin + 4 : end]
        for kind, begin, end in used
        if kind == b"colr" and data[begin : begin + 4] in kinds
    )
    return next(found, b"")


def _depth(data: bytes, properties: Sequence[Property]) -> int | None:
    """By the first configuration: the parts of a grid have one, and the grid has none."""
    return next((CODINGS[kind](data, at) for kind, at, _ in properties if kind in CODINGS), None)


def _depth_of_av1(data: bytes, at: int) -> int:
    """By high_bitdepth and twelve_bit."""
    bits = data[at + 2]
    return 8 if not bits & 0x40 else 12 if bits & 0x20 else 10


def _depth_of_hevc(data: bytes, at: int) -> int:
    """By bitDepthLumaMinus8."""
    return 8 + (data[at + 17] & 7)


CODINGS = {b"av1C": _depth_of_av1, b"hvcC": _depth_of_hevc}


def orientation_by(data: bytes, used: Sequence[Property]) -> int | None:
    """EXIF's number for irot and imir, which follow each other in this order; None: of neither."""
    turns = [data[begin] & 3 for kind, begin, _ in used if kind == b"irot"]
    mirrors = [1 + (data[begin] & 1) for kind, begin, _ in used if kind == b"imir"]
    if not turns and not mirrors:
        return None
    return TURNS[turns[0] if turns else 0][mirrors[0] if mirrors else 0]


def _kinds(data: bytes, begin: int, end: int) -> dict[int, bytes]:
    """The kind of each item; of what is XMP, its type."""
    at = begin + 4 + (4 if data[begin] else 2)
    found = {}
    for kind, place, close in boxes_of(data, at, end):
        version = data[place]
        if kind == b"infe" and version >= 2:
            size = 4 if version > 2 else 2
            name = data[place + 6 + size : place + 10 + size]
            is_xmp = name == b"mime" and XMP in data[place:close]
            found[_number(data, place + 4, size)] = XMP if is_xmp else name
    return found


def _references(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, tuple[int, ...]]]:
    """Kind, from and to."""
    size = 4 if data[begin] else 2
    for kind, at, close in boxes_of(data, begin + 4, end):
        count = _number(data, at + size, 2)
        if at + size + 2 + size * count > close:
            raise LookupError
        to = (_number(data, at + size + 2 + size * n, size) for n in range(count))
        yield kind, _number(data, at, size), tuple(to)


def _places(data: bytes, at: int, idat: int) -> Places:
    version, sizes = data[at], _number(data, at + 4, 2)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 4 if version == 2 else 2
    count, at = _number(data, at + 6, wide), at + 6 + wide
    found: Places = {}
    left = MOST_BOXES  # parts, which take no bytes where their numbers have no size
    for _ in range(min(count, MOST_BOXES)):
        item, at = _number(data, at, wide), at + wide
        method = 0
        if version:
            method, at = _number(data, at, 2) & 15, at + 2
        start, at = _number(data, at + 2, base), at + 2 + base
        parts, at = _number(data, at, 2), at + 2
        left -= parts
        if left < 0:
            raise LookupError
        spans = []
        for _ in range(parts):
            at += index if version else 0
            spans.append((start + _number(data, at, offset), _number(data, at + offset, length)))
            at += offset + length
        more = idat if method == 1 else 0
        found[item] = tuple((b + more, n) for b, n in spans) if method < 2 else ()
    return found


def _described(items: Items, wanted: bytes, picture: int) -> bytes | None:
    """The content of the item of a kind that is about a picture; or of one, if about none."""
    about = items.referring(b"cdsc", picture)
    found = [each for each, kind in items.kinds.items() if kind == wanted]
    alone = found[0] if len(found) == 1 and not items.referred(b"cdsc", found[0]) else None
    item = next((each for each in found if each in about), alone)
    spans = items.places.get(item, ()) if item is not None else ()
    if not spans or sum(length for _, length in spans) > MOST_METADATA:
        return None
    return b"".join(items.data[begin : begin + length] for begin, length in spans) or None


def frames_of(data: bytes) -> int:
    """How many pictures the largest track of a sequence has; 1 of a file that is none."""
    if data[8:12] not in SEQUENCES:
        return 1
    counts = [_number(data, at + 8, 4) for at, _ in _within(data, 0, len(data), *TO_SAMPLES)]
    return max(counts, default=1)


TO_SAMPLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz")


def _within(
    data: bytes, begin: int, end: int, first: bytes, *rest: bytes
) -> Iterator[tuple[int, int]]:
    """Where the contents of boxes within boxes are, by the kinds that lead to them."""
    for kind, at, close in boxes_of(data, begin, end):
        if kind == first and rest:
            yield from _within(data, at, close, *rest)
        elif kind == first:
            yield at, close
