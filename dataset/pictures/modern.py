"""SDR pictures of AVIF, HEIF and JPEG XL, by packages of the extra ``hdr``.

Of 8 to 16 bits; more than 8 become 16. Colours stay the numbers of the file, as of any picture: an
ICC profile is kept, and what a file states by numbers instead becomes one. A JPEG that a JPEG XL
was made of without loss is taken out again, and read as such.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.pictures.boxes import NO_HEADER, Stated, read_stated
from dataset.pictures.dynamic_range import profile_of
from dataset.pictures.exif import say_upright, turn
from dataset.pictures.extra_decoding import (
    Decoded,
    decode_avif,
    decode_heif,
    decode_jpegxl,
    jpeg_in,
    metadata_of_jpegxl,
)
from dataset.pictures.formats import HEAD, READ_ONLY, format_of
from dataset.pictures.hdr_limits import check_size
from dataset.pictures.headers import Header
from dataset.pictures.jpegxl import Codestream, read_codestream
from dataset.pictures.metadata import Metadata, upright_xmp
from dataset.pictures.png import Samples

TAKEN_BYTES = 24  # per pixel: three channels as float32, and as they are decoded, of 8 or 16 bits
MOST_OVER = 1.05  # of floating-point samples, that rounding leads to; beyond it is HDR


@dataclass(frozen=True, eq=False)
class Modern:
    """An upright picture."""

    samples: Samples  # (H, W, C): grey or RGB, then alpha if any
    metadata: Metadata
    notes: tuple[str, ...] = ()


def is_modern(data: bytes) -> bool:
    """Whether a file is of a format that is read here."""
    return format_of(data[:HEAD]) in READ_ONLY


def read_modern(data: bytes, path: Path) -> Modern:
    """Decode a file that ``accepted.py`` took.

    Raises
    ------
    UserError
        It is over a limit or over the free memory, or a package is missing.
    ValueError
        It is damaged or cut off, or of a kind that is not supported.
    """
    read = _read_jpegxl if format_of(data[:HEAD]) == "JPEG XL" else _read_boxed
    found = read(data, path)
    about = found.metadata
    exif = say_upright(about.exif) if about.exif else None
    xmp = upright_xmp(about.xmp) if about.xmp else None
    icc = profile_of(data) or None
    return replace(found, metadata=replace(about, icc=icc, exif=exif, xmp=xmp))


def jpeg_of(data: bytes, path: Path) -> bytes | None:
    """The JPEG that a JPEG XL was made of without loss; None: of none.

    Raises
    ------
    UserError
        The package is missing.
    """
    return jpeg_in(data, path) if format_of(data[:HEAD]) == "JPEG XL" else None


def size_of_modern(header: Header | None) -> tuple[int, int]:
    """Width and height; raises ``ValueError`` where the header was not understood."""
    if header is None:
        raise ValueError(NO_HEADER)
    return header.size


def read_levels(data: bytes, path: Path) -> Samples:
    """The samples of a file, upright, whatever they mean; raises as `read_modern`."""
    if format_of(data[:HEAD]) == "JPEG XL":
        return _levels_of_jpegxl(data, path)
    return _levels_of_boxed(data, read_stated(data), path)


def _read_boxed(data: bytes, path: Path) -> Modern:
    """Of AVIF and HEIF, whose EXIF does not turn them."""
    stated = read_stated(data)
    samples = _levels_of_boxed(data, stated, path)
    if samples.itemsize > 1 and stated.colour is None and not stated.profile:
        raise ValueError("it does not say what its levels mean, and may be HDR")
    return Modern(samples, Metadata(exif=stated.exif, xmp=stated.xmp))


def _levels_of_boxed(data: bytes, stated: Stated, path: Path) -> Samples:
    for size in stated.sizes:
        check_size(format_of(data[:HEAD]) or "", *size, path, TAKEN_BYTES)
    if stated.coding == b"av1C":  # in HEIF's boxes, too
        decoded, turns = decode_avif(data, stated, path), stated.orientation
    else:
        decoded, turns = decode_heif(data, stated, path), 1  # upright already
    return turn(_of_full_range(decoded, stated.grey), turns)


def _read_jpegxl(data: bytes, path: Path) -> Modern:
    return Modern(_levels_of_jpegxl(data, path), metadata_of_jpegxl(data, path))


def _levels_of_jpegxl(data: bytes, path: Path) -> Samples:
    stated = read_codestream(data)
    if stated is None:
        raise ValueError(NO_HEADER)
    _check_jpegxl(stated)
    check_size("JPEG XL", *stated.size, path, TAKEN_BYTES)
    return _of_full_range(decode_jpegxl(data, stated, path), stated.grey)


def _check_jpegxl(stated: Codestream) -> None:
    if stated.by_profile:
        raise ValueError("its colours are stated by an ICC profile, which is not read in JPEG XL")
    if stated.is_premultiplied:
        raise ValueError("its colours are multiplied by its transparency, which is not supported")


def _of_full_range(decoded: Decoded, is_grey: bool) -> Samples:
    """Samples of 8 bits, or of 16, whose largest is the largest of their type."""
    samples, most = decoded
    if samples.shape[2] > 4:
        raise ValueError("it has channels that are neither colour nor transparency")
    if is_grey and samples.shape[2] > 2:
        samples = samples[..., [0, *range(3, samples.shape[2])]]
    if samples.dtype.kind == "f":
        return _of_floats(samples)
    kind: Any = np.uint8 if most < 256 else np.uint16
    full = np.iinfo(kind).max
    if most == full:
        return np.ascontiguousarray(samples, kind)
    levels = np.rint(np.arange(most + 1) * (full / most)).astype(kind)
    return np.ascontiguousarray(levels[np.minimum(samples, most)])


def _of_floats(samples: NDArray[Any]) -> Samples:
    if not (samples.min() >= 1 - MOST_OVER and samples.max() <= MOST_OVER):  # nor NaN
        raise ValueError("its floating-point samples go beyond white: it is HDR of an unread kind")
    return np.rint(np.clip(samples, 0, 1) * np.float32(65535)).astype(np.uint16)
