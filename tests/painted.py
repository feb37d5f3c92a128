"""A real X11 window whose pixels a test chooses."""

from __future__ import annotations

import subprocess

import numpy as np
from Xlib import X
from Xlib import display as xdisplay
from Xlib.protocol import rq

from dataset.images import Image


class PaintedWindow:
    """A plain window of an own connection to the display."""

    def __init__(
        self,
        title: str = "Painted",
        place: tuple[int, int] = (0, 0),
        size: tuple[int, int] = (96, 64),
    ) -> None:
        self._display = xdisplay.Display()
        self.size = size
        screen = self._display.screen()
        self._window = screen.root.create_window(
            *place, *size, 0, screen.root_depth, X.InputOutput, X.CopyFromParent,
            background_pixel=0, event_mask=X.ExposureMask | X.StructureNotifyMask,
        )  # fmt: skip
        self._window.set_wm_name(title)
        self._gc = self._window.create_gc()
        self._depth = screen.root_depth
        self.show()

    def __enter__(self) -> PaintedWindow:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self) -> None:
        self._window.map()
        self._until(X.Expose)

    def hide(self) -> None:
        self._window.unmap()
        self._until(X.UnmapNotify)

    def move(self, x: int, y: int) -> None:
        self._window.configure(x=x, y=y, stack_mode=X.Above)
        self._display.sync()

    def paint(self, image: Image) -> None:
        """Show RGB uint8 (H, W, 3); returns when it is on the screen."""
        height, width = image.shape[:2]
        bgrx = np.zeros((height, width, 4), np.uint8)
        bgrx[..., :3] = image[..., ::-1]
        self._window.put_image(
            self._gc, 0, 0, width, height, X.ZPixmap, self._depth, 0, bgrx.tobytes()
        )
        self._display.sync()

    def close(self) -> None:
        if self._window is not None:
            self._window.destroy()
            self._display.close()
            self._window = None

    def _until(self, kind: int) -> rq.Event:
        while True:
            event = self._display.next_event()
            if event.type == kind:
                return event


def noise(seed: int, size: tuple[int, int] = (96, 64)) -> Image:
    """RGB uint8 noise of width and height ``size``, the same for the same seed."""
    width, height = size
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def press(*keys: str) -> None:
    """Press and release keys on the display, as a keyboard would."""
    subprocess.run(["xdotool", "key", "--delay", "60", *keys], check=True, timeout=10)
