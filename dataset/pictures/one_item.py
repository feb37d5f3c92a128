"""One picture of an AVIF or HEIF -> a file of its own, which decoders take. Decodes nothing.

Pixels, properties and the parts of a grid are copied as they are, so its primary picture is cropped
and turned as the item was.

References
----------
.. [1] ISO/IEC 14496-12: iinf, iref, iloc. ISO/IEC 23008-12: HEIF; grid.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from dataset.pictures.boxes import Items

BRANDS = {b"hvc1": b"heic", b"av01": b"avif"}  # by the kind of an item
GRID = b"grid"
LEFT_OUT = (b"auxC",)  # properties: what it was to another picture


def alone(items: Items, item: int) -> bytes:
    """A file of this item and its parts.

    Raises
    ------
    ValueError
        It is missing, cut off, or of a kind that is not read.
    """
    parts = dict.fromkeys(items.referred(b"dimg", item)) if _kind(items, item) == GRID else {}
    members = [item, *parts]
    brand = BRANDS.get(_kind(items, members[-1]))
    if brand is None or any(_kind(items, each) != _kind(items, members[-1]) for each in parts):
        raise ValueError("its gain map is of a kind that is not read")
    contents = {items.places.get(each): items.content_of(each) for each in members}
    if sum(map(len, contents.values())) > len(items.data):
        raise ValueError("its gain map is damaged")
    head = box(b"ftyp", brand + bytes(4) + brand + b"mif1miaf")
    length = len(_meta(items, members, 0))
    return head + _meta(items, members, len(head) + length + 8) + box(b"mdat", *contents.values())


def box(kind: bytes, *contents: bytes) -> bytes:
    whole = b"".join(contents)
    return struct.pack(">I4s", 8 + len(whole), kind) + whole


def full_box(kind: bytes, *contents: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *contents)


def _kind(items: Items, item: int) -> bytes:
    return items.kinds.get(item, b"")


def _meta(items: Items, members: list[int], at: int) -> bytes:
    """Members are numbered from 1; ``at`` is where the first one's content begins."""
    numbers = {item: number for number, item in enumerate(members, 1)}
    infos = (
        full_box(b"infe", struct.pack(">HH4sx", number, 0, _kind(items, item)), version=2)
        for item, number in numbers.items()
    )
    return full_box(
        b"meta",
        full_box(b"hdlr", bytes(4) + b"pict" + bytes(13)),
        full_box(b"pitm", struct.pack(">H", 1)),
        full_box(b"iinf", struct.pack(">H", len(members)), *infos),
        _references(items, members[0], numbers),
        _properties(items, numbers),
        full_box(b"iloc", struct.pack(">HH", 0x4400, len(members)), *_places(items, numbers, at)),
    )


def _places(items: Items, numbers: dict[int, int], at: int) -> Iterator[bytes]:
    """Parts of a grid that look alike may share their content."""
    known: dict[Any, int] = {}
    for item, number in numbers.items():
        spans = items.places[item]
        length = sum(each for _, each in spans)
        if spans not in known:
            known[spans], at = at, at + length
        yield struct.pack(">HHHII", number, 0, 1, known[spans], length)


def _references(items: Items, item: int, numbers: dict[int, int]) -> bytes:
    """Of a grid to its parts, of which one may be used several times."""
    if len(numbers) == 1:
        return b""
    parts = [numbers[each] for each in items.referred(b"dimg", item)]
    content = struct.pack(f">HH{len(parts)}H", 1, len(parts), *parts)
    return full_box(b"iref", box(b"dimg", content))


def _properties(items: Items, numbers: dict[int, int]) -> bytes:
    used: dict[int, int] = {}  # by its place in the file, its number here
    rows = []
    for item, number in numbers.items():
        uses = [
            (used.setdefault(at, len(used) + 1), is_essential)
            for at, is_essential in items.uses.get(item, ())
            if items.properties[at][0] not in LEFT_OUT
        ]
        row = (each | is_essential << 15 for each, is_essential in uses)
        rows.append(struct.pack(f">HB{len(uses)}H", number, len(uses), *row))
    boxes = (items.properties[at] for at in used)
    return box(
        b"iprp",
        box(b"ipco", *(box(kind, items.data[begin:end]) for kind, begin, end in boxes)),
        full_box(b"ipma", struct.pack(">I", len(rows)), *rows, flags=1),
    )
