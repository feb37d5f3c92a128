"""Earlier methods: find over-exposure by a threshold, then recover lightness, then colour.

The methods that the paper compares with, for evaluation and for ``cli restore --method``, a plain
gamma, the table of all methods that learned nothing (``reconstruction`` is one), and oracles that
may look at the reference. Pure functions of arrays: no files, no torch. ``metrics`` measures how
good they are.

Both threshold methods take the three steps that the paper names: find the over-exposed region,
recover its lightness, correct its colour. Lost pixels are filled in from pixels that were not lost,
along neighbours of similar lightness (``filling``). The threshold alone decides what is lost.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from dataset.pictures.pixels import Pixels
from model.restoring.filling import Floats, evidence, fill_in
from model.restoring.reconstruction import CLIPPED, reconstruct

CIELAB_THRESHOLD = 80.0  # L*, 0..100: equation 1 of Guo et al.
YCBCR_THRESHOLD = 235.0  # Y', 0..255: nominal white of Rec. 601
MID_GREY = 0.461  # an 18 % grey card, sRGB-encoded
STRONGEST_GAMMA = 3.0
FACTORS = np.geomspace(0.1, 1.5, 40)
EXPONENTS = np.geomspace(0.5, 6.0, 40)

RIM = 0.02  # of the map: from trusted to lost, because a step would show as a seam


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


def true_k(pixels: Pixels, gain: float) -> Pixels:
    """The picture over its true gain: what it was, wherever a channel was not clipped.

    Parameters
    ----------
    pixels : float32 array, (H, W, 3)
        RGB, encoded, 0..1.
    gain : float
        k of y = min(k x, 1) on encoded values; NaN, unknown, changes nothing.

    Examples
    --------
    >>> true_k(np.array([[[1, 0.5, 0]]], np.float32), 2.0)
    array([[[0.5 , 0.25, 0.  ]]], dtype=float32)
    """
    return np.clip(pixels / np.float32(gain), 0, 1) if np.isfinite(gain) else pixels


def true_k_mean_colours(pixels: Pixels, reference: Pixels, gain: float) -> Pixels:
    """`true_k`, and a mean colour where a channel was clipped: what tone alone leaves open.

    A clipped channel value (250 of 255 or more) becomes the mean of the reference over the pixels
    where that channel was clipped, but never less than 1 / k, which it had at least.
    """
    restored, clipped = true_k(pixels, gain).copy(), pixels >= CLIPPED
    least = 1 / gain if np.isfinite(gain) else 0.0
    for channel in range(3):
        lost = clipped[..., channel]
        if lost.any():
            mean = float(reference[..., channel][lost].mean())
            restored[..., channel][lost] = min(1.0, max(mean, least))
    return restored


BASELINES: dict[str, Callable[[Pixels], Pixels]] = {
    "cielab": cielab,
    "ycbcr": ycbcr,
    "gamma": gamma,
    "reconstruct": reconstruct,
}
"""Name -> a method that learned nothing, with its default setting."""

THRESHOLD_METHODS: dict[str, Callable[[Pixels, float], Pixels]] = {"cielab": cielab, "ycbcr": ycbcr}
"""Name -> a method with a threshold."""

ORACLES: dict[str, Callable[[Pixels, Pixels, float], Pixels]] = {
    "best_factor": lambda pixels, reference, _: best_factor(pixels, reference),
    "best_gamma": lambda pixels, reference, _: best_gamma(pixels, reference),
    "true_k": lambda pixels, _, gain: true_k(pixels, gain),
    "true_k_mean_colours": true_k_mean_colours,
}
"""Name -> a method that may look at the reference and its gain: a bound, not a competitor."""


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


def _convert(planes: Floats, code: int) -> Floats:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(planes, np.float32), code), np.float32)


def _recover(planes: Floats, lost: Floats) -> Floats:
    """Lightness (plane 0, 0..1) first, then both colour planes guided by it."""
    if not lost.any():
        return planes
    lightness = np.ascontiguousarray(planes[..., :1])
    trust = evidence(lightness[..., 0], lost)
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
