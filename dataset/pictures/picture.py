"""A picture file -> `Picture`: its pixels, and all that must survive restoring them.

Pixels are the numbers of the file, display-encoded: a picture without a profile is taken for sRGB,
one with a profile keeps it and its numbers, and only CMYK is converted, to sRGB by its profile.
``decoding.py`` decodes and ``encoding.py`` writes; videos are in ``video_reading.py``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from dataset.errors import UserError
from dataset.gate import MOST_PICTURE, is_regular, open_regular, read_rest
from dataset.pictures import png, tiff
from dataset.pictures.accepted import check_picture
from dataset.pictures.decoding import FAULTS, decoding, open_checked, read_samples
from dataset.pictures.dynamic_range import BEGINNING, has_gain_map, has_residual
from dataset.pictures.exif import (
    ORIENTATION,
    PREFIX,
    orientation_of,
    say_upright,
    swaps_sides,
    turn,
)
from dataset.pictures.formats import HEAD, READ, format_of, readable_format
from dataset.pictures.metadata import Metadata, upright_xmp, without_gain_map
from dataset.pictures.modern import (
    Modern,
    is_modern,
    jpeg_of,
    read_modern,
    size_of_modern,
)
from dataset.pictures.pixels import Pixels, to_pixels
from dataset.pictures.png import Samples

Alpha = NDArray[np.uint8] | NDArray[np.uint16]  # (H, W), 0 for transparent

X_RESOLUTION = 282  # tag of TIFF
MOST_DPI = 65_535  # that JPEG can state


@dataclass(frozen=True, eq=False)
class Picture(Metadata):
    """A still picture, upright, and what its file says of it."""

    pixels: Pixels  # three equal channels where the file is grey
    alpha: Alpha | None = None
    depth: int = 8  # bits per channel: 8 or 16
    grey: bool = False  # written as grey again
    format: str = "PNG"  # a key of formats.SUFFIXES: of what is not written, PNG
    notes: tuple[str, ...] = ()  # what reading changed, for the user

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
        The file cannot be read, is of no readable format, has several pages or frames, is over a
        limit of ``limits.py``, or is damaged anywhere: half a picture is never returned.
    """
    path = Path(path)
    return decode_picture(_load(path), path)


def decode_picture(data: bytes, name: str | Path) -> Picture:
    """Decode a file's bytes; raises as `read_picture`. ``name`` is what errors call it."""
    path = Path(name)
    with decoding(path):
        header = check_picture(data, path)
        if not is_modern(data):
            return _assemble(open_checked(data, path, header), data)
        jpeg = jpeg_of(data, path)
        if jpeg is not None:
            return replace(decode_picture(jpeg, path), format="PNG")
        return _of_modern(read_modern(data, path), data)


def decode_frame(data: bytes, name: str | Path) -> NDArray[np.uint8]:
    """Decode a file's bytes to RGB uint8 (H, W, 3), upright; raises as `read_picture`."""
    path = Path(name)
    with decoding(path):
        samples = _decoded(data, path)
        if samples.itemsize > 1:
            samples = np.rint(samples / np.float32(257)).astype(np.uint8)
        colour = samples[..., [0, 0, 0]] if samples.shape[2] < 3 else samples[..., :3]
        return np.ascontiguousarray(colour, np.uint8)


def read_size(data: bytes, name: str | Path) -> tuple[int, int]:
    """Width and height by a file's header, as stored; raises as `decode_picture`."""
    path = Path(name)
    with decoding(path):
        header = check_picture(data, path)
        if is_modern(data):
            return size_of_modern(header)
        width, height = open_checked(data, path, header).size
    return width, height


def _decoded(data: bytes, path: Path) -> Samples:
    header = check_picture(data, path)
    if not is_modern(data):
        return upright_samples(open_checked(data, path, header), data)[0]
    jpeg = jpeg_of(data, path)
    return read_modern(data, path).samples if jpeg is None else _decoded(jpeg, path)


def _load(path: Path) -> bytes:
    """A file's bytes; one of another format is refused by its first ones."""
    try:
        with open_regular(path, MOST_PICTURE) as file:
            head = file.read(BEGINNING)
            if format_of(head[:HEAD]) not in READ:
                check_picture(head, path)
            return head + read_rest(file, MOST_PICTURE)
    except OSError as error:
        if os.path.exists(path) and not is_regular(path):
            raise UserError(f"{path} is not a file. Name a picture.", 1) from error
        raise UserError(f"Cannot read {path}: {error.strerror}.", 1) from error


def _assemble(image: ImageFile, data: bytes) -> Picture:
    """Decode a file whose header was read."""
    name, (samples, stated) = readable_format(data[:HEAD], ""), upright_samples(image, data)
    xmp = stated.upright_xmp
    return Picture(
        **_of_samples(samples),
        format=name,
        notes=stated.notes + _notes(image, data),
        icc=image.info.get("icc_profile") if image.mode != "CMYK" else None,
        exif=stated.exif,
        xmp=without_gain_map(xmp) if xmp and has_gain_map(data) else xmp,
        dpi=dpi_of(image, stated.orientation),
        png_colour=_colour_chunks(data) if name == "PNG" else (),
    )


def _of_modern(found: Modern, data: bytes) -> Picture:
    about = found.metadata
    return Picture(
        **_of_samples(found.samples),
        notes=found.notes + _notes_of_maps(data),
        icc=about.icc,
        exif=about.exif,
        xmp=without_gain_map(about.xmp) if about.xmp and has_gain_map(data) else about.xmp,
    )


def _of_samples(samples: Samples) -> dict[str, Any]:
    """The fields of a `Picture` that samples are."""
    channels = samples.shape[2]
    return {
        "pixels": _pixels_of(samples),
        "alpha": np.ascontiguousarray(samples[..., -1]) if channels in (2, 4) else None,
        "depth": 8 * samples.itemsize,
        "grey": channels < 3,
    }


def upright_samples(image: ImageFile, data: bytes) -> tuple[Samples, Stated]:
    """The samples, turned, and what the file said of turning."""
    if isinstance(image, TiffImageFile):  # decoders turn it, and then forget its tags
        stated = _stated_by_tiff(image)
        return read_samples(image, data), stated
    samples = read_samples(image, data)
    stated = _stated(image)  # a PNG may state it behind its pixels
    return turn(samples, stated.orientation), stated


@dataclass(frozen=True)
class Stated:
    """How a file says its picture is to be turned, and its metadata of that."""

    orientation: int  # 1 to 8
    exif: bytes | None
    xmp: bytes | str | None
    notes: tuple[str, ...] = ()

    @property
    def upright_xmp(self) -> bytes | None:
        xmp = self.xmp.encode() if isinstance(self.xmp, str) else self.xmp
        return upright_xmp(xmp) if xmp and self.orientation != 1 else xmp


def _stated(image: ImageFile) -> Stated:
    exif = image.info.get("exif", b"").removeprefix(PREFIX)
    return Stated(orientation_of(exif), say_upright(exif) or None, image.info.get("xmp"))


def _stated_by_tiff(image: TiffImageFile) -> Stated:
    orientation = image.tag_v2.get(ORIENTATION, 1)
    xmp = image.info.pop("xmp", None)  # Pillow would turn by it too, and OpenCV would not
    try:
        return Stated(orientation, tiff.exif_of(image), xmp)
    except FAULTS:
        return Stated(orientation, None, xmp, ("its EXIF is damaged: left out",))


def dpi_of(image: ImageFile, orientation: int) -> tuple[float, float] | None:
    """Dots per inch of the upright picture; None where the file states none that make sense."""
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


def _colour_chunks(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(each for each in png.read_chunks(data) if each[0] in png.COLOUR_CHUNKS)


def _notes(image: ImageFile, data: bytes) -> tuple[str, ...]:
    """What of the file is not in the picture."""
    found = {
        "CMYK converted to sRGB": image.mode == "CMYK",
        "its HDR part (JPEG XT) left out: the SDR picture was restored": has_residual(data),
        "further pictures in the same JPEG, like a preview, left out": (
            "mp" in image.info and not has_gain_map(data)
        ),
    }
    return _notes_of_maps(data) + tuple(what for what, is_so in found.items() if is_so)


def _notes_of_maps(data: bytes) -> tuple[str, ...]:
    told = "its gain map, which makes it HDR, left out: the SDR picture was restored"
    return (told,) if has_gain_map(data) else ()


def _pixels_of(samples: Samples) -> Pixels:
    colour = samples[..., :1] if samples.shape[2] < 3 else samples[..., :3]
    pixels = to_pixels(colour)
    return np.repeat(pixels, 3, axis=2) if colour.shape[2] == 1 else pixels
