"""The same as ``screen.py`` on Windows, through DXcam. The only place that imports dxcam.

Never run by us on Windows: no test grabs a real screen through it. It is asked for by name and
installed by name (``pip install 'unclip[windows]'``); its Desktop Duplication may be quicker than
mss, and shows some full-screen games that stay black for mss.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np

from capture.options import CaptureOptions
from capture.screens.source import Pixels
from capture.screens.target import (
    Followed,
    NothingToSee,
    Rectangle,
    Window,
    choose_rectangle,
    intersect,
    show,
    source_of,
)
from capture.screens.window import find_window
from dataset.errors import UserError

CHECK_S = 0.5  # between two looks at the monitors
FIRST_S = 2.0  # longest wait for the first picture of an output
OUTPUT = re.compile(r"Device\[(\d+)\] Output\[(\d+)\]: Res:\((\d+), (\d+)\).*Primary:(True|False)")


class DxcamScreen:
    """One open source of pictures on Windows. Not for several threads at once.

    DXcam sees one monitor at a time: the one that holds what the options name. Where nothing has
    changed on it since the last grab, DXcam has no picture, and the last one is given again.

    Parameters
    ----------
    options : CaptureOptions
        Its ``monitor``, ``region`` and ``window`` say what is seen; ``monitor`` 0 does not work.
    monitors : callable
        Gives the whole desktop, then each monitor.

    Raises
    ------
    UserError
        DXcam is not installed, or there is nothing such on the screen.
    """

    def __init__(self, options: CaptureOptions, monitors: Callable[[], list[Rectangle]]) -> None:
        self._dxcam = _import_dxcam()
        self._options = options
        self._list_monitors = monitors
        self._monitors = monitors()
        self._checked_s = time.monotonic()
        self._camera: Any = None
        self._number = 0  # of the monitor that the camera looks at; 0: no camera
        self._last: Pixels | None = None  # of the whole monitor
        window = options.window
        self._followed = None if window is None else Followed(find_window(window))
        try:
            self._first = self._uncovered()
            self._aim(self._first)
        except NothingToSee as error:
            self.close()
            raise UserError(str(error)) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> DxcamScreen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def window(self) -> Window | None:
        """The window that is followed."""
        return None if self._followed is None else self._followed.window

    def rectangle(self) -> Rectangle:
        """As `capture.screens.mss.Screen.rectangle`."""
        if time.monotonic() - self._checked_s > CHECK_S:
            self._check_desktop()
        if self._followed is not None:
            return self._followed.rectangle(self._monitors[0])
        return self._uncovered()

    def grab(self) -> Pixels:
        """As `capture.screens.mss.Screen.grab`: BGRX uint8 (H, W, 4), the caller's own."""
        wanted = self.rectangle()
        self._aim(wanted)
        picture = self._picture()
        left, top, _, _ = monitor = self._monitors[self._number]
        if picture.shape[:2] != (monitor[3], monitor[2]):  # between two resolutions
            self._checked_s = 0.0
            raise NothingToSee("The resolution of the screen is changing.")
        seen = intersect(wanted, monitor)
        if seen is None:
            raise NothingToSee(f"The place {show(wanted)} is not on the monitor.")
        x, y, width, height = seen
        return np.array(picture[y - top : y - top + height, x - left : x - left + width])

    def describe(self) -> dict[str, Any]:
        """As `capture.screens.mss.Screen.describe`."""
        return {
            "backend": "dxcam",
            "version": version("dxcam"),
            "platform": sys.platform,
            "source": source_of(self._options),
            "monitor": self._number,
            "window": None if self.window is None else self.window.title,
            "rectangle": list(self._first),
            "monitors": [list(each) for each in self._monitors],
        }

    def close(self) -> None:
        """Let go of the display. May be called twice."""
        camera, self._camera, self._number = self._camera, None, 0
        if camera is not None:
            camera.release()
        followed, self._followed = self._followed, None
        if followed is not None:
            followed.window.close()

    def _uncovered(self) -> Rectangle:
        if self._followed is not None:
            return self._followed.uncovered_rectangle(self._monitors[0])
        if self._options.region is None and self._options.monitor == 0:
            raise NothingToSee(
                "DXcam sees one monitor at a time. Name it, as in --monitor 1, or leave "
                "--backend dxcam out."
            )
        return choose_rectangle(self._options, self._monitors)

    def _aim(self, wanted: Rectangle) -> None:
        """Have a camera on the monitor that holds most of ``wanted``."""
        number = monitor_of(wanted, self._monitors)
        if self._camera is not None and number == self._number:
            return
        self._release()
        device, output = output_of(self._dxcam.output_info(), self._monitors, number)
        try:
            self._camera = self._dxcam.create(
                device_idx=device, output_idx=output, output_color="BGRA"
            )
        except Exception as error:  # DXcam lets errors of many kinds through, COMError for one
            raise UserError(f"DXcam cannot open monitor {number}: {error}", 1) from error
        self._number = number

    def _picture(self) -> Pixels:
        """The newest picture of the monitor, or the last one where nothing changed."""
        deadline = time.monotonic() + FIRST_S
        while True:
            try:
                # DXcam would wait for a new frame if it were asked for new ones only.
                new = self._camera.grab(copy=True, new_frame_only=False)
            except Exception as error:  # as above
                raise UserError(f"The screen can no longer be read: {error}", 1) from error
            if new is not None:
                self._last = np.asarray(new, dtype=np.uint8)
            if self._last is not None:
                return self._last
            if time.monotonic() > deadline:
                raise NothingToSee("DXcam has no picture of the screen yet.")
            time.sleep(0.01)

    def _check_desktop(self) -> None:
        monitors = self._list_monitors()
        self._checked_s = time.monotonic()
        if monitors != self._monitors:
            self._monitors = monitors
            self._release()

    def _release(self) -> None:
        # DXcam gives the same camera again for as long as anything refers to the old one.
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

    DXcam tells no positions: a monitor gets the first output left that has its size and is primary
    like it. Windows puts the primary monitor at 0, 0.

    Raises
    ------
    UserError
        No output is like the monitor.

    Examples
    --------
    >>> info = '''Device[0] Output[0]: Res:(1920, 1080) Rot:0 Primary:False
    ... Device[0] Output[1]: Res:(2560, 1440) Rot:0 Primary:True'''
    >>> output_of(info, [(0, 0, 4480, 1440), (0, 0, 2560, 1440), (2560, 0, 1920, 1080)], 2)
    (0, 0)
    """
    left = [
        (int(device), int(output), int(width), int(height), primary == "True")
        for device, output, width, height, primary in OUTPUT.findall(info)
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
    raise UserError(f"DXcam does not see monitor {number}. Record without --backend dxcam.", 1)


def _import_dxcam() -> ModuleType:
    try:
        import dxcam  # it exists on Windows only, and connects as soon as it is imported
    except (ImportError, OSError, AttributeError) as error:  # elsewhere it fails in several ways
        raise UserError(
            "--backend dxcam needs Windows and DXcam: pip install 'unclip[windows]'. Or leave "
            "--backend out."
        ) from error
    return dxcam  # type: ignore[no-any-return,unused-ignore]
