"""Real windows whose pixels a test chooses, and real keys, on the system that runs the tests."""

from __future__ import annotations

import sys

import numpy as np

from dataset.pictures.images import Image

if sys.platform == "win32":
    from helpers.painted_win32 import (
        PaintedWindow,
        PlayedWindow,
        held_down,
        own_server,
        press,
        resize_screen,
    )
else:
    from helpers.painted_x11 import (
        PaintedWindow,
        PlayedWindow,
        held_down,
        own_server,
        press,
        resize_screen,
    )

__all__ = [
    "PaintedWindow",
    "PlayedWindow",
    "held_down",
    "noise",
    "own_server",
    "press",
    "resize_screen",
]


def noise(seed: int, size: tuple[int, int] = (96, 64)) -> Image:
    """RGB uint8 noise of width and height ``size``, the same for the same seed."""
    width, height = size
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
