"""A correction found on a small copy at the scale of training, applied to a larger picture.

A network that learned on small frames knows scenes at that scale. Its correction is expressed as a
gain and an offset per neighbourhood. These are smooth, so they can be enlarged, while edges come
from the large picture itself. What gain and offset cannot express, such as inside a clipped area,
is enlarged as it is. Arrays only: ``network`` and ``onnx`` run networks.

References
----------
K. He, J. Sun, X. Tang, "Guided Image Filtering", IEEE TPAMI 35(6), 2013, and K. He, J. Sun, "Fast
Guided Filter", arXiv:1505.00996, 2015 (coefficients at low resolution, enlarged).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.pictures.pixels import Pixels

# Further words for ``guided``, which is best on true pairs (docs/LOG.md).
ALIASES = {"auto": "guided", "carried": "guided"}
LARGER = 1.25  # times the training side: pictures up to this size are restored as they are
RADIUS = 4  # of a neighbourhood, pixels at the scale of training
EPS = 1e-3  # variance, of values in [0, 1], below which a neighbourhood counts as flat
SOFT = 4.0  # standard deviation of the blur in ``mix``, pixels at the scale of training

Plane = NDArray[np.float32]


class ScaledRestorer:
    """Restores pictures that are larger than the frames that a network learned on.

    Parameters
    ----------
    run : callable
        Restores a picture at its own size: (H, W, 3) float32 in [0, 1] -> the same.
    side : int
        Shorter side of the training frames, pixels; 0: they were of any size.
    way : str
        ``native`` restores every picture as it is. ``guided`` restores a small copy at the scale
        of training and applies its correction to the large picture. ``mixed`` takes the broad tones
        of ``guided`` and the details of ``native``. ``auto``: the best of them, ``guided``.
    """

    def __init__(self, run: Callable[[Pixels], Pixels], side: int, way: str = "auto") -> None:
        self.run, self.side = run, side
        self.way = ALIASES.get(way, way)

    def __call__(self, pixels: Pixels) -> Pixels:
        """Restore (H, W, 3) float32 in [0, 1], RGB, display-encoded, any size -> the same."""
        scale = min(pixels.shape[:2]) / self.side if self.side else 1.0
        if self.way == "native" or scale <= LARGER:
            return self.run(pixels)
        small = shrink(pixels, self.side)
        guided = apply_correction(pixels, small, self.run(small))
        return guided if self.way == "guided" else mix(self.run(pixels), guided, scale)


def shrink(pixels: Pixels, side: int) -> Pixels:
    """Area-average a picture so that its shorter side has ``side`` pixels."""
    height, width = pixels.shape[:2]
    scale = side / min(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)


def apply_correction(pixels: Pixels, small: Pixels, restored: Pixels) -> Pixels:
    """Apply to a large picture the correction found on a small copy of it.

    Parameters
    ----------
    pixels : (H, W, 3) float32 in [0, 1]
        The large picture.
    small, restored : (h, w, 3) float32 in [0, 1]
        Its small copy, before and after.

    Returns
    -------
    (H, W, 3) float32 in [0, 1]
    """
    result = np.empty_like(pixels)
    for channel in range(3):
        gain, offset = fit(small[..., channel], restored[..., channel])
        rest = restored[..., channel] - (gain * small[..., channel] + offset)
        height, width = pixels.shape[:2]
        plane = result[..., channel]
        np.multiply(_enlarge(gain, width, height), pixels[..., channel], out=plane)
        plane += _enlarge(offset + rest, width, height)
    return np.clip(result, 0, 1, out=result)


def fit(guide: Plane, wanted: Plane) -> tuple[Plane, Plane]:
    """Gain and offset of each neighbourhood with gain * guide + offset near wanted, (h, w) each."""
    mean_guide, mean_wanted = _mean(guide), _mean(wanted)
    variance = _mean(guide * guide) - mean_guide**2
    together = _mean(guide * wanted) - mean_guide * mean_wanted
    gain = (together + EPS) / (np.maximum(variance, 0) + EPS)  # 1 where there is nothing to see
    return _mean(gain), _mean(mean_wanted - gain * mean_guide)


def mix(native: Pixels, guided: Pixels, scale: float) -> Pixels:
    """Broad tones of one picture, details of another, as float32 in [0, 1].

    Parameters
    ----------
    native : (H, W, 3) float32 in [0, 1]
        Provides the details.
    guided : (H, W, 3) float32 in [0, 1]
        Provides the tones.
    scale : float
        Pixels of these pictures per pixel at the scale of training.
    """
    broad = cv2.GaussianBlur(guided - native, (0, 0), SOFT * scale)
    return np.clip(native + np.asarray(broad, np.float32), 0, 1)


def _mean(plane: Plane) -> Plane:
    side = 2 * RADIUS + 1
    mean = cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT)
    return np.asarray(mean, np.float32)


def _enlarge(plane: Plane, width: int, height: int) -> Plane:
    enlarged = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.float32)
