"""EXIF as a block of bytes: how it says a picture is to be turned, and saying that it is upright.

Nothing is taken apart and put together again: camera makers' notes hold offsets into the block,
which therefore keeps its length and, but for a few values, its bytes. Pictures are turned here too.

References
----------
.. [1] CIPA DC-008: Exchangeable image file format for digital still cameras, Exif 2.32, 2019.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PREFIX = b"Exif\0\0"  # stands before the block in some formats
ORIENTATION, EXIF_IFD = 274, 34665
SIDES = (40962, 40963)  # PixelXDimension, PixelYDimension
THUMBNAIL, THUMBNAIL_BYTES = 513, 514
SHORT, LONG = 3, 4
UPRIGHT = 1


@dataclass(frozen=True)
class _Entry:
    """One value of a directory: its type and where in the block it stands."""

    code: str  # for struct; empty: not one whole number
    at: int  # bytes


def orientation_of(exif: bytes | None) -> int:
    """The orientation that a block states, 1 to 8; 1 where it states none that is valid."""
    try:
        first = _first(exif or b"")
        found = _value(exif or b"", _directory(exif or b"", first)[0].get(ORIENTATION))
    except struct.error:
        return UPRIGHT
    return found if found and found <= 8 else UPRIGHT


def swaps_sides(orientation: int) -> bool:
    """Whether width and height change places when a picture is turned upright."""
    return orientation >= 5


def turn(picture: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn a picture (H, W) or (H, W, C) upright.

    Parameters
    ----------
    orientation : int
        1 to 8: at which side of what is shown the first row and the first column lie.
    """
    turned = picture.swapaxes(0, 1) if swaps_sides(orientation) else picture
    down = orientation in (3, 4, 7, 8)
    right = orientation in (2, 3, 6, 7)
    return np.ascontiguousarray(turned[:: -1 if down else 1, :: -1 if right else 1])


def say_upright(exif: bytes) -> bytes:
    """The block for a picture that was turned upright, and that its thumbnail no longer shows.

    Notes
    -----
    The thumbnail's bytes become zeros, as taking them out would move what follows. A block too
    damaged to be read is returned as it is.
    """
    block = bytearray(exif)
    try:
        directory, link = _directory(exif, _first(exif))
        if swaps_sides(orientation_of(exif)):
            _swap_sides(block, directory)
        _set(block, directory.get(ORIENTATION), UPRIGHT)
        _erase_thumbnail(block, link)
    except struct.error:
        return exif
    return bytes(block)


def _order(exif: bytes) -> str:
    """Byte order, as struct has it."""
    return ">" if exif[:2] == b"MM" else "<"


def _first(exif: bytes) -> int:
    """Where the first directory is."""
    (place,) = struct.unpack_from(_order(exif) + "4xI", exif)
    return int(place)


def _directory(exif: bytes | bytearray, at: int) -> tuple[dict[int, _Entry], int]:
    """The values of the directory there by their tags, and where the link to the next stands."""
    order = _order(bytes(exif[:2]))
    (count,) = struct.unpack_from(order + "H", exif, at)
    end = at + 2 + 12 * count
    return dict(_entries(exif, order, range(at + 2, end, 12))), end


def _entries(exif: bytes | bytearray, order: str, places: range) -> Iterator[tuple[int, _Entry]]:
    for place in places:
        tag, kind, count = struct.unpack_from(order + "HHI", exif, place)
        code = {SHORT: "H", LONG: "I"}.get(kind, "") if count == 1 else ""
        yield tag, _Entry(code and order + code, place + 8)


def _value(exif: bytes | bytearray, entry: _Entry | None) -> int | None:
    if entry is None or not entry.code:
        return None
    return int(struct.unpack_from(entry.code, exif, entry.at)[0])


def _set(block: bytearray, entry: _Entry | None, value: int | None) -> None:
    if entry is not None and entry.code and value is not None:
        struct.pack_into(entry.code, block, entry.at, value)


def _swap_sides(block: bytearray, directory: dict[int, _Entry]) -> None:
    """Width and height as stated in the directory of the picture's own facts."""
    place = _value(block, directory.get(EXIF_IFD))
    if place is None:
        return
    across, down = (_directory(block, place)[0].get(tag) for tag in SIDES)
    width, height = _value(block, across), _value(block, down)
    _set(block, across, height)
    _set(block, down, width)


def _erase_thumbnail(block: bytearray, link: int) -> None:
    """Unlink the second directory, and overwrite the picture that it has."""
    order = _order(bytes(block[:2]))
    (second,) = struct.unpack_from(order + "I", block, link)
    if not second:
        return
    struct.pack_into(order + "I", block, link, 0)
    directory, _ = _directory(block, second)
    begin = _value(block, directory.get(THUMBNAIL))
    length = _value(block, directory.get(THUMBNAIL_BYTES))
    if begin is not None and length is not None and begin + length <= len(block):
        block[begin : begin + length] = bytes(length)
