"""What Windows says of monitors for `--backend hdr`, as far as Wine answers it."""

from __future__ import annotations

import ast
import ctypes
import sys
from contextlib import suppress
from typing import Any

import pytest
from helpers.processes import printed_by

if sys.platform != "win32":
    pytest.skip("needs Windows, or Wine", allow_module_level=True)

from capture.screens import displays_win32, outputs_win32
from capture.screens.ddagrab import is_there
from capture.screens.mss import list_monitors

TRIES = 3


def by_itself(code: str) -> str:
    """What a process of its own prints.

    Wine's Direct3D draws through X11, where an error of drawing, of which it has some, ends the
    whole process: not that of the tests, and another one has better luck.
    """
    for _ in range(TRIES - 1):
        with suppress(AssertionError):
            return printed_by(code)
    return printed_by(code)


def test_outputs_are_the_monitors_and_known_to_both_of_windows_interfaces() -> None:
    code = (
        "from capture.screens import outputs_win32; print([*map(tuple, outputs_win32.outputs())])"
    )
    found = [outputs_win32.Output(*each) for each in ast.literal_eval(by_itself(code))]
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


def test_a_desktop_that_cannot_be_duplicated_is_said_in_words() -> None:
    """Wine has no Desktop Duplication: all that goes before it is real."""
    assert is_there()
    said = by_itself("""if True:
        import capture.screens.hdr
        from capture.options import CaptureOptions
        from capture.screens.mss import open_screen
        from dataset.errors import UserError
        capture.screens.hdr.need_jpeg_xr = lambda what: None
        try:
            open_screen(CaptureOptions(backend="hdr")).close()
            print("it has it")
        except UserError as error:
            print(error)
    """)
    if said.strip() == "it has it":
        pytest.skip("this Windows has it")
    assert "Monitor 1 cannot be read: Failed to create D3D11VA device." in said
