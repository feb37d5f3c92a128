"""PODs, the values that PipeWire's programs negotiate with: written and read as bytes.

Those that a video stream needs, and no more. Nothing here talks to PipeWire.

References
----------
spa/pod/pod.h, spa/param/param.h, spa/param/format.h, spa/param/buffers.h and
spa/param/video/raw.h of PipeWire: a size, a type, the value, padded to 8 bytes, in native order.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

ID, INT, RECTANGLE, FRACTION, OBJECT, CHOICE = 3, 4, 10, 11, 15, 19  # types of values
RANGE, ENUM, FLAGS = 1, 3, 4  # kinds of choices
FORMAT_OBJECT, BUFFERS_OBJECT, META_OBJECT = 0x40003, 0x40004, 0x40005
ENUM_FORMAT, FORMAT, BUFFERS, META = 3, 4, 5, 6  # parameters of a stream
MEDIA_TYPE, MEDIA_SUBTYPE, VIDEO_FORMAT, VIDEO_SIZE, VIDEO_RATE = 1, 2, 0x20001, 0x20003, 0x20004
VIDEO, RAW = 2, 1
BUFFER_COUNT, BUFFER_BLOCKS, BUFFER_TYPES = 1, 2, 6  # of a buffers' object
META_TYPE, META_SIZE = 1, 2  # of a meta's object
SHARED_MEMORY = 1 << 1 | 1 << 2  # MemPtr and MemFd, which can be read without a GPU
RGBX, BGRX, RGBA, BGRA = 7, 8, 11, 12  # video formats
FORMATS = {BGRX: "BGRx", BGRA: "BGRA", RGBX: "RGBx", RGBA: "RGBA"}  # the best first
MOST_SIDE = 16384  # pixels


@dataclass(frozen=True)
class VideoFormat:
    """What a stream's pictures are."""

    width: int  # pixels
    height: int
    pixels: int  # RGBX, BGRX, RGBA or BGRA

    @property
    def is_rgb(self) -> bool:
        """Whether red comes first."""
        return self.pixels in (RGBX, RGBA)


def format_offer() -> bytes:
    """What we take: the four formats of 4 bytes, any size and rate, in plain memory."""
    formats = [struct.pack("=I", each) for each in FORMATS]
    sizes = [struct.pack("=II", *each) for each in ((1920, 1080), (1, 1), (MOST_SIDE, MOST_SIDE))]
    rates = [struct.pack("=II", each, 1) for each in (0, 0, 1000)]  # 0: as damage comes
    return _object(
        FORMAT_OBJECT,
        ENUM_FORMAT,
        (MEDIA_TYPE, _ident(VIDEO)),
        (MEDIA_SUBTYPE, _ident(RAW)),
        (VIDEO_FORMAT, _choice(ENUM, ID, formats[0], *formats)),
        (VIDEO_SIZE, _choice(RANGE, RECTANGLE, *sizes)),
        (VIDEO_RATE, _choice(RANGE, FRACTION, *rates)),
    )


def buffers_wish(best: int, least: int, most: int) -> bytes:
    """How many buffers we wish for, each of one block of shared memory."""
    counts = [struct.pack("=i", each) for each in (best, least, most)]
    return _object(
        BUFFERS_OBJECT,
        BUFFERS,
        (BUFFER_COUNT, _choice(RANGE, INT, *counts)),
        (BUFFER_BLOCKS, _pod(INT, struct.pack("=i", 1))),
        (BUFFER_TYPES, _choice(FLAGS, INT, struct.pack("=i", SHARED_MEMORY))),
    )


def meta_wish(kind: int, size: int) -> bytes:
    """A wish for facts beside each picture: their kind, and their size in bytes."""
    return _object(
        META_OBJECT,
        META,
        (META_TYPE, _ident(kind)),
        (META_SIZE, _pod(INT, struct.pack("=i", size))),
    )


def read_format(raw: bytes) -> VideoFormat | None:
    """The format that was agreed on; None if it is none that we can read."""
    found = read_object(raw)
    try:
        width, height = struct.unpack("=II", found[VIDEO_SIZE])
        [pixels] = struct.unpack("=I", found[VIDEO_FORMAT])
    except (KeyError, struct.error):
        return None
    sound = 0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE and pixels in FORMATS
    return VideoFormat(width, height, pixels) if sound else None


def read_object(raw: bytes) -> dict[int, bytes]:
    """The properties of an object; a choice gives its default."""
    found: dict[int, bytes] = {}
    if len(raw) < 8:
        return found
    size, kind = struct.unpack_from("=II", raw)
    at, end = 16, min(8 + size, len(raw))
    while kind == OBJECT and at + 16 <= end:
        key, _, length, form = struct.unpack_from("=IIII", raw, at)
        value = raw[at + 16 : at + 16 + length]
        if form == CHOICE and len(value) >= 16:
            [length_of_each] = struct.unpack_from("=I", value, 8)
            value = value[16 : 16 + length_of_each]
        found[key] = value
        at += 16 + _padded(length)
    return found


def _pod(kind: int, value: bytes) -> bytes:
    return struct.pack("=II", len(value), kind) + value.ljust(_padded(len(value)), b"\0")


def _ident(value: int) -> bytes:
    return _pod(ID, struct.pack("=I", value))


def _choice(kind: int, child: int, *values: bytes) -> bytes:
    """A choice between values of one type; the first one is the default."""
    head = struct.pack("=IIII", kind, 0, len(values[0]), child)
    return _pod(CHOICE, head + b"".join(values))


def _object(kind: int, parameter: int, *properties: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack("=II", key, 0) + value for key, value in properties)
    return _pod(OBJECT, struct.pack("=II", kind, parameter) + body)


def _padded(size: int) -> int:
    return size + -size % 8
