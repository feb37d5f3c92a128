"""AVIF and HEIF of PQ or HLG -> light. ``extra_decoding.py`` decodes them.

Of 8, 10 and 12 bits; a colour box says PQ or HLG by numbers, or by a profile. AVIF that is cropped
and sequences are refused by name. What is HDR by a gain map is read in ``hdr_mapped.py``.

References
----------
.. [1] AOM: AVIF 1.1. ISO/IEC 23008-12: HEIF; irot, imir. ITU-T H.273.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dataset.pictures.boxes import SEQUENCES, Stated, read_stated
from dataset.pictures.dynamic_range import CURVES, curve_of_profile
from dataset.pictures.extra_decoding import decode_avif, decode_heif
from dataset.pictures.hdr_limits import check_size
from dataset.pictures.hdr_picture import HdrPicture, turned
from dataset.pictures.hdr_signals import CodePoints, alpha_notes, by_profile, to_light
from dataset.pictures.light import WHITE_NITS, Matrix, in_rec709, to_rec709
from dataset.pictures.metadata import Metadata

Meaning = tuple[CodePoints, Matrix]  # of samples, and to Rec. 709


def read_avif(data: bytes, path: Path) -> HdrPicture:
    """Raises as the readers of ``hdr.py`` do."""
    stated, meaning = _checked("AVIF", data, path)
    samples, most = decode_avif(data, stated, path)
    return turned(_picture("AVIF", samples, most, stated, meaning), stated.orientation)


def read_heif(data: bytes, path: Path) -> HdrPicture:
    """Raises as the readers of ``hdr.py`` do."""
    stated, meaning = _checked("HEIF", data, path)
    samples, white = decode_heif(data, stated, path)
    return turned(_picture("HEIF", samples, white, stated, meaning), 1)  # it is upright already


def _checked(kind: str, data: bytes, path: Path) -> tuple[Stated, Meaning]:
    """What the file says, if it can be read; raises ``ValueError`` if not."""
    stated = read_stated(data)
    for size in stated.sizes:
        check_size(kind, *size, path)
    if data[8:12] in SEQUENCES:
        raise ValueError("it is a sequence, of which only one picture would be taken")
    return stated, _meaning(stated)


def _meaning(stated: Stated) -> Meaning:
    """By the colour box of numbers, else by that of a profile; raises ``ValueError``."""
    if stated.colour is not None and stated.colour[1] in CURVES:
        points = CodePoints(*stated.colour)
        return points, to_rec709(points.chromaticities)
    if curve_of_profile(stated.profile):
        return by_profile(stated.profile)
    raise ValueError("its picture is SDR, and only another one in it is HDR")


def _picture(kind: str, samples: Any, most: int, stated: Stated, meaning: Meaning) -> HdrPicture:
    points, matrix = meaning
    light = to_light(samples, 0, most, points)
    return HdrPicture(
        in_rec709(light, matrix),
        WHITE_NITS,
        f"{kind} ({CURVES[points.curve]})",
        Metadata(exif=stated.exif, xmp=stated.xmp),
        alpha_notes(samples, most),
    )
