"""Windows that are covered, minimised, moved, focused; displays that change or end."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pytest
from helpers.painted import PaintedWindow, noise, own_server, resize_screen
from helpers.waiting import SOON_S

import capture.screens.mss
import capture.screens.screen
from capture.options import CaptureOptions
from capture.screens.mss import open_screen
from capture.screens.target import (
    WINDOW_CHECK_S,
    Candidate,
    Followed,
    NotVisible,
    Rectangle,
    Window,
)
from capture.screens.window import find_window
from dataset.errors import UserError
from dataset.pictures.images import rgb_of

pytest.importorskip("Xlib", reason="about windows of X11")
from Xlib import X, Xatom
from Xlib import display as xdisplay

GAME = (100, 100)  # where the game's window stands
pytestmark = pytest.mark.usefixtures("display")


@contextmanager
def game_under(*others: PaintedWindow) -> Iterator[Any]:
    """The followed window of a game, found after all of them were opened."""
    window = find_window("the game")
    try:
        yield window
    finally:
        window.close()
        for other in others:
            other.close()


def test_a_window_below_another_is_covered_and_named() -> None:
    with PaintedWindow("The Game", GAME):
        other = PaintedWindow("Notes", (150, 120))
        with game_under(other) as window:
            assert window.covering() == "Notes"
            assert window.covering()
            other.move(400, 400)
            assert not window.covering()
            other.move(150, 120)
            other.lower()
            assert not window.covering()


def test_a_hidden_window_above_covers_nothing() -> None:
    with PaintedWindow("The Game", GAME):
        other = PaintedWindow("Notes", GAME)
        with game_under(other) as window:
            other.hide()
            assert not window.covering()


def test_a_tiny_window_above_is_no_cover() -> None:
    with PaintedWindow("The Game", GAME):  # 96x64 = 6144 pixels, of which 61 are one percent
        other = PaintedWindow("Tip", (110, 110), (7, 8))
        with game_under(other) as window:
            assert not window.covering()


def test_a_window_without_opacity_is_no_cover() -> None:
    with PaintedWindow("The Game", GAME):
        other = PaintedWindow("Ghost", GAME)
        with game_under(other) as window:
            other.set_number("_NET_WM_WINDOW_OPACITY", 0)
            assert not window.covering()
            other.set_number("_NET_WM_WINDOW_OPACITY", 0x7FFFFFFF)
            assert window.covering()


def test_a_see_through_overlay_covers_only_where_it_takes_clicks() -> None:
    with PaintedWindow("The Game", GAME):
        other = PaintedWindow("Overlay", (0, 0), (1280, 800), see_through=True)
        with game_under(other) as window:
            assert window.covering()
            other.take_clicks_in(0, 0, 0, 0)
            assert not window.covering()
            other.take_clicks_in(120, 110, 40, 40)
            assert window.covering()


def test_a_window_in_a_frame_is_covered_by_other_frames_and_not_by_its_own() -> None:
    with PaintedWindow("The Game", inside=(4, 20)):
        other = PaintedWindow("Notes", inside=(4, 20))
        with game_under(other) as window:
            assert window.covering() == "Notes"
            other.hide()
            assert window.covering()  # by the empty frame
            other.hide_frame()
            assert not window.covering()


def test_a_covered_window_is_not_grabbed_until_it_is_free_again() -> None:
    options = CaptureOptions(window="the game")
    with PaintedWindow("The Game", GAME) as game:
        game.paint(noise(1))
        other = PaintedWindow("Notes", (150, 120))
        with open_screen(options) as screen:  # a terminal may be above at first
            with pytest.raises(NotVisible, match='"The Game" is covered by "Notes"'):
                screen.grab()
            with pytest.raises(NotVisible, match="covered"):
                screen.rectangle()
            other.close()
            game.paint(noise(1))
            assert np.array_equal(rgb_of(screen.grab()), noise(1))


def test_a_cover_is_noticed_soon() -> None:
    with (
        PaintedWindow("The Game", GAME),
        open_screen(CaptureOptions(window="the game")) as screen,
    ):
        screen.grab()
        with PaintedWindow("Notes", GAME):
            time.sleep(WINDOW_CHECK_S)
            with pytest.raises(NotVisible):
                screen.grab()


def test_a_minimised_window_is_not_called_covered() -> None:
    with PaintedWindow("The Game", GAME) as game:
        other = PaintedWindow("Notes", GAME)
        with game_under(other) as window:
            game.hide()
            with pytest.raises(NotVisible, match="minimised"):
                window.covering()


def looked_up(title: str) -> Window:
    """The window of a title, whose number and others may be asked."""
    with closing(find_window(title)) as window:
        return window


@pytest.mark.parametrize("inside", [None, (4, 20)])
def test_a_window_of_a_process_that_started_us_is_our_terminal(
    inside: tuple[int, int] | None,
) -> None:
    with PaintedWindow("cli capture --window game", size=(200, 150), inside=inside) as terminal:
        assert looked_up("game").id == terminal.id
        terminal.set_number("_NET_WM_PID", os.getppid())
        with pytest.raises(UserError, match=f"Only the terminal.*--window {terminal.id:#x}"):
            looked_up("game")
        with pytest.raises(UserError, match=r'^No visible window has "notes"(?!.*cli capture)'):
            looked_up("notes")
        assert looked_up(f"{terminal.id:#x}").id == terminal.id
        with PaintedWindow("The Game") as game:
            window = looked_up("game")
            assert (window.id, window.others) == (game.id, [])


def test_the_window_around_the_one_that_the_terminal_names_is_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with PaintedWindow("", inside=(4, 20)) as terminal:  # as xterm, whose frame has the title
        terminal.name_frame("cli capture --window game")
        assert looked_up("game").title == "cli capture --window game"
        monkeypatch.setenv("WINDOWID", str(terminal.id))
        with pytest.raises(UserError, match="Only the terminal"):
            looked_up("game")


class Asked:
    """A window that counts how often it was asked what covers it."""

    title, id = "Asked", 1

    def __init__(self, clock: list[float], takes_s: float) -> None:
        self.looks, self.others = 0, list[Candidate]()
        self.above: str | None = None
        self._clock, self._takes_s = clock, takes_s

    def rectangle(self) -> Rectangle:
        return 0, 0, 10, 10

    def covering(self) -> str | None:
        self.looks += 1
        self._clock[0] += self._takes_s
        return self.above

    def has_focus(self) -> bool:
        return True

    def focus(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize(("takes_s", "most"), [(0.0005, 101), (0.002, 26), (0.2, 5)])
def test_looking_for_covers_takes_a_small_share_of_the_time(takes_s: float, most: int) -> None:
    clock = [0.0]
    window = Asked(clock, takes_s)
    followed = Followed(window, lambda: clock[0])
    while clock[0] < 1.0:
        followed.rectangle((0, 0, 100, 100))
        clock[0] += 0.001
    assert most // 2 <= window.looks <= most


def test_a_covered_window_is_looked_at_each_time() -> None:
    clock = [0.0]
    window = Asked(clock, 0.0)
    window.above = "Notes"
    followed = Followed(window, lambda: clock[0])
    for _ in range(3):
        with pytest.raises(NotVisible):
            followed.rectangle((0, 0, 100, 100))
    assert window.looks == 3


def test_without_a_manager_the_focus_can_be_asked_and_given() -> None:
    with PaintedWindow("The Game", GAME):
        other = PaintedWindow("Notes", GAME)
        with game_under(other) as window:
            notes = find_window("notes")
            notes.focus()
            assert notes.has_focus()
            assert not window.has_focus()
            window.focus()
            assert window.has_focus()
            assert not window.covering()
            notes.close()


def test_a_hidden_window_is_shown_by_focus() -> None:
    with PaintedWindow("The Game", GAME) as game, game_under() as window:
        game.hide()
        window.focus()
        assert window.rectangle() == (*GAME, 96, 64)
        assert window.has_focus()


def test_where_the_focus_follows_the_pointer_the_window_under_it_has_it() -> None:
    with PaintedWindow("The Game", GAME), game_under() as window:
        window._connection.set_input_focus(X.PointerRoot, X.RevertToNone, X.CurrentTime)
        for place, inside in ((("110", "110"), True), (("900", "700"), False)):
            subprocess.run(["xdotool", "mousemove", *place], check=True, timeout=SOON_S)
            assert window.has_focus() is inside


class Manager:
    """As much of a window manager as asks for EWMH: it is there, and it is notified."""

    def __init__(self) -> None:
        self._display = xdisplay.Display()
        self._root = self._display.screen().root
        self._check = self._root.create_window(0, 0, 1, 1, 0, X.CopyFromParent)
        self._root.change_attributes(event_mask=X.SubstructureNotifyMask)
        active = self._display.intern_atom("_NET_ACTIVE_WINDOW")
        self._set("_NET_SUPPORTING_WM_CHECK", Xatom.WINDOW, [self._check.id])
        self._set("_NET_SUPPORTED", Xatom.ATOM, [active])
        self._display.sync()

    def told(self) -> list[tuple[int, int]]:
        """(window, source) of each message up to now."""
        self._display.sync()
        events = [self._display.next_event() for _ in range(self._display.pending_events())]
        messages = [each for each in events if each.type == X.ClientMessage]
        return [(each.window.id, each.data[1][0]) for each in messages]

    def leave(self) -> None:
        for name in ("_NET_SUPPORTING_WM_CHECK", "_NET_SUPPORTED"):
            self._root.delete_property(self._display.intern_atom(name))
        self._display.close()

    def _set(self, name: str, kind: int, values: list[int]) -> None:
        self._root.change_property(self._display.intern_atom(name), kind, 32, values)


def test_a_window_manager_is_asked_to_activate_the_window_it_knows() -> None:
    manager = Manager()
    try:
        with PaintedWindow("The Game", GAME) as game, game_under() as window:
            game.set_number("WM_STATE", 1, 0)
            window.focus()
            assert manager.told() == [(game.id, 2)]
    finally:
        manager.leave()


def test_a_closed_window_is_an_error_of_every_question() -> None:
    game = PaintedWindow("The Game", GAME)
    with game_under() as window:
        game.close()
        for ask in (window.rectangle, window.covering, window.has_focus, window.focus):
            with pytest.raises(UserError, match="was closed"):
                ask()


@pytest.mark.parametrize("source", [{}, {"region": (10, 10, 50, 50)}, {"window": "the game"}])
def test_a_display_that_ends_is_an_error_of_the_user(source: dict[str, Any]) -> None:
    with own_server() as server:
        game = PaintedWindow("The Game", GAME)
        screen = open_screen(CaptureOptions(**source))
        screen.grab()
        server.kill()
        server.wait(SOON_S)
        with pytest.raises(UserError, match="display is gone"):
            screen.grab()
        with pytest.raises(UserError, match="display is gone"):
            screen.grab()
        screen._checked_s = 0.0
        with pytest.raises(UserError, match="display is gone"):
            screen.rectangle()
        if screen.window is not None:
            for ask in (screen.window.covering, screen.window.has_focus, screen.window.focus):
                with pytest.raises(UserError, match="display is gone"):
                    ask()
        assert screen.describe()["backend"] == "mss"
        screen.close()
        screen.close()
        game.close()


def test_a_recorded_monitor_may_change_its_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture.screens.screen, "MONITOR_CHECK_S", 0.05)
    with own_server(), open_screen(CaptureOptions()) as screen:
        assert screen.grab().shape == (800, 1280, 4)
        resize_screen(1024, 768)
        assert screen.grab().shape == (768, 1024, 4)  # at once: the old size cannot be grabbed
        resize_screen(1280, 800)
        time.sleep(0.06)
        assert screen.grab().shape == (800, 1280, 4)
        assert screen.rectangle() == (0, 0, 1280, 800)


def test_a_region_that_left_the_screen_shows_nothing_until_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capture.screens.screen, "MONITOR_CHECK_S", 0.05)
    with own_server(), open_screen(CaptureOptions(region=(1100, 700, 96, 64))) as screen:
        assert screen.grab().shape == (64, 96, 4)
        resize_screen(1024, 768)
        for _ in range(2):
            with pytest.raises(NotVisible, match="not all on the screen, which is 1024x768"):
                screen.grab()
        resize_screen(1280, 800)
        time.sleep(0.06)
        assert screen.grab().shape == (64, 96, 4)


def test_looking_at_the_monitors_leaks_no_file_handles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture.screens.screen, "MONITOR_CHECK_S", -1.0)
    with open_screen(CaptureOptions(region=(0, 0, 8, 8))) as screen:
        screen.grab()
        before = open_files()
        for _ in range(50):
            screen.grab()
        assert open_files() <= before


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
