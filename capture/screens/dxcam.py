"""Screens read through DXcam, on Windows. The only place that imports dxcam.

Never run by us on Windows: no test grabs a real screen through it. It is chosen and installed by
name (``pip install 'unclip[windows]'``); its Desktop Duplication may be quicker than mss, and shows
some full-screen games that stay black for mss.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np

from capture.clock import now_s
from capture.options import CaptureOptions
from capture.screens.screen import Screen
from capture.screens.source import BgrxImage
from capture.screens.target import NotVisible, Rectangle, intersect, show, unreadable
from dataset.errors import UserError
from dataset.own_program import how_to_install

FIRST_S = 2.0  # longest wait for the first picture of an output
OUTPUT_PATTERN = re.compile(
    r"Device\[(\d+)\] Output\[(\d+)\]: Res:\((\d+), (\d+)\).*Primary:(True|False)"
)


class DxcamScreen(Screen):
    """A screen read through DXcam.

    DXcam sees one monitor at a time: the one that holds what the options name. Where nothing has
    changed on it since the last grab, DXcam has no picture, and the last one is given again.

    Parameters
    ----------
    options : CaptureOptions
        ``monitor`` 0 does not work.
    monitors : callable
        Returns the whole desktop, then each monitor.

    Raises
    ------
    UserError
        DXcam is not installed, or nothing on the screen matches.
    """

    def __init__(self, options: CaptureOptions, monitors: Callable[[], list[Rectangle]]) -> None:
        super().__init__(options)
        self._dxcam = _import_dxcam()
        self._ask_monitors = monitors
        self._camera: Any = None
        self._number = 0  # of the monitor that the camera sees; 0: no camera
        self._last: BgrxImage | None = None  # of the whole monitor
        try:
            self._find_place(monitors())
            self._aim(self._first)
        except BaseException:
            self.close()
            raise

    def grab(self) -> BgrxImage:
        """As of `Screen`."""
        wanted = self.rectangle()
        try:
            self._aim(wanted)
        except UserError as error:  # its output is missing while the screen is locked
            raise unreadable(error.what) from error
        picture = self._picture()
        left, top, _, _ = monitor = self._monitors[self._number]
        if picture.shape[:2] != (monitor[3], monitor[2]):  # between two resolutions
            self._checked_s = 0.0
            raise NotVisible("The resolution of the screen is changing.")
        seen = intersect(wanted, monitor)
        if seen is None:
            raise NotVisible(f"The place {show(wanted)} is not on the monitor.")
        x, y, width, height = seen
        return np.array(picture[y - top : y - top + height, x - left : x - left + width])

    def describe(self) -> dict[str, Any]:
        """As of `Screen`, with the monitor that the camera sees."""
        return super().describe() | {"monitor": self._number}

    def _describe_backend(self) -> dict[str, Any]:
        return {"backend": "dxcam", "version": version("dxcam")}

    def _list_monitors(self) -> list[Rectangle]:
        return self._ask_monitors()

    def _fixed_rectangle(self) -> Rectangle:
        if self._options.region is None and self._options.monitor == 0:
            raise NotVisible(
                "DXcam sees one monitor at a time.",
                remedy="Name it, as in --monitor 1, or leave --backend dxcam out.",
            )
        return super()._fixed_rectangle()

    def _aim(self, wanted: Rectangle) -> None:
        """Have a camera on the monitor that holds most of ``wanted``."""
        number = monitor_of(wanted, self._monitors)
        if self._camera is not None and number == self._number:
            return
        self._disconnect()
        device, output = output_of(self._dxcam.output_info(), self._monitors, number)
        try:
            self._camera = self._dxcam.create(
                device_idx=device, output_idx=output, output_color="BGRA"
            )
        except Exception as error:  # DXcam lets errors of many kinds through, COMError for one
            raise UserError(f"DXcam cannot open monitor {number}: {error}", 1) from error
        self._number = number

    def _picture(self) -> BgrxImage:
        """The newest picture of the monitor, or the last one where nothing changed."""
        deadline = now_s() + FIRST_S
        while True:
            try:
                # DXcam would wait for a new frame if it were asked for new ones only.
                new = self._camera.grab(copy=True, new_frame_only=False)
            except Exception as error:  # as above
                self._disconnect()  # the next grab opens it again
                raise unreadable(error) from error
            if new is not None:
                self._last = np.asarray(new, dtype=np.uint8)
            if self._last is not None:
                return self._last
            if now_s() > deadline:
                raise NotVisible("DXcam has no picture of the screen yet.")
            time.sleep(0.01)

    def _monitors_changed(self) -> None:
        self._disconnect()

    def _disconnect(self) -> None:
        # DXcam returns the same camera again for as long as anything refers to the old one.
        camera, self._camera, self._number, self._last = self._camera, None, 0, None
        if camera is not None:
            camera.release()


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


def output_of(info: str, monitors: list[Rectangle], number: int) -> tuple[int, int]:
    """DXcam's numbers (device, output) of a monitor, from the text of ``dxcam.output_info()``.

    DXcam gives no positions: a monitor gets the first free output of its size, and the primary
    monitor, which Windows puts at 0, 0, the primary one.

    Raises
    ------
    UserError
        No output matches the monitor.

    Examples
    --------
    >>> info = '''Device[0] Output[0]: Res:(1920, 1080) Rot:0 Primary:False
    ... Device[0] Output[1]: Res:(2560, 1440) Rot:0 Primary:True'''
    >>> output_of(info, [(0, 0, 4480, 1440), (0, 0, 2560, 1440), (2560, 0, 1920, 1080)], 2)
    (0, 0)
    """
    left = [
        (int(device), int(output), int(width), int(height), primary == "True")
        for device, output, width, height, primary in OUTPUT_PATTERN.findall(info)
    ]
    for each in range(1, len(monitors)):
        x, y, width, height = monitors[each]
        alike = [one for one in left if one[2:] == (width, height, (x, y) == (0, 0))]
        if alike:
            left.remove(alike[0])
        if each == number:
            if not alike:
                break
            return alike[0][0], alike[0][1]
    raise UserError(
        f"DXcam does not see monitor {number}.", 1, remedy="Record without --backend dxcam."
    )


def _import_dxcam() -> ModuleType:
    try:
        import dxcam  # it exists on Windows only, and connects as soon as it is imported
    except (ImportError, OSError, AttributeError) as error:  # elsewhere it fails in several ways
        raise UserError(
            "--backend dxcam needs Windows and DXcam.",
            remedy=f"{how_to_install('windows')}. Or leave --backend out.",
        ) from error
    return dxcam  # type: ignore[no-any-return,unused-ignore]
