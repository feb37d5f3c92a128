"""Fills in what was lost in a picture from what was not, along neighbours of similar lightness.

A pure function of arrays, for methods that learned nothing. Which pixels are lost, and what is
filled in, is decided by ``baselines`` and ``reconstruction``.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

COUPLING = 0.1  # between lost neighbours, against 1 of a trusted pixel to its own value
LIKENESS = 0.1  # lightness 0..1: neighbours further apart than this hardly share anything
LEAST_LIKE = 1e-3  # so that every lost pixel is reached at last
NEAR_WHITE = 0.2  # lightness 0..1: pixels darker than white by this say less of what was lost
LEAST_SAID = 0.01  # so that dark pixels count where there is nothing else
DOUBT = 1e-6  # weight of a lost pixel's own value: decides where nothing else is known
SWEEPS = 30
FEW_SWEEPS, MANY_PIXELS = 4, 2**18  # large pictures: the coarse ones have done the work
COARSEST_PX = 8  # pixels, the longer side of the coarsest picture


def fill_in(values: Floats, trust: Floats, guide: Floats) -> Floats:
    """Keep values where they are trusted, and continue them smoothly where they are not.

    Minimizes, over u, the sum over pixels of t (u - v)^2 and over neighbours of
    0.1 s exp(-(g - g')^2 / (2 0.1^2)) (u - u')^2: t is the trust, v the values, g the guide, and s
    the larger mistrust of the two, so that trusted pixels among themselves stay as they are. The
    minimum is approached by Jacobi steps from a coarse picture to the full one.

    Parameters
    ----------
    values : float32 array, (H, W, C)
    trust : float32 array, (H, W)
        0 (lost) to 1.
    guide : float32 array, (H, W)
        Lightness, 0..1: neighbours of similar lightness share their values.

    Returns
    -------
    float32 array, (H, W, C)
        The values unchanged if nothing is trusted.
    """
    across, down = _ties(guide, trust)
    own = (trust + np.float32(DOUBT))[..., None]
    weights = own + _from_neighbours(np.ones_like(own), across, down)
    found = np.where(trust[..., None] >= 1, values, _from_coarse(values, trust, guide))
    for _ in range(SWEEPS if trust.size <= MANY_PIXELS else FEW_SWEEPS):
        found = (own * values + _from_neighbours(found, across, down)) / weights
    return np.asarray(found, np.float32)


def evidence(lightness: Floats, lost: Floats) -> Floats:
    """How much a pixel tells about lost ones: the bright sky more than an object in front of it.

    Parameters
    ----------
    lightness, lost : float32 arrays, (H, W)
        0..1. Lost: 0 is trusted, 1 is lost.

    Returns
    -------
    float32 array, (H, W)
        The trust for `fill_in`, 0..1; 0 where a pixel is lost.
    """
    near = np.exp(-((1 - lightness) ** 2) / np.float32(2 * NEAR_WHITE**2)) + np.float32(LEAST_SAID)
    return np.asarray((1 - lost) * np.minimum(near, 1), np.float32)


def _from_coarse(values: Floats, trust: Floats, guide: Floats) -> Floats:
    """The solution at half the size, enlarged: a starting point."""
    height, width = trust.shape
    if max(height, width) <= COARSEST_PX:
        return values
    own = (trust + np.float32(DOUBT))[..., None]
    small = _halved(values * own) / _halved(own)
    found = fill_in(small, _halved(trust[..., None])[..., 0], _halved(guide[..., None])[..., 0])
    large = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32).reshape(values.shape)


def _halved(planes: Floats) -> Floats:
    """(H, W, C) at half the size, area-averaged."""
    height, width = ((side + 1) // 2 for side in planes.shape[:2])
    small = cv2.resize(planes, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(height, width, -1)


def _ties(guide: Floats, trust: Floats) -> tuple[Floats, Floats]:
    """Weights between neighbours in a row, (H, W - 1, 1), and in a column, (H - 1, W, 1)."""
    across = _tie(np.diff(guide, axis=1), np.minimum(trust[:, :-1], trust[:, 1:]))
    down = _tie(np.diff(guide, axis=0), np.minimum(trust[:-1], trust[1:]))
    return across, down


def _tie(apart: Floats, trust: Floats) -> Floats:
    """Weights of neighbours, by the distance of their guides and the lower trust of the two."""
    like = np.exp(-(apart**2) / np.float32(2 * LIKENESS**2)) + np.float32(LEAST_LIKE)
    return np.asarray(np.float32(COUPLING) * like * (1 - trust), np.float32)[..., None]


def _from_neighbours(values: Floats, across: Floats, down: Floats) -> Floats:
    """The weighted sum of the four neighbours of every pixel."""
    total = np.zeros_like(values)
    total[:, :-1] += across * values[:, 1:]
    total[:, 1:] += across * values[:, :-1]
    total[:-1] += down * values[1:]
    total[1:] += down * values[:-1]
    return total
