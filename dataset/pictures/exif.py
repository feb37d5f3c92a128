"""EXIF as a block of bytes: the orientation it states, and the block of the upright picture.

A block is patched in place, never parsed and written again: makers' notes hold offsets into it, so
it keeps its length and nearly all its bytes. Pictures are turned here too.

References
----------
.. [1] CIPA DC-008: Exchangeable image file format for digital still cameras, Exif 2.32, 2019.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

PREFIX = b"Exif\0\0"  # stands before the block in some formats
ORIENTATION, EXIF_IFD = 274, 34665  # tags
SIDES = (40962, 40963)  # PixelXDimension, PixelYDimension
THUMBNAIL, THUMBNAIL_BYTES = 513, 514
TAKEN, DIGITIZED, FRACTION, ZONE = 36867, 36868, 37521, 36881  # DateTimeOriginal and what goes on
LONGEST_DATE = 64  # bytes
ASCII = 2  # the type of a text
CODES = {3: "H", 4: "I"}  # for struct, by the type of a value: SHORT and LONG
UPRIGHT = 1


class _Directory:
    """The values of a directory that are single integers or short texts, by tag.

    Raises ``struct.error`` where the block ends within it.
    """

    def __init__(self, block: bytearray, at: int | None = None) -> None:
        self._block = block
        self._order = ">" if block[:2] == b"MM" else "<"
        begin = self._read("I", 4) if at is None else at
        self._link = begin + 2 + 12 * self._read("H", begin)  # where it says where the next one is
        self._places = {}  # tag -> how and where its value is stored
        self._texts = {}  # tag -> length and place of a text
        for place in range(begin + 2, self._link, 12):
            tag, kind, count = struct.unpack_from(self._order + "HHI", block, place)
            if kind in CODES and count == 1:
                self._places[tag] = CODES[kind], place + 8
            elif kind == ASCII and count <= LONGEST_DATE:
                self._texts[tag] = count, place + 8

    def __getitem__(self, tag: int) -> int | None:
        return self._read(*self._places[tag]) if tag in self._places else None

    def __setitem__(self, tag: int, value: int | None) -> None:
        if tag in self._places and value is not None:
            code, at = self._places[tag]
            struct.pack_into(self._order + code, self._block, at, value)

    def text(self, tag: int) -> str:
        """A short text; empty where there is none."""
        length, at = self._texts.get(tag, (0, 0))
        begin = at if length <= 4 else self._read("I", at)
        return self._block[begin : begin + length].decode("ascii", "replace").rstrip("\0 ")

    def unlink_next(self) -> int:
        """Where the next directory is; 0 after the last."""
        place = self._read("I", self._link)
        struct.pack_into("I", self._block, self._link, 0)
        return place

    def _read(self, code: str, at: int) -> int:
        return int(struct.unpack_from(self._order + code, self._block, at)[0])


def orientation_of(exif: bytes | None) -> int:
    """The orientation that a block states, 1 to 8; 1 where it states no valid one."""
    try:
        found = _Directory(bytearray(exif or b""))[ORIENTATION]
    except struct.error:
        return UPRIGHT
    return found if found and found <= 8 else UPRIGHT


def date_texts(exif: bytes) -> tuple[str, str, str]:
    """When a block says that its picture was taken: date and time, digits of a second, zone.

    Raises ``struct.error`` where it is damaged. What it does not state is empty.
    """
    block = bytearray(exif)
    facts = _Directory(block)[EXIF_IFD]
    if facts is None:
        return "", "", ""
    stated = _Directory(block, facts)
    return stated.text(TAKEN) or stated.text(DIGITIZED), stated.text(FRACTION), stated.text(ZONE)


def swaps_sides(orientation: int) -> bool:
    """Whether width and height change places when a picture is turned upright."""
    return orientation >= 5


def turn(picture: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn a picture (H, W) or (H, W, C) upright.

    Parameters
    ----------
    orientation : int
        1 to 8: the sides of the upright picture that the first row and the first column show.
    """
    turned = picture.swapaxes(0, 1) if swaps_sides(orientation) else picture
    down = orientation in (3, 4, 7, 8)
    right = orientation in (2, 3, 6, 7)
    return np.ascontiguousarray(turned[:: -1 if down else 1, :: -1 if right else 1])


def say_upright(exif: bytes) -> bytes:
    """The block for a picture that was turned upright, without its thumbnail.

    Notes
    -----
    The thumbnail's bytes become zeros, as removing them would move what follows. What is too
    damaged to be read stays as it is.
    """
    block, swaps = bytearray(exif), swaps_sides(orientation_of(exif))
    with suppress(struct.error):
        directory = _Directory(block)
        directory[ORIENTATION] = UPRIGHT
        following = directory.unlink_next()
        facts = directory[EXIF_IFD]
        if swaps and facts is not None:
            _swap_sides(_Directory(block, facts))
        if following:
            _erase_thumbnail(block, _Directory(block, following))
    return bytes(block)


def _swap_sides(directory: _Directory) -> None:
    across, down = SIDES
    directory[across], directory[down] = directory[down], directory[across]


def _erase_thumbnail(block: bytearray, directory: _Directory) -> None:
    begin, length = directory[THUMBNAIL], directory[THUMBNAIL_BYTES]
    if begin is not None and length is not None and begin + length <= len(block):
        block[begin : begin + length] = bytes(length)
