"""What a recorder asks of a screen, whatever it is read through."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from capture.screens.target import Rectangle

Pixels = NDArray[np.uint8]  # BGRX (H, W, 4), as screens give them


class Source(Protocol):
    """A source of pictures, for one thread. `capture.screens.mss.Screen` is one."""

    def rectangle(self) -> Rectangle:
        """x, y, width, height of what is seen now, in pixels of the desktop."""

    def grab(self) -> Pixels:
        """What is seen now; ``NothingToSee`` while that is nothing, ``UserError`` for good."""

    def describe(self) -> dict[str, Any]:
        """What is recorded and through what, for ``session.json``."""

    def close(self) -> None:
        """Let go of it. May be called twice."""
