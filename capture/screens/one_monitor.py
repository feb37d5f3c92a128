"""What screens share that see one monitor at a time: which one, and the part that is recorded.

Desktop Duplication works so, whatever it is read through: ``dxcam.py`` and ``hdr.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from capture.options import CaptureOptions
from capture.screens.screen import Screen
from capture.screens.target import NotVisible, Rectangle, intersect, show, unreadable
from dataset.errors import UserError


class OneMonitorScreen(Screen):
    """A screen that is read monitor by monitor: the one that holds most of what is recorded.

    Parameters
    ----------
    options : CaptureOptions
        ``monitor`` 0 does not work.
    monitors : callable
        Returns the whole desktop, then each monitor.
    """

    name = ""  # of the back end, for messages

    def __init__(self, options: CaptureOptions, monitors: Callable[[], list[Rectangle]]) -> None:
        super().__init__(options)
        self._ask_monitors = monitors
        self._number = 0  # of the monitor that is open; 0: none

    def describe(self) -> dict[str, Any]:
        """As of `Screen`, with the monitor that is open."""
        return super().describe() | {"monitor": self._number}

    def _open(self, number: int) -> None:
        """Begin to read a monitor; ``UserError`` if that fails."""
        raise NotImplementedError

    def _whole(self) -> NDArray[Any]:
        """The newest picture of the monitor that is open, (H, W, channels).

        Raises
        ------
        NotVisible
            There is none now.
        """
        raise NotImplementedError

    def _find_first(self) -> None:
        """Find what the options name, and open its monitor."""
        try:
            self._find_place(self._ask_monitors())
            self._aim(self._first)
        except BaseException:
            self.close()
            raise

    def _seen(self) -> NDArray[Any]:
        """The recorded part of the newest picture; raises as `Screen.grab`."""
        wanted = self.rectangle()
        try:
            self._aim(wanted)
        except UserError as error:  # its output is missing while the screen is locked
            raise unreadable(error.what) from error
        picture = self._whole()
        left, top, width, height = monitor = self._monitors[self._number]
        if picture.shape[:2] != (height, width):  # between two resolutions
            self._checked_s = 0.0
            raise NotVisible("The resolution of the screen is changing.")
        seen = intersect(wanted, monitor)
        if seen is None:
            raise NotVisible(f"The place {show(wanted)} is not on the monitor.")
        x, y, width, height = seen
        return picture[y - top : y - top + height, x - left : x - left + width]

    def _list_monitors(self) -> list[Rectangle]:
        return self._ask_monitors()

    def _fixed_rectangle(self) -> Rectangle:
        if self._options.region is None and self._options.monitor == 0:
            raise NotVisible(
                f"{self.name} sees one monitor at a time.",
                remedy=f"Name it, as in --monitor 1, or leave --backend {self._options.backend} "
                "out.",
            )
        return super()._fixed_rectangle()

    def _aim(self, wanted: Rectangle) -> None:
        """Have the monitor open that holds most of ``wanted``."""
        number = monitor_of(wanted, self._monitors)
        if number != self._number:
            self._disconnect()
            self._open(number)
            self._number = number

    def _monitors_changed(self) -> None:
        self._disconnect()

    def _disconnect(self) -> None:
        self._number = 0


def monitor_of(wanted: Rectangle, monitors: list[Rectangle]) -> int:
    """The number of the monitor that shows most of a rectangle.

    >>> monitor_of((1900, 0, 100, 50), [(0, 0, 3840, 1080), (0, 0, 1920, 1080),
    ...                                 (1920, 0, 1920, 1080)])
    2
    """

    def area(number: int) -> int:
        shared = intersect(wanted, monitors[number])
        return 0 if shared is None else shared[2] * shared[3]

    return max(range(1, len(monitors)), key=area)
