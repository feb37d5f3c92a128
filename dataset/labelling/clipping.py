"""How much of a picture is clipped: pure functions of one RGB uint8 array of shape (H, W, 3).

Every method turns a picture into levels of 0..255, where white is 255; clipped is what reaches a
limit. Nothing here reads a file or decides a label: a statistic is measured once, thresholds come
later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.pictures.images import Image

Mask = NDArray[np.bool_]

Places = NDArray[np.int64]

NOISE = 16  # noise: more than one change per 16 pixels along the rows
LUMA_WEIGHTS = (0.2126, 0.7152, 0.0722)  # weights of R', G', B' in luma


@dataclass(frozen=True)
class ClippingStatistics:
    """Highlight statistics of one frame. Ignored pixels are left out."""

    clipped_fraction: float  # clipped pixels / all pixels, 0..1
    largest_blob: float  # largest 8-connected clipped area / all pixels, 0..clipped_fraction
    p99: int  # 99th percentile of the method's levels, 0..255; of max(R, G, B) by default


def brightest_channel(image: Image) -> Image:
    """max(R, G, B) of every pixel: one saturated channel is enough to lose a colour.

    Parameters
    ----------
    image : uint8 array, (H, W, 3)
        RGB.

    Returns
    -------
    uint8 array, (H, W)

    References
    ----------
    .. [1] Restoration of over-exposed images with an image-to-image GAN, Korean Institute of
       Broadcast and Media Engineers, summer conference 2021: over-exposure as clipping to the
       maximum of RGB.

    Examples
    --------
    >>> brightest_channel(np.array([[[10, 255, 30], [7, 8, 9]]], np.uint8))
    array([[255,   9]], dtype=uint8)
    """
    # Neighbours in memory rather than three planes: the maximum of every three bytes in a row costs
    # less than taking the channels apart, and each third of them is a pixel's own.
    height, width, channels = image.shape
    values = image.reshape(-1)
    highest = np.empty_like(values)
    np.maximum(values[:-1], values[1:], out=highest[:-1])
    np.maximum(highest[:-2], values[2:], out=highest[:-2])
    pixels = highest.reshape(height, width, channels)
    return np.asarray(cv2.extractChannel(pixels, 0), dtype=np.uint8)


def luma(image: Image) -> Image:
    """Luma of Rec. 709: the weighted sum of the gamma-encoded channels, not linear luminance.

    A saturated blue or red alone hardly moves it.

    Parameters
    ----------
    image : uint8 array, (H, W, 3)
        RGB.

    Returns
    -------
    uint8 array, (H, W)

    References
    ----------
    .. [1] Recommendation ITU-R BT.709-6, item 3.2: E'Y = 0.2126 E'R + 0.7152 E'G + 0.0722 E'B.

    Examples
    --------
    >>> luma(np.array([[[255, 255, 255], [255, 0, 0], [0, 255, 0]]], np.uint8))
    array([[255,  54, 182]], dtype=uint8)
    """
    return np.asarray(cv2.transform(image, np.array([LUMA_WEIGHTS])), dtype=np.uint8)


def over_exposure(image: Image) -> NDArray[np.float32]:
    """The soft over-exposure map of Guo et al. in CIELAB: bright, and without colour.

    M = (tanh(((L - 80) + (40 - C)) / 60) + 1) / 2, with C the length of (a, b).

    Parameters
    ----------
    image : uint8 array, (H, W, 3)
        RGB, taken for sRGB.

    Returns
    -------
    float32 array, (H, W)
        0..0.88; white is (tanh(1) + 1) / 2 = 0.8808.

    Notes
    -----
    Lab is computed in floats: OpenCV's 8-bit Lab scales L by 255/100 and moves a and b by 128. The
    formula and its numbers were checked against a public implementation that names equation 1 of
    the paper; the text of the paper itself was not at hand.

    References
    ----------
    .. [1] D. Guo, Y. Cheng, S. Zhuo, T. Sim: Correcting over-exposure in photographs. CVPR 2010,
       515-521, equation 1. doi:10.1109/CVPR.2010.5540170

    Examples
    --------
    >>> over_exposure(np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0]]], np.uint8)).round(3)
    array([[0.881, 0.209, 0.045]], dtype=float32)
    """
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    lightness, a, b = cv2.split(lab)
    chroma = cv2.magnitude(a, b)
    return np.asarray((np.tanh((lightness - chroma - 40) / 60) + 1) / 2, dtype=np.float32)


def over_exposure_level(image: Image) -> Image:
    """`over_exposure` as a share of white's, in 0..255: (H, W) uint8.

    Examples
    --------
    >>> over_exposure_level(np.array([[[255, 255, 255], [240, 240, 240]]], np.uint8))
    array([[255, 249]], dtype=uint8)
    """
    white = (math.tanh(1) + 1) / 2
    return np.asarray(np.clip(np.rint(over_exposure(image) * (255 / white)), 0, 255), np.uint8)


def colourless_luma(image: Image) -> Image:
    """Luma less chroma in YCbCr: Y' - max(|Cb - 128|, |Cr - 128|), not under 0.

    Our own counterpart of `over_exposure` without its exponentials: the more colour a bright pixel
    has kept, the less it counts.

    Parameters
    ----------
    image : uint8 array, (H, W, 3)
        RGB.

    Returns
    -------
    uint8 array, (H, W)

    References
    ----------
    .. [1] JFIF (Recommendation ITU-T T.871), section 7: YCbCr of full range from RGB, with the
       weights of Rec. 601.

    Examples
    --------
    >>> colourless_luma(np.array([[[255, 255, 255], [255, 255, 225], [255, 0, 0]]], np.uint8))
    array([[255, 237,   0]], dtype=uint8)
    """
    luma601, cr, cb = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))
    centre = np.full_like(cr, 128)
    chroma = cv2.max(cv2.absdiff(cr, centre), cv2.absdiff(cb, centre))
    return np.asarray(cv2.subtract(luma601, chroma), dtype=np.uint8)


CLIPPING_METHODS: dict[str, Callable[[Image], Image]] = {
    "max_rgb": brightest_channel,
    "luminance": luma,
    "cielab": over_exposure_level,
    "ycbcr": colourless_luma,
}
"""Name -> picture to levels, uint8 (H, W), white 255."""


def clipped_mask(
    image: Image, limit: int = 250, method: str = "max_rgb", ignore: Mask | None = None
) -> Mask:
    """Where a picture has lost its highlights: the method's level at or over a limit.

    Parameters
    ----------
    image : uint8 array, (H, W, 3)
        RGB.
    limit : int
        0..255. Under 255, because a game's tone curve and dithering, and the resampling of a
        scaled capture, leave clipped areas a few steps below white.
    method : str
        One of `CLIPPING_METHODS`.
    ignore : bool array, (H, W), optional
        Where not to look: a HUD.

    Returns
    -------
    bool array, (H, W)

    Examples
    --------
    >>> clipped_mask(np.array([[[0, 250, 0], [249, 249, 249]]], np.uint8))
    array([[ True, False]])
    """
    mask = np.asarray(CLIPPING_METHODS[method](image) >= limit)
    return mask if ignore is None else mask & ~ignore


def measure_clipping(
    image: Image, limit: int = 250, method: str = "max_rgb", ignore: Mask | None = None
) -> ClippingStatistics:
    """Clipped fraction, largest connected clipped area and 99th percentile of one picture.

    Parameters
    ----------
    image : uint8 array, (H, W, 3)
        RGB.
    limit, method, ignore
        As for `clipped_mask`.

    Returns
    -------
    ClippingStatistics
        All zero where everything is ignored.

    Notes
    -----
    All three are exact counts over the full picture. The percentile is the smallest value that at
    least 99 % of the pixels do not exceed (definition 1 of [1]_), so it is always a value that
    occurs in the picture. Areas are joined over edges and corners; an ignored pixel joins nothing.

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
    >>> hud = np.zeros((10, 10), bool)
    >>> hud[:, 0] = True
    >>> measure_clipping(image, ignore=hud)
    ClippingStatistics(clipped_fraction=0.1, largest_blob=0.08888888888888889, p99=255)
    """
    level = CLIPPING_METHODS[method](image)
    seen = None if ignore is None else np.asarray(~ignore)
    kept = level if seen is None else level[seen]
    if kept.size == 0:
        return ClippingStatistics(0.0, 0.0, 0)
    clipped = kept.size - _count_up_to(kept, limit - 1)
    blob = _largest_area(level, limit, seen) if clipped else 0
    # In integers: 0.01 * size is not exact and would move the rank by one at round sizes.
    bounds = (limit, 255) if clipped * 100 > kept.size else (0, limit - 1)
    return ClippingStatistics(clipped / kept.size, blob / kept.size, _percentile99(kept, *bounds))


def _count_up_to(level: Image, value: int) -> int:
    """Pixels whose level is not over a value."""
    _, above = cv2.threshold(level, value, 255, cv2.THRESH_BINARY)
    return level.size - cv2.countNonZero(above)


def _percentile99(level: Image, low: int, high: int) -> int:
    """The smallest value that 99 % of the levels do not exceed, known to be in [low, high].

    Found by halving: a few counts are quicker than a histogram, and exact at any size.
    """
    while low < high:
        middle = (low + high) // 2
        if _count_up_to(level, middle) * 100 >= level.size * 99:
            high = middle
        else:
            low = middle + 1
    return low


def _largest_area(level: Image, limit: int, seen: Mask | None) -> int:
    """Pixels in the largest 8-connected area of (H, W) levels at or over the limit.

    Clipped areas are few runs of pixels, and joining runs is quicker than labelling pixels; noise
    is many, and goes to OpenCV. Both are exact.
    """
    height, width = level.shape
    # A column of False behind each row, so that no run goes on into the next one.
    mask = np.empty((height, width + 1), np.bool_)
    mask[:, width] = False
    np.greater_equal(level, limit, out=mask[:, :width])
    if seen is not None:
        mask[:, :width] &= seen
    flat = mask.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat[0]:
        changes = np.concatenate(([0], changes))
    if changes.size > level.size // NOISE:
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
        return int(stats[1:, cv2.CC_STAT_AREA].max())
    return _largest_joined(changes[::2], changes[1::2], width + 1)


def _largest_joined(starts: Places, ends: Places, line: int) -> int:
    """Pixels of the runs [start, end) in rows of `line` that touch, by edges or corners."""
    from scipy.sparse import csr_matrix  # deferred: recorders load this file too
    from scipy.sparse.csgraph import connected_components

    # Runs of the row below that touch a run are neighbours in order: from `first` up to `last`.
    first = np.searchsorted(ends - line, starts, "left")
    last = np.searchsorted(starts - line, ends, "right")
    offsets = np.concatenate(([0], np.cumsum(last - first)))
    below = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], last - first)
    # Numbers as scipy wants them (int32, float64), so that it copies nothing.
    parts = (np.ones(below.size), below.astype(np.int32), offsets.astype(np.int32))
    touching = csr_matrix(parts, shape=(starts.size, starts.size))
    _, area = connected_components(touching, directed=False)
    return int(np.bincount(area, weights=ends - starts).max())
