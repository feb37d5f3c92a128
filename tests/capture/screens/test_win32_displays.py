"""What Windows says of monitors for `--backend hdr`, as far as Wine answers it."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or Wine", allow_module_level=True)

import capture.screens.hdr
from capture.options import CaptureOptions
from capture.screens import displays_win32, outputs_win32
from capture.screens.ddagrab import is_there
from capture.screens.mss import list_monitors, open_screen
from dataset.errors import UserError


def test_outputs_are_the_monitors_and_known_to_both_of_windows_interfaces() -> None:
    found = outputs_win32.outputs()
    assert {each.rectangle for each in found} <= {*list_monitors()[1:]}
    assert found
    known = [displays_win32._device(path) for path in displays_win32.active_paths()]
    assert {each.device for each in found} <= {*known}
    assert all(each.quarters == 0 for each in found)


def test_structures_have_the_sizes_of_wingdi() -> None:
    sizes = {"DisplayPath": 72, "AdvancedColor": 32, "WhiteLevel": 24, "SourceName": 84}
    for name, size in sizes.items():
        assert ctypes.sizeof(getattr(displays_win32, name)) == size
    assert ctypes.sizeof(outputs_win32.Description) == 96


@pytest.mark.parametrize(
    ("colour", "level", "nits"),
    [
        *((2, 1000, 80.0), (2, 2500, 200.0), (2, 6000, 480.0), (2, None, None), (2, 0, None)),
        *((0, 2500, 80.0), (6, 2500, 80.0), (None, 2500, 200.0), (None, None, None)),
    ],
)
def test_sdr_white_is_told_in_thousandths_of_80_nits(
    colour: int | None, level: int | None, nits: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    [path, *_] = displays_win32.active_paths()
    device = displays_win32._device(path)
    ask = displays_win32._ask

    def answered(path: Any, kind: int, answer: Any) -> bool:
        if kind == displays_win32.GET_ADVANCED_COLOR_INFO and colour is not None:
            answer.value = colour
            return True
        if kind == displays_win32.GET_SDR_WHITE_LEVEL and level is not None:
            answer.thousandths = level
            return True
        return kind == displays_win32.GET_SOURCE_NAME and ask(path, kind, answer)

    monkeypatch.setattr(displays_win32, "_ask", answered)
    assert displays_win32.white_nits(device) == nits
    assert displays_win32.white_nits("no such monitor") is None


def test_a_desktop_that_cannot_be_duplicated_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wine has no Desktop Duplication: all that goes before it is real."""
    monkeypatch.setattr(capture.screens.hdr, "need_jpeg_xr", lambda what: None)
    assert is_there()
    try:
        open_screen(CaptureOptions(backend="hdr")).close()
        pytest.skip("this Windows has it")
    except UserError as error:
        said = str(error)
    assert "Monitor 1 cannot be read: Failed to create D3D11VA device." in said
