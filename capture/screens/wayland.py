"""Screens of Wayland desktops: the portal's consent and PipeWire's pictures become BGRX.

A picture comes when something on the screen has changed. Each grab gives the newest, the same one
again where nothing has changed since; ``recorder.py`` decides when to grab. Linux only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from capture.clock import now_s
from capture.options import CaptureOptions
from capture.screens import libpipewire as pw
from capture.screens.pipewire import POOL, VideoStream
from capture.screens.pods import FORMATS
from capture.screens.screen import Screen
from capture.screens.screencast import DIALOG_S, ScreenCast, kind_of, lost
from capture.screens.source import BgrxImage
from capture.screens.target import NotVisible, Rectangle, source_of
from dataset.errors import UserError

FORMAT_S = 5.0  # longest wait until PipeWire has agreed on what pictures are
FIRST_S = 1.0  # longest wait for the first picture: a desktop at rest may send none
PAUSED_S = 1.0  # a stream that pauses for longer shows nothing
GIVEN_UP_S = 60.0  # one that pauses for longer has ended
NO_PICTURE = (
    "The desktop has sent no picture yet: it sends one when something on the screen changes."
)
CHANGING = "The size of what is recorded is changing."


class WaylandScreen(Screen):
    """A monitor or a window that the user chooses in the desktop's dialog.

    Places are in pixels of what was chosen, from its own upper left corner.

    Parameters
    ----------
    options : CaptureOptions
        With ``window`` the dialog offers windows, else monitors; ``region`` is a part of it.
    dialog_s : float
        Longest wait for the user's answer.
    pool : tuple of int
        As of `VideoStream`.
    stopped : callable
        Whether this program was asked to end, while the user is asked.

    Raises
    ------
    UserError
        There is no portal or PipeWire, the user says no or nothing, or the region is not in it.
    """

    def __init__(
        self,
        options: CaptureOptions,
        dialog_s: float = DIALOG_S,
        pool: tuple[int, int, int] = POOL,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(options)
        if options.monitor == 0 and source_of(options) == "monitor":
            raise UserError(
                "Under Wayland, all monitors together cannot be recorded.",
                remedy="Leave --monitor out, and choose one in the desktop's dialog.",
            )
        pw.load()  # before the user is asked
        self._last_error: UserError | None = None
        with ExitStack() as stack:
            cast = ScreenCast(kind_of(options), dialog_s, stopped)
            self._cast = stack.enter_context(cast)
            self._stream = VideoStream(self._cast.connect(), self._cast.node, pool)
            stack.enter_context(self._stream)
            self._await_first()
            width, height = self._size()
            self._find_place([(0, 0, width, height)] * 2)
            self._releases = stack.pop_all()

    @property
    def picture_rate(self) -> float:
        """Pictures per second that the desktop sends; 0 while nothing changes."""
        return self._stream.rate()

    @property
    def stream(self) -> VideoStream:
        """What is received, for those who measure it."""
        return self._stream

    def rectangle(self) -> Rectangle:
        """As of `Screen`."""
        self._check()
        width, height = self._size()
        self._monitors = [(0, 0, width, height)] * 2
        return self._fixed_rectangle()

    def grab(self) -> BgrxImage:
        """As of `Screen`; `picture_ns` is when the desktop took it."""
        place = self.rectangle()
        picture = self._stream.newest(place)
        if picture is None:
            raise NotVisible(CHANGING if self._stream.pictures else NO_PICTURE)
        if picture.image.shape[:2] != (place[3], place[2]):
            raise NotVisible(CHANGING)
        self.picture_ns = picture.time_ns
        return picture.image

    def _fixed_rectangle(self) -> Rectangle:
        whole = self._monitors[0]
        return whole if self._options.region is None else super()._fixed_rectangle()

    def _describe_backend(self) -> dict[str, Any]:
        known = self._stream.format
        return {
            "backend": "portal",
            "version": str(self._cast.version),
            "pipewire": pw.version(),
            "desktop": os.environ.get("XDG_CURRENT_DESKTOP"),
            "chosen": self._cast.kind,
            "format": None if known is None else FORMATS[known.pixels],
        }

    def _disconnect(self) -> None:
        self._releases.close()

    def _await_first(self) -> None:
        """Wait for the first picture, at least until its size is known."""
        self._stream.wait(timeout_s=FIRST_S)
        end = now_s() + FORMAT_S - FIRST_S
        while self._stream.format is None and not self._stream.is_lost and now_s() < end:
            self._stream.wait(timeout_s=0.05)
        if self._stream.is_lost:
            raise self._lost()
        if self._stream.format is None:
            raise UserError(
                "PipeWire does not connect the stream that the desktop gives.",
                1,
                remedy="Its session manager may not run, or another format is needed: see "
                "`systemctl --user status wireplumber`.",
            )

    def _size(self) -> tuple[int, int]:
        """Of the newest picture; before the first, as agreed on."""
        known = self._stream.size()
        if known is None and self._stream.format is not None:
            known = self._stream.format.width, self._stream.format.height
        if known is None:
            raise NotVisible(CHANGING)
        return known

    def _check(self) -> None:
        """Raise what is wrong with the stream; the same for good once it has ended."""
        if self._last_error is not None:
            raise self._last_error
        if self._stream.is_lost or self._cast.is_closed():
            self._last_error = self._lost()
            raise self._last_error
        if self._stream.state != pw.PAUSED:
            return
        paused_s = now_s() - self._stream.state_since_s
        if paused_s > GIVEN_UP_S:
            self._last_error = lost(
                f"PipeWire has not sent anything for {GIVEN_UP_S:g} s, as when its session manager "
                "(wireplumber) has ended"
            )
            raise self._last_error
        if paused_s > PAUSED_S:
            raise NotVisible("PipeWire has paused the stream: the desktop sends no pictures now.")

    def _lost(self) -> UserError:
        if "connection error" in self._stream.error:
            return lost("PipeWire, which brings its pictures, has ended")
        if self._stream.state == pw.ERROR and self._stream.error:
            return lost(f"PipeWire says {self._stream.error!r}")
        return lost(self._cast.cause())
