"""Stripes of grey as HDR pictures: PNG with PQ, in nits, and Radiance HDR, of a scene."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from dataset.pictures.png import chunk, encode_samples
from dataset.pictures.tone import pq_of

BT709, PQ = 1, 16  # code points of ITU-T H.273
RAMP = {0: 0, 1: 15, 10: 63, 50: 136, 100: 186, 203: 229, 400: 250, 1000: 255}
"""Grey in nits -> its level by BT.2390, where 1000 nits are the brightest and 203 are white."""


def greys(*nits: float, height: int = 24, width: int = 4) -> Any:
    """Upright stripes of grey, (H, W, 3)."""
    row = np.repeat(np.array(nits, np.float32), width)
    return np.repeat(np.repeat(row[None, :, None], height, 0), 3, 2)


def pq_png(nits: Any, exif: bytes = b"") -> bytes:
    """16 bits, PQ and Rec. 709's primaries by cICP."""
    plain = encode_samples(np.rint(pq_of(nits) * 65535).astype(np.uint16))
    more = chunk(b"cICP", bytes([BT709, PQ, 0, 1])) + (chunk(b"eXIf", exif) if exif else b"")
    return plain[:33] + more + plain[33:]


def radiance(light: Any) -> bytes:
    """Radiance HDR; its mantissa has 8 bits."""
    bgr = np.ascontiguousarray(np.asarray(light, np.float32)[..., ::-1])
    return cv2.imencode(".hdr", bgr)[1].tobytes()
