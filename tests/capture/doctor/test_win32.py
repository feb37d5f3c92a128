"""What Windows is asked for, as far as Wine answers it."""

from __future__ import annotations

import os
import sys

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or Wine", allow_module_level=True)

from helpers.windows_of_windows import RealWindow

from capture.doctor import win32
from capture.doctor.doctor import _desktop
from capture.options import CaptureOptions
from capture.screens import displays_win32, window_win32

ERROR_NOT_SUPPORTED = 50


def test_an_unlocked_desktop_is_told_from_a_locked_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert win32.screen_locked() is False

    class Locked:
        @staticmethod
        def OpenInputDesktop(*_: object) -> int:
            return 0

    monkeypatch.setattr(window_win32, "_user32", Locked)
    assert win32.screen_locked() is True


def test_outputs_are_listed_by_name_and_none_shows_hdr() -> None:
    assert [win32.name_of(path) for path in win32.active_paths()] != []
    assert win32.hdr_displays() == []


def test_outputs_that_cannot_be_listed_are_not_called_free_of_hdr(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent:
        @staticmethod
        def GetDisplayConfigBufferSizes(*_: object) -> int:
            return ERROR_NOT_SUPPORTED

    monkeypatch.setattr(displays_win32, "_user32", Silent)
    with pytest.raises(OSError, match=str(ERROR_NOT_SUPPORTED)):
        win32.hdr_displays()
    told = {each.name: each.message for each in _desktop(CaptureOptions())}
    assert told["hdr"] == "not known"


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [(True, True, None), (False, False, None), (False, True, "The Game")],
)
def test_an_elevated_game_is_told_only_to_a_program_that_is_not(
    ours: bool, theirs: bool, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([ours, theirs])
    monkeypatch.setattr(win32, "_is_elevated", lambda number: next(answers))
    with RealWindow("The Game") as game:
        assert window_win32.process_of(game.handle) == os.getpid()
        assert win32.elevated_window("the game") == told


def test_processes_can_be_asked_and_one_that_is_not_there_is_not_elevated() -> None:
    assert win32._is_elevated(999_999) is False
    assert win32._is_elevated(os.getpid()) in (True, False)
    assert win32.missing_permissions() == []
