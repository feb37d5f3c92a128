"""JPEG XR of half and 32-bit floats -> light, by the package imagecodecs.

This is what Windows' Game Bar and NVIDIA's overlay save of an HDR screen: scRGB, linear, of Rec.
709's primaries, 1.0 at 80 cd/m2. Fixed-point formats are refused by name; integers are SDR.

References
----------
.. [1] ITU-T T.832: JPEG XR, 2019. Microsoft: DirectX high dynamic range; native pixel formats.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dataset.pictures import jpegxr_decoder
from dataset.pictures.colour_profile import is_linear, matrix_of
from dataset.pictures.exif import PREFIX, swaps_sides
from dataset.pictures.hdr_limits import check_size, package
from dataset.pictures.hdr_picture import HdrPicture, turned
from dataset.pictures.jpegxr import FLOATS, HALVES, Container, read_container, unturned
from dataset.pictures.light import SCRGB_NITS, WHITE_NITS, in_rec709
from dataset.pictures.metadata import Metadata

DATE = 36867  # a tag of EXIF's own directory


def read_jpegxr(data: bytes, path: Path) -> HdrPicture:
    """Raises as the readers of ``hdr.py`` do."""
    stated = read_container(data)
    if stated.pixel_format not in HALVES + FLOATS:
        raise ValueError(
            "its pixels are not floating-point (scRGB), as those of Game Bar and NVIDIA are"
        )
    if len(stated.sizes) > 1:
        raise ValueError("it states two different sizes")
    if stated.is_cut:
        raise ValueError("it is cut off")
    ((width, height),) = stated.sizes
    check_size("JPEG XR", width, height, path)
    package("imagecodecs", "imagecodecs", path, "JPEG XR")
    samples = jpegxr_decoder.decode(unturned(data))
    if samples.shape[:2] != (height, width):
        raise ValueError("its pixels are not what it states")
    light = (samples[..., :3] if samples.shape[2] >= 3 else samples[..., [0, 0, 0]]).astype(
        np.float32
    )
    light *= np.float32(SCRGB_NITS / WHITE_NITS)
    light, notes = _by_profile(light, stated.profile)
    if samples.shape[2] == 4 and float(samples[..., 3].min()) < 1:
        notes += ("its transparency left out",)
    picture = HdrPicture(light, WHITE_NITS, "JPEG XR", _about(stated), notes)
    return turned(picture, stated.orientation)


def _by_profile(light: Any, profile: bytes) -> tuple[Any, tuple[str, ...]]:
    """By the primaries of a linear profile; one that is not linear contradicts the format."""
    if not profile:
        return light, ()
    try:
        if is_linear(profile):
            return in_rec709(light, matrix_of(profile)), ()
    except ValueError:
        pass
    return light, ("its colour profile left out: floating-point JPEG XR is scRGB",)


def _about(stated: Container) -> Metadata:
    """What the file says of itself, as EXIF and XMP."""
    texts = dict(stated.texts)
    block = Image.Exif()
    if DATE in texts:
        block[34665] = {DATE: texts.pop(DATE)}
    block.update(texts)
    dpi = stated.dpi
    if dpi and swaps_sides(stated.orientation):
        dpi = dpi[::-1]
    exif = block.tobytes().removeprefix(PREFIX) if stated.texts else None
    return Metadata(exif=exif, xmp=stated.xmp or None, dpi=dpi)
