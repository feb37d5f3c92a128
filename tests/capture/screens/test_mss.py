"""What is grabbed is what is shown."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from helpers.painted import PaintedWindow, noise

import capture.screens.mss
import cli
from capture.options import CaptureOptions
from capture.screens.mss import open_screen, takes_portal
from capture.screens.target import Candidate, NotVisible, choose_rectangle
from capture.screens.window import find_window, matching
from dataset.errors import UserError
from dataset.pictures.images import rgb_of


def test_a_region_is_grabbed_with_the_exact_pixels_shown(display: str) -> None:
    with (
        PaintedWindow(place=(40, 30)) as window,
        open_screen(CaptureOptions(region=(40, 30, 96, 64))) as screen,
    ):
        for seed in range(3):
            window.paint(noise(seed))
            assert np.array_equal(rgb_of(screen.grab()), noise(seed))
        assert screen.rectangle() == (40, 30, 96, 64)


def test_a_monitor_is_grabbed_whole(display: str) -> None:
    with open_screen(CaptureOptions()) as screen:
        assert screen.grab().shape == (800, 1280, 4)
        facts = screen.describe()
        assert (facts["backend"], facts["source"]) == ("mss", "monitor")


def test_a_window_is_followed_when_it_moves(display: str) -> None:
    options = CaptureOptions(window="flying game")
    with PaintedWindow("A Flying Game 2.1") as window, open_screen(options) as screen:
        for place in ((0, 0), (300, 200)):
            window.move(*place)
            window.paint(noise(1))
            assert np.array_equal(rgb_of(screen.grab()), noise(1))
            assert screen.rectangle() == (*place, 96, 64)


def test_a_window_partly_off_the_screen_is_grabbed_as_far_as_it_shows(display: str) -> None:
    with PaintedWindow("Edge") as window, open_screen(CaptureOptions(window="edge")) as screen:
        window.move(-16, 0)
        window.paint(noise(2))
        assert np.array_equal(rgb_of(screen.grab()), noise(2)[:, 16:])
        window.move(-500, 0)
        with pytest.raises(NotVisible):
            screen.grab()


def test_a_hidden_window_shows_nothing_and_a_closed_one_is_an_error(display: str) -> None:
    window = PaintedWindow("Soon gone")
    with open_screen(CaptureOptions(window="soon gone")) as screen:
        window.hide()
        with pytest.raises(NotVisible, match="minimised"):
            screen.grab()
        window.close()
        with pytest.raises(UserError, match="was closed"):
            screen.grab()


def test_a_window_not_found_names_those_there_are(display: str) -> None:
    with PaintedWindow("Some Editor"), pytest.raises(UserError, match='"Some Editor"'):
        open_screen(CaptureOptions(window="no such game"))


def test_the_equal_title_wins_over_the_longer_and_larger() -> None:
    there = [Candidate(title, area, None) for title, area in (("my game - notes", 9), ("Game", 1))]
    assert matching("game", there)[0].title == "Game"
    three = [*there, Candidate("GAME two", 5, None)]
    assert [each.title for each in matching("gam", three)] == [
        "GAME two",
        "Game",
        "my game - notes",
    ]


def test_parts_of_one_window_match_once_and_a_number_names_one() -> None:
    frame, inside = (Candidate("Game", area, None, id=area, top=99) for area in (99, 80))
    other = Candidate("Game", 70, None, (10, 7), id=0x5F, top=0x5F)
    assert matching("game", [inside, other, frame]) == [frame, other]
    assert matching("0x5F", [inside, other, frame]) == [other]
    assert str(other) == '"Game" (0x5f, 10x7)'


LEFT, MAIN = (-1920, -200, 1920, 1080), (0, 0, 2560, 1440)
DESKTOP = (-1920, -200, 4480, 1640)


@pytest.mark.parametrize(
    "region", [(-1920, -200, 640, 480), (-100, 0, 200, 200), (-1920, -200, 1920, 1080)]
)
def test_a_region_left_of_the_main_monitor_is_on_the_desktop(
    region: tuple[int, int, int, int],
) -> None:
    words = ["capture", "--region", ",".join(map(str, region))]
    with cli.main.make_context("cli", words) as context:
        asked = cli.capture.make_context("capture", words[1:], parent=context).params["region"]
    assert asked == region
    assert choose_rectangle(CaptureOptions(region=asked), [DESKTOP, LEFT, MAIN]) == region


@pytest.mark.parametrize("region", [(-1921, 0, 9, 9), (-9, -200, 18, 9), (0, 0, 9, -9)])
def test_a_region_beside_all_monitors_is_refused_with_a_list(
    region: tuple[int, int, int, int],
) -> None:
    with pytest.raises(UserError, match=r"not all on the screen.* 1: 1920x1080 at -1920,-200; 2: "):
        choose_rectangle(CaptureOptions(region=region), [DESKTOP, LEFT, MAIN])


@pytest.mark.parametrize("region", [(1200, 0, 200, 100), (0, 0, 0, 10), (-5, 0, 20, 20)])
def test_a_region_outside_the_screen_is_refused(
    display: str, region: tuple[int, int, int, int]
) -> None:
    with pytest.raises(UserError, match="1280x800"):
        open_screen(CaptureOptions(region=region))


def test_a_missing_monitor_is_refused_with_a_list(display: str) -> None:
    with pytest.raises(UserError, match=r"no monitor 7.*1: 1280x800"):
        open_screen(CaptureOptions(monitor=7))


def test_no_display_tells_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="xvfb-run -a cli capture"):
        open_screen(CaptureOptions())


def test_a_dead_display_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("XDG_SESSION_TYPE", raising=False)
    with pytest.raises(UserError, match=":4711"):
        open_screen(CaptureOptions())


@pytest.mark.parametrize(
    "sign", [("WAYLAND_DISPLAY", "wayland-0"), ("XDG_SESSION_TYPE", "wayland")]
)
def test_wayland_is_asked_for_its_screen_and_mss_refused(
    monkeypatch: pytest.MonkeyPatch, sign: tuple[str, str], tmp_path: Path
) -> None:
    names = ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE", "DBUS_SESSION_BUS_ADDRESS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv(*sign)
    assert takes_portal(CaptureOptions())
    with pytest.raises(UserError, match=r"no session bus.*terminal of the desktop"):
        open_screen(CaptureOptions())
    with pytest.raises(UserError, match=r"Leave --backend mss out.*cli import"):
        open_screen(CaptureOptions(backend="mss"))


def test_xwayland_is_refused(display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setattr(capture.screens.mss, "is_xwayland", lambda: True)
    assert takes_portal(CaptureOptions())
    with pytest.raises(UserError, match="Leave --backend mss out"):
        open_screen(CaptureOptions(backend="mss"))


def test_a_dead_display_inside_wayland_is_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> bool:
        raise UserError("No display")

    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.setattr(capture.screens.mss, "is_xwayland", gone)
    assert takes_portal(CaptureOptions())


def test_the_portal_is_asked_on_linux_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    assert not takes_portal(CaptureOptions())
    with pytest.raises(UserError, match="needs Linux"):
        open_screen(CaptureOptions(backend="portal"))


def test_a_virtual_screen_inside_wayland_can_be_recorded(
    display: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    with open_screen(CaptureOptions()) as screen:
        assert screen.grab().any(axis=-1).shape == (800, 1280)


def test_a_grab_that_fails_once_is_tried_on_a_new_connection(display: str) -> None:
    with open_screen(CaptureOptions(region=(0, 0, 8, 8))) as screen:
        screen._mss.close()  # as after a changed resolution
        assert screen.grab().shape == (8, 8, 4)


def handles() -> int:
    """How many files, sockets and the like this process has open."""
    process = psutil.Process()
    if sys.platform != "win32":
        return int(process.num_fds())
    return int(process.num_handles() or len(os.listdir("/proc/self/fd")))  # Wine counts none


def test_grabbing_leaks_no_file_handles(display: str) -> None:
    with open_screen(CaptureOptions(region=(0, 0, 64, 64))) as screen:
        screen.grab()
        before = handles()
        for _ in range(200):
            screen.grab()
        spare = 20 if sys.platform == "win32" else 0  # which opens some by itself
        assert handles() - before <= spare


def test_other_systems_are_told_about_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capture.screens.window.sys", SimpleNamespace(platform="darwin"))
    with pytest.raises(UserError, match="--region"):
        find_window("game")
