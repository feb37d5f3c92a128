"""JPEG XL of PQ, HLG or linear samples -> light. ``extra_decoding.py`` decodes it.

Linear samples are absolute where the file says how bright 1 is, and light of a scene where it does
not. Colours by an ICC profile and animations are refused by name.

References
----------
.. [1] ISO/IEC 18181-1:2024: JPEG XL: ColourEncoding, ToneMapping.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dataset.pictures.extra_decoding import decode_jpegxl, metadata_of_jpegxl
from dataset.pictures.hdr_limits import check_size
from dataset.pictures.hdr_picture import HdrPicture, turned
from dataset.pictures.hdr_signals import CodePoints, alpha_notes, to_light
from dataset.pictures.jpegxl import DEFAULT_NITS, LINEAR, Codestream, read_codestream
from dataset.pictures.light import HLG, PQ, WHITE_NITS, Light, in_rec709, to_rec709

NAMES = {PQ: "PQ", HLG: "HLG", LINEAR: "linear"}


def read_jpegxl(data: bytes, path: Path) -> HdrPicture:
    """Raises as the readers of ``hdr.py`` do."""
    stated = read_codestream(data)
    if stated is None:
        raise ValueError("its header is damaged or cut off")
    width, height = stated.size
    check_size("JPEG XL", width, height, path)
    if stated.animated:
        raise ValueError("it is an animation, of which only one frame would be taken")
    if stated.by_profile or stated.curve not in NAMES:
        raise ValueError("its colours are stated by an ICC profile, or a curve that is not HDR")
    samples, most = decode_jpegxl(data, stated, path)
    light, white = _light(samples, most, stated)
    picture = HdrPicture(
        in_rec709(light, to_rec709(stated.primaries)),
        white,
        f"JPEG XL ({NAMES[stated.curve]})",
        metadata_of_jpegxl(data, path),
        alpha_notes(samples, most),
    )
    return turned(picture, 1)


def _light(samples: Any, most: float, stated: Codestream) -> tuple[Light, float | None]:
    """Light, and what 1.0 is; ``most`` is the sample of a signal of 1."""
    if stated.curve != LINEAR:
        points = CodePoints(0, stated.curve, corners=stated.primaries)
        return to_light(samples, 0, most, points), WHITE_NITS
    colour = samples[..., [0, 0, 0]] if samples.shape[2] < 3 else samples[..., :3]
    if stated.peak_nits in (None, DEFAULT_NITS):
        return np.divide(colour, np.float32(most), dtype=np.float32), None
    unit = (stated.peak_nits or 0) / most / WHITE_NITS
    return np.multiply(colour, np.float32(unit), dtype=np.float32), WHITE_NITS
