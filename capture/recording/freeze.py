"""Thumbnails of frames, and what they tell of a recording that goes wrong: black or frozen.

Arrays in, notices out: nothing here grabs, and a notice stops nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Thumbnail = NDArray[np.uint8]  # RGB (36, 64, 3)

WIDTH, HEIGHT = 64, 36  # of a thumbnail, pixels
SAMPLES = 8  # pixels across each thumbnail pixel that are averaged, where there are so many
BLACK_LEVEL = 2  # no value above: a hidden full-screen game gives 0, a dark night more than this
BLACK_NS = 1_000_000_000  # shorter blackness is a cut or a fade
FROZEN_NS = 10_000_000_000

BLACK = (
    "The picture is black: exclusive full screen hides it from recorders. Switch the game to "
    "borderless or windowed mode."
)
FROZEN = (
    "The picture has not changed for {seconds} s: is the game paused, or in exclusive full screen? "
    "Use borderless or windowed mode."
)


def thumbnail(bgrx: NDArray[np.uint8]) -> Thumbnail:
    """A small picture of a grabbed frame, cheap enough for each one.

    Parameters
    ----------
    bgrx : uint8 (H, W, 4)
        As a screen is grabbed.

    Returns
    -------
    uint8 (36, 64, 3)
        RGB averages of evenly spaced pixels, about 8 x 8 of them for each value.
    """
    height, width = bgrx.shape[:2]
    step = max(1, min(width // (SAMPLES * WIDTH), height // (SAMPLES * HEIGHT)))
    # Averaging every pixel of a 1080p frame would take four times as long.
    fewer = cv2.resize(bgrx, (width // step, height // step), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(fewer, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGRA2RGB), dtype=np.uint8)


def differs(one: Thumbnail, other: Thumbnail, most: int = 1) -> bool:
    """Whether any value of two thumbnails differs by more than ``most`` of 255 levels."""
    return bool((cv2.absdiff(one, other) > most).any())


def is_black(thumb: Thumbnail) -> bool:
    """Whether nothing can be seen."""
    return int(thumb.max()) <= BLACK_LEVEL


class Guard:
    """Watches the frames of one run of a recording; a new one begins after each pause."""

    def __init__(self) -> None:
        self._still: Thumbnail | None = None  # the first of the equal ones up to now
        self._still_since_ns = 0
        self._black_since_ns: int | None = None

    def look(self, thumb: Thumbnail, monotonic_ns: int) -> str | None:
        """What the player should know after this frame; None: all is well.

        Parameters
        ----------
        thumb : uint8 (36, 64, 3)
            As of `thumbnail`.
        monotonic_ns : int
            When the frame was grabbed, never less than before.
        """
        frozen_ns = self._frozen_ns(thumb, monotonic_ns)
        if self._black_ns(thumb, monotonic_ns) >= BLACK_NS:
            return BLACK
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
