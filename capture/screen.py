"""A monitor, a region or a window becomes an RGB array. The only place that imports mss.

It grabs what is on the screen when asked; when to ask is decided in ``recorder.py``.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import cv2
import mss
import numpy as np
from mss.exception import ScreenShotError

from capture.options import CaptureOptions
from capture.target import NothingToSee, Rectangle, Window
from capture.window import find_window, is_xwayland
from dataset.errors import UserError
from dataset.images import Image

NO_DISPLAY = (
    "No display: there is no screen here to record. Record on the machine that runs the game, or "
    "use a virtual screen: `xvfb-run -a cli capture ...`."
)
WAYLAND = (
    "This is a Wayland session, where no program may read the screen of another. Log out and "
    "choose an X11 (Xorg) session, or take screenshots with the desktop's own tool and bring "
    "them in with `cli import FOLDER`."
)


class Screen:
    """One open source of pictures. Not for several threads at once.

    Parameters
    ----------
    options : CaptureOptions
        Its ``monitor``, ``region`` and ``window`` say what is seen.

    Raises
    ------
    UserError
        There is no display, or nothing such on it; the message says what there is.
    """

    def __init__(self, options: CaptureOptions) -> None:
        _check_session()
        self._options = options
        self._window: Window | None = None
        self._mss = _connect()
        try:
            if _is_wayland() and os.environ.get("DISPLAY") and is_xwayland():
                raise UserError(WAYLAND)
            if options.window is not None:
                self._window = find_window(options.window)
            self._fixed = self._choose_rectangle()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rectangle(self) -> Rectangle:
        """x, y, width, height of what is seen now, in pixels of the desktop.

        Raises
        ------
        NothingToSee
            The window is minimised or off the screen.
        UserError
            The window was closed.
        """
        if self._window is None:
            return self._fixed
        seen = _intersect(self._window.rectangle(), _rectangle(self._mss.monitors[0]))
        if seen is None:
            raise NothingToSee(f'The window "{self._window.title}" is off the screen.')
        return seen

    def grab(self) -> Image:
        """What is on the screen now, RGB uint8 (H, W, 3).

        Raises
        ------
        NothingToSee
            The window is minimised or off the screen.
        UserError
            The window or the display is gone.
        """
        try:
            return self._grab()
        except ScreenShotError:
            # A changed resolution leaves mss with the old one: a new connection knows the new.
            self._reopen()
        try:
            return self._grab()
        except ScreenShotError as error:
            raise UserError(f"The screen can no longer be read: {error}", 1) from error

    def describe(self) -> dict[str, Any]:
        """What is recorded and through what, for ``session.json``."""
        return {
            "backend": "mss",
            "version": mss.__version__,
            "platform": sys.platform,
            "source": _source(self._options),
            "monitor": self._options.monitor,
            "window": None if self._window is None else self._window.title,
            "rectangle": list(self._fixed),
            "monitors": [list(_rectangle(each)) for each in self._mss.monitors],
        }

    def close(self) -> None:
        """Let go of the display. May be called twice."""
        self._mss.close()
        window, self._window = self._window, None
        if window is not None:
            window.close()

    def _grab(self) -> Image:
        x, y, width, height = self.rectangle()
        shot = self._mss.grab({"left": x, "top": y, "width": width, "height": height})
        bgra = np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)
        return np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB), dtype=np.uint8)

    def _reopen(self) -> None:
        self._mss.close()
        self._mss = _connect()
        self._fixed = self._choose_rectangle()

    def _choose_rectangle(self) -> Rectangle:
        """Where to grab; for a window, where it is at first."""
        monitors = [_rectangle(each) for each in self._mss.monitors]
        if self._window is not None:
            try:
                return self.rectangle()
            except NothingToSee as error:
                raise UserError(f"{error} Bring it onto the screen first.") from error
        if self._options.region is not None:
            return _check_region(self._options.region, monitors[0])
        if len(monitors) == 1:  # a display that does not tell its monitors apart
            monitors.append(monitors[0])
        number = self._options.monitor
        if not 0 <= number < len(monitors):
            listed = "; ".join(f"{n}: {_show(each)}" for n, each in enumerate(monitors) if n)
            raise UserError(f"There is no monitor {number}. There are {listed}; 0 is all of them.")
        return monitors[number]


def open_screen(options: CaptureOptions) -> Screen:
    """Open what the options name; ``UserError`` as for `Screen`."""
    return Screen(options)


def _is_wayland() -> bool:
    if sys.platform != "linux":
        return False
    kind = os.environ.get("XDG_SESSION_TYPE", "").lower()
    return bool(os.environ.get("WAYLAND_DISPLAY")) or kind == "wayland"


def _check_session() -> None:
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        return
    raise UserError(WAYLAND if _is_wayland() else NO_DISPLAY)


def _connect() -> mss.MSS:
    try:
        return mss.MSS()
    except ScreenShotError as error:
        if sys.platform == "linux":
            name = os.environ.get("DISPLAY")
            raise UserError(f"{NO_DISPLAY} (DISPLAY is {name}: {error})", 1) from error
        raise UserError(f"The screen cannot be read: {error}", 1) from error


def _check_region(region: Rectangle, desktop: Rectangle) -> Rectangle:
    if region[2] <= 0 or region[3] <= 0 or _intersect(region, desktop) != region:
        raise UserError(
            f"The region {_show(region)} is not on the screen, which is {_show(desktop)}. "
            "Give --region X,Y,W,H inside it, in pixels."
        )
    return region


def _source(options: CaptureOptions) -> str:
    if options.window is not None:
        return "window"
    return "monitor" if options.region is None else "region"


def _rectangle(monitor: dict[str, Any]) -> Rectangle:
    return monitor["left"], monitor["top"], monitor["width"], monitor["height"]


def _intersect(one: Rectangle, other: Rectangle) -> Rectangle | None:
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    if right <= left or bottom <= top:
        return None
    return left, top, right - left, bottom - top


def _show(rectangle: Rectangle) -> str:
    x, y, width, height = rectangle
    return f"{width}x{height} at {x},{y}"
