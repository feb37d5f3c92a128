"""How much of a picture is clipped: pure functions of one RGB uint8 array of shape (H, W, 3).

Nothing here reads a file or decides a label: a statistic is measured once, thresholds come later.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.images import Image


@dataclass(frozen=True)
class ClippingStatistics:
    """What the highlights of one frame look like, in numbers."""

    clipped_fraction: float  # clipped pixels / all pixels, 0..1
    largest_blob: float  # largest 8-connected clipped area / all pixels, 0..clipped_fraction
    p99: int  # 99th percentile of max(R, G, B), 0..255


def brightest_channel(image: Image) -> Image:
    """max(R, G, B) of every pixel.

    Parameters
    ----------
    image : uint8 array, (H, W, 3)
        RGB.

    Returns
    -------
    uint8 array, (H, W)

    Examples
    --------
    >>> brightest_channel(np.array([[[10, 255, 30], [7, 8, 9]]], np.uint8))
    array([[255,   9]], dtype=uint8)
    """
    red, green, blue = cv2.split(image)
    return np.asarray(cv2.max(cv2.max(red, green), blue), dtype=np.uint8)


def clipped_mask(image: Image, limit: int = 250) -> NDArray[np.bool_]:
    """Where a picture has lost its highlights: max(R, G, B) at or over a limit.

    One saturated channel is enough, because the pixel's colour is lost with it.

    Parameters
    ----------
    image : uint8 array, (H, W, 3)
        RGB.
    limit : int
        0..255. Under 255, because a game's tone curve and dithering, and the resampling of a
        scaled capture, leave clipped areas a few steps below white.

    Returns
    -------
    bool array, (H, W)

    References
    ----------
    .. [1] Restoration of over-exposed images with an image-to-image GAN, Korean Institute of
       Broadcast and Media Engineers, summer conference 2021: over-exposure as clipping to the
       maximum of RGB.

    Examples
    --------
    >>> clipped_mask(np.array([[[0, 250, 0], [249, 249, 249]]], np.uint8))
    array([[ True, False]])
    """
    return np.asarray(brightest_channel(image) >= limit)


def measure_clipping(image: Image, limit: int = 250) -> ClippingStatistics:
    """Clipped fraction, largest connected clipped area and 99th percentile of one picture.

    Parameters
    ----------
    image : uint8 array, (H, W, 3)
        RGB.
    limit : int
        0..255, as for `clipped_mask`.

    Returns
    -------
    ClippingStatistics

    Notes
    -----
    The percentile is the smallest value that at least 99 % of the pixels do not exceed
    (definition 1 of [1]_), so it is always a value that occurs in the picture. Areas are joined
    over edges and corners.

    References
    ----------
    .. [1] Hyndman, Fan: Sample quantiles in statistical packages. The American Statistician
       50(4), 1996.

    Examples
    --------
    >>> image = np.zeros((10, 10, 3), np.uint8)
    >>> image[:2, :5] = 255  # one area of ten pixels
    >>> image[9, 9] = 255  # and a glint
    >>> measure_clipping(image)
    ClippingStatistics(clipped_fraction=0.11, largest_blob=0.1, p99=255)
    """
    value = brightest_channel(image)
    histogram = np.bincount(value.ravel(), minlength=256)
    clipped = int(histogram[limit:].sum())
    # In integers: 0.99 * size is not exact and would move the rank by one at round sizes.
    p99 = int(np.searchsorted(np.cumsum(histogram) * 100, 99 * value.size))
    blob = _largest_area(value, limit) if clipped else 0
    return ClippingStatistics(clipped / value.size, blob / value.size, p99)


def _largest_area(value: Image, limit: int) -> int:
    """Pixels in the largest 8-connected area of (H, W) values at or over the limit."""
    mask = (value >= limit).view(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return int(stats[1:, cv2.CC_STAT_AREA].max())
