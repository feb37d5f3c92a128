"""Bytes of a picture file -> samples of 8 or 16 bits, whole or not at all.

Pillow decodes. Its 8 bits of a 16-bit file only prove that it is whole: OpenCV then reads all 16.
What the samples and the rest of the file mean is in ``picture.py``.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from dataset.errors import UserError
from dataset.memory import check_room, free_memory
from dataset.pictures import png, tiff
from dataset.pictures.accepted import check_single
from dataset.pictures.formats import HEAD, readable_format
from dataset.pictures.headers import Header, is_cut
from dataset.pictures.hushed import hushed
from dataset.pictures.limits import MOST_PIXELS, check_header
from dataset.pictures.png import Samples

cv2.utils.logging.setLogLevel(
    cv2.utils.logging.LOG_LEVEL_SILENT
)  # what is wrong with a file is said once, by us
Image.MAX_IMAGE_PIXELS = MOST_PIXELS  # Pillow would refuse some formats earlier
TAKEN_BYTES = 16  # per pixel: three channels as float32, and as they are decoded

# Not `Image.open`, whose refusal of large pictures does not name their size.
OPENERS: dict[str, Any] = {
    "PNG": PngImageFile,
    "JPEG": JpegImageFile,
    "WebP": WebPImageFile,
    "TIFF": TiffImageFile,
    "BMP": BmpImageFile,
}
GREY = ("1", "L", "LA", "La")  # of Pillow's modes
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr")
SLIPS = (ArithmeticError, AttributeError, LookupError, TypeError, struct.error)  # say nothing
FAULTS = (  # what decoders raise on damaged files
    *(*SLIPS, EOFError, OSError, SyntaxError, ValueError),
    *(Image.DecompressionBombError, cv2.error, zlib.error),
)


@dataclass(frozen=True)
class Layout:
    """How a file stores its samples."""

    depth: int = 8  # bits of a channel
    grey: bool = False  # of 16 bits: OpenCV does not say
    inverted: bool = False  # of 16 bits: 0 is white


@contextmanager
def decoding(path: Path, target: str = "convert it to PNG") -> Iterator[None]:
    """Turn whatever decoders raise into one message about this file, and silence their warnings.

    Parameters
    ----------
    target : str
        What to do with a file of a rare kind.

    Raises
    ------
    UserError
        The file is damaged, cut off, of a kind that is not read, or too large for the memory.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except FAULTS as error:
            slip = error.__cause__ if isinstance(error, SyntaxError) else error  # Pillow
            reason = "its numbers make no sense" if isinstance(slip, SLIPS) else error
            raise UserError(
                f"{path} cannot be decoded ({reason}).",
                1,
                remedy=f"It is damaged, cut off or of a rare kind: get a whole copy, or {target}.",
            ) from error
        except MemoryError as error:
            message = f"{path} needs more memory than there is. Make it smaller."
            raise UserError(message, 1) from error


def open_checked(data: bytes, path: Path, header: Header | None) -> ImageFile:
    """Open a file whose header was looked at; inside `decoding`.

    Raises
    ------
    UserError
        The file is over a limit of ``limits.py`` or over the free memory, or has several pages.
    """
    name = readable_format(data[:HEAD], path)
    tiff.check_order(data)
    image: ImageFile = OPENERS[name](io.BytesIO(data))
    width, height = image.size
    seen = replace(header or Header(name, image.size), size=image.size)
    check_header(seen, path)  # again, as Pillow may read a damaged file differently
    if is_cut(data, seen):
        raise ValueError("part of its picture is missing")
    check_room(width, height, TAKEN_BYTES * width * height, free_memory())
    if isinstance(image, TiffImageFile):
        check_single(path, tiff.pages_of(image), "pages")
    return image


def read_samples(image: ImageFile, data: bytes) -> Samples:
    """Decode all of a file: (H, W, C) uint8 or uint16, grey or RGB, then alpha if any.

    TIFF comes upright, as its decoders turn it. Raises any of `FAULTS`.
    """
    layout = _layout(image, data)
    # Pillow's libtiff says itself what is wrong with compressed pixels.
    with hushed() if isinstance(image, TiffImageFile) else nullcontext():
        image.load()
    if layout.depth == 16 and image.mode != "CMYK":
        return _deep(image, data, layout)
    return _shallow(image)


def _layout(image: ImageFile, data: bytes) -> Layout:
    """Raises ``ValueError`` where the file is cut off, or stores its samples in an unread way."""
    if isinstance(image, TiffImageFile):
        tiff.check_whole(image.tag_v2, data)
        return _layout_of_tiff(image)
    if isinstance(image, PngImageFile):
        header = dict(png.read_chunks(data))[b"IHDR"]  # reads on to the end, which must be there
        return Layout(16 if header[8] == 16 else 8, header[9] in png.GREY_TYPES)
    return Layout()


def _layout_of_tiff(image: TiffImageFile) -> Layout:
    tags = image.tag_v2
    depth = max(tags.get(258, (1,)))
    if set(tags.get(339, (1,))) - {1, 4}:
        raise ValueError(
            "its samples are signed or floating-point: only unsigned ones of 8 or 16 bits are read"
        )
    if depth not in (1, 2, 4, 8, 16):
        raise ValueError(f"it has {depth} bits per channel: only 8 and 16 are read")
    if depth == 16 and tags.get(284) == tiff.SEPARATE:
        raise ValueError("its 16-bit channels are stored one by one: only interleaved are read")
    return Layout(max(depth, 8), tags.get(262) in (0, 1), tags.get(262) == 0)


def _deep(image: ImageFile, data: bytes, layout: Layout) -> Samples:
    needed = png.essence(data) if isinstance(image, PngImageFile) else data
    found: Any = cv2.imdecode(np.frombuffer(needed, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16 or found.shape[1::-1] != image.size:
        raise ValueError("its 16-bit samples are stored in a way that is not supported")
    found = found.reshape(*found.shape[:2], -1)
    colour, alpha = found[..., 2::-1], found[..., 3:]  # OpenCV has BGR, of grey with alpha too
    if layout.grey:
        colour = colour[..., :1]
    if layout.inverted:
        colour = np.uint16(65535) - colour
    clear = image.info.get("transparency")
    if layout.grey and isinstance(clear, int):
        alpha = np.where(colour == clear, np.uint16(0), np.uint16(65535))
    return np.concatenate([colour, alpha], axis=2)


def _shallow(image: Image.Image) -> Samples:
    mode = image.mode
    if mode == "CMYK":
        return np.asarray(_rgb_of_cmyk(image))
    if mode not in GREY + COLOUR:
        raise ValueError(f"its colours are {mode}: only grey, RGB, CMYK and palettes are read")
    kind = ("L" if mode in GREY else "RGB") + ("A" if image.has_transparency_data else "")
    samples = np.atleast_3d(np.asarray(image.convert(kind)))
    if mode in ("P", "PA") and (samples[..., :1] == samples[..., 1:3]).all():
        samples = samples[..., [0, *range(3, samples.shape[2])]]  # a palette of greys
    return samples


def _rgb_of_cmyk(image: Image.Image) -> Image.Image:
    """To sRGB by its profile, or by the plain formula where it has no usable one."""
    profile = image.info.get("icc_profile")
    try:
        converted = profile and ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            "RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError):
        converted = None
    return converted or image.convert("RGB")
