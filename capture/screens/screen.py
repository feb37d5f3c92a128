"""What screens of every back end share: the place that is recorded, found again when it moves.

Pixels are read in ``mss.py``, ``dxcam.py``, ``hdr.py`` and ``wayland.py``.
"""

from __future__ import annotations

import sys
from typing import Any

from capture.clock import now_s
from capture.options import CaptureOptions
from capture.screens.source import BgrxImage, HalfLight
from capture.screens.target import (
    Followed,
    NotVisible,
    Rectangle,
    Window,
    choose_rectangle,
    source_of,
)
from capture.screens.window import find_window
from dataset.errors import UserError

MONITOR_CHECK_S = 0.5  # between two looks at the monitors, about 1 ms each
REMEDIES = {  # if the recorded place is not visible at the start
    "window": "Bring it onto the screen first.",
    "region": "Give --region X,Y,W,H inside it, in pixels.",
    "monitor": "",
}


class Screen:
    """One open source of pictures. Not for several threads at once.

    A changed resolution is noticed within `MONITOR_CHECK_S`. Back ends call `_find_place` once they
    are connected.

    Parameters
    ----------
    options : CaptureOptions
        ``monitor``, ``region`` and ``window`` say what is recorded.
    """

    picture_ns: int | None = None  # when the desktop took the picture grabbed last, if it says so
    picture_light: HalfLight | None = None  # of that picture, if the screen shows HDR

    def __init__(self, options: CaptureOptions) -> None:
        self._options = options
        self._followed: Followed | None = None
        self._monitors: list[Rectangle] = []
        self._checked_s = 0.0

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def picture_rate(self) -> float | None:
        """Pictures per second that the desktop sends; None where it is asked for each."""
        return None

    @property
    def window(self) -> Window | None:
        """The window that is followed."""
        return None if self._followed is None else self._followed.window

    def rectangle(self) -> Rectangle:
        """x, y, width, height of what is recorded now, in pixels of the desktop.

        Raises
        ------
        NotVisible
            The window is minimised, covered or off the screen; the region or the monitor no longer
            exists.
        UserError
            The window was closed, or the display is gone.
        """
        if now_s() - self._checked_s > MONITOR_CHECK_S:
            self._check_desktop()
        if self._followed is not None:
            return self._followed.rectangle(self._monitors[0])
        return self._fixed_rectangle()

    def grab(self) -> BgrxImage:
        """What is on the screen now: BGRX uint8 (H, W, 4), the fourth channel without meaning.

        The array is the caller's own: no later grab writes into it.

        Raises
        ------
        NotVisible
            As for `rectangle`; or there is no picture yet.
        UserError
            The window or the display is gone.
        """
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """What is recorded and through what, for ``session.json``. Asks no display."""
        return {
            **self._describe_backend(),
            "platform": sys.platform,
            "source": source_of(self._options),
            "monitor": self._options.monitor,
            "window": None if self.window is None else self.window.title,
            "rectangle": list(self._first),
            "monitors": [list(each) for each in self._monitors],
        }

    def close(self) -> None:
        """Release the display. May be called twice."""
        self._disconnect()
        followed, self._followed = self._followed, None
        if followed is not None:
            followed.window.close()

    def _describe_backend(self) -> dict[str, Any]:
        """``backend`` and ``version``."""
        raise NotImplementedError

    def _list_monitors(self) -> list[Rectangle]:
        """The whole desktop, then each monitor."""
        raise NotImplementedError

    def _disconnect(self) -> None:
        """Release what the back end holds. May be called twice."""

    def _monitors_changed(self) -> None:
        """Called when other monitors were found than before."""

    def _fixed_rectangle(self) -> Rectangle:
        return choose_rectangle(self._options, self._monitors)

    def _check_desktop(self) -> None:
        monitors = self._list_monitors()
        self._checked_s = now_s()
        if monitors != self._monitors:
            self._monitors = monitors
            self._monitors_changed()

    def _find_place(self, monitors: list[Rectangle]) -> None:
        """Find what the options name. A cover is no fault yet: it may be our own terminal."""
        self._monitors, self._checked_s = monitors, now_s()
        try:
            if self._options.window is not None:
                self._followed = Followed(find_window(self._options.window))
                self._first = self._followed.uncovered_rectangle(self._monitors[0])
            else:
                self._first = self._fixed_rectangle()
        except NotVisible as error:
            remedy = error.remedy or REMEDIES[source_of(self._options)]
            raise UserError(error.what, remedy=remedy) from error
