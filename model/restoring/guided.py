"""What was restored at the scale of training, carried up to a larger picture.

A network that learned on small frames knows scenes at that scale. Its correction is told as a gain
and an offset for each neighbourhood, which are smooth and so survive being enlarged, while edges
come from the large picture itself; what gain and offset cannot say, as inside a clipped area, is
enlarged as it is. Arrays only: how a network is run is the affair of ``whole`` and ``onnx_run``.

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

DEFAULT = "carried"  # of the ways of ``Scaled``: best on true pairs, see docs/LOG.md
LARGER = 1.25  # times the side of training: a picture up to here is restored as it is
RADIUS = 4  # of a neighbourhood, pixels at the scale of training
EPS = 1e-3  # variance, of values in [0, 1], below which a neighbourhood counts as flat
SOFT = 4.0  # standard deviation of the blur in ``mix``, pixels at the scale of training

Plane = NDArray[np.float32]


class Scaled:
    """Restores pictures that are larger than those that a network learned on.

    Parameters
    ----------
    run : callable
        Restores a picture as it is: (H, W, 3) float32 in [0, 1] -> the same.
    side : int
        Shorter side of the frames of training, pixels; 0: they were of any size.
    way : str
        ``native`` restores all pictures as they are, ``carried`` at the scale of training and
        carries the correction up, ``mixed`` takes the broad tones of ``carried`` and the details
        of ``native``; ``auto`` is the one that came out best.
    """

    def __init__(self, run: Callable[[Pixels], Pixels], side: int, way: str = "auto") -> None:
        self.run, self.side = run, side
        self.way = DEFAULT if way == "auto" else way

    def __call__(self, pixels: Pixels) -> Pixels:
        """Restore (H, W, 3) float32 in [0, 1], RGB, display-encoded, any size -> the same."""
        scale = min(pixels.shape[:2]) / self.side if self.side else 1.0
        if self.way == "native" or scale <= LARGER:
            return self.run(pixels)
        small = shrink(pixels, self.side)
        carried = carry(pixels, small, self.run(small))
        return carried if self.way == "carried" else mix(self.run(pixels), carried, scale)


def shrink(pixels: Pixels, side: int) -> Pixels:
    """Area-average a picture so that its shorter side has ``side`` pixels."""
    height, width = pixels.shape[:2]
    scale = side / min(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)


def carry(pixels: Pixels, small: Pixels, restored: Pixels) -> Pixels:
    """Do to a large picture what restoring did to a small copy of it.

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
    carried = np.empty_like(pixels)
    for channel in range(3):
        gain, offset = fit(small[..., channel], restored[..., channel])
        rest = restored[..., channel] - (gain * small[..., channel] + offset)
        height, width = pixels.shape[:2]
        plane = carried[..., channel]
        np.multiply(_enlarge(gain, width, height), pixels[..., channel], out=plane)
        plane += _enlarge(offset + rest, width, height)
    return np.clip(carried, 0, 1, out=carried)


def fit(guide: Plane, wanted: Plane) -> tuple[Plane, Plane]:
    """Gain and offset of each neighbourhood with gain * guide + offset near wanted, (h, w) each."""
    mean_guide, mean_wanted = _mean(guide), _mean(wanted)
    variance = _mean(guide * guide) - mean_guide**2
    together = _mean(guide * wanted) - mean_guide * mean_wanted
    gain = (together + EPS) / (np.maximum(variance, 0) + EPS)  # 1 where there is nothing to see
    return _mean(gain), _mean(mean_wanted - gain * mean_guide)


def mix(native: Pixels, carried: Pixels, scale: float) -> Pixels:
    """Broad tones of one picture, details of another, as float32 in [0, 1].

    Parameters
    ----------
    native : (H, W, 3) float32 in [0, 1]
        Gives the details.
    carried : (H, W, 3) float32 in [0, 1]
        Gives the tones.
    scale : float
        Pixels of these pictures to one at the scale of training.
    """
    broad = cv2.GaussianBlur(carried - native, (0, 0), SOFT * scale)
    return np.clip(native + np.asarray(broad, np.float32), 0, 1)


def _mean(plane: Plane) -> Plane:
    side = 2 * RADIUS + 1
    mean = cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT)
    return np.asarray(mean, np.float32)


def _enlarge(plane: Plane, width: int, height: int) -> Plane:
    enlarged = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.float32)
