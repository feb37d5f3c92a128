"""The container of JPEG XR: its pixel format, sizes, how it is turned, and metadata. No decoding.

It is laid out like TIFF, with tags and pixel formats of its own. The codestream states the size
again, and may state another: both are read.

References
----------
.. [1] ITU-T T.832: JPEG XR, 2019, annex A (tag-based file format), 8.3 (image header).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

PIXEL_FORMATS = bytes.fromhex("24c3dd6f034efe4bb1853d77768dc9")  # GUIDs: this, then one byte
HALVES, FLOATS = (0x3A, 0x3B, 0x3E, 0x42), (0x11, 0x19, 0x1A, 0x1B)
SDR = (  # unsigned integers: sRGB, grey, CMYK
    *(0x05, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x14, 0x15, 0x16, 0x17),
    *(0x1C, 0x1F, *range(0x20, 0x3A)),
)
FORMAT, TURNED, WIDTH, HEIGHT = 0xBC01, 0xBC02, 0xBC80, 0xBC81
ACROSS, DOWN, STREAM = 0xBC82, 0xBC83, 0xBCC0
STREAM_BYTES, ALPHA = 0xBCC1, 0xBCC2  # the bytes of alpha are often stated wrongly
XMP, PROFILE, EXIF = 700, 34675, 34665
TEXTS = (270, 271, 272, 305, 306, 315, 33432, 36867)  # tags that are text, also of EXIF
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1, 11: 4}  # of values, by type
SIGNATURE = b"WMPHOTO\0"
ORIENTATIONS = (1, 4, 2, 3, 6, 7, 5, 8)  # EXIF's, by SPATIAL_XFRM_PRIMARY or _SUBORDINATE
MOST_TAGS = 1000


@dataclass(frozen=True)
class Container:
    """What the file says before its pixels. Empty or 1 where it does not."""

    pixel_format: int | None  # the last byte of its GUID; None: of no known family
    sizes: frozenset[tuple[int, int]]  # of the container and the codestream: one, if they agree
    orientation: int
    profile: bytes
    xmp: bytes
    dpi: tuple[float, float] | None
    texts: tuple[tuple[int, str], ...]
    is_cut: bool


def read_container(data: bytes) -> Container:
    """Raises ``ValueError`` where the file is damaged or cut off before its pixels."""
    try:
        tags = dict(_tags(data, struct.unpack_from("<I", data, 4)[0]))
        inner = dict(_tags(data, _number(tags[EXIF]))) if EXIF in tags else {}
        stream = _number(tags[STREAM])
        sizes = {(_number(tags[WIDTH]), _number(tags[HEIGHT])), _size_of_stream(data, stream)}
        return Container(
            _format(tags),
            frozenset(sizes),
            ORIENTATIONS[_number(tags[TURNED]) if TURNED in tags else data[stream + 9] >> 3 & 7],
            tags.get(PROFILE, b""),
            tags.get(XMP, b"").rstrip(b"\0"),
            _dpi(tags),
            tuple(_texts(inner | tags)),
            _number(tags.get(ALPHA, b"")) >= len(data)
            or stream + _number(tags.get(STREAM_BYTES, b"")) > len(data),
        )
    except (struct.error, LookupError) as error:
        raise ValueError("its header is damaged or cut off") from error


def is_sdr(data: bytes) -> bool:
    """Whether a JPEG XR stores levels of a screen; not, where that cannot be told."""
    try:
        return _format(dict(_tags(data, struct.unpack_from("<I", data, 4)[0]))) in SDR
    except (struct.error, LookupError):
        return False


def unturned(data: bytes) -> bytes:
    """The file without what its container says of turning: some decoders turn by it, or fail."""
    for place in _entries(data, struct.unpack_from("<I", data, 4)[0]):
        if struct.unpack_from("<H", data, place) == (TURNED,):
            return data[: place + 8] + bytes(4) + data[place + 12 :]
    return data


def _entries(data: bytes, at: int) -> range:
    """Where the entries of a directory begin."""
    (count,) = struct.unpack_from("<H", data, at)
    return range(at + 2, at + 2 + 12 * min(count, MOST_TAGS), 12)


def _tags(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each entry of a directory."""
    for place in _entries(data, at):
        tag, kind, number = struct.unpack_from("<HHI", data, place)
        length, begin = SIZES.get(kind, 0) * number, place + 8
        if length > 4:
            (begin,) = struct.unpack_from("<I", data, begin)
        content = data[begin : begin + length]
        if len(content) == length:
            yield tag, content


def _number(content: bytes) -> int:
    return int.from_bytes(content, "little")


def _format(tags: dict[int, bytes]) -> int | None:
    stated = tags[FORMAT]
    return stated[15] if len(stated) == 16 and stated.startswith(PIXEL_FORMATS) else None


def _size_of_stream(data: bytes, at: int) -> tuple[int, int]:
    """Of the coded picture; raises ``LookupError`` where there is none."""
    if data[at : at + 8] != SIGNATURE:
        raise LookupError
    short = data[at + 10] & 0x80
    width, height = struct.unpack_from(">HH" if short else ">II", data, at + 12)
    return width + 1, height + 1


def _dpi(tags: dict[int, bytes]) -> tuple[float, float] | None:
    if len(tags.get(ACROSS, b"")) != 4 or len(tags.get(DOWN, b"")) != 4:
        return None
    across, down = (struct.unpack("<f", tags[each])[0] for each in (ACROSS, DOWN))
    return (across, down) if 1 <= across <= 65_535 and 1 <= down <= 65_535 else None


def _texts(tags: dict[int, bytes]) -> Iterator[tuple[int, str]]:
    for tag in TEXTS:
        text = tags.get(tag, b"").split(b"\0")[0].decode("utf-8", "replace")
        if text:
            yield tag, text
