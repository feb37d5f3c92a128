"""The form in which pictures are restored: what stands between files, methods and measures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataset.errors import UserError
from dataset.pictures.images import Image

Pixels = NDArray[np.float32]  # (H, W, 3) RGB, display-encoded, in [0, 1]

SMALLEST = 16  # pixels of a side: reflection padding and instance norm need a few


def pad_reflected(pixels: Pixels, stride: int) -> Pixels:
    """Mirror a picture beyond its lower right until its sides are multiples, 16 at least."""
    bottom, right = (max(SMALLEST, -(-side // stride) * stride) - side for side in pixels.shape[:2])
    if not bottom and not right:
        return pixels
    return np.pad(pixels, ((0, bottom), (0, right), (0, 0)), mode="reflect")


def check_finite(pixels: Pixels, source: str = "the network") -> Pixels:
    """What a network gave, if it is finite: NaN would be written as black without a word.

    Raises
    ------
    UserError
        It is not; the source is what to call the network.
    """
    if not np.isfinite(pixels.sum(dtype=np.float64)):  # adding takes no memory, asking each does
        raise UserError(
            f"What {source} makes of a picture is not finite (NaN or infinity): its weights are "
            "damaged, or its training diverged. Choose another with --run.",
            1,
        )
    return pixels


def to_image(pixels: Pixels) -> Image:
    """Floats in [0, 1] -> the nearest uint8; what lies beyond is cut off."""
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def to_pixels(image: Image) -> Pixels:
    """uint8 -> floats in [0, 1]."""
    return np.asarray(image, np.float32) / np.float32(255)
