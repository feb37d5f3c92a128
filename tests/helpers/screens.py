"""Screens whose pictures a test knows, and what a session must hold to be whole."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from capture.screens.source import BgrxImage
from capture.screens.target import Rectangle
from dataset.pictures.hashing import sha256
from dataset.pictures.images import Image, read_image
from dataset.sessions.manifest import SPOOL, Frame, read_frames
from helpers.painted import noise
from helpers.waiting import soon


def bgrx_of(image: Image) -> BgrxImage:
    """RGB uint8 (H, W, 3) as a screen gives it."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGRA), dtype=np.uint8)


class Noise:
    """A screen that shows another picture at each grab."""

    size = (96, 64)  # width, height

    def __init__(self) -> None:
        self.grabs = 0

    def rectangle(self) -> Rectangle:
        return (0, 0, *self.size)

    def grab(self) -> BgrxImage:
        self.grabs += 1
        return bgrx_of(noise(self.grabs - 1, self.size))

    def describe(self) -> dict[str, object]:
        return {"backend": "noise", "rectangle": list(self.rectangle())}

    def close(self) -> None:
        """Nothing is held."""


class ScreenThatFails(Noise):
    """Shows pictures, and then raises."""

    def __init__(self, after: int, error: Exception) -> None:
        super().__init__()
        self._after, self._error = after, error

    def grab(self) -> BgrxImage:
        if self.grabs >= self._after:
            raise self._error
        return super().grab()


class Still(Noise):
    """Shows each of its pictures for some grabs."""

    def __init__(self, grabs_each: int) -> None:
        super().__init__()
        self._each = grabs_each

    def grab(self) -> BgrxImage:
        self.grabs += 1
        return bgrx_of(noise((self.grabs - 1) // self._each, self.size))


def wait_for_lines(session: Path, least: int) -> None:
    """Wait until this many frames of a recorder in another process are safe on disk."""
    found = [session / "frames.jsonl", session / SPOOL / "journal.jsonl"]

    def lines() -> int:
        return sum(path.read_bytes().count(b"\n") for path in found if path.exists())

    soon(lambda: lines() >= least)


def check_whole(session: Path, gaps: bool = False) -> list[Frame]:
    """Every line points to a whole file with its checksum, indices count up; the frames.

    With ``gaps`` indices may be left out: a recorder that was killed loses frames on their way.
    """
    frames = list(read_frames(session))
    indices = [frame.index for frame in frames]
    assert indices == (sorted(set(indices)) if gaps else list(range(len(frames))))
    for frame in frames:
        data = (session / frame.file).read_bytes()
        assert sha256(data) == frame.sha256
        assert read_image(session / frame.file).shape == (frame.height, frame.width, 3)
    return frames
