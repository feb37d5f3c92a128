"""A monitor, a region or a window becomes an array of BGRX. The only place that imports mss.

It grabs what is on the screen when asked; when to ask is decided in ``recorder.py``.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import Any, Protocol

import mss
import numpy as np
from mss.exception import ScreenShotError

from capture.options import CaptureOptions
from capture.screens.dxcam import DxcamScreen
from capture.screens.source import Pixels, Source
from capture.screens.target import (
    Followed,
    NothingToSee,
    Rectangle,
    Window,
    choose_rectangle,
    display_gone,
    source_of,
)
from capture.screens.window import find_window, is_xwayland
from dataset.errors import UserError

CHECK_S = 0.5  # between two looks at the monitors, about 1 ms each
# Shared memory; where the server has none, mss falls back to copies through the socket.
MSS_BACKEND = "xshmgetimage" if sys.platform == "linux" else "default"
# mss asserts that a server answers or complains; one that has ended does neither.
FAILURES = (ScreenShotError, AssertionError, ValueError)  # ValueError: the same under python -O
HINTS = {  # what to do where there is nothing to see at first
    "window": "Bring it onto the screen first.",
    "region": "Give --region X,Y,W,H inside it, in pixels.",
    "monitor": "",
}

NO_DISPLAY = (
    "No display: there is no screen here to record. Record on the machine that runs the game, or "
    "use a virtual screen: `xvfb-run -a cli capture ...`."
)
WAYLAND = (
    "This is a Wayland session, where no program may read the screen of another. Log out and "
    "choose an X11 (Xorg) session, or take screenshots with the desktop's own tool and bring "
    "them in with `cli import FOLDER`."
)


class Opened(Source, Protocol):
    """A source that was opened, whichever back end it has."""

    @property
    def window(self) -> Window | None:
        """The window that is followed, to ask for its focus or to give it that."""

    def __enter__(self) -> Opened: ...

    def __exit__(self, *_: object) -> None: ...


class Screen:
    """One open source of pictures. Not for several threads at once.

    A changed resolution is noticed within `CHECK_S`, or at once where grabbing fails for it.

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
        self._followed: Followed | None = None
        self._mss = _connect()
        self._closed = False
        try:
            if is_wayland() and os.environ.get("DISPLAY") and is_xwayland():
                raise UserError(WAYLAND)
            self._monitors = _monitors(self._mss)
            self._checked_s = time.monotonic()
            if options.window is not None:
                self._followed = Followed(find_window(options.window))
            self._first = self._first_rectangle()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def window(self) -> Window | None:
        """As of `Opened`."""
        return None if self._followed is None else self._followed.window

    def rectangle(self) -> Rectangle:
        """x, y, width, height of what is seen now, in pixels of the desktop.

        Raises
        ------
        NothingToSee
            The window is minimised, covered or off the screen; the region or the monitor is not
            there any more.
        UserError
            The window was closed, or the display is gone.
        """
        if time.monotonic() - self._checked_s > CHECK_S:
            self._check_desktop()
        if self._followed is not None:
            return self._followed.rectangle(self._monitors[0])
        return choose_rectangle(self._options, self._monitors)

    def grab(self) -> Pixels:
        """What is on the screen now: BGRX uint8 (H, W, 4), the fourth channel without meaning.

        The array is the caller's own: no later grab writes into it.

        Raises
        ------
        NothingToSee
            As for `rectangle`.
        UserError
            The window or the display is gone.
        """
        try:
            return self._grab()
        except FAILURES:
            # A changed resolution leaves mss with the old one: a new connection knows the new.
            self._reopen()
        try:
            return self._grab()
        except FAILURES as error:
            raise UserError(f"The screen can no longer be read: {error}", 1) from error

    def describe(self) -> dict[str, Any]:
        """What is recorded and through what, for ``session.json``. Asks no display."""
        return {
            "backend": "mss",
            "version": mss.__version__,
            "performance": list(self._mss.performance_status),
            "platform": sys.platform,
            "source": source_of(self._options),
            "monitor": self._options.monitor,
            "window": None if self.window is None else self.window.title,
            "rectangle": list(self._first),
            "monitors": [list(each) for each in self._monitors],
        }

    def close(self) -> None:
        """Let go of the display. May be called twice."""
        if not self._closed:
            self._closed = True
            _drop(self._mss)
        followed, self._followed = self._followed, None
        if followed is not None:
            followed.window.close()

    def _grab(self) -> Pixels:
        x, y, width, height = self.rectangle()
        shot = self._mss.grab({"left": x, "top": y, "width": width, "height": height})
        # mss copies out of shared memory into a buffer that is new for each shot.
        return np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)

    def _check_desktop(self) -> None:
        """Look whether monitors came, went or changed: mss itself asks for them only once."""
        fresh = _reconnect()
        try:
            changed = _monitors(fresh) != self._monitors
        finally:
            _drop(fresh)
        self._checked_s = time.monotonic()
        if changed:
            self._reopen()

    def _reopen(self) -> None:
        old, self._mss = self._mss, _reconnect()
        _drop(old)
        self._monitors = _monitors(self._mss)
        self._checked_s = time.monotonic()

    def _first_rectangle(self) -> Rectangle:
        """Where it is at first. A cover is no fault yet: it may be the terminal that we run in."""
        try:
            if self._followed is not None:
                return self._followed.uncovered_rectangle(self._monitors[0])
            return choose_rectangle(self._options, self._monitors)
        except NothingToSee as error:
            raise UserError(f"{error} {HINTS[source_of(self._options)]}".strip()) from error


def open_screen(options: CaptureOptions) -> Opened:
    """Open what the options name through the back end they name; ``UserError`` as for `Screen`."""
    if options.backend == "dxcam":
        return DxcamScreen(options, list_monitors)
    return Screen(options)


def list_monitors() -> list[Rectangle]:
    """The whole desktop, then each monitor, in real pixels; ``UserError`` without a display."""
    _check_session()
    screen = _connect()
    try:
        return _monitors(screen)
    finally:
        _drop(screen)


def is_wayland() -> bool:
    """Whether this is a Wayland session, whatever ``DISPLAY`` names."""
    if sys.platform != "linux":
        return False
    kind = os.environ.get("XDG_SESSION_TYPE", "").lower()
    return bool(os.environ.get("WAYLAND_DISPLAY")) or kind == "wayland"


def _check_session() -> None:
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        return
    raise UserError(WAYLAND if is_wayland() else NO_DISPLAY)


def _connect() -> mss.MSS:
    try:
        return mss.MSS(backend=MSS_BACKEND)
    except FAILURES as error:
        if sys.platform == "linux":
            name = os.environ.get("DISPLAY")
            raise UserError(f"{NO_DISPLAY} (DISPLAY is {name}: {error})", 1) from error
        raise UserError(f"The screen cannot be read: {error}", 1) from error


def _reconnect() -> mss.MSS:
    """Connect to what was there before."""
    try:
        return mss.MSS(backend=MSS_BACKEND)
    except FAILURES as error:
        raise display_gone() from error


def _drop(screen: mss.MSS) -> None:
    """Close a connection, also where the server went first; once, as mss would free it twice."""
    with suppress(*FAILURES):
        screen.close()


def _monitors(screen: mss.MSS) -> list[Rectangle]:
    """The whole desktop, then each monitor."""
    try:
        found = [_rectangle(each) for each in screen.monitors]
    except FAILURES as error:
        raise display_gone() from error
    return found if found[1:] else [*found, *found]  # a display that does not tell them apart


def _rectangle(monitor: dict[str, Any]) -> Rectangle:
    return monitor["left"], monitor["top"], monitor["width"], monitor["height"]
