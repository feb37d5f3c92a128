"""Highlight reconstruction, as raw converters do it: clipped channels from those that are left.

No threshold to choose and nothing learned. Pure functions of arrays: no files, no torch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dataset.pictures.pixels import Pixels
from model.restoring.filling import Floats, evidence, fill_in

Mask = NDArray[np.bool_]

CLIPPED = np.float32(250 / 255)  # encoded: a channel from here on is clipped
DARKEST = 1e-3  # linear light: ratios of darker channels are noise
WHITE = 99.9  # percentile of the brightest channel that is white at last: not a single spark
PAIRS = ((0, 1), (1, 2), (2, 0))  # of channels


def reconstruct(pixels: Pixels) -> Pixels:
    """Recover clipped channels, then bring the picture back into range by one exposure factor.

    Parameters
    ----------
    pixels : float32 array, (H, W, 3)
        RGB, sRGB-encoded, 0..1; any size from 1x1.

    Returns
    -------
    float32 array, (H, W, 3)
        0..1. The input itself if next to nothing exceeds the range after recovery.

    Notes
    -----
    `recover` says how channels are recovered. The factor is on linear light: it takes the 99.9th
    percentile of the brightest channel to white. It follows from what was recovered and not from
    the true exposure, which nothing here knows, so that the picture mostly stays too bright.
    """
    if (pixels < CLIPPED).all():
        return pixels
    light = recover(pixels)
    white = float(np.percentile(light.max(axis=2), WHITE))
    if white <= 1:
        return pixels
    return np.clip(to_encoded(light / np.float32(white)), 0, 1)


def recover(pixels: Pixels) -> Floats:
    """Linear light with its clipped channels recovered, which exceeds 1 there.

    Parameters
    ----------
    pixels : float32 array, (H, W, 3)
        RGB, sRGB-encoded, 0..1. A channel of at least 250/255 is clipped.

    Returns
    -------
    float32 array, (H, W, 3)
        A clipped channel never becomes darker; the others are the input's.

    Notes
    -----
    Where a pixel keeps a channel, a clipped one is that channel times their ratio. Ratios are known
    where neither is clipped and continue smoothly from there, as in [1]_; of two channels left, the
    brighter counts more. Where all are clipped, colour and light come from the neighbourhood, as in
    [2]_ and in the modes of raw converters that spread colours [3]_, the light raised until no
    channel is below what it was clipped to. How values continue is ours: ``fill_in`` on logarithms,
    where pixels near white count more.

    References
    ----------
    .. [1] S. Z. Masood, J. Zhu, M. F. Tappen: Automatic correction of saturated regions in
       photographs using cross-channel correlation. Computer Graphics Forum 28(7), 2009.
    .. [2] D. Xu, C. Doutre, P. Nasiopoulos: Correction of clipped pixels in color images. IEEE
       Trans. Visualization and Computer Graphics 17(3), 2011. doi:10.1109/TVCG.2010.63
    .. [3] darktable user manual, "highlight reconstruction"; the method of none of its modes is
       repeated here.
    """
    light, known = to_linear(pixels), pixels < CLIPPED
    logs = np.log(np.maximum(light, np.float32(DARKEST)))
    lightness = np.asarray(pixels.mean(axis=2), np.float32)
    near = np.asarray(pixels.max(axis=2), np.float32)
    found = _from_other_channels(logs, known, lightness, near)
    lost = ~(known | np.isfinite(found)).all(axis=2)
    found = np.maximum(logs, np.where(np.isfinite(found), found, logs))
    if lost.any():
        around = _continued(found, ~lost, lightness, near)
        around += np.maximum(logs - around, 0).max(axis=2, keepdims=True)
        found = np.where(lost[..., None], around, found)
    return np.where(known, light, np.exp(found)).astype(np.float32)


def to_linear(pixels: Pixels) -> Floats:
    """sRGB-encoded values -> linear light (IEC 61966-2-1)."""
    high = ((np.maximum(pixels, 0.04045) + 0.055) / 1.055) ** 2.4
    return np.where(pixels <= 0.04045, pixels / 12.92, high).astype(np.float32)


def to_encoded(light: Floats) -> Pixels:
    """Linear light, at least 0 -> sRGB-encoded values; over 1 by the same formula."""
    high = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, light * 12.92, high).astype(np.float32)


def _from_other_channels(logs: Floats, known: Mask, lightness: Floats, near: Floats) -> Floats:
    """Logarithms of clipped channels from the pixel's other channels; NaN if it has none."""
    total, weights = np.zeros_like(logs), np.zeros_like(logs)
    for lost, left, ratio in _ratios(logs, known, lightness, near):
        here = known[..., left] & ~known[..., lost]
        weight = np.exp(logs[..., left][here])
        total[..., lost][here] += weight * (logs[..., left][here] + ratio[here])
        weights[..., lost][here] += weight
    return np.divide(total, weights, out=np.full_like(logs, np.nan), where=weights > 0)


def _ratios(
    logs: Floats, known: Mask, lightness: Floats, near: Floats
) -> Iterator[tuple[int, int, Floats]]:
    """(channel, other channel, logarithm of their ratio everywhere), both ways round."""
    for first, second in PAIRS:
        both = known[..., first] & known[..., second]
        if both.any() and (known[..., first] ^ known[..., second]).any():
            ratio = (logs[..., first] - logs[..., second])[..., None]
            ratio = _continued(ratio, both, lightness, near)[..., 0]
            yield first, second, ratio
            yield second, first, -ratio


def _continued(values: Floats, known: Mask, lightness: Floats, near: Floats) -> Floats:
    """Values (H, W, C) where they are known, continued from there elsewhere."""
    trust = evidence(near, (~known).astype(np.float32))
    if not known.any():
        return values
    # A start of the known values' own size, so that a constant stays exactly that.
    mean = np.average(values[known], axis=0, weights=trust[known])
    return fill_in(np.where(known[..., None], values, mean.astype(np.float32)), trust, lightness)
