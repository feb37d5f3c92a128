"""File <-> `Picture`: the pixels that are restored, and all that must survive restoring them.

PNG, JPEG, WebP, TIFF and BMP, told by content and not by name. Pixels are the numbers of the file,
display-encoded: a picture without a profile is taken for sRGB, one with a profile keeps it with
its numbers unchanged, and only CMYK is converted, to sRGB by its profile. How files are decoded is
in ``decoding.py``; which files are meant and where results go, in ``inputs.py``; moving pictures
are in ``video.py``.
"""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.gate import MOST_PICTURE, is_regular, open_regular
from dataset.pictures import bmps, pngs, tiffs
from dataset.pictures.decoding import FAULTS, OPENERS, decoding, open_image, read_samples
from dataset.pictures.exif import (
    ORIENTATION,
    PREFIX,
    orientation_of,
    say_upright,
    swaps_sides,
    turn,
)
from dataset.pictures.formats import HEAD, SUFFIXES, format_for, format_of
from dataset.pictures.pixels import Pixels
from dataset.pictures.pngs import Samples

Alpha = NDArray[np.uint8] | NDArray[np.uint16]  # (H, W), 0 for transparent

LONGEST = {"JPEG": 65_500, "WebP": 16_383}  # side in pixels
JPEG_QUALITY = 95
WEBP_EFFORT = {"method": 2, "quality": 20}  # 4 and 80, the usual, take four times as long
JPEG_BLOCK = 65_000  # bytes of EXIF or XMP
X_RESOLUTION = 282  # tag of TIFF
MOST_DPI = 65_535  # that JPEG can state
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of ITU-R BT.709
ORIENTATION_IN_XMP = rb"(tiff:Orientation(?:=[\"']|>))[1-8]"


@dataclass(frozen=True, eq=False)
class Picture:
    """A still picture, upright, and what its file says of it."""

    pixels: Pixels  # three equal channels where the file is grey
    alpha: Alpha | None = None
    depth: int = 8  # bits of a channel: 8 or 16
    grey: bool = False  # written as grey again
    format: str = "PNG"  # a key of SUFFIXES
    icc: bytes | None = None  # the profile
    exif: bytes | None = None  # from its byte order on; says that the picture is upright
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None  # dots an inch, across and down
    png_colour: tuple[tuple[bytes, bytes], ...] = ()  # chunks of pngs.COLOUR_CHUNKS, as read
    notes: tuple[str, ...] = ()  # what reading changed that the owner should know

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.pixels.shape[:2]
        return width, height


def read_picture(path: str | Path) -> Picture:
    """Read a picture file, turned upright.

    Raises
    ------
    UserError
        It cannot be read, is of none of the formats, has several pages or frames, has more than
        400 million pixels, or is damaged anywhere: half a picture is never returned.
    """
    path = Path(path)
    return decode_picture(_load(path), path)


def decode_picture(data: bytes, name: str | Path) -> Picture:
    """Decode a file's bytes; its name stands in errors, which are those of `read_picture`."""
    path = Path(name)
    kind = _readable(data[:HEAD], path)
    with decoding(path):
        return _assemble(open_image(data, kind, path), data, kind)


def encode_picture(picture: Picture, suffix: str) -> bytes:
    """Encode a picture in the format of a suffix.

    PNG, TIFF, BMP and WebP without loss, JPEG at quality 95 with whole colour resolution. What a
    format cannot hold is left out, and 16 bits are rounded to its 8: see `losses`.

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
    return ENCODERS[name](picture)


def losses(picture: Picture, suffix: str) -> tuple[str, ...]:
    """What a picture loses in the format of a suffix, in words."""
    name = _format_for(suffix)
    blocks = (picture.exif, picture.xmp)
    found = {
        f"rounded to 8 bits a channel from {picture.depth}": (
            picture.depth > 8 and name not in ("PNG", "TIFF")
        ),
        "transparency left out": picture.alpha is not None and name == "JPEG",
        "colour profile left out": bool(picture.icc) and _profile(picture, name) is None,
        "EXIF and XMP left out": name == "BMP" and any(blocks),
        "EXIF or XMP over 64 kB left out": name == "JPEG" and _fitting(*blocks) != blocks,
    }
    return tuple(f"{what}, as {name} has no room for it" for what, is_so in found.items() if is_so)


def write_picture(path: str | Path, picture: Picture, replaces: bool = True) -> tuple[str, ...]:
    """Write a picture in the format of the path's suffix; its name only ever stands for all of it.

    Parameters
    ----------
    path : str or Path
    picture : Picture
    replaces : bool
        Whether it takes the place of a file that is there; else ``UserError``.

    Returns
    -------
    tuple of str
        What the owner should know: the picture's notes, and its `losses`.
    """
    path = Path(path)
    write_whole(path, encode_picture(picture, path.suffix), replaces)
    return picture.notes + losses(picture, path.suffix)


def _load(path: Path) -> bytes:
    """A file's bytes; turned away by the first ones where it has no format that is read."""
    try:
        with open_regular(path, MOST_PICTURE) as file:
            head = file.read(HEAD)
            _readable(head, path)
            file.seek(0)
            return file.read(MOST_PICTURE)
    except OSError as error:
        if os.path.exists(path) and not is_regular(path):
            raise UserError(f"{path} is not a file. Name a picture.", 1) from error
        raise UserError(f"Cannot read {path}: {error.strerror}.", 1) from error


def _readable(head: bytes, path: Path) -> str:
    name = format_of(head)
    if name in OPENERS:
        return name
    what = f"is {name}" if name else "is not a picture" if head else "is empty (0 bytes)"
    raise UserError(
        f"{path} {what}. Readable are {', '.join(SUFFIXES)}: convert it to PNG, or leave it out.", 1
    )


def _assemble(image: ImageFile, data: bytes, name: str) -> Picture:
    """Decode a file whose header was read."""
    about = _about_tiff(image) if isinstance(image, TiffImageFile) else None
    samples = read_samples(image, data)
    if about is None:  # what PNG says of itself may stand behind its pixels
        about = _about(image)
        samples = turn(samples, about.orientation)
    channels = samples.shape[2]
    alpha: Any = np.ascontiguousarray(samples[..., -1]) if channels in (2, 4) else None
    return Picture(
        pixels=_pixels_of(samples),
        alpha=alpha,
        depth=8 * samples.itemsize,
        grey=channels < 3,
        format=name,
        icc=image.info.get("icc_profile") if image.mode != "CMYK" else None,
        exif=about.exif,
        xmp=_upright_xmp(about),
        dpi=_dpi(image, about.orientation),
        png_colour=_colour_chunks(data) if name == "PNG" else (),
        notes=about.notes + _notes(image),
    )


@dataclass(frozen=True)
class _About:
    """What a file says of its picture."""

    orientation: int  # 1 to 8
    exif: bytes | None
    xmp: bytes | None
    notes: tuple[str, ...] = ()


def _about(image: ImageFile) -> _About:
    exif = image.info.get("exif", b"").removeprefix(PREFIX)
    return _About(orientation_of(exif), say_upright(exif) or None, image.info.get("xmp"))


def _about_tiff(image: TiffImageFile) -> _About:
    """Before its pixels are decoded, as decoders turn TIFF upright and forget that they did."""
    stated = image.tag_v2.get(ORIENTATION, 1)
    xmp = image.info.pop("xmp", None)  # Pillow would turn by its word too, and OpenCV would not
    try:
        exif, notes = tiffs.exif_of(image), ()
    except FAULTS:
        return _About(stated, None, xmp, ("its EXIF is damaged: left out",))
    return _About(stated, exif, xmp, notes)


def _dpi(image: ImageFile, orientation: int) -> tuple[float, float] | None:
    """Dots an inch of the upright picture; None where they are not stated or make no sense."""
    if isinstance(image, TiffImageFile) and X_RESOLUTION not in image.tag_v2:
        return None  # Pillow makes 1 of it
    if isinstance(image, JpegImageFile) and image.info.get("jfif_unit") not in (1, 2):
        return None  # Pillow makes 72 of it
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (LookupError, ArithmeticError, TypeError, ValueError):
        return None
    if not (1 <= across <= MOST_DPI and 1 <= down <= MOST_DPI):
        return None
    return (down, across) if swaps_sides(orientation) else (across, down)


def _upright_xmp(about: _About) -> bytes | None:
    xmp = about.xmp.encode() if isinstance(about.xmp, str) else about.xmp
    if not xmp or about.orientation == 1:
        return xmp
    return re.sub(ORIENTATION_IN_XMP, rb"\g<1>1", xmp)


def _colour_chunks(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(each for each in pngs.read_chunks(data) if each[0] in pngs.COLOUR_CHUNKS)


def _notes(image: ImageFile) -> tuple[str, ...]:
    """What of the file is not in the picture."""
    found = {
        "CMYK converted to sRGB": image.mode == "CMYK",
        "further pictures in the same JPEG, like a preview or a gain map, left out": (
            "mp" in image.info
        ),
    }
    return tuple(what for what, is_so in found.items() if is_so)


def _pixels_of(samples: Samples) -> Pixels:
    colour = samples[..., :1] if samples.shape[2] < 3 else samples[..., :3]
    pixels = np.divide(colour, np.float32(np.iinfo(samples.dtype).max), dtype=np.float32)
    return np.repeat(pixels, 3, axis=2) if colour.shape[2] == 1 else pixels


def _samples_of(picture: Picture, depth: int, grey: bool, alpha: bool) -> Samples:
    """The picture in whole numbers: (H, W, C), C 1 to 4."""
    kind: Any = np.uint16 if depth == 16 else np.uint8
    colour = picture.pixels @ LUMA[:, None] if grey else picture.pixels
    samples = np.rint(np.clip(colour, 0, 1) * np.iinfo(kind).max).astype(kind)
    if picture.alpha is None or not alpha:
        return samples
    return np.concatenate([samples, _alpha_of(picture.alpha, kind)[..., None]], axis=2)


def _alpha_of(alpha: Alpha, kind: Any) -> Alpha:
    """Alpha in 8 or 16 bits; 257 is 65535 / 255."""
    if alpha.dtype == kind:
        return alpha
    return (
        alpha.astype(kind) * kind(257) if kind is np.uint16 else np.rint(alpha / 257).astype(kind)
    )


def _format_for(suffix: str) -> str:
    name = format_for(suffix)
    if name is None:
        known = ", ".join(each for all_ in SUFFIXES.values() for each in all_)
        what = suffix or "files without a suffix"
        raise UserError(f"Pictures are not written as {what}. Use one of {known}.")
    return name


def _profile(picture: Picture, name: str) -> bytes | None:
    """The profile, where it can stand in this format beside the channels that are written."""
    fits = {b"RGB ": True, b"GRAY": picture.grey and name != "WebP"}
    icc = picture.icc or b""
    return icc if name != "BMP" and fits.get(icc[16:20]) else None


def _fitting(*blocks: bytes | None) -> tuple[bytes | None, ...]:
    """Blocks of metadata without those that one segment of JPEG cannot hold."""
    return tuple(block if block and len(block) <= JPEG_BLOCK else None for block in blocks)


def _png(picture: Picture) -> bytes:
    about = pngs.describe(
        _profile(picture, "PNG"), picture.exif, picture.xmp, picture.dpi, picture.png_colour
    )
    return pngs.encode(_samples_of(picture, picture.depth, picture.grey, True), about)


def _tiff(picture: Picture) -> bytes:
    samples = _samples_of(picture, picture.depth, picture.grey, True)
    return tiffs.encode(samples, _profile(picture, "TIFF"), picture.exif, picture.xmp, picture.dpi)


def _jpeg(picture: Picture) -> bytes:
    exif, xmp = _fitting(picture.exif, picture.xmp)
    about = {
        "exif": exif and PREFIX + exif,
        "xmp": xmp,
        "icc_profile": _profile(picture, "JPEG"),
        "dpi": picture.dpi,
    }
    samples = _samples_of(picture, 8, picture.grey, False)
    return _by_pillow(samples, "JPEG", about, quality=JPEG_QUALITY, subsampling=0)


def _webp(picture: Picture) -> bytes:
    about = {"exif": picture.exif, "xmp": picture.xmp, "icc_profile": _profile(picture, "WebP")}
    samples = _samples_of(picture, 8, False, True)
    return _by_pillow(samples, "WEBP", about, lossless=True, exact=True, **WEBP_EFFORT)


def _by_pillow(samples: Samples, name: str, about: dict[str, Any], **how: Any) -> bytes:
    """Encode 8 bits, with what there is to say of them."""
    file = io.BytesIO()
    given = {key: value for key, value in about.items() if value}
    colour = samples[..., 0] if samples.shape[2] == 1 else samples
    Image.fromarray(colour).save(file, name, **given, **how)
    return file.getvalue()


def _bmp(picture: Picture) -> bytes:
    if picture.alpha is not None:
        return bmps.encode(_samples_of(picture, 8, False, True), picture.dpi)
    return _by_pillow(_samples_of(picture, 8, picture.grey, False), "BMP", {"dpi": picture.dpi})


ENCODERS = {"PNG": _png, "JPEG": _jpeg, "WebP": _webp, "TIFF": _tiff, "BMP": _bmp}
