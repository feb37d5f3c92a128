"""The DXcam back end, with DXcam itself replaced: it runs on Windows only."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import capture.screens.dxcam
import capture.screens.mss
import capture.screens.screen
from capture.options import CaptureOptions
from capture.screens.dxcam import DxcamScreen, output_of
from capture.screens.mss import open_screen
from capture.screens.target import NotVisible, Rectangle
from dataset.errors import UserError

LEFT, RIGHT = (0, 0, 64, 48), (64, 0, 80, 60)
DESKTOP = [(0, 0, 144, 60), LEFT, RIGHT]
INFO = """Device[0] Output[0]: Res:(80, 60) Rot:0 Primary:False
Device[0] Output[1]: Res:(64, 48) Rot:0 Primary:True
"""


class FakeCamera:
    """One output; without a new picture it has none, as DXcam."""

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        self.new: list[Any] = [
            np.random.default_rng(width).integers(0, 256, (height, width, 4), dtype=np.uint8)
        ]
        self.released = False

    def grab(self, copy: bool, new_frame_only: bool) -> Any:
        assert copy
        assert not new_frame_only
        picture = self.new.pop(0) if self.new else None
        if isinstance(picture, Exception):
            raise picture
        return picture

    def release(self) -> None:
        self.released = True


class FakeDxcam(ModuleType):
    """Two outputs, numbered the other way round than the monitors."""

    def __init__(self) -> None:
        super().__init__("dxcam")
        self.made: list[FakeCamera] = []

    def output_info(self) -> str:
        return INFO

    def create(self, device_idx: int, output_idx: int, output_color: str) -> FakeCamera:
        assert (device_idx, output_color) == (0, "BGRA")
        self.made.append(FakeCamera(((80, 60), (64, 48))[output_idx]))
        return self.made[-1]


@pytest.fixture
def dxcam(monkeypatch: pytest.MonkeyPatch) -> FakeDxcam:
    module = FakeDxcam()
    monkeypatch.setitem(sys.modules, "dxcam", module)
    monkeypatch.setattr(capture.screens.dxcam, "version", lambda name: "0.3.0")
    monkeypatch.setattr(capture.screens.mss, "list_monitors", lambda: DESKTOP)
    return module


def test_the_option_chooses_it_and_the_monitor_its_output(dxcam: FakeDxcam) -> None:
    with open_screen(CaptureOptions(backend="dxcam", monitor=2)) as screen:
        assert isinstance(screen, DxcamScreen)
        [picture] = dxcam.made[0].new
        assert np.array_equal(screen.grab(), picture)
        assert screen.rectangle() == RIGHT
        facts = screen.describe()
        assert (facts["backend"], facts["monitor"], facts["rectangle"]) == ("dxcam", 2, [*RIGHT])
    assert dxcam.made[0].released


def test_a_region_is_cut_out_of_its_monitor(dxcam: FakeDxcam) -> None:
    region = (70, 10, 20, 30)
    with open_screen(CaptureOptions(backend="dxcam", region=region)) as screen:
        [picture] = dxcam.made[0].new
        grabbed = screen.grab()
        assert np.array_equal(grabbed, picture[10:40, 6:26])
        assert not np.shares_memory(grabbed, picture)


def test_without_a_new_picture_the_last_one_is_given(dxcam: FakeDxcam) -> None:
    with open_screen(CaptureOptions(backend="dxcam")) as screen:
        assert np.array_equal(screen.grab(), screen.grab())


def test_without_any_picture_there_is_nothing_to_see(
    dxcam: FakeDxcam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture.screens.dxcam, "FIRST_S", 0.05)
    with open_screen(CaptureOptions(backend="dxcam")) as screen:
        dxcam.made[0].new = []
        with pytest.raises(NotVisible, match="no picture"):
            screen.grab()


def test_a_grab_that_fails_is_a_miss_until_the_screen_is_back(
    dxcam: FakeDxcam, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_screen(CaptureOptions(backend="dxcam")) as screen:
        dxcam.made[0].new = [OSError("access lost")]
        with pytest.raises(NotVisible, match=r"cannot be read now: it is locked.*access lost"):
            screen.grab()
        assert dxcam.made[0].released
        with monkeypatch.context() as patch:
            patch.setattr(dxcam, "output_info", lambda: "")  # a locked screen has no outputs
            with pytest.raises(NotVisible, match="DXcam does not see monitor 1"):
                screen.grab()
        assert screen.grab().shape == (48, 64, 4)


def test_a_monitor_that_cannot_be_opened_at_first_is_an_error_of_the_user(
    dxcam: FakeDxcam, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> FakeCamera:
        raise OSError("no such output")

    monkeypatch.setattr(dxcam, "create", refuse)
    with pytest.raises(UserError, match="cannot open monitor 1: no such output") as caught:
        open_screen(CaptureOptions(backend="dxcam"))
    assert not isinstance(caught.value, NotVisible)


def test_a_changed_resolution_opens_the_camera_again(
    dxcam: FakeDxcam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture.screens.screen, "MONITOR_CHECK_S", -1.0)
    there: list[Rectangle] = list(DESKTOP)
    with DxcamScreen(CaptureOptions(monitor=2), lambda: list(there)) as screen:
        assert screen.grab().shape == (60, 80, 4)
        there[:] = [(0, 0, 128, 48), LEFT, (64, 0, 64, 48)]
        with pytest.raises(UserError, match="does not see monitor 2"):
            screen.grab()
        there[:] = DESKTOP
        assert screen.grab().shape == (60, 80, 4)
    assert [each.released for each in dxcam.made] == [True, True]


def test_all_monitors_together_are_refused(dxcam: FakeDxcam) -> None:
    with pytest.raises(UserError, match="one monitor at a time"):
        open_screen(CaptureOptions(backend="dxcam", monitor=0))


def test_outputs_of_the_same_size_are_taken_in_order() -> None:
    info = "\n".join(
        f"Device[{n}] Output[0]: Res:(64, 48) Rot:0 Primary:{n == 2}" for n in range(3)
    )
    monitors = [(0, 0, 192, 48), LEFT, (64, 0, 64, 48), (128, 0, 64, 48)]
    assert [output_of(info, monitors, n) for n in (1, 2, 3)] == [(2, 0), (0, 0), (1, 0)]


def test_without_dxcam_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dxcam", None)
    with pytest.raises(UserError, match=r"unclip\[windows\]"):
        open_screen(CaptureOptions(backend="dxcam"))
