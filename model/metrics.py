"""Metrics of restored pictures: pure functions of arrays.

With a reference: PSNR, SSIM, edges and CIEDE2000, in total and separately for the pixels that the
input had clipped and the others; FLIP; structure apart from tone, and the error of the tone.
Without one: what is still clipped, and how far well-exposed pixels were changed. And the confidence
interval of a mean over frames. Which pictures are compared, and what is reported, is decided in
``evaluation``; nothing here reads a file or loads torch.
Pictures are RGB uint8 (H, W, 3).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import stats
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dataset.labelling.clipping import Mask, clipped_mask
from dataset.pictures.images import Image
from model.gain import LEAST_REGION, best_factor, gain_error, measure_gain

try:
    import flip_evaluator
except ImportError:  # it has no wheels for some machines, and is not needed for the rest
    flip_evaluator = None

Values = NDArray[np.float64]

EQUAL_PSNR = 100.0  # dB, of equal pictures, whose PSNR has no bound
SSIM_WINDOW = 7  # pixels, scikit-image's
CONFIDENCE = 0.95
RESAMPLES = 2000
BATCH_VALUES = 1 << 20  # values resampled at once
KERNEL_DEGREE = 3  # of KID
HAS_FLIP = flip_evaluator is not None


@dataclass(frozen=True)
class Quality:
    """One picture against its reference."""

    psnr: float  # dB, peak 255
    ssim: float  # -1 to 1, mean over the channels
    edges: float  # -1 to 1, correlation of the gradient magnitudes: 1 is every outline in place


@dataclass(frozen=True)
class Comparison(Quality):
    """One restored picture against reference and input.

    Inside and outside: the pixels that the input had clipped, max(R, G, B) >= 250, and the others;
    NaN if that is less than 0.1 % of the picture.
    """

    delta_e: float  # mean CIEDE2000 to the reference: 1 is just noticeable
    psnr_inside: float  # dB
    psnr_outside: float  # dB
    delta_e_inside: float  # mean CIEDE2000
    delta_e_outside: float  # mean CIEDE2000
    change_median: float  # CIEDE2000 to the input, of its unclipped pixels
    change_p95: float  # the same, 95th percentile
    clipped: float  # share of clipped pixels in the restored picture, 0..1
    flip: float  # mean LDR-FLIP to the reference, 0 to 1: 0 is no difference; NaN without FLIP
    psnr_best_factor: float  # dB, after the best factor: structure apart from tone
    log_k_error: float  # |log k' - log k|: tone; NaN if the gain of the pair is not known


@dataclass(frozen=True)
class Interval:
    """A mean over frames and its confidence interval, by the bootstrap."""

    mean: float
    low: float  # NaN for a single frame
    high: float
    count: int  # frames that had a value


def measure_quality(picture: Image, reference: Image) -> Quality:
    """PSNR, SSIM and edge correlation of a picture, both RGB uint8 (H, W, 3).

    SSIM is NaN for pictures narrower than its window of 7 pixels.

    References
    ----------
    Z. Wang et al., "Image quality assessment: from error visibility to structural similarity",
    IEEE Trans. Image Processing 13(4), 2004 (SSIM; scikit-image's 7x7 window).
    """
    if np.array_equal(picture, reference):
        return Quality(EQUAL_PSNR, 1.0, 1.0)
    ssim = math.nan
    if min(picture.shape[:2]) >= SSIM_WINDOW:
        ssim = float(structural_similarity(reference, picture, channel_axis=2, data_range=255))
    psnr = float(peak_signal_noise_ratio(reference, picture, data_range=255))
    return Quality(psnr, ssim, edge_correlation(picture, reference))


def compute_metrics(
    restored: Image, reference: Image, source: Image, gain: float | None = None
) -> Comparison:
    """All metrics of one restored picture.

    Parameters
    ----------
    restored, reference, source : uint8 arrays, (H, W, 3)
        RGB: the output of a method, the ground truth, and the over-exposed input, whose clipped
        pixels are the inside.
    gain : float, optional
        The true gain k of the input over the reference; measured (`measure_gain`) if left out.
    """
    quality = measure_quality(restored, reference)
    inside, outside = regions(source)
    error = colour_difference(restored, reference)
    change = well_exposed_change(restored, source)
    return Comparison(
        quality.psnr,
        quality.ssim,
        quality.edges,
        delta_e=float(error.mean()),
        psnr_inside=masked_psnr(restored, reference, inside),
        psnr_outside=masked_psnr(restored, reference, outside),
        delta_e_inside=_mean(error[inside]),
        delta_e_outside=_mean(error[outside]),
        change_median=_percentile(change, 50),
        change_p95=_percentile(change, 95),
        clipped=float(clipped_mask(restored).mean()),
        flip=flip_error(restored, reference),
        psnr_best_factor=psnr_best_factor(restored, reference),
        log_k_error=gain_error(
            restored, source, measure_gain(source, reference) if gain is None else gain
        ),
    )


def regions(source: Image) -> tuple[Mask, Mask]:
    """Masks of a picture's clipped and unclipped pixels, (H, W); empty if under 0.1 % of it."""
    inside = clipped_mask(source)
    share = inside.mean()
    return inside & (share >= LEAST_REGION), ~inside & (share <= 1 - LEAST_REGION)


def colour_difference(first: Image, second: Image) -> Values:
    """CIEDE2000 of every pixel, (H, W): 1 is about the just noticeable difference.

    Both are assumed to be sRGB under D65.

    References
    ----------
    G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 color-difference formula: implementation notes,
    supplementary test data, and mathematical observations", Color Research and Application 30(1),
    2005. scikit-image's ``deltaE_ciede2000``.

    Examples
    --------
    >>> white, black = np.full((1, 1, 3), 255, np.uint8), np.zeros((1, 1, 3), np.uint8)
    >>> colour_difference(white, black).round(2)
    array([[100.]])
    """
    # Single precision: half the time, and 0.0001 off.
    first_lab, second_lab = (rgb2lab(each.astype(np.float32) / 255) for each in (first, second))
    return np.asarray(deltaE_ciede2000(first_lab, second_lab), np.float64)


def masked_psnr(picture: Image, reference: Image, mask: Mask) -> float:
    """PSNR over the pixels of a mask, (H, W), in dB; NaN if the mask is empty.

    Examples
    --------
    >>> grey = np.full((2, 2, 3), 100, np.uint8)
    >>> round(masked_psnr(grey, grey + np.uint8(51), np.ones((2, 2), bool)), 4)  # a fifth of 255
    13.9794
    """
    if not mask.any():
        return math.nan
    difference = picture[mask].astype(np.float64) - reference[mask]
    error = float(np.mean(difference**2))
    return 10 * math.log10(255**2 / error) if error else EQUAL_PSNR


def flip_error(picture: Image, reference: Image) -> float:
    """Mean LDR-FLIP between two pictures, 0 (no difference) to 1; NaN without flip-evaluator.

    FLIP estimates the difference that a viewer sees when the two alternate on a screen, here at its
    default viewing condition: 67 pixels per degree, 0.7 m from a screen 0.7 m and 3840 pixels wide.

    References
    ----------
    P. Andersson, J. Nilsson, T. Akenine-Möller, M. Oskarsson, K. Åström, M. D. Fairchild: FLIP: A
    difference evaluator for alternating images. Proc. ACM Computer Graphics and Interactive
    Techniques 3(2), 2020. doi:10.1145/3406183. Its authors' implementation, flip-evaluator.
    """
    if flip_evaluator is None:
        return math.nan
    first, second = (each.astype(np.float32) / np.float32(255) for each in (reference, picture))
    return float(flip_evaluator.evaluate(first, second, "LDR", applyMagma=False)[1])


def psnr_best_factor(picture: Image, reference: Image) -> float:
    """PSNR after the best single factor on encoded values, dB: structure apart from tone.

    The factor is that of the least squared error (``gain.best_factor``); then values are clipped,
    but not rounded.

    Examples
    --------
    >>> grey = np.full((2, 2, 3), 100, np.uint8)
    >>> psnr_best_factor(grey, 2 * grey)  # equal but for a factor
    100.0
    """
    scaled = np.clip(picture * best_factor(picture, reference), 0, 255)
    error = float(np.mean((scaled - reference) ** 2))
    return min(10 * math.log10(255**2 / error), EQUAL_PSNR) if error else EQUAL_PSNR


def well_exposed_change(restored: Image, source: Image) -> Values:
    """CIEDE2000 between input and output, over the input's unclipped pixels: (N,)."""
    kept = ~clipped_mask(source)
    pixels = (each[kept][None] for each in (restored, source))
    return colour_difference(*pixels)[0] if kept.any() else np.empty(0)


def edge_correlation(picture: Image, reference: Image) -> float:
    """Pearson correlation of the Sobel gradient magnitudes of the luminance, -1 to 1.

    PSNR hardly notices a smeared outline; this does. 0 if either picture has no edges at all.
    """
    first, second = (_gradient(each).ravel() for each in (picture, reference))
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def mean_interval(values: Values, seed: int = 0) -> Interval:
    """The mean of a metric over frames with its 95 % bootstrap interval.

    Parameters
    ----------
    values : float array, (N,)
        One for each frame; NaN values are left out.
    seed : int
        Random seed of the resampling.

    Returns
    -------
    Interval
        All NaN without any value. Bounds are NaN for a single value, and equal to the mean if all
        values are the same.

    Notes
    -----
    Bias-corrected and accelerated [1]_, 2,000 resamples. Frames are assumed to be independent;
    frames of one viewpoint are not, and the true interval is then wider.

    References
    ----------
    .. [1] B. Efron: Better bootstrap confidence intervals. Journal of the American Statistical
       Association 82(397), 1987.

    Examples
    --------
    >>> mean_interval(np.array([3.0, 3.0, np.nan]))
    Interval(mean=3.0, low=3.0, high=3.0, count=2)
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(known.mean())
    if len(known) == 1:
        return Interval(mean, math.nan, math.nan, 1)
    if np.ptp(known) == 0:
        return Interval(mean, mean, mean, len(known))
    low, high = _bounds(known, seed)
    return Interval(mean, low, high, len(known))


def kernel_distance(first: Values, second: Values) -> float:
    """KID of two sets of features: unbiased squared maximum mean discrepancy; may be negative.

    Parameters
    ----------
    first, second : float arrays, (N, D) and (M, D)
        Features of an Inception network, N and M at least 2.

    Returns
    -------
    float
        Two halves of one domain have 0 on average.

    Notes
    -----
    With the cubic kernel (x.y / D + 1)^3 of [1]_, over all frames at once instead of averaged over
    random subsets: the same expectation, and reproducible.

    References
    ----------
    .. [1] M. Binkowski, D. J. Sutherland, M. Arbel, A. Gretton: Demystifying MMD GANs. ICLR 2018.

    Examples
    --------
    >>> round(kernel_distance(np.array([[0.0], [0.0]]), np.array([[1.0], [1.0]])), 6)  # 1 + 8 - 2
    7.0
    """
    within = [(kernel.sum() - np.trace(kernel)) for kernel in map(_kernel, (first, second))]
    sizes = [len(each) * (len(each) - 1) for each in (first, second)]
    across = float(_kernel(first, second).mean())
    return float(within[0] / sizes[0] + within[1] / sizes[1] - 2 * across)


def _kernel(first: Values, second: Values | None = None) -> Values:
    products = first @ (first if second is None else second).T
    return np.asarray((products / first.shape[1] + 1) ** KERNEL_DEGREE, np.float64)


def _bounds(values: Values, seed: int) -> tuple[float, float]:
    """BCa bounds of a mean; plain percentiles if all resampled means are on one side of it."""
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about undefined bounds, which are checked here
            found = stats.bootstrap(
                (values,),
                np.mean,
                n_resamples=RESAMPLES,
                batch=max(1, BATCH_VALUES // len(values)),
                confidence_level=CONFIDENCE,
                method=method,
                random_state=np.random.default_rng(seed),
            ).confidence_interval
        if math.isfinite(found.low) and math.isfinite(found.high):
            break
    return float(found.low), float(found.high)


def _mean(values: Values) -> float:
    return float(values.mean()) if values.size else math.nan


def _percentile(values: Values, share: float) -> float:
    return float(np.percentile(values, share)) if values.size else math.nan


def _gradient(image: Image) -> NDArray[np.float32]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return np.hypot(across, down)
