"""Earlier methods: find over-exposure by a threshold, then recover lightness, then colour.

The methods that the paper compares with, for evaluation and for ``cli restore --method``, a plain
gamma, and two oracles that may look at the reference. Pure functions of arrays: no files, no torch.
``metrics`` measures how good they are.

Both threshold methods take the three steps that the paper names: find the over-exposed region,
recover its lightness, correct its colour. Lost pixels are filled in from pixels that were not lost,
along neighbours of similar lightness (`fill_in`). The threshold alone decides what counts as lost.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.pictures.pixels import Pixels

Floats = NDArray[np.float32]

CIELAB_THRESHOLD = 80.0  # L*, 0..100: equation 1 of Guo et al.
YCBCR_THRESHOLD = 235.0  # Y', 0..255: nominal white of Rec. 601
MID_GREY = 0.461  # an 18 % grey card, sRGB-encoded
STRONGEST_GAMMA = 3.0
FACTORS = np.geomspace(0.1, 1.5, 40)
EXPONENTS = np.geomspace(0.5, 6.0, 40)

RIM = 0.02  # of the map: from trusted to lost, because a step would show as a seam
COUPLING = 0.1  # between lost neighbours, against 1 of a trusted pixel to its own value
LIKENESS = 0.1  # lightness 0..1: neighbours further apart than this hardly share anything
LEAST_LIKE = 1e-3  # so that every lost pixel is reached at last
NEAR_WHITE = 0.2  # lightness 0..1: pixels darker than white by this say less of what was lost
LEAST_SAID = 0.01  # so that dark pixels count where there is nothing else
DOUBT = 1e-6  # weight of a lost pixel's own value: decides where nothing else is known
SWEEPS = 30
FEW_SWEEPS, MANY_PIXELS = 4, 2**18  # large pictures: the coarse ones have done the work
COARSEST_PX = 8  # pixels, the longer side of the coarsest picture


def cielab(pixels: Pixels, threshold: float = CIELAB_THRESHOLD) -> Pixels:
    """Restore in CIELAB, after Guo et al.: map, lightness, colour.

    Parameters
    ----------
    pixels : float32 array, (H, W, 3)
        RGB, sRGB-encoded, 0..1; any size from 1x1.
    threshold : float
        L* above which a colourless pixel counts as over-exposed, 0..100; chroma counts against.
        100 changes nothing.

    Returns
    -------
    float32 array, (H, W, 3)
        0..1. Pixels outside the region are those of the input, exactly.

    Notes
    -----
    Of [1]_: the map (equation 1, with its numbers, as in
    ``dataset.labelling.clipping.over_exposure``); that lightness is recovered by that likelihood
    and colour spreads from neighbours by confidence in the original colour, separately
    (abstract). The full text was not available. Ours: that
    the region begins where the map exceeds its value for a colourless pixel at the threshold, with
    a soft rim; the energy of `fill_in`; that what is nearer to white says more of what was lost;
    and that well-exposed pixels stay as they are, where the original compresses their range a
    little to make room.

    References
    ----------
    .. [1] D. Guo, Y. Cheng, S. Zhuo, T. Sim: Correcting over-exposure in photographs. CVPR 2010,
       515-521. doi:10.1109/CVPR.2010.5540170
    """
    lab = _convert(pixels, cv2.COLOR_RGB2Lab)
    lost = _ramp(over_exposure_map(pixels, threshold) - _soft_step(40.0), RIM)
    restored = _recover(lab / np.float32(100), lost) * np.float32(100)
    return _put(pixels, lost, _convert(restored, cv2.COLOR_Lab2RGB))


def ycbcr(pixels: Pixels, threshold: float = YCBCR_THRESHOLD) -> Pixels:
    """Restore in YCbCr: the region by a threshold of luma, luma, then Cb and Cr.

    Parameters
    ----------
    pixels : float32 array, (H, W, 3)
        RGB, sRGB-encoded, 0..1; any size from 1x1.
    threshold : float
        Y' of Rec. 601 from which a pixel counts as over-exposed, 0..255; colour does not matter.
        More than 255 changes nothing.

    Returns
    -------
    float32 array, (H, W, 3)
        0..1. Pixels outside the region are those of the input, exactly.

    Notes
    -----
    The paper cites a method in YCbCr without saying more of it than its colour space and the three
    steps, and its list of references was not available. So this stands for the kind: the region
    by luma, chroma spread from the surroundings as in [1]_ and by weights from the recovered
    lightness as in [2]_ (both by their abstracts). The default is nominal white, because there is
    no published value that we could check. How the rest is filled in is ours, as for `cielab`.

    References
    ----------
    .. [1] D. Xu, C. Doutre, P. Nasiopoulos: Correction of clipped pixels in color images. IEEE
       Trans. Visualization and Computer Graphics 17(3), 2011. doi:10.1109/TVCG.2010.63
    .. [2] D.-H. Lee, Y.-J. Yoon, S.-J. Kang, S.-J. Ko: Correction of the overexposed region in
       digital color image. IEEE Trans. Consumer Electronics 60(2), 2014.
    """
    luma_chroma = _convert(pixels, cv2.COLOR_RGB2YCrCb)
    # A grey of exactly the threshold counts, which rounding in floats must not undo.
    lost = (luma_chroma[..., 0] * 255 >= threshold - 1e-3).astype(np.float32)
    restored = _recover(luma_chroma, lost)
    return _put(pixels, lost, _convert(restored, cv2.COLOR_YCrCb2RGB))


def gamma(pixels: Pixels, exponent: float | None = None) -> Pixels:
    """Raise every channel to one exponent: the simplest way to darken. Clipped pixels stay white.

    Parameters
    ----------
    pixels : float32 array, (H, W, 3)
        RGB, sRGB-encoded, 0..1.
    exponent : float, optional
        Over 0; over 1 darkens. By default the one that takes a grey of the picture's own mean
        luma (Rec. 709) to the encoded value of an 18 % grey card, as an exposure meter would, but
        from 1 to 3: it restores over-exposure, so it never brightens, and a picture that is mostly
        clipped says little about the rest.

    Returns
    -------
    float32 array, (H, W, 3)
        0..1.

    Examples
    --------
    >>> gamma(np.full((1, 1, 3), 0.5, np.float32), 2.0)[0, 0, 0]
    np.float32(0.25)
    """
    if exponent is None:
        mean = float(np.mean(pixels @ np.array([0.2126, 0.7152, 0.0722], np.float32)))
        exponent = np.log(MID_GREY) / np.log(np.clip(mean, 1e-6, 1 - 1e-6))
        exponent = float(np.clip(exponent, 1.0, STRONGEST_GAMMA))
    return np.asarray(pixels ** np.float32(exponent), np.float32)


def best_gamma(pixels: Pixels, reference: Pixels) -> Pixels:
    """The gamma closest to the reference, of 40 from 0.5 to 6: an upper bound for gammas."""
    return _nearest(reference, [gamma(pixels, float(each)) for each in EXPONENTS])


def best_factor(pixels: Pixels, reference: Pixels) -> Pixels:
    """The brightness factor closest to the reference, of 40 from 0.1 to 1.5, on encoded values."""
    tried = [np.clip(pixels * np.float32(each), 0, 1) for each in FACTORS]
    return _nearest(reference, tried)


BASELINES: dict[str, Callable[[Pixels], Pixels]] = {
    "cielab": cielab,
    "ycbcr": ycbcr,
    "gamma": gamma,
}
"""Name -> a method that learned nothing, with its default setting."""

THRESHOLD_METHODS: dict[str, Callable[[Pixels, float], Pixels]] = {"cielab": cielab, "ycbcr": ycbcr}
"""Name -> a method with a threshold."""

ORACLES: dict[str, Callable[[Pixels, Pixels], Pixels]] = {
    "best_factor": best_factor,
    "best_gamma": best_gamma,
}
"""Name -> a method that may look at the reference: an upper bound, not a competitor."""


def over_exposure_map(pixels: Pixels, threshold: float = CIELAB_THRESHOLD) -> Floats:
    """The soft map of Guo et al., equation 1, with an adjustable lightness threshold.

    M = (tanh(((L - threshold) + (40 - C)) / 60) + 1) / 2, with C the length of (a, b).

    Returns
    -------
    float32 array, (H, W)
        0..1.

    Examples
    --------
    >>> over_exposure_map(np.array([[[1, 1, 1], [0, 0, 0], [1, 0, 0]]], np.float32)).round(3)
    array([[0.881, 0.209, 0.045]], dtype=float32)
    """
    lightness, a, b = np.moveaxis(_convert(pixels, cv2.COLOR_RGB2Lab), 2, 0)
    return _soft_step(lightness - np.float32(threshold) + 40 - np.hypot(a, b))


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


def _evidence(lightness: Floats, lost: Floats) -> Floats:
    """How much a pixel tells about lost ones: the bright sky more than an object in front of it."""
    near = np.exp(-((1 - lightness) ** 2) / np.float32(2 * NEAR_WHITE**2)) + np.float32(LEAST_SAID)
    return np.asarray((1 - lost) * np.minimum(near, 1), np.float32)


def _convert(planes: Floats, code: int) -> Floats:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(planes, np.float32), code), np.float32)


def _recover(planes: Floats, lost: Floats) -> Floats:
    """Lightness (plane 0, 0..1) first, then both colour planes guided by it."""
    if not lost.any():
        return planes
    lightness = np.ascontiguousarray(planes[..., :1])
    trust = _evidence(lightness[..., 0], lost)
    lightness = _mix(lightness, fill_in(lightness, trust, lightness[..., 0]), lost)
    colours = np.ascontiguousarray(planes[..., 1:])
    colours = _mix(colours, fill_in(colours, trust, lightness[..., 0]), lost)
    return np.concatenate([lightness, colours], axis=2)


def _mix(own: Floats, filled: Floats, lost: Floats) -> Floats:
    return own + lost[..., None] * (filled - own)


def _put(pixels: Pixels, lost: Floats, restored: Pixels) -> Pixels:
    """Restored pixels where something was lost; the input elsewhere, free of rounding errors."""
    return np.where(lost[..., None] > 0, np.clip(restored, 0, 1), pixels).astype(np.float32)


def _soft_step(value: Floats | float) -> Floats:
    return np.asarray((np.tanh(np.asarray(value, np.float32) / 60) + 1) / 2, np.float32)


def _ramp(value: Floats, width: float) -> Floats:
    """0 below 0, 1 above ``width``, linear in between."""
    return np.clip(value / np.float32(width), 0, 1)


def _nearest(reference: Pixels, tried: list[Pixels]) -> Pixels:
    """The picture of least squared error."""
    return tried[int(np.argmin([np.mean((each - reference) ** 2) for each in tried]))]
