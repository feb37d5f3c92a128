"""Screens of Windows while HDR is on: ordinary pictures of them, and the light they were made of.

Never run by us on Windows: no test grabs a real screen through it. It is chosen by name. While HDR
is on, Windows composes the desktop in scRGB: linear, of Rec. 709's primaries, 1.0 at 80 cd/m2. A
picture is that light divided by the monitor's SDR white, cut off at white and encoded as sRGB: what
is no brighter than SDR white has the levels that it has on an SDR desktop.

References
----------
.. [1] Microsoft: Use DirectX with Advanced Color on high/standard dynamic range displays.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.options import CaptureOptions
from capture.screens.ddagrab import Ddagrab, Failed, is_there
from capture.screens.one_monitor import OneMonitorScreen
from capture.screens.source import BgrxImage
from capture.screens.target import Rectangle, unreadable
from dataset.errors import UserError
from dataset.pictures.hdr_writing import need_jpeg_xr
from dataset.pictures.light import SCRGB_NITS, WHITE_NITS
from dataset.pictures.tone import encoded


class HdrScreen(OneMonitorScreen):
    """A screen whose light is kept. Parameters as of `OneMonitorScreen`.

    Where HDR is off, pictures are as they are, and there is no light.

    Raises
    ------
    UserError
        This is not Windows, a package is missing, or nothing on the screen matches.
    """

    name = "HDR recording"

    def __init__(self, options: CaptureOptions, monitors: Callable[[], list[Rectangle]]) -> None:
        super().__init__(options, monitors)
        if not is_there():
            raise UserError("--backend hdr needs Windows.", remedy="Leave --backend out.")
        need_jpeg_xr("--backend hdr keeps HDR shots as JPEG XR")
        self._grabber: Ddagrab | None = None
        self._device, self._quarters, self._white_nits = "", 0, WHITE_NITS
        self._find_first()

    def grab(self) -> BgrxImage:
        """As of `Screen`."""
        self.picture_light = None
        seen = self._seen()
        if seen.dtype == np.uint8:
            return np.array(seen)
        self.picture_light = seen
        return picture_of(seen, self._white_nits)

    def describe(self) -> dict[str, Any]:
        """As of `OneMonitorScreen`, with the light of SDR white, in cd/m2."""
        return super().describe() | {"sdr_white_nits": self._white_nits}

    def _describe_backend(self) -> dict[str, Any]:
        return {"backend": "hdr", "version": version("av")}

    def _open(self, number: int) -> None:
        try:
            found = _asked("outputs_win32").outputs()
            place = self._monitors[number]
            at = next((n for n, each in enumerate(found) if each.rectangle == place), None)
            if at is None:
                raise UserError(
                    f"Monitor {number} is not connected to the first graphics card, the only one "
                    "that --backend hdr reads.",
                    1,
                    remedy="Make it the main display in Windows, or leave --backend hdr out.",
                )
            self._grabber = Ddagrab(at)
        except OSError as error:
            raise UserError(f"Monitor {number} cannot be read: {error.strerror}", 1) from error
        self._device, self._quarters = found[at].device, found[at].quarters
        self._ask_white()

    def _whole(self) -> NDArray[Any]:
        assert self._grabber is not None
        try:
            return np.rot90(self._grabber.picture(), -self._quarters)
        except Failed as error:
            self._disconnect()  # the next grab opens it again
            raise unreadable(error.strerror) from error

    def _check_desktop(self) -> None:
        super()._check_desktop()
        if self._grabber is not None:
            self._ask_white()  # the player may move its slider while recording

    def _ask_white(self) -> None:
        try:
            told = _asked("displays_win32").white_nits(self._device)
        except OSError:
            told = None
        self._white_nits = told or WHITE_NITS

    def _disconnect(self) -> None:
        super()._disconnect()
        self._grabber = None


def picture_of(light: NDArray[np.float16], white_nits: float) -> BgrxImage:
    """scRGB (H, W, 4) -> BGRX; what is no number is black."""
    bits = light.view(np.uint16)
    levels = cv2.LUT(bits, _levels(white_nits))
    return np.asarray(cv2.cvtColor(levels, cv2.COLOR_RGBA2BGRA), np.uint8)


@lru_cache(maxsize=2)
def _levels(white_nits: float) -> NDArray[np.uint8]:
    """The level of each half float, by its 16 bits."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    light = np.nan_to_num(halves).astype(np.float32)
    share = np.clip(light * np.float32(SCRGB_NITS / white_nits), 0, 1)
    return np.rint(255 * encoded(share)).astype(np.uint8).reshape(1, -1)


def _asked(name: str) -> Any:
    """A module that asks Windows; it loads Windows' libraries."""
    return import_module(f"capture.screens.{name}")
