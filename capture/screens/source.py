"""What a recorder needs of a screen, whatever it is read through."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from capture.screens.target import Rectangle

BgrxImage = NDArray[np.uint8]  # BGRX (H, W, 4), as screens give them
HalfLight = NDArray[np.float16]  # scRGB, the fourth channel without meaning (H, W, 4)


class FrameSource(Protocol):
    """A source of pictures, for one thread. `capture.screens.screen.Screen` is one."""

    def rectangle(self) -> Rectangle:
        """x, y, width, height of what is seen now, in pixels of the desktop."""

    def grab(self) -> BgrxImage:
        """What is seen now; ``NotVisible`` if nothing is for now, ``UserError`` if for good."""

    def describe(self) -> dict[str, Any]:
        """What is recorded and through what, for ``session.json``."""

    def close(self) -> None:
        """Release it. May be called twice."""


def picture_time_ns(source: FrameSource) -> int | None:
    """When the desktop took the picture grabbed last, on the clock of recordings, if it says so."""
    return getattr(source, "picture_ns", None)


def picture_light(source: FrameSource) -> HalfLight | None:
    """The light of the picture grabbed last, if the screen shows HDR."""
    return getattr(source, "picture_light", None)


def picture_rate(source: FrameSource) -> float | None:
    """How many pictures per second the desktop sends, if it sends them by itself."""
    return getattr(source, "picture_rate", None)
