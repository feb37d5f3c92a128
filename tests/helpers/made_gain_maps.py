"""AVIF, HEIF and JPEG XL with gain maps of known light: items put together here, pixels without
loss."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dataset.pictures.boxes import boxes_of
from dataset.pictures.light import PRIMARIES, to_rec709
from tests.helpers import made_light, made_modern
from tests.helpers.made_light import WHITE, Gains

APPLES = b"urn:com:apple:photo:2020:aux:hdrgainmap"
BASE, MAP, TONE_MAPPED, XMP, EXIF = 1, 2, 3, 4, 5  # numbers of items
ESSENTIAL = (b"hvcC", b"av1C", b"clap", b"irot", b"imir")
BRANDS = {"HEIC": b"heic", "AVIF": b"avif"}


@dataclass(frozen=True)
class Item:
    """A picture or what describes one."""

    kind: bytes
    content: bytes
    properties: tuple[bytes, ...] = ()  # boxes
    references: tuple[tuple[bytes, tuple[int, ...]], ...] = ()  # kind, and to which items
    more: bytes = b""  # behind its kind


Made = dict[int, Item]


def box(kind: bytes, *contents: bytes) -> bytes:
    whole = b"".join(contents)
    return struct.pack(">I4s", 8 + len(whole), kind) + whole


def full_box(kind: bytes, content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags) + content)


def muxed(items: Made, form: str = "HEIC", data_first: bool = False) -> bytes:
    """A file whose primary picture is `BASE`; one that is tone-mapped is preferred to it."""
    known = sorted({each for item in items.values() for each in item.properties})
    infos, uses, places, references, data = b"", b"", b"", b"", b""
    for number, item in items.items():
        infos += full_box(b"infe", struct.pack(">HH4sx", number, 0, item.kind) + item.more, 2)
        numbers = bytes(
            1 + known.index(each) | (0x80 if each[4:8] in ESSENTIAL else 0)
            for each in item.properties
        )
        uses += struct.pack(">HB", number, len(numbers)) + numbers
        places += struct.pack(">HHHII", number, 0, 1, len(data), len(item.content))
        for kind, to in item.references:
            references += box(kind, struct.pack(f">HH{len(to)}H", number, len(to), *to))
        data += item.content
    count = struct.pack(">H", len(items))
    preferred = (TONE_MAPPED, BASE)
    group = full_box(b"altr", struct.pack(">4I", 9, 2, *preferred))
    parts = [
        full_box(b"hdlr", bytes(4) + b"pict" + bytes(13)),
        full_box(b"pitm", struct.pack(">H", BASE)),
        full_box(b"iinf", count + infos),
        full_box(b"iref", references),
        box(
            b"iprp",
            box(b"ipco", *known),
            full_box(b"ipma", struct.pack(">I", len(items)) + uses),
        ),
        box(b"grpl", group) if TONE_MAPPED in items else b"",
    ]
    brand = BRANDS[form]
    head = box(b"ftyp", brand + bytes(4) + brand + b"mif1miaf" + b"tmap")
    length = len(full_box(b"meta", b"".join(parts))) + 12 + 4 + len(places)
    begin = len(head) + (0 if data_first else length) + 8
    moved = b"".join(_moved(places[at : at + 14], begin) for at in range(0, len(places), 14))
    located = full_box(b"iloc", b"\x44\0" + count + moved)
    said = full_box(b"meta", b"".join([*parts, located]))
    return head + (box(b"mdat", data) + said if data_first else said + box(b"mdat", data))


def _moved(row: bytes, by: int) -> bytes:
    number, reference, count, at, length = struct.unpack(">HHHII", row)
    return struct.pack(">HHHII", number, reference, count, at + by, length)


def coded(samples: Any, form: str = "HEIC", bits: int = 8, primaries: int = 1) -> Item:
    """A picture (H, W, C), grey or RGB, by an encoder."""
    make = made_modern.MAKERS[form]
    data = make(samples, bits, primaries=primaries)
    meta = _within(data, 0, len(data), b"meta")
    iprp = _within(data, meta[0] + 4, meta[1], b"iprp")
    wanted = (b"hvcC", b"av1C", b"ispe", b"clap", b"pixi", b"colr")
    boxes = boxes_of(data, *_within(data, *iprp, b"ipco"))
    properties = [box(kind, data[at:end]) for kind, at, end in boxes if kind in wanted]
    begin, end = _within(data, 0, len(data), b"mdat")
    return Item({"HEIC": b"hvc1", "AVIF": b"av01"}[form], data[begin:end], tuple(properties))


def _within(data: bytes, begin: int, end: int, wanted: bytes) -> tuple[int, int]:
    return next((at, close) for kind, at, close in boxes_of(data, begin, end) if kind == wanted)


def with_property(item: Item, *properties: bytes, without: bytes = b"none") -> Item:
    kept = [each for each in item.properties if each[4:8] != without]
    return replace(item, properties=(*kept, *properties))


def in_grid(samples: Any, first: int, form: str = "HEIC", bits: int = 8, side: int = 64) -> Made:
    """The tiles of a picture, numbered from ``first``, then the grid under the number 0."""
    height, width = samples.shape[:2]
    rows, columns = -(-height // side), -(-width // side)
    whole = np.pad(
        samples, [(0, rows * side - height), (0, columns * side - width), (0, 0)], mode="edge"
    )
    tiles = [
        coded(np.ascontiguousarray(part), form, bits)
        for row in np.split(whole, rows)
        for part in np.split(row, columns, axis=1)
    ]
    content = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    size = full_box(b"ispe", struct.pack(">II", width, height))
    shared = [each for each in tiles[0].properties if each[4:8] in (b"pixi", b"colr")]
    numbers = tuple(range(first, first + len(tiles)))
    grid = Item(b"grid", content, (size, *shared), ((b"dimg", numbers),))
    return {0: grid} | dict(zip(numbers, tiles, strict=True))


def text_about(number: int, xmp: bytes) -> Item:
    """XMP about an item."""
    kind = b"application/rdf+xml\0"
    return Item(b"mime", xmp, references=((b"cdsc", (number,)),), more=kind)


def colour(primaries: int, curve: int) -> bytes:
    """A colour box of numbers."""
    return box(b"colr", b"nclx" + struct.pack(">HHHB", primaries, curve, 0, 0x80))


def iso_metadata(
    gains: Gains, flags: int = 0x40, base: float = 0.0, other: float | None = None
) -> bytes:
    """ISO 21496-1's, of one channel, without the version of its box."""
    below = 1 << 16
    numbers = [0.0, gains.stops, gains.gamma, gains.offset, gains.offset]
    pairs = [base, gains.stops if other is None else other, *numbers]
    rows = b"".join(struct.pack(">iI", round(each * below), below) for each in pairs)
    return struct.pack(">HHB", 0, 0, flags) + rows


@dataclass(frozen=True)
class Shot:
    """How a file with a map is made; sizes are those of the picture."""

    form: str = "HEIC"
    gains: Gains = field(default_factory=lambda: Gains(stops=3.0))
    bits: int = 8  # of the picture
    map_bits: int = 8
    primaries: int = 1  # of the picture
    gains_of: int | None = None  # primaries that the gains are of; None: the picture's


def sdr_levels(nits: Any, shot: Shot) -> Any:
    """What is shown of light in an SDR picture: cut at white."""
    light = nits / WHITE @ np.linalg.inv(to_rec709(PRIMARIES[shot.primaries])).T
    return made_light.levels(made_light._srgb(np.clip(light, 0, 1)), shot.bits)


def map_levels(nits: Any, levels: Any, shot: Shot) -> Any:
    """What makes light of an SDR picture, channel by channel."""
    space = np.linalg.inv(to_rec709(PRIMARIES[shot.gains_of or shot.primaries]))
    sdr = made_light._linear(levels / ((1 << shot.bits) - 1))
    sdr = sdr @ (space @ to_rec709(PRIMARIES[shot.primaries])).T
    wanted, offset = nits / WHITE @ space.T, shot.gains.offset
    boost = np.log2((wanted + offset) / (sdr + offset)) / shot.gains.stops
    return made_light.levels(np.clip(boost, 0, 1) ** shot.gains.gamma, shot.map_bits)


def tone_mapped(nits: Any, shot: Shot | None = None) -> Made:
    """An SDR picture, a map, and the picture that is made of both."""
    how = shot or Shot()
    levels = sdr_levels(nits, how)
    gains = map_levels(nits, levels, how)
    flags = 0x40 if how.gains_of is None else 0
    size = full_box(b"ispe", struct.pack(">II", *levels.shape[1::-1]))
    of_both = (size, colour(how.gains_of or how.primaries, 16))
    return {
        BASE: coded(levels, how.form, how.bits, how.primaries),
        MAP: coded(gains, how.form, how.map_bits, 2),
        TONE_MAPPED: Item(
            b"tmap",
            b"\0" + iso_metadata(how.gains, flags),
            of_both,
            ((b"dimg", (BASE, MAP)),),
        ),
    }


def apples(
    levels: Any,
    gains: Any,
    headroom: bytes = b"",
    numbers: made_light.Numbers | None = None,
) -> Made:
    """A picture and Apple's grey map, which its XMP or the maker note says the headroom of."""
    kind = full_box(b"auxC", APPLES + b"\0")
    found = {
        BASE: coded(levels),
        MAP: replace(with_property(coded(gains), kind), references=((b"auxl", (BASE,)),)),
    }
    if headroom:
        words = b'<x HDRGainMap:HDRGainMapHeadroom="' + headroom + b'"/>'
        found[XMP] = text_about(MAP, words)
    if numbers is not None:
        exif = made_light.apple_exif(numbers)
        found[EXIF] = Item(b"Exif", bytes(4) + exif, references=((b"cdsc", (BASE,)),))
    return found


def apple_heic(nits: Any) -> bytes:
    """Light whose colours are kept in its SDR picture, and one gain for all channels."""
    light = nits / WHITE
    headroom = float(light.max())
    gain = np.maximum(light.max(axis=2, keepdims=True), 1)
    linear = (gain - 1) / (headroom - 1)
    bent = np.where(linear < 0.018, 4.5 * linear, 1.099 * linear**0.45 - 0.099)
    levels = made_light.levels(made_light._srgb(light / gain), 8)
    return muxed(apples(levels, made_light.levels(bent, 8), f"{headroom:.6f}".encode()))


def jpeg_xl(nits: Any, shot: Shot | None = None, colour_of_map: bytes = b"") -> bytes:
    """A JPEG XL with a box for its map."""
    how = shot or Shot(form="JPEG XL")
    levels = sdr_levels(nits, how)
    gains = map_levels(nits, levels, how)
    base = made_modern.jpeg_xl(levels, how.bits, primaries=how.primaries)
    flags = 0x40 if how.gains_of is None else 0
    return made_modern.with_boxes(
        base, (b"jhgm", bundle(iso_metadata(how.gains, flags), gains, colour_of_map))
    )


def bundle(metadata: bytes, gains: Any, colour_of_map: bytes = b"") -> bytes:
    """The content of a box jhgm."""
    head = struct.pack(">BH", 0, len(metadata)) + metadata
    head += bytes([len(colour_of_map)]) + colour_of_map + bytes(4)
    return head + made_modern.jpeg_xl(gains)


MAKERS: dict[str, Callable[[Any], bytes]] = {
    "Apple": apple_heic,
    "HEIC": lambda nits: muxed(tone_mapped(nits)),
    "AVIF": lambda nits: muxed(tone_mapped(nits, Shot("AVIF")), "AVIF"),
    "JPEG XL": jpeg_xl,
}
