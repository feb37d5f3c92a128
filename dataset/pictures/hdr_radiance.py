"""Radiance HDR (RGBE and XYZE) -> light of a scene.

A pixel is three mantissas of 8 bits and one exponent; lines are coded by runs, in the new way or
the old one. As most readers do, a mantissa stands for itself, without Radiance's half a step.

References
----------
.. [1] Ward: Real Pixels, Graphics Gems II, 1991; Radiance's file formats, 1994.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataset.pictures.hdr_limits import check_size
from dataset.pictures.hdr_picture import HdrPicture
from dataset.pictures.light import BT709, E_WHITE, PRIMARIES, Light, in_rec709, to_rec709

MOST_HEADER = 1 << 16  # bytes
SIZES = re.compile(rb"([-+])([XY]) +(\d{1,9}) +([-+])([XY]) +(\d{1,9})\r?\n")
NEW_RUNS = range(8, 32768)  # widths of lines that may be coded in the new way


@dataclass(frozen=True)
class _Header:
    lines: int  # as stored, and pixels of each
    pixels: int
    flips: tuple[bool, bool]  # of lines, and of pixels in each, on the upright picture
    across: bool  # lines are columns
    xyz: bool
    scale: NDArray[np.float64]  # by which values are divided
    primaries: tuple[float, ...]
    begin: int  # of pixels


def read_radiance(data: bytes, path: Path) -> HdrPicture:
    """Raises as the readers of ``hdr.py`` do."""
    header = _header(data)
    width, height = header.pixels, header.lines
    check_size("Radiance HDR", *((height, width) if header.across else (width, height)), path)
    values = np.asarray(_light(_pixels(data, header)) / header.scale, np.float32)
    down, right = header.flips
    values = values[:: -1 if down else 1, :: -1 if right else 1]
    values = values.swapaxes(0, 1) if header.across else values
    matrix = to_rec709(header.primaries)
    kind = "Radiance HDR (XYZE)" if header.xyz else "Radiance HDR (RGBE)"
    return HdrPicture(in_rec709(values, matrix), None, kind)


def _header(data: bytes) -> _Header:
    """Raises ``ValueError`` where it is damaged or of an unknown kind."""
    end = data.find(b"\n\n", 0, MOST_HEADER)
    windows = data.find(b"\r\n\r\n", 0, MOST_HEADER)
    end, skip = (windows, 4) if windows >= 0 and (end < 0 or windows < end) else (end, 2)
    found = SIZES.match(data, end + skip) if end >= 0 else None
    if found is None or found[2] == found[5]:
        raise ValueError("its header is damaged")
    fields = [line.partition(b"=") for line in data[:end].splitlines()[1:]]
    kinds = [value.strip() for key, _, value in fields if key.strip() == b"FORMAT"]
    if kinds and kinds[-1] not in (b"32-bit_rle_rgbe", b"32-bit_rle_xyze"):
        raise ValueError(f"its pixels are {kinds[-1][:40]!r}: only RGBE and XYZE are read")
    xyz = bool(kinds) and kinds[-1].endswith(b"xyze")
    across = found[2] == b"X"
    lines, pixels = (
        found[1] == (b"+" if not across else b"-"),
        found[4] == (b"-" if not across else b"+"),
    )
    return _Header(
        *(int(found[3]), int(found[6]), (lines, pixels), across, xyz),
        _scale(fields),
        (*PRIMARIES[10][:6], *E_WHITE) if xyz else _primaries(fields),
        found.end(),
    )


def _scale(fields: list[tuple[bytes, bytes, bytes]]) -> NDArray[np.float64]:
    """The product of all exposures and colour corrections."""
    scale = np.ones(3)
    for key, _, value in fields:
        if key.strip() in (b"EXPOSURE", b"COLORCORR"):
            scale = scale * np.array([float(each) for each in value.split()])
    if scale.shape != (3,) or not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError("its exposure makes no sense")
    return scale


def _primaries(fields: list[tuple[bytes, bytes, bytes]]) -> tuple[float, ...]:
    stated = [value.split() for key, _, value in fields if key.strip() == b"PRIMARIES"]
    if not stated:
        return PRIMARIES[BT709]
    if len(stated[-1]) != 8:
        raise ValueError("its primaries make no sense")
    return tuple(float(each) for each in stated[-1])


def _pixels(data: bytes, header: _Header) -> NDArray[np.uint8]:
    """Mantissas and exponents (lines, pixels, 4); raises ``ValueError`` where they are cut off."""
    found = np.empty((header.lines, header.pixels, 4), np.uint8)
    at = header.begin
    if len(data) - at < 4 * header.lines:
        raise ValueError("it ends too early")
    for line in found:
        head = data[at : at + 4]
        is_new = header.pixels in NEW_RUNS and head[:2] == b"\2\2" and head[2:3] < b"\x80"
        if is_new and int.from_bytes(head[2:], "big") != header.pixels:
            raise ValueError("a line is of another width")
        at = _new_line(data, at + 4, line) if is_new else _old_line(data, at, line)
    return found


def _new_line(data: bytes, at: int, line: NDArray[np.uint8]) -> int:
    """Each of the four channels in runs; returns where the next line begins."""
    width = len(line)
    for channel in range(4):
        row = bytearray()
        while len(row) < width:
            if at + 1 >= len(data):
                raise ValueError("it ends too early")
            count = data[at]
            if count > 128:
                row += data[at + 1 : at + 2] * (count - 128)
                at += 2
            else:
                row += data[at + 1 : at + 1 + count]
                at += 1 + count
                if not count or at > len(data):
                    raise ValueError("a run is damaged, or it ends too early")
        if len(row) != width:
            raise ValueError("a run goes beyond its line")
        line[:, channel] = np.frombuffer(row, np.uint8)
    return at


def _old_line(data: bytes, at: int, line: NDArray[np.uint8]) -> int:
    """Single pixels, and repetitions of the one before; returns where the next line begins."""
    plain = np.frombuffer(data[at : at + 4 * len(line)], np.uint8)
    plain = plain[: len(plain) // 4 * 4].reshape(-1, 4)
    if len(plain) == len(line) and not (plain[:, :3] == 1).all(axis=1).any():
        line[:] = plain
        return at + 4 * len(line)
    done, shift = 0, 0
    while done < len(line):
        pixel = data[at : at + 4]
        if len(pixel) < 4:
            raise ValueError("it ends too early")
        at += 4
        if pixel[:3] == b"\1\1\1" and done:
            count = pixel[3] << shift
            if done + count > len(line):
                raise ValueError("a run goes beyond its line")
            line[done : done + count] = line[done - 1]
            done, shift = done + count, min(shift + 8, 24)
        else:
            line[done] = np.frombuffer(pixel, np.uint8)
            done, shift = done + 1, 0
    return at


def _light(pixels: NDArray[np.uint8]) -> Light:
    scale = np.ldexp(np.float32(1), pixels[..., 3].astype(np.int32) - (128 + 8))
    scale[pixels[..., 3] == 0] = 0
    return np.asarray(pixels[..., :3] * scale[..., None], np.float32)
