"""Bytes of a picture file -> numbers of 8 or 16 bits, whole or not at all.

Pillow decodes. Its 8 bits of a 16-bit file only prove that it is whole: OpenCV then reads all 16.
What the numbers and the rest of the file mean for a picture is the affair of ``picture.py``.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from dataset.pictures import pngs, tiffs
from dataset.pictures.headers import Header, is_cut_jpeg, read_header
from dataset.pictures.limits import MOST_PIXELS, check_header
from dataset.pictures.pngs import Samples

Image.MAX_IMAGE_PIXELS = MOST_PIXELS  # or Pillow refuses some formats earlier
TAKEN_BYTES = 16  # a pixel: three channels as float32, and as they are decoded

# Not by Pillow's `open`, which refuses what is too large without telling its size.
OPENERS: dict[str, Any] = {
    "PNG": PngImageFile,
    "JPEG": JpegImageFile,
    "WebP": WebPImageFile,
    "TIFF": TiffImageFile,
    "BMP": BmpImageFile,
}
SHALLOW = {  # Pillow's modes, and that of the same picture in 8 bits a channel
    **{mode: mode for mode in ("L", "LA", "RGB", "RGBA")},
    "1": "L",
    "La": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "CMYK": "RGB",
}
TRANSPARENT = {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}  # where one colour is
FAULTS = (  # what decoders raise on damaged files
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, SyntaxError, TypeError),
    *(ValueError, Image.DecompressionBombError, cv2.error, struct.error, zlib.error),
)


@dataclass(frozen=True)
class Layout:
    """How the numbers of a file are stored."""

    depth: int = 8  # bits of a channel
    grey: bool = False  # where more than 8 bits: OpenCV does not tell
    inverted: bool = False  # 0 is white, and Pillow leaves it so
    refusal: str = ""  # why they cannot be read


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn whatever decoders raise into one message about this file, and silence their warnings.

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
            raise UserError(
                f"{path} cannot be decoded ({error}). It is damaged, cut off or of a rare kind: "
                "get a whole copy, or convert it to PNG.",
                1,
            ) from error
        except MemoryError as error:
            message = f"{path} needs more memory than there is. Make it smaller."
            raise UserError(message, 1) from error


def open_image(data: bytes, name: str, path: Path) -> ImageFile:
    """Read the header of a file in a format of `OPENERS`; inside `decoding`.

    Raises
    ------
    UserError
        It is beyond the limits of ``dataset/pictures/limits.py`` or of the memory that is free,
        or has several pages or frames.
    """
    check_header(read_header(data), path)
    image: ImageFile = OPENERS[name](io.BytesIO(data))
    width, height = image.size
    # What Pillow found, too: it may read a damaged file otherwise.
    check_header(Header(name, image.size), path)
    if name == "JPEG" and is_cut_jpeg(data, image.size):
        raise ValueError("a part of its picture is not there")
    check_room(width, height, TAKEN_BYTES * width * height, free_memory())
    if isinstance(image, TiffImageFile):
        count, what = tiffs.pages_of(image), "pages"
    else:
        count, what = getattr(image, "n_frames", 1), "frames of an animation"
    if count > 1:
        raise UserError(
            f"{path} holds {count} {what}, of which only one would be restored. Save them as "
            "single pictures, or an animation as MP4.",
            1,
        )
    return image


def read_samples(image: ImageFile, data: bytes) -> Samples:
    """Decode all of a file: (H, W, C) uint8 or uint16, grey, grey and alpha, RGB, or RGB and alpha.

    TIFF comes upright, as its decoders turn it. Raises any of `FAULTS`.
    """
    layout = _layout(image, data)
    if layout.refusal:
        raise ValueError(layout.refusal)
    image.load()
    if layout.depth == 16 and image.mode != "CMYK":
        return _deep(image, data, layout)
    return _shallow(image)


def _layout(image: ImageFile, data: bytes) -> Layout:
    if isinstance(image, TiffImageFile):
        tiffs.check_whole(image, data)
        return _layout_of_tiff(image)
    if isinstance(image, PngImageFile):
        header = dict(pngs.read_chunks(data))[b"IHDR"]  # reads on to the end, which must be there
        return Layout(16 if header[8] == 16 else 8, header[9] in pngs.GREY_TYPES)
    return Layout()


def _layout_of_tiff(image: TiffImageFile) -> Layout:
    tags = image.tag_v2
    depth = max(tags.get(258, (1,)))
    grey, white_first = tags.get(262) in (0, 1), tags.get(262) == 0
    refusal = ""
    if set(tags.get(339, (1,))) - {1, 4}:
        refusal = "its numbers are signed or floating; unsigned ones of 8 or 16 bits are read"
    elif depth not in (1, 2, 4, 8, 16):
        refusal = f"it has {depth} bits a channel; 8 and 16 are read"
    elif depth == 16 and tags.get(284) == 2:
        refusal = "its channels of 16 bits are stored one by one; interleaved ones are read"
    return Layout(min(depth, 16) if depth == 16 else 8, grey, white_first, refusal)


def _deep(image: ImageFile, data: bytes, layout: Layout) -> Samples:
    found: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16 or found.shape[1::-1] != image.size:
        raise ValueError("its 16 bits a channel are stored in a way that is not read")
    if found.ndim == 2:
        found = found[..., None]
    alpha = found[..., 3:]
    colour = found[..., :1] if layout.grey else found[..., 2::-1]  # OpenCV has BGR
    if layout.inverted:
        colour = np.uint16(65535) - colour
    seen_through = image.info.get("transparency")
    if layout.grey and isinstance(seen_through, int):
        alpha = np.where(colour == seen_through, np.uint16(0), np.uint16(65535))
    return np.concatenate([colour, alpha], axis=2)


def _shallow(image: Image.Image) -> Samples:
    mode = image.mode
    if mode not in SHALLOW:
        raise ValueError(f"its colours are {mode}; grey, RGB, CMYK and palettes are read")
    if mode == "CMYK":
        image = _rgb_of_cmyk(image)
    elif "transparency" in image.info and mode in TRANSPARENT:
        image = image.convert(TRANSPARENT[mode])
    else:
        image = image.convert(SHALLOW[mode])
    samples = np.asarray(image)
    samples = samples.reshape(*samples.shape[:2], -1)
    if mode in ("P", "PA") and (samples[..., :1] == samples[..., 1:3]).all():
        samples = samples[..., [0, *range(3, samples.shape[2])]]
    return samples


def _rgb_of_cmyk(image: Image.Image) -> Image.Image:
    """By its profile to sRGB; without one, or with a broken one, by the plain formula."""
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
