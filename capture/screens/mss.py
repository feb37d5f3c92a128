"""Screens read through mss: a monitor, a region or a window becomes BGRX. Only this imports mss.

Each grab shows what is on the screen then; ``recorder.py`` decides when to grab.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import mss
import numpy as np
from mss.exception import ScreenShotError

from capture.options import CaptureOptions
from capture.screens.dxcam import DxcamScreen
from capture.screens.screen import Screen
from capture.screens.source import BgrxImage
from capture.screens.target import Rectangle, display_gone, unreadable
from capture.screens.window import is_xwayland
from dataset.errors import UserError

# Shared memory; where the server has none, mss falls back to copies through the socket.
MSS_BACKEND = "xshmgetimage" if sys.platform == "linux" else "default"
# mss asserts that a server answers or complains; one that has ended does neither.
FAILURES = (ScreenShotError, AssertionError, ValueError)  # ValueError: the same under python -O
COMES_BACK = sys.platform == "win32"  # its display cannot be read while it is locked


def open_screen(options: CaptureOptions, stopped: Callable[[], bool] = lambda: False) -> Screen:
    """Open what the options name, through the back end that they name.

    Parameters
    ----------
    options : CaptureOptions
    stopped : callable
        Asked now and then while the user has a dialog to answer: whether to wait no longer.

    Raises
    ------
    UserError
        There is no display, or nothing on it that matches; the message says what there is.
    """
    if options.backend == "dxcam":
        return DxcamScreen(options, list_monitors)
    if options.backend == "hdr":
        return _open_hdr(options)
    if takes_portal(options):
        return _open_wayland(options, stopped)
    return MssScreen(options)


def takes_portal(options: CaptureOptions) -> bool:
    """Whether the desktop's portal is asked for the screen: under Wayland, unless told otherwise.

    An X server of the user's own inside a Wayland session, such as Xvfb, is read by mss.
    """
    if options.backend != "auto":
        return options.backend == "portal"
    return is_wayland() and not has_x_screen()


class MssScreen(Screen):
    """A screen read through mss, on any system. Parameters and errors as of `open_screen`."""

    def __init__(self, options: CaptureOptions) -> None:
        super().__init__(options)
        _check_session()
        self._mss = _connect()
        self._closed = False
        try:
            if is_wayland() and is_xwayland():
                raise _wayland()
            self._find_place(_monitors(self._mss))
        except BaseException:
            self.close()
            raise

    def grab(self) -> BgrxImage:
        """As of `Screen`."""
        try:
            return self._grab()
        except FAILURES:
            # A changed resolution leaves mss with the old one: a new connection knows the new.
            self._monitors_changed()
        try:
            return self._grab()
        except FAILURES as error:
            raise _lost(error) from error

    def _grab(self) -> BgrxImage:
        x, y, width, height = self.rectangle()
        shot = self._mss.grab({"left": x, "top": y, "width": width, "height": height})
        # mss copies out of shared memory into a buffer that is new for each shot.
        return np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)

    def _describe_backend(self) -> dict[str, Any]:
        return {
            "backend": "mss",
            "version": mss.__version__,
            "performance": list(self._mss.performance_status),
        }

    def _list_monitors(self) -> list[Rectangle]:
        """Asks through a new connection: mss itself looks for monitors only once."""
        fresh = _reconnect()
        try:
            return _monitors(fresh)
        finally:
            _drop(fresh)

    def _monitors_changed(self) -> None:
        old, self._mss = self._mss, _reconnect()
        _drop(old)
        self._monitors = _monitors(self._mss)

    def _disconnect(self) -> None:
        if not self._closed:
            self._closed = True
            _drop(self._mss)


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


def has_x_screen() -> bool:
    """Whether ``DISPLAY`` is an X server whose screen can be read: any but XWayland."""
    try:
        return bool(os.environ.get("DISPLAY")) and not is_xwayland()
    except UserError:  # it is gone
        return False


def _open_hdr(options: CaptureOptions) -> Screen:
    from capture.screens.hdr import HdrScreen  # loads FFmpeg's libraries

    return HdrScreen(options, list_monitors)


def _open_wayland(options: CaptureOptions, stopped: Callable[[], bool]) -> Screen:
    if sys.platform != "linux":
        raise UserError(
            "--backend portal needs Linux: it asks the desktop's portal.",
            remedy="Leave --backend out.",
        )
    from capture.screens.wayland import WaylandScreen  # its libraries are Linux's

    return WaylandScreen(options, stopped=stopped)


def _check_session() -> None:
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        return
    raise _wayland() if is_wayland() else _no_screen()


def _wayland() -> UserError:
    return UserError(
        "This is a Wayland session, where no program may read the screen as mss does.",
        remedy="Leave --backend mss out: the desktop is then asked for its screen. Or take "
        "screenshots with its own tool and import them with `cli import FOLDER`.",
    )


def _no_screen(why: str = "", exit_code: int = 2) -> UserError:
    return UserError(
        f"No display: there is no screen here to record{why}.",
        exit_code,
        remedy="Record on the machine that runs the game, or use a virtual screen: "
        "`xvfb-run -a cli capture ...`.",
    )


def _connect() -> mss.MSS:
    try:
        return mss.MSS(backend=MSS_BACKEND)
    except FAILURES as error:
        if sys.platform == "linux":
            why = f" (DISPLAY is {os.environ.get('DISPLAY')}: {error})"
            raise _no_screen(why, 1) from error
        raise UserError(f"The screen cannot be read: {error}", 1) from error


def _reconnect() -> mss.MSS:
    """Connect once more to a display that was there before."""
    try:
        return mss.MSS(backend=MSS_BACKEND)
    except FAILURES as error:
        raise _lost(error, display_gone()) from error


def _lost(error: Exception, gone: UserError | None = None) -> UserError:
    """What to raise where an open display cannot be read: it may come back, or is ``gone``."""
    if COMES_BACK:
        return unreadable(error)
    return gone or UserError(f"The screen can no longer be read: {error}", 1)


def _drop(screen: mss.MSS) -> None:
    """Close a connection, even if the server is gone; once, as mss would free it twice."""
    with suppress(*FAILURES):
        screen.close()


def _monitors(screen: mss.MSS) -> list[Rectangle]:
    """The whole desktop, then each monitor."""
    try:
        found = [_rectangle(each) for each in screen.monitors]
    except FAILURES as error:
        raise _lost(error, display_gone()) from error
    return found if found[1:] else [*found, *found]  # a display that lists no monitors


def _rectangle(monitor: dict[str, Any]) -> Rectangle:
    return monitor["left"], monitor["top"], monitor["width"], monitor["height"]
