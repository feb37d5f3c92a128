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
from capture.screens.one_monitor import OneMonitorScreen
from capture.screens.source import BgrxImage
from capture.screens.target import NotVisible, Rectangle, unreadable
from dataset.errors import UserError
from dataset.own_program import how_to_install

FIRST_S = 2.0  # longest wait for the first picture of an output
OUTPUT_PATTERN = re.compile(
    r"Device\[(\d+)\] Output\[(\d+)\]: Res:\((\d+), (\d+)\).*Primary:(True|False)"
)


class DxcamScreen(OneMonitorScreen):
    """A screen read through DXcam. Parameters as of `OneMonitorScreen`.

    Where nothing has changed on the monitor since the last grab, DXcam has no picture, and the last
    one is given again.

    Raises
    ------
    UserError
        DXcam is not installed, or nothing on the screen matches.
    """

    name = "DXcam"

    def __init__(self, options: CaptureOptions, monitors: Callable[[], list[Rectangle]]) -> None:
        super().__init__(options, monitors)
        self._dxcam = _import_dxcam()
        self._camera: Any = None
        self._last: BgrxImage | None = None  # of the whole monitor
        self._find_first()

    def grab(self) -> BgrxImage:
        """As of `Screen`."""
        return np.array(self._seen())

    def _describe_backend(self) -> dict[str, Any]:
        return {"backend": "dxcam", "version": version("dxcam")}

    def _open(self, number: int) -> None:
        device, output = output_of(self._dxcam.output_info(), self._monitors, number)
        try:
            self._camera = self._dxcam.create(
                device_idx=device, output_idx=output, output_color="BGRA"
            )
        except Exception as error:  # DXcam lets errors of many kinds through, COMError for one
            raise UserError(f"DXcam cannot open monitor {number}: {error}", 1) from error

    def _whole(self) -> BgrxImage:
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

    def _disconnect(self) -> None:
        super()._disconnect()
        # DXcam returns the same camera again for as long as anything refers to the old one.
        camera, self._camera, self._last = self._camera, None, None
        if camera is not None:
            camera.release()


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
