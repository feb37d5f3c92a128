"""`Picture` -> a file of any format in ``formats.py``, with all of it that the format can hold."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.pictures import png, tiff
from dataset.pictures.exif import PREFIX
from dataset.pictures.formats import WRITTEN, format_for
from dataset.pictures.picture import Alpha, Picture
from dataset.pictures.pixels import to_image
from dataset.pictures.png import BGR, INCH, Samples

DEEP = ("PNG", "TIFF")  # hold 16 bits per channel
LONGEST = {"JPEG": 65_500, "WebP": 16_383}  # side in pixels
JPEG_QUALITY = 95
WEBP_EFFORT = {"method": 2, "quality": 20}  # 4 and 80, the usual, take four times as long
JPEG_BLOCK = 65_000  # bytes of EXIF or XMP
BMP_DENSITY = 38  # where a BMP has its pixels a metre, across and down
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of ITU-R BT.709


def encode_picture(picture: Picture, suffix: str) -> bytes:
    """Encode a picture in the format of a suffix.

    PNG, TIFF, BMP and WebP without loss, JPEG at quality 95 without subsampling. What a format
    cannot hold is left out, and 16 bits are rounded to 8: see `losses`.

    Raises
    ------
    UserError
        The suffix is of no format, or the picture is too large for it.
    """
    name, (width, height) = _format_for(suffix), picture.size
    most = LONGEST.get(name)
    if most and max(width, height) > most:
        raise UserError(
            f"{name} has at most {most} pixels a side, and this picture is {width}x{height}. "
            "Say --ext png.",
            1,
        )
    held = _held_by(name, picture)
    return ENCODERS[name](_samples_of(held), held)


def losses(picture: Picture, suffix: str) -> tuple[str, ...]:
    """What a picture loses in the format of a suffix, in words."""
    name = _format_for(suffix)
    held = _held_by(name, picture)
    blocks = (held.exif, held.xmp) != (picture.exif, picture.xmp)
    found = {
        f"rounded to 8 bits per channel from {picture.depth}": held.depth != picture.depth,
        "transparency left out": held.alpha is not picture.alpha,
        "colour profile left out": held.icc != picture.icc,
        "EXIF and XMP left out": blocks and name == "BMP",
        "EXIF or XMP over 64 kB left out": blocks and name == "JPEG",
    }
    return tuple(f"{what}, as {name} has no room for it" for what, is_so in found.items() if is_so)


def write_picture(path: str | Path, picture: Picture, replaces: bool = True) -> tuple[str, ...]:
    """Write a picture in the format of the path's suffix, renamed into place when it is whole.

    Parameters
    ----------
    path : str or Path
    picture : Picture
    replaces : bool
        Whether to replace a file that is there; else ``UserError``.

    Returns
    -------
    tuple of str
        What to tell the user: the picture's notes and its `losses`.
    """
    path = Path(path)
    write_whole(path, encode_picture(picture, path.suffix), replaces)
    return picture.notes + losses(picture, path.suffix)


def _format_for(suffix: str) -> str:
    name = format_for(suffix)
    if name is None:
        what = suffix or "files without a suffix"
        raise UserError(f"Pictures are not written as {what}. Use one of {', '.join(WRITTEN)}.")
    return name


def _held_by(name: str, picture: Picture) -> Picture:
    """The picture without what a format cannot hold."""
    most = {"BMP": 0, "JPEG": JPEG_BLOCK}.get(name, np.inf)
    exif, xmp = (
        block if block and len(block) <= most else None for block in (picture.exif, picture.xmp)
    )
    alpha = picture.alpha if name != "JPEG" else None
    colour_only = name == "WebP" or (name == "BMP" and alpha is not None)
    fits = {b"RGB ": True, b"GRAY": picture.grey and not colour_only}
    icc = picture.icc if name != "BMP" and fits.get((picture.icc or b"")[16:20]) else None
    return replace(
        picture,
        depth=picture.depth if name in DEEP else 8,
        alpha=alpha,
        grey=picture.grey and not colour_only,
        icc=icc,
        exif=exif,
        xmp=xmp,
    )


def _samples_of(picture: Picture) -> Samples:
    """The picture in whole numbers: (H, W, C), C 1 to 4."""
    colour = picture.pixels @ LUMA[:, None] if picture.grey else picture.pixels
    samples = to_image(colour, picture.depth)
    if picture.alpha is None:
        return samples
    return np.concatenate([samples, _alpha_of(picture)[..., None]], axis=2)


def _alpha_of(picture: Picture) -> Alpha:
    """Alpha in the depth of the picture; 257 is 65535 / 255."""
    alpha: Any = picture.alpha
    if alpha.itemsize * 8 == picture.depth:
        return alpha
    if picture.depth == 16:
        return alpha.astype(np.uint16) * np.uint16(257)
    return np.rint(alpha / 257).astype(np.uint8)


def _jpeg(samples: Samples, picture: Picture) -> bytes:
    exif = picture.exif and PREFIX + picture.exif
    how = {"dpi": picture.dpi} if picture.dpi else {}
    return _by_pillow(samples, "JPEG", picture, exif, quality=JPEG_QUALITY, subsampling=0, **how)


def _webp(samples: Samples, picture: Picture) -> bytes:
    return _by_pillow(
        samples, "WEBP", picture, picture.exif, lossless=True, exact=True, **WEBP_EFFORT
    )


def _by_pillow(
    samples: Samples, name: str, picture: Picture, exif: bytes | None, **how: Any
) -> bytes:
    file = io.BytesIO()
    about = {"exif": exif, "xmp": picture.xmp, "icc_profile": picture.icc}
    how |= {key: value for key, value in about.items() if value}
    colour = samples[..., 0] if samples.shape[2] == 1 else samples
    Image.fromarray(colour).save(file, name, **how)
    return file.getvalue()


def _bmp(samples: Samples, picture: Picture) -> bytes:
    data = bytearray(cv2.imencode(".bmp", samples[..., BGR[samples.shape[2]]])[1].tobytes())
    per_metre = (round(value / INCH) for value in picture.dpi or (0, 0))
    struct.pack_into("<ii", data, BMP_DENSITY, *per_metre)
    return bytes(data)


ENCODERS: dict[str, Callable[[Samples, Picture], bytes]] = {
    "PNG": png.encode_samples,
    "JPEG": _jpeg,
    "WebP": _webp,
    "TIFF": tiff.encode,
    "BMP": _bmp,
}
