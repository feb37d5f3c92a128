"""Hashes of a picture: of its bytes, and of how it looks."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np

from dataset.pictures.images import Image

SAMPLES = 256  # the perceptual hash looks at this many pixels of the shorter side, at least


def sha256(data: bytes) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def phash(image: Image) -> str:
    """64-bit perceptual hash: similar pictures differ in few bits.

    Parameters
    ----------
    image : uint8 array, (H, W, 3)
        RGB.

    Returns
    -------
    str
        16 hexadecimal digits.

    Notes
    -----
    Each bit says whether one of the 64 lowest frequencies (without the constant) of the discrete
    cosine transform of the 32x32 grey picture is over their median [1]_. Brightness hardly counts:
    a viewpoint under two suns can get one hash.

    References
    ----------
    .. [1] Zauner: Implementation and Benchmarking of Perceptual Image Hash Functions. Master's
       thesis, Upper Austria University of Applied Sciences, 2010, section 3.2.1.

    Examples
    --------
    >>> phash(np.zeros((64, 64, 3), np.uint8))
    '0000000000000000'
    """
    step = max(1, min(image.shape[:2]) // SAMPLES)
    # Averaging every pixel of a 1080p picture would take as long as encoding it as PNG.
    fewer = np.ascontiguousarray(image[::step, ::step])
    small = cv2.resize(fewer, (32, 32), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    low = cv2.dct(grey)[1:9, 1:9].ravel()
    bits = low > np.median(low)
    return f"{int.from_bytes(np.packbits(bits).tobytes(), 'big'):016x}"
