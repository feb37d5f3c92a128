"""JPEG XL whose header says what is wanted: PQ, HLG, primaries, how bright 1 is, how it is turned.

The encoder at hand writes sRGB and linear samples only. Pixels begin at a whole byte behind the
header, whatever it says, so another header is put before them.
"""

from __future__ import annotations

import struct
from typing import Any

import imagecodecs

from dataset.pictures import jpegxl
from dataset.pictures.boxes import boxes_of


class _Writer:
    def __init__(self) -> None:
        self.value, self.length = 0, 0

    def __call__(self, value: int, count: int) -> None:
        self.value |= value << self.length
        self.length += count

    def enum(self, value: int) -> None:
        if value < 2:
            self(value, 2)
        elif value < 18:
            self(2, 2)
            self(value - 2, 4)
        else:
            self(3, 2)
            self(value - 18, 6)

    def bytes(self) -> bytes:
        return self.value.to_bytes((self.length + 7) // 8, "little")


def jpeg_xl(
    picture: Any,
    curve: int,
    primaries: int = 1,
    nits: float | None = None,
    orientation: int = 1,
    bits: int = 0,
    **how: Any,
) -> bytes:
    """Lossless unless ``how`` says ``distance``; of RGB uint8, uint16 or float32."""
    how = how or {"lossless": True}
    depth = bits or 8 * picture.itemsize
    made = bytes(imagecodecs.jpegxl_encode(picture, usecontainer=False, bitspersample=depth, **how))
    head, stream = b"", made
    if not made.startswith(b"\xff\x0a"):  # deep samples are put into a container anyway
        at, end = next((b, e) for kind, b, e in boxes_of(made) if kind == b"jxlc")
        head, stream = made[: at - 8], made[at:end]
    read = jpegxl._Bits(stream[2:])
    jpegxl._read(read)
    read(2 + 1)  # no extensions, and the usual matrices
    behind = 2 + (8 * (len(stream) - 2) - read._left + 7) // 8
    header = _header(picture, curve, primaries, nits, orientation, "distance" in how, depth)
    stream = b"\xff\x0a" + header + stream[behind:]
    return head + struct.pack(">I4s", 8 + len(stream), b"jxlc") + stream if head else stream


def _header(
    picture: Any,
    curve: int,
    primaries: int,
    nits: float | None,
    orientation: int,
    xyb: bool,
    depth: int,
) -> bytes:
    write = _Writer()
    height, width = picture.shape[:2]
    write(0, 1)
    for side, ratio in ((height, True), (width, False)):
        write(3, 2)
        write(side - 1, 30)
        if ratio:
            write(0, 3)
    write(0, 1)  # not all as usual
    write(1, 1)  # extra fields
    write(orientation - 1, 3)
    write(0, 3)  # no other size, no preview, no animation
    if picture.dtype.kind == "f":
        write(1, 1)
        write(0, 2)
        write(7, 4)
    else:
        write(0, 1)
        write(3, 2)
        write(depth - 1, 6)
    write(0 if picture.dtype.kind == "f" or picture.itemsize > 1 else 1, 1)
    write(0, 2)  # no extra channels
    write(int(xyb), 1)
    for flag in (0, 0):  # colours not as usual, no profile
        write(flag, 1)
    write.enum(0)
    write.enum(1)
    write.enum(primaries)
    write(0, 1)
    write.enum(curve)
    write.enum(0)
    write(0 if nits else 1, 1)
    if nits:
        write(struct.unpack("<H", struct.pack("<e", nits))[0], 16)
        write(0, 16 + 1 + 16)
    write(0, 2)
    write(1, 1)
    return write.bytes()
