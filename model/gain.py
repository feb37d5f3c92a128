"""The gain k of an over-exposed picture, y = min(k x, 1) on encoded values: measured, not learned.

From a picture and its reference, or as far as a restored picture took it back. Pure functions of
pictures, RGB uint8 (H, W, 3); nothing here reads a file.
"""

from __future__ import annotations

import math

import numpy as np

from dataset.pictures.images import Image

CLIPPED = 250  # levels: a channel from here on is clipped
DARKEST = 16  # levels: rounding alone moves the ratio of darker ones by more than 3 %
LEAST_REGION = 0.001  # share of all values or pixels: a few sparks must not decide


def measure_gain(picture: Image, reference: Image) -> float:
    """How many times brighter a picture is than its reference, by encoded values.

    Parameters
    ----------
    picture, reference : uint8 arrays, (H, W, 3)
        RGB, of the same scene.

    Returns
    -------
    float
        The median of picture / reference over the channel values of 16 to 249 in the picture: those
        that are neither clipped nor nearly black. NaN if these are less than 0.1 % of all, or if
        the reference is black in most of them.

    Examples
    --------
    >>> measure_gain(np.full((2, 2, 3), 150, np.uint8), np.full((2, 2, 3), 100, np.uint8))
    1.5
    """
    usable = (picture >= DARKEST) & (picture < CLIPPED)
    if usable.mean() < LEAST_REGION:
        return math.nan
    # The inverse ratio, whose divisor is never 0.
    inverse = float(np.median(reference[usable] / picture[usable].astype(np.float64)))
    return 1 / inverse if inverse else math.nan


def gain_error(restored: Image, source: Image, gain: float) -> float:
    """|log k' - log k|: how far from the true gain k is the one that a restored picture took back.

    Parameters
    ----------
    restored, source : uint8 arrays, (H, W, 3)
        RGB: the output of a method and its input, whose unclipped values say what k' is.
    gain : float
        k, over 0.

    Returns
    -------
    float
        0 is exact; 0.1 is about 10 % too bright or too dark. NaN if either gain is not known.

    Examples
    --------
    >>> grey = np.full((2, 2, 3), 150, np.uint8)
    >>> round(gain_error(grey, grey, 1.5), 3)  # took nothing back: log 1.5
    0.405
    """
    return abs(math.log(measure_gain(source, restored)) - math.log(gain))


def best_factor(picture: Image, reference: Image) -> float:
    """The factor on a picture's encoded values that takes it closest to its reference.

    The least squared error before clipping, in closed form: sum(p r) / sum(p^2); 1 for black.

    Examples
    --------
    >>> best_factor(np.full((2, 2, 3), 50, np.uint8), np.full((2, 2, 3), 75, np.uint8))
    1.5
    """
    own, target = (each.astype(np.float64).ravel() for each in (picture, reference))
    power = float(own @ own)
    return float(own @ target) / power if power else 1.0
