"""PNG: chunks, metadata, and two encoders.

`encode_png` is for frames, which come faster than the usual encoders write: rows after the Sub
filter, compressed by Intel's ISA-L, four to five times as fast as OpenCV's fastest settings, and
smaller (benchmarks/lossless.py). Without ISA-L, zlib's first level stands in. `encode_samples` is
for pictures: any depth, grey, transparency and metadata, filters chosen by libpng.

References
----------
.. [1] W3C: Portable Network Graphics (PNG) Specification, third edition, 2025.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.pictures.metadata import Metadata

deflate: ModuleType
try:
    deflate = import_module("isal.isal_zlib")
except ImportError:  # no wheel for this processor
    deflate = zlib

Samples = NDArray[np.uint8] | NDArray[np.uint16]  # (H, W, C): grey or RGB, then alpha if any

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels: grey, grey + alpha, RGB, RGB + alpha
GREY_TYPES = (0, 4)
COLOUR_CHUNKS = (b"cICP", b"cHRM", b"gAMA", b"sRGB")  # what the numbers mean, beside a profile
NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")
BGR = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}  # OpenCV's order of channels
INCH = 0.0254  # metres
KEPT = 1 << 26  # bytes of filtered rows that a thread keeps for its next frame
SUB = 1  # filter: each value minus that of the pixel to the left


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk with its length and checksum."""
    checksum = deflate.crc32(content, deflate.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def read_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk; the content of IDAT is left out.

    Raises
    ------
    ValueError
        A chunk is damaged, or the file is cut off.
    """
    view = memoryview(data)
    for kind, begin, end in _checked(view):
        yield kind, bytes(view[begin + 8 : end - 4]) if kind != b"IDAT" else b""


def essence(data: bytes) -> bytes:
    """A PNG without what its pixels do not need, of which decoders may complain aloud.

    Raises
    ------
    ValueError
        A chunk is damaged, or the file is cut off.
    """
    view = memoryview(data)
    parts = [view[begin:end] for kind, begin, end in _checked(view) if kind in NEEDED]
    return b"".join([SIGNATURE, *parts])


def _checked(view: memoryview) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of each chunk, up to the last one; raises as `read_chunks`."""
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        head = bytes(view[at : at + 8])
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        content, end = view[at + 8 : at + 8 + length], at + 12 + length
        checksum = bytes(view[end - 4 : end])
        if len(checksum) < 4:
            raise ValueError("it ends too early")
        if int.from_bytes(checksum, "big") != deflate.crc32(content, deflate.crc32(kind)):
            raise ValueError("a checksum is wrong")
        yield kind, at, end
        at = end


def encode_samples(samples: Samples, about: Metadata | None = None, extra: bytes = b"") -> bytes:
    """Encode any picture losslessly as PNG.

    Parameters
    ----------
    samples : (H, W, C) uint8 or uint16
        Grey, grey and alpha, RGB, or RGB and alpha.
    about : Metadata, optional
    extra : bytes
        Further chunks, which stand before the pixels.
    """
    height, width, channels = samples.shape
    kind = 8 * samples.itemsize, COLOUR_TYPES[channels], 0, 0, 0
    rows: Any = _grey_alpha_as_colour(samples) if channels == 2 else samples
    encoded = cv2.imencode(".png", rows[..., BGR[rows.shape[2]]])[1].tobytes()
    pixels = encoded[encoded.index(b"IDAT") - 4 :]
    chunks = b"".join(chunk(*each) for each in _chunks_of(about or Metadata()))
    return _file(width, height, kind, chunks + extra, pixels)


def _grey_alpha_as_colour(samples: Samples) -> Samples:
    """Grey with alpha, which OpenCV does not write, as one with the same bytes that it does.

    PNG filters bytes by their distance in pixels: 8-bit grey and alpha are one 16-bit number, and
    those of 16 bits are four of 8 bits.
    """
    high_first = np.ascontiguousarray(samples, samples.dtype.newbyteorder(">"))
    return (
        high_first.view(">u2").astype(np.uint16)
        if samples.itemsize == 1
        else high_first.view(np.uint8)
    )


def _chunks_of(about: Metadata) -> Iterator[tuple[bytes, bytes]]:
    yield from about.png_colour
    if about.icc:
        yield b"iCCP", b"ICC Profile\0\0" + zlib.compress(about.icc)
    if about.dpi:
        across, down = (round(value / INCH) for value in about.dpi)
        yield b"pHYs", struct.pack(">IIB", across, down, 1)
    if about.xmp:
        yield b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + about.xmp
    if about.exif:
        yield b"eXIf", about.exif


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Encode a frame, RGB uint8 (H, W, 3), quickly as PNG.

    Examples
    --------
    >>> encode_png(np.zeros((2, 3, 3), np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    height, width = image.shape[:2]
    pixels = chunk(b"IDAT", deflate.compress(_filtered(image), 1)) + chunk(b"IEND", b"")
    return _file(width, height, (8, COLOUR_TYPES[3], 0, 0, 0), b"", pixels)


def _file(width: int, height: int, kind: tuple[int, ...], chunks: bytes, pixels: bytes) -> bytes:
    """``kind``: depth, colour type, compression, filters, interlace."""
    header = chunk(b"IHDR", struct.pack(">II5B", width, height, *kind))
    return b"".join([SIGNATURE, header, chunks, pixels])


class _Scratch(threading.local):
    """Filtered rows of a thread's last frame: fresh pages for each would double the time."""

    rows: Any = None


_scratch = _Scratch()


def _filtered(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows (H, 1 + 3 W): the filter's number, then the differences."""
    height, width = image.shape[:2]
    rows = _scratch.rows
    if rows is None or rows.shape != (height, 1 + 3 * width):
        rows = np.empty((height, 1 + 3 * width), np.uint8)
        rows[:, 0] = SUB
        _scratch.rows = rows if rows.nbytes <= KEPT else None
    values = image.reshape(height, 3 * width)
    rows[:, 1:4] = values[:, :3]
    np.subtract(values[:, 3:], values[:, :-3], out=rows[:, 4:])
    return np.asarray(rows)
