"""The form in which pictures are restored: between files, methods and metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.errors import UserError

Pixels = NDArray[np.float32]  # (H, W, 3) RGB, display-encoded, in [0, 1]

SMALLEST = 16  # pixels of a side: reflection padding and instance norm need a few


def pad_reflected(pixels: Pixels, stride: int) -> Pixels:
    """Mirror a picture beyond its lower right until its sides are multiples, 16 at least."""
    bottom, right = (max(SMALLEST, -(-side // stride) * stride) - side for side in pixels.shape[:2])
    if not bottom and not right:
        return pixels
    return np.pad(pixels, ((0, bottom), (0, right), (0, 0)), mode="reflect")


def check_finite(pixels: Pixels, source: str = "the network") -> Pixels:
    """The output of a network, if it is finite: NaN would be written as black.

    Raises
    ------
    UserError
        It is not finite. ``source`` is what the message calls the network.
    """
    if not np.isfinite(pixels.sum(dtype=np.float64)):  # a sum takes no memory, a mask does
        raise UserError(
            f"What {source} makes of a picture is not finite (NaN or infinity): its weights are "
            "damaged, or its training diverged. Choose another with --run.",
            1,
        )
    return pixels


def to_image(pixels: Pixels, depth: int = 8) -> NDArray[Any]:
    """Floats -> the nearest integers of 8 or 16 bits, clipped to [0, 1]."""
    kind: Any = np.uint16 if depth == 16 else np.uint8
    return np.rint(np.clip(pixels, 0, 1) * np.iinfo(kind).max).astype(kind)


def to_pixels(image: NDArray[Any]) -> Pixels:
    """uint8 or uint16 -> floats in [0, 1]."""
    return np.divide(image, np.float32(np.iinfo(image.dtype).max), dtype=np.float32)
