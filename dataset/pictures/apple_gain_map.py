"""Apple's gain map: how bright it makes the picture, and the published formula.

The headroom is stated by the XMP of the map, or follows from two numbers in the maker note.

References
----------
.. [1] Apple: Applying Apple HDR effect to your photos (AppKit's documentation), 2023.
.. [2] Skia, and libavif's avifjpeg.c, which read the note in this way.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dataset.pictures.light import Light
from dataset.pictures.tiff import DAMAGED

KIND = b"urn:com:apple:photo:2020:aux:hdrgainmap"
STATED = re.compile(rb"HDRGainMapHeadroom(?:\s*=\s*[\"']|>)\s*([\d.]{1,20})")
NOTE = b"Apple iOS\0"
HEADROOM, GAIN = 33, 48  # tags of the maker note
SIGNED_FRACTION = 10
MOST_HEADROOM = 1 << 16


def is_apples(xmp: bytes) -> bool:
    """Whether the XMP of a JPEG says that it is such a map."""
    return KIND in xmp or b"HDRGainMapVersion" in xmp


def headroom_of(xmp: bytes, exif: bytes | None) -> float:
    """How much brighter than the SDR picture's white the HDR picture is at most.

    Parameters
    ----------
    xmp : bytes
        Of the map.
    exif : bytes or None
        Of the picture.

    Raises
    ------
    ValueError
        Neither says it.
    """
    stated = STATED.search(xmp)
    found = float(stated[1]) if stated else _by_maker(*_numbers(exif or b""))
    if not 1 <= found <= MOST_HEADROOM:
        raise ValueError("the numbers of its gain map make no sense")
    return found


def apply_apples(sdr: Light, gains: NDArray[Any], headroom: float) -> Light:
    """Light of the SDR picture, and the map's levels in [0, 1] of the same size -> HDR light."""
    levels = np.clip(gains[..., :1], 0, 1)
    linear = np.where(  # Rec. 709's curve
        levels < 0.081, levels / 4.5, ((levels + 0.099) / 1.099) ** (1 / 0.45)
    ).astype(np.float32)
    return np.asarray(sdr * (1 + np.float32(headroom - 1) * linear), np.float32)


def _by_maker(headroom: float, gain: float) -> float:
    """Apple's formula of two numbers in the maker note."""
    if headroom < 1:
        stops = 1.8 - 20 * gain if gain <= 0.01 else 1.601 - 0.101 * gain
    else:
        stops = 3.0 - 70 * gain if gain <= 0.01 else 2.303 - 0.303 * gain
    return 2.0 ** min(max(stops, 0.0), 16.0)


def _numbers(exif: bytes) -> tuple[float, float]:
    """Headroom and gain by the maker note, whose offsets count from its own beginning.

    Many photographs have one of them only, and the other counts as 0 [2]_.
    """
    try:
        block = Image.Exif()
        block.load(exif)
        note = bytes(block.get_ifd(34665).get(37500, b""))
        if not note.startswith(NOTE) or note[12:14] != b"MM":
            raise LookupError
        (count,) = struct.unpack_from(">H", note, 14)
        found = {}
        for place in range(16, 16 + 12 * count, 12):
            tag, kind, _, at = struct.unpack_from(">HHII", note, place)
            if tag in (HEADROOM, GAIN) and kind == SIGNED_FRACTION:
                above, below = struct.unpack_from(">ii", note, at)
                found[tag] = above / below
        if not found:
            raise LookupError
        return found.get(HEADROOM, 0.0), found.get(GAIN, 0.0)
    except DAMAGED as error:
        raise ValueError("its gain map, of Apple's kind, does not say how bright it is") from error
