"""Windows of Microsoft Windows: found, moved, covered, minimised, closed; our own console."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT

if sys.platform != "win32":
    pytest.skip("needs Windows, or Wine", allow_module_level=True)

from helpers import windows_of_windows as windows
from helpers.windows_of_windows import RealWindow

from capture.options import CaptureOptions
from capture.screens import own_terminal, window_win32
from capture.screens.mss import open_screen
from capture.screens.target import NotVisible
from capture.screens.window import find_window
from dataset.errors import UserError
from dataset.pictures.images import rgb_of

GAME = (100, 100, 96, 64)
OVER = (120, 110, 96, 64)
ANSWER_S = 60


def found() -> Any:
    return find_window("the game")


def test_a_window_is_found_by_a_part_of_its_title_and_by_its_number() -> None:
    with RealWindow("A Flying 게임 2.1", GAME) as game:
        for name in ("flying 게임", f"{game.handle:#x}"):
            window = find_window(name)
            assert (window.title, window.id) == ("A Flying 게임 2.1", game.handle)
            assert window.rectangle() == GAME
        with pytest.raises(UserError, match='"A Flying 게임 2'):
            find_window("no such game")


def test_a_window_is_recorded_without_its_frame_and_followed_when_it_moves() -> None:
    with (
        RealWindow("The Game", (50, 60, 300, 200), framed=True) as game,
        open_screen(CaptureOptions(window="the game")) as screen,
    ):
        for place, colour in (((50, 60), (255, 0, 0)), ((400, 300), (0, 0, 255))):
            game.move(*place)
            game.paint(*colour)
            x, y, width, height = screen.rectangle()
            assert x > place[0]
            assert y > place[1] + 10  # below the title bar
            assert (width < 300, height < 190) == (True, True)
            assert np.array_equal(rgb_of(screen.grab()), np.full((height, width, 3), colour))


def test_a_window_below_another_is_covered_and_named() -> None:
    with RealWindow("The Game", GAME), RealWindow("Notes", OVER) as other:
        window = found()
        assert window.covering() == "Notes"
        other.move(500, 400)
        assert window.covering() is None
        other.move(*OVER[:2])
        assert window.covering() == "Notes"
        other.lower()
        assert window.covering() is None


def test_a_hidden_a_minimised_and_a_tiny_window_above_cover_nothing() -> None:
    with RealWindow("The Game", GAME), RealWindow("Notes", OVER, framed=True) as other:
        other.show(windows.SW_HIDE)
        assert found().covering() is None
        other.show(windows.SW_MINIMIZE)
        assert found().covering() is None
        with RealWindow("Tip", (110, 110, 7, 8)):  # less than a hundredth of 96x64
            assert found().covering() is None


def test_a_frame_that_the_compositor_does_not_tell_is_asked_of_the_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Compositor:
        @staticmethod
        def DwmGetWindowAttribute(*_: object) -> int:
            return -2147024809  # E_INVALIDARG

    with RealWindow("The Game", GAME), RealWindow("Notes", OVER):
        monkeypatch.setattr(window_win32, "dwmapi", Compositor)
        assert found().covering() == "Notes"


def test_a_layer_covers_unless_it_is_invisible() -> None:
    with (
        RealWindow("The Game", GAME),
        RealWindow("Overlay", GAME, extended=windows.WS_EX_LAYERED) as over,
    ):
        over.layer(0)
        assert found().covering() is None
        over.layer(127)
        assert found().covering() == "Overlay"
        over.layer(255)
        assert found().covering() == "Overlay"
        over.layer(0, windows.LWA_ALPHA | windows.LWA_COLORKEY)
        assert found().covering() is None


def test_a_tool_window_with_see_through_pixels_is_an_overlay() -> None:
    style = windows.WS_EX_LAYERED
    for extended, covers in ((style, "Overlay"), (style | windows.WS_EX_TOOLWINDOW, None)):
        with RealWindow("The Game", GAME), RealWindow("Overlay", GAME, extended=extended) as over:
            assert found().covering() == covers  # its pixels have an opacity of their own
            over.layer(255, windows.LWA_COLORKEY)
            assert found().covering() == covers
    with (
        RealWindow("The Game", GAME),
        RealWindow("Palette", GAME, extended=windows.WS_EX_TOOLWINDOW),
    ):
        assert found().covering() == "Palette"


def test_clicks_that_go_through_make_an_overlay() -> None:
    with (
        RealWindow("The Game", GAME),
        RealWindow("Overlay", GAME, extended=windows.WS_EX_TRANSPARENT),
    ):
        assert found().covering() is None


def test_a_minimised_window_shows_nothing_and_comes_back() -> None:
    with (
        RealWindow("The Game", (50, 60, 300, 200), framed=True) as game,
        open_screen(CaptureOptions(window="the game")) as screen,
    ):
        game.show(windows.SW_MINIMIZE)
        for _ in range(2):
            with pytest.raises(NotVisible, match="minimised"):
                screen.grab()
        game.show(windows.SW_RESTORE)
        game.paint(0, 255, 0)
        assert rgb_of(screen.grab())[0, 0].tolist() == [0, 255, 0]


def test_a_closed_window_ends_what_follows_it() -> None:
    with (
        RealWindow("The Game", GAME) as game,
        open_screen(CaptureOptions(window="the game")) as screen,
    ):
        window = screen.window
        assert window is not None
        game.close()
        for ask in (
            window.rectangle, window.covering, window.has_focus, window.focus, screen.grab
        ):  # fmt: skip
            with pytest.raises(UserError, match='"The Game" was closed') as caught:
                ask()
            assert not isinstance(caught.value, NotVisible)


def test_a_window_that_closes_while_it_is_asked_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    with RealWindow("The Game", GAME) as game:
        window = found()
        game.close()
        monkeypatch.setattr(window, "_check_open", lambda: None)  # it was open a moment ago
        for ask in (window.rectangle, window.covering):
            with pytest.raises(UserError, match='"The Game" was closed'):
                ask()
        assert window_win32._frame(window.id) == (0, 0, 0, 0)
        assert window_win32._client_rectangle(window.id) is None


def test_focus_brings_a_minimised_window_back_and_to_the_front() -> None:
    with RealWindow("The Game", GAME, framed=True) as game, RealWindow("Notes", OVER):
        game.show(windows.SW_MINIMIZE)
        window = found()
        window.focus()
        game._settle()
        assert window.rectangle()[2] > 0
        assert window.has_focus()


def test_windows_of_our_terminal_are_not_the_game(monkeypatch: pytest.MonkeyPatch) -> None:
    with RealWindow('cli capture --window "the game"', (0, 0, 800, 500)) as terminal:
        for own in (
            {"starters": lambda: {ctypes.windll.kernel32.GetCurrentProcessId()}},
            {"_consoles": lambda: {terminal.handle}},
        ):
            with monkeypatch.context() as patch:
                for name, value in own.items():
                    patch.setattr(window_win32, name, value)
                with pytest.raises(UserError, match="Only the terminal") as caught:
                    found()
                assert f"--window {terminal.handle:#x}" in str(caught.value)
                assert find_window(f"{terminal.handle:#x}").id == terminal.handle
        with RealWindow("The Game", GAME) as game, monkeypatch.context() as patch:
            patch.setattr(window_win32, "_consoles", lambda: {terminal.handle})
            window = found()
            assert (window.id, window.others) == (game.handle, [])


CONSOLE = """
import ctypes, json, sys, time
from pathlib import Path
ctypes.windll.kernel32.SetConsoleTitleW('cli capture --window "flying game"')
from capture.screens.window import find_window
from capture.screens.window_win32 import visible_windows
from dataset.errors import UserError
end = time.perf_counter() + 20
def consoles():
    return [w.own for w in visible_windows() if "flying game" in w.title]
while not consoles() and time.perf_counter() < end:
    time.sleep(0.1)
try:
    said = find_window("flying game").title
except UserError as error:
    said = str(error)
Path(sys.argv[1]).write_text(json.dumps([consoles(), said]), encoding="utf-8")
"""


def test_the_console_of_the_recorder_is_not_taken_for_the_game(tmp_path: Path) -> None:
    answer = tmp_path / "answer.json"
    done = subprocess.run(
        [sys.executable, "-c", CONSOLE, str(answer)],
        creationflags=subprocess.CREATE_NEW_CONSOLE, cwd=ROOT, timeout=ANSWER_S,
    )  # fmt: skip
    assert done.returncode == 0
    owns, said = json.loads(answer.read_text(encoding="utf-8"))
    assert owns == [True]
    assert said.startswith('Only the terminal that this runs in has "flying game" in its title')


def test_starters_are_processes_above_this_one() -> None:
    code = "from capture.screens.own_terminal import starters; print(*starters())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=ANSWER_S
    )
    above = {int(word) for word in done.stdout.split()}
    assert ctypes.windll.kernel32.GetCurrentProcessId() in above
    assert not above & {0, 1}
    assert own_terminal.starters() < above
