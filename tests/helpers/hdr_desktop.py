"""A Windows desktop of two monitors for `--backend hdr`: only its pixels and answers are made up.

The pictures go through a real graph of FFmpeg's, whose first filter alone is another one.
"""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from av.error import FFmpegError

import capture.screens.hdr
import capture.screens.mss
from capture.screens.ddagrab import BYTES, HALVES, Ddagrab
from capture.screens.target import Rectangle
from dataset.pictures.light import SCRGB_NITS

LEFT, RIGHT = (0, 0, 64, 48), (64, 0, 80, 60)
PADDING = 6  # pixels that rows in memory are longer than the picture's
NAMES = {LEFT: r"\\.\DISPLAY1", RIGHT: r"\\.\DISPLAY7"}


def half(nits: Any) -> Any:
    """Light in cd/m2 as the desktop has it: (H, W, 3) -> RGBA half floats."""
    nits = np.asarray(nits, np.float64)
    with np.errstate(over="ignore"):
        light = (nits / SCRGB_NITS).astype(np.float16)
    return np.concatenate([light, np.ones_like(light[..., :1])], axis=2)


def speckled(size: tuple[int, int], most_nits: float = 1000.0, seed: int = 0) -> Any:
    """Light of all colours up to so many cd/m2, and beyond Rec. 709's."""
    nits = np.random.default_rng(seed).uniform(-5, most_nits, (size[1], size[0], 3))
    return half(nits)


class HdrDesktop:
    """What Windows would answer, and the picture of each monitor."""

    def __init__(self) -> None:
        self.monitors: list[Rectangle] = [(0, 0, 144, 60), LEFT, RIGHT]
        self.on_card: list[Rectangle] = [RIGHT, LEFT]  # in DXGI's order
        self.pictures = {each: speckled(each[2:], seed=n) for n, each in enumerate((LEFT, RIGHT))}
        self.white: dict[str, float | None] = {name: 200.0 for name in NAMES.values()}
        self.quarters = 0
        self.fails: list[OSError] = []  # of the next pictures
        self.locked = False
        self.opened: list[int] = []

    def outputs(self) -> list[SimpleNamespace]:
        if self.locked:
            raise OSError(0, "no outputs")
        return [
            SimpleNamespace(device=NAMES[each], rectangle=each, quarters=self.quarters)
            for each in self.on_card
        ]

    def white_nits(self, device: str) -> float | None:
        return self.white[device]

    def install(self, monkeypatch: pytest.MonkeyPatch) -> HdrDesktop:
        """Take the place of Windows."""
        desktop = self

        class Grabber(Ddagrab):
            def _sources(self, graph: Any, output: int, wanted: str) -> list[Any]:
                desktop.opened.append(output)
                self._place = desktop.on_card[output]
                picture = desktop.pictures[self._place]
                kind = HALVES if picture.dtype == np.float16 else BYTES
                if kind[0] != wanted:
                    raise FFmpegError(errno.ENOTSUP, "Requested output format unavailable.")
                height, width = picture.shape[:2]
                size = f"{width + PADDING}x{height}"
                way = f"video_size={size}:pix_fmt={kind[1]}:time_base=1/1000"
                return [graph.add("buffer", way), graph.add("crop", f"{width}:{height}:0:0")]

            def _pull(self) -> Any:
                if desktop.fails:
                    error = desktop.fails.pop(0)
                    raise FFmpegError(error.errno, error.strerror)
                self._graph.vpush(frame_of(desktop.pictures[self._place]))
                return super()._pull()

        monkeypatch.setattr(capture.screens.hdr, "Ddagrab", Grabber)
        monkeypatch.setattr(capture.screens.hdr, "is_there", lambda: True)
        monkeypatch.setattr(capture.screens.hdr, "_asked", lambda name: desktop)
        monkeypatch.setattr(capture.screens.mss, "list_monitors", lambda: list(self.monitors))
        return self


def frame_of(picture: Any) -> Any:
    """A frame of FFmpeg's with these values, and more in each row."""
    height, width = picture.shape[:2]
    name = HALVES[1] if picture.dtype == np.float16 else BYTES[1]
    frame = av.VideoFrame(width + PADDING, height, name)
    plane: Any = frame.planes[0]
    lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    values = np.ascontiguousarray(picture).view(np.uint8).reshape(height, -1)
    lines[:height, : values.shape[1]] = values
    return frame
