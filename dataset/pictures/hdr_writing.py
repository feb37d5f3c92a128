"""Writes scene-linear light as OpenEXR or JPEG XR, in 16-bit floats. Reads nothing.

References
----------
.. [1] ITU-T T.832: JPEG XR. Its light is scRGB, IEC 61966-2-2: 1.0 is 80 nits.
.. [2] ITU-R BT.2408: diffuse white is at 203 nits.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from dataset.errors import UserError
from dataset.gate import MOST_PICTURE, read_regular
from dataset.own_program import how_to_install
from dataset.pictures.light import SCRGB_NITS, WHITE_NITS, Light


def encode_exr(light: Light) -> bytes:
    """An OpenEXR file, lossless: what is 1.0 here is 1.0 there."""
    import OpenEXR  # of the extra hdr

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with TemporaryDirectory() as folder:
        file = Path(folder, "a.exr")  # it writes nothing but files
        OpenEXR.File(header, {"RGB": _half(light)}).write(str(file))
        return read_regular(file, MOST_PICTURE)


def encode_jpeg_xr(light: Light) -> bytes:
    """A JPEG XR file, lossless: diffuse white at 203 nits, as Windows' HDR screenshots have it."""
    return encode_scrgb(_half(light * np.float32(WHITE_NITS / SCRGB_NITS)))


def encode_scrgb(light: NDArray[np.float16]) -> bytes:
    """A JPEG XR file of scRGB as it is, bit by bit."""
    from imagecodecs import jpegxr_encode  # of the extra hdr

    return bytes(jpegxr_encode(np.ascontiguousarray(light)))


def need_jpeg_xr(what: str) -> None:
    """``UserError`` if what writes JPEG XR is missing; ``what`` needs it."""
    try:
        from imagecodecs import jpegxr_encode  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{what}, which takes the package imagecodecs.", remedy=f"{how_to_install('hdr')}."
        ) from error


def _half(light: Light) -> NDArray[np.float16]:
    most = np.finfo(np.float16).max
    return np.ascontiguousarray(np.clip(light, -most, most).astype("<f2"))
