"""Thumbnails of frames, and what they reveal: a black or a frozen picture.

Arrays in, notices out. Nothing here grabs, and a notice stops nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Thumbnail = NDArray[np.uint8]  # RGB (36, 64, 3)

THUMBNAIL_WIDTH, THUMBNAIL_HEIGHT = 64, 36  # of a thumbnail, pixels
SAMPLES_PER_PIXEL = 8  # pixels averaged across each thumbnail pixel, if there are that many
BLACK_LEVEL = 2  # a hidden full-screen game gives 0, a dark night more than this
BLACK_NS = 1_000_000_000  # shorter blackness is a cut or a fade
FROZEN_NS = 10_000_000_000

BLACK = "The picture is black: exclusive full screen hides it from recorders."
BLACK_REMEDY = "Switch the game to borderless or windowed mode."
FROZEN = (
    "The picture has not changed for {seconds} s: is the game paused, or in exclusive full screen? "
    "Use borderless or windowed mode."
)


def frame_thumbnail(bgrx: NDArray[np.uint8]) -> Thumbnail:
    """A small copy of a grabbed frame, cheap enough for every frame.

    Parameters
    ----------
    bgrx : uint8 (H, W, 4)
        As a screen is grabbed.

    Returns
    -------
    uint8 (36, 64, 3)
        RGB averages of about 8 x 8 evenly spaced pixels each.
    """
    height, width = bgrx.shape[:2]
    times = min(width // THUMBNAIL_WIDTH, height // THUMBNAIL_HEIGHT)
    step = max(1, times // SAMPLES_PER_PIXEL)
    # Averaging every pixel of a 1080p frame would take four times as long.
    fewer = cv2.resize(bgrx, (width // step, height // step), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(fewer, (THUMBNAIL_WIDTH, THUMBNAIL_HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGRA2RGB), dtype=np.uint8)


def differs(one: Thumbnail, other: Thumbnail, most: int = 1) -> bool:
    """Whether any value of two thumbnails differs by more than ``most`` of 255 levels."""
    return bool((cv2.absdiff(one, other) > most).any())


def is_black(thumb: Thumbnail) -> bool:
    """Whether the picture is black."""
    return int(thumb.max()) <= BLACK_LEVEL


class FreezeDetector:
    """Finds black and frozen pictures in one run of a recording, which a pause ends."""

    def __init__(self) -> None:
        self._still: Thumbnail | None = None  # the first of the latest equal ones
        self._still_since_ns = 0
        self._black_since_ns: int | None = None

    def look(self, thumb: Thumbnail, monotonic_ns: int) -> str | None:
        """A notice for the player after this frame, or None.

        Parameters
        ----------
        thumb : uint8 (36, 64, 3)
            As of `frame_thumbnail`.
        monotonic_ns : int
            When the frame was grabbed; must not decrease.
        """
        frozen_ns = self._frozen_ns(thumb, monotonic_ns)
        if self._black_ns(thumb, monotonic_ns) >= BLACK_NS:
            return f"{BLACK} {BLACK_REMEDY}"
        if frozen_ns >= FROZEN_NS:
            return FROZEN.format(seconds=frozen_ns // 1_000_000_000)
        return None

    def _black_ns(self, thumb: Thumbnail, now_ns: int) -> int:
        if not is_black(thumb):
            self._black_since_ns = None
            return 0
        if self._black_since_ns is None:
            self._black_since_ns = now_ns
        return now_ns - self._black_since_ns

    def _frozen_ns(self, thumb: Thumbnail, now_ns: int) -> int:
        if self._still is None or differs(thumb, self._still, 0):
            self._still, self._still_since_ns = thumb, now_ns
        return now_ns - self._still_since_ns
