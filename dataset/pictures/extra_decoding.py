"""AVIF, HEIF and JPEG XL -> samples as they store them, by the packages of the extra ``hdr``.

What samples and metadata mean is in ``modern.py`` for SDR, and in ``hdr_heif.py`` and
``hdr_jpegxl.py`` for HDR. Nothing is decoded here before its size was looked at.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.pictures.boxes import MOST_METADATA, Stated, boxes_of, exif_in
from dataset.pictures.hdr_limits import package
from dataset.pictures.jpegxl import Codestream
from dataset.pictures.metadata import Metadata

Decoded = tuple[NDArray[Any], int]  # (H, W, C), and the sample of a signal of 1


def decode_avif(data: bytes, stated: Stated, path: Path) -> Decoded:
    """As they are stored: not upright.

    Raises
    ------
    UserError
        The package is missing.
    ValueError
        It is damaged or cut off, or not what it states.
    """
    if stated.is_cropped:  # of HEIF it is usual, and its package crops
        raise ValueError("it is cropped by a box of its own (clap), which is not supported")
    codecs = package("imagecodecs", "imagecodecs", path, "AVIF")
    try:
        samples: Any = codecs.avif_decode(data)
    except RuntimeError as error:
        raise ValueError("it is damaged or cut off") from error
    width, height = stated.size
    if samples.size % (width * height) or samples.shape[:2] != (height, width):
        raise ValueError("its pixels are not what it states")
    depth = stated.depth or 8 * samples.itemsize
    return samples.reshape(height, width, -1), (1 << depth) - 1


def decode_heif(data: bytes, stated: Stated, path: Path) -> Decoded:
    """Upright and cropped; raises as `decode_avif`."""
    heif = package("pillow_heif", "pillow-heif", path, "HEIF")
    try:
        image = heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        samples: Any = np.asarray(image)
    except (RuntimeError, ValueError, EOFError, SyntaxError) as error:
        raise ValueError("it is damaged or cut off") from error
    if image.premultiplied_alpha:
        raise ValueError("its colours are multiplied by its transparency, which is not supported")
    most = max(stated.size)
    if max(samples.shape[:2]) > most or (not stated.is_cropped and max(samples.shape[:2]) < most):
        raise ValueError("its pixels are not what it states")
    unused = 8 * samples.itemsize - image.info["bit_depth"]  # the lowest bits, which are 0
    white = (1 << 8 * samples.itemsize) - (1 << unused)
    if samples.ndim == 2 and stated.colour is not None and not stated.colour[3]:
        samples = _of_full_range(samples, white)
    return samples.reshape(*samples.shape[:2], -1), white


def _of_full_range(samples: NDArray[Any], white: int) -> NDArray[Any]:
    """Grey of narrow range, which libheif leaves as it is: black is at 16 of 255, white at 235."""
    unit = (white + 1) / 256
    wide = (np.arange(white + 1) - 16 * unit) * (white / (219 * unit))
    return np.rint(np.clip(wide, 0, white)).astype(samples.dtype)[samples]


def decode_jpegxl(data: bytes, stated: Codestream, path: Path) -> Decoded:
    """Upright; floats have a signal of 1 at 1. Raises as `decode_avif`."""
    codecs = package("imagecodecs", "imagecodecs", path, "JPEG XL")
    width, height = stated.size
    try:
        samples: Any = codecs.jpegxl_decode(data)
    except RuntimeError as error:
        raise ValueError("it is damaged or cut off") from error
    if samples.shape[:2] != (height, width):
        raise ValueError("its pixels are not what it states")
    samples = samples.reshape(height, width, -1)
    if samples.dtype.kind != "f" and stated.depth > 8 * samples.itemsize:
        raise ValueError("its pixels are not what it states")
    return samples, 1 if samples.dtype.kind == "f" else (1 << stated.depth) - 1


def jpeg_in(data: bytes, path: Path) -> bytes | None:
    """The JPEG that a JPEG XL was made of without loss, where it can be made again."""
    if data.startswith(b"\xff\x0a") or all(kind != b"jbrd" for kind, _, _ in boxes_of(data)):
        return None
    try:
        return bytes(
            package("imagecodecs", "imagecodecs", path, "JPEG XL").jpegxl_decode_jpeg(data)
        )
    except RuntimeError:
        return None


def metadata_of_jpegxl(data: bytes, path: Path) -> Metadata:
    """EXIF and XMP in boxes, of which some may be compressed; of a bare codestream none."""
    found = unpacked_boxes(data, path, b"Exif", b"xml ")
    return Metadata(exif=exif_in(found.get(b"Exif", b"")) or None, xmp=found.get(b"xml ") or None)


def unpacked_boxes(data: bytes, path: Path, *wanted: bytes) -> dict[bytes, bytes]:
    """Of a JPEG XL, the content of the first box of each of these kinds."""
    found: dict[bytes, bytes] = {}
    for kind, begin, end in () if data.startswith(b"\xff\x0a") else boxes_of(data):
        is_packed = kind == b"brob"
        name = data[begin : begin + 4] if is_packed else kind
        if name in wanted and name not in found:
            found[name] = _unpacked(data[begin + 4 : end], path) if is_packed else data[begin:end]
    return found


def _unpacked(packed: bytes, path: Path) -> bytes:
    """What Brotli makes of it; nothing where it is damaged or too large."""
    codecs = package("imagecodecs", "imagecodecs", path, "JPEG XL")
    try:
        return bytes(codecs.brotli_decode(packed, out=MOST_METADATA))
    except RuntimeError:
        return b""
