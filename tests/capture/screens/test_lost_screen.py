"""A screen that cannot be read for a while, as Windows' when it is locked: misses, and no end."""

from __future__ import annotations

import sys
from pathlib import Path

import mss
import pytest
from helpers.screens import ScreenThatFails, check_whole
from mss.exception import ScreenShotError

import capture.screens.mss
from capture.options import CaptureOptions
from capture.recording.recorder import Recorder
from capture.screens.mss import open_screen
from capture.screens.target import NotVisible
from dataset.errors import UserError

pytestmark = [] if sys.platform == "win32" else pytest.mark.usefixtures("display")
OPTIONS = CaptureOptions(region=(0, 0, 16, 12), disk_floor_bytes=0)


class Locked:
    """What `mss` gives while the lock screen is up, or a question for permission."""

    def __init__(self, connects: bool) -> None:
        self._connects = connects

    def __call__(self, **_: object) -> object:
        if not self._connects:
            raise ScreenShotError("gdi32.GetDC() failed")
        return self

    monitors = property(lambda self: self.grab())

    def grab(self, *_: object) -> object:
        raise ScreenShotError("BitBlt() failed")

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("connects", [True, False])
def test_a_locked_screen_is_missed_until_it_is_back(
    connects: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture.screens.mss, "COMES_BACK", True)
    options = CaptureOptions(**{**vars(OPTIONS), "out": tmp_path, "fps": 1000.0})
    with open_screen(options) as screen, Recorder(options, screen) as recorder:
        recorder.start()
        recorder.step()
        with monkeypatch.context() as patch:
            locked = Locked(connects)
            patch.setattr(mss, "MSS", locked)
            patch.setattr(screen, "_mss", locked)
            missed = recorder.status().missed
            while recorder.status().missed < missed + 3:
                recorder.step()
            assert recorder.reason is None
            assert "cannot be read now: it is locked" in str(recorder.notice)
            screen._checked_s = 0.0  # also when it is time to look for monitors
            with pytest.raises(NotVisible, match="cannot be read now"):
                screen.grab()
        while recorder.status().frames < 3:
            recorder.step()
        assert recorder.notice is None or "cannot be read" not in recorder.notice
        summary = recorder.close()
    assert (summary.reason, summary.missed > 0) == ("closed", True)
    assert len(check_whole(recorder.path)) == summary.frames >= 3


def test_a_screen_that_is_gone_for_good_still_ends_the_recording(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capture.screens.mss, "COMES_BACK", False)
    with open_screen(OPTIONS) as screen, monkeypatch.context() as patch:
        locked = Locked(connects=True)
        patch.setattr(screen, "_mss", locked)
        patch.setattr(mss, "MSS", locked)
        with pytest.raises(UserError, match="display is gone") as caught:
            screen.grab()
        assert not isinstance(caught.value, NotVisible)


def test_only_windows_has_screens_that_come_back() -> None:
    assert (sys.platform == "win32") == capture.screens.mss.COMES_BACK


def test_a_miss_is_a_miss_and_an_error_ends(tmp_path: Path) -> None:
    options = CaptureOptions(out=tmp_path, fps=1000.0, disk_floor_bytes=0)
    with Recorder(options, ScreenThatFails(1, NotVisible("locked"))) as recorder:
        recorder.start()
        while recorder.status().missed < 3:
            recorder.step()
        assert recorder.reason is None
