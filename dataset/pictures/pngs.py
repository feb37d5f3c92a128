"""PNG files as chunks, and an encoder for every depth and number of channels that PNG has.

``dataset/pictures/png.py`` writes frames in a hurry; this one writes pictures to keep: any of 8
and 16 bits, grey and RGB, with and without alpha, and filtered row by row for a smaller file.

References
----------
.. [1] W3C: Portable Network Graphics (PNG) Specification, third edition, 2025.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.pictures.png import SIGNATURE, deflate

Samples = NDArray[np.uint8] | NDArray[np.uint16]  # (H, W, C)

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels: grey, grey + alpha, RGB, RGB + alpha
GREY_TYPES = (0, 4)
COLOUR_CHUNKS = (b"cICP", b"cHRM", b"gAMA", b"sRGB")  # what the numbers mean, beside a profile
INCH = 0.0254  # metres
LEVEL = 1  # of deflate; ISA-L's higher ones gain nothing here
BAND = 1 << 22  # bytes filtered at once
PIECE = 1 << 20  # bytes of an IDAT chunk


def read_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk.

    Raises
    ------
    ValueError
        A chunk is damaged, or the file ends before its end.
    """
    view, at, kind = memoryview(data), len(SIGNATURE), b""
    while kind != b"IEND":
        head = bytes(view[at : at + 8])
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        content = view[at + 8 : at + 8 + length]
        checksum = bytes(view[at + 8 + length : at + 12 + length])
        if len(checksum) < 4:
            raise ValueError("it ends too early")
        if int.from_bytes(checksum, "big") != deflate.crc32(content, deflate.crc32(kind)):
            raise ValueError("a checksum is wrong")
        yield kind, bytes(content) if kind != b"IDAT" else b""
        at += 12 + length


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk with its length and checksum."""
    checksum = deflate.crc32(content, deflate.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def describe(
    icc: bytes | None,
    exif: bytes | None,
    xmp: bytes | None,
    dpi: tuple[float, float] | None,
    colour: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """The chunks that say what the numbers mean and where the picture comes from.

    Parameters
    ----------
    colour : pairs of kind and content
        Chunks of `COLOUR_CHUNKS`, as they were read.
    """
    parts = [chunk(kind, content) for kind, content in colour]
    if icc:
        parts.append(chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
    if dpi:
        per_metre = (round(value / INCH) for value in dpi)
        parts.append(chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    if xmp:
        parts.append(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    if exif:
        parts.append(chunk(b"eXIf", exif))
    return b"".join(parts)


def encode(samples: Samples, description: bytes = b"") -> bytes:
    """Encode losslessly as PNG.

    Parameters
    ----------
    samples : (H, W, C) uint8 or uint16
        Grey, grey and alpha, RGB, or RGB and alpha.
    description : bytes
        Chunks to stand before the picture, of `describe`.
    """
    height, width, channels = samples.shape
    depth = 8 * samples.itemsize
    header = struct.pack(">II5B", width, height, depth, COLOUR_TYPES[channels], 0, 0, 0)
    pieces = (chunk(b"IDAT", piece) for piece in _compressed(samples))
    return b"".join([SIGNATURE, chunk(b"IHDR", header), description, *pieces, chunk(b"IEND", b"")])


def _compressed(samples: Samples) -> Iterator[bytes]:
    """The filtered rows as one deflate stream, in pieces."""
    height, width, channels = samples.shape
    pixel = channels * samples.itemsize
    rows = max(1, BAND // (width * pixel))
    stream, waiting = deflate.compressobj(LEVEL), b""
    above = np.zeros((1, width * pixel), np.uint8)
    for top in range(0, height, rows):
        band = _bytes_of(samples[top : top + rows])
        waiting += stream.compress(_filtered(band, above, pixel))
        above = band[-1:]
        while len(waiting) >= PIECE:
            yield waiting[:PIECE]
            waiting = waiting[PIECE:]
    yield waiting + stream.flush()


def _bytes_of(samples: Samples) -> NDArray[np.uint8]:
    """Rows of bytes (H, W C) or (H, 2 W C), the most significant first."""
    big = np.ascontiguousarray(samples, samples.dtype.newbyteorder(">"))
    return big.view(np.uint8).reshape(len(samples), -1)


def _filtered(band: NDArray[Any], above: NDArray[Any], pixel: int) -> NDArray[np.uint8]:
    """Each row with the filter that leaves the least, by the sum of what is left: (H, 1 + W C)."""
    up = np.concatenate([above, band[:-1]])
    left = _shifted(band, pixel)
    guesses = {1: left, 2: up, 4: _paeth(left, up, _shifted(up, pixel))}
    kinds = np.array(list(guesses), np.uint8)
    left_over = np.stack([band - guess for guess in guesses.values()])
    cost = np.abs(left_over.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
    best = cost.argmin(axis=0)
    rows = left_over[best, np.arange(len(band))]
    return np.concatenate([kinds[best][:, None], rows], axis=1)


def _shifted(rows: NDArray[Any], pixel: int) -> NDArray[Any]:
    """Each byte's neighbour one pixel to the left; 0 beyond the edge."""
    return np.pad(rows[:, :-pixel], ((0, 0), (pixel, 0)))


def _paeth(left: NDArray[Any], up: NDArray[Any], corner: NDArray[Any]) -> NDArray[np.uint8]:
    """Of the three neighbours the one nearest to left + up - corner."""
    a, b, c = (each.astype(np.int16) for each in (left, up, corner))
    off_left, off_up, off_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - c - c)
    first = (off_left <= off_up) & (off_left <= off_corner)
    second = off_up <= off_corner
    return np.where(first, left, np.where(second, up, corner))
