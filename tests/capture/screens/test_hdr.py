"""`--backend hdr`, on a desktop whose pixels and answers alone are made up: it needs Windows."""

from __future__ import annotations

import errno
import sys
from typing import Any

import numpy as np
import pytest
from helpers.hdr_desktop import LEFT, NAMES, RIGHT, HdrDesktop, half, speckled

import capture.screens.screen
from capture.options import CaptureOptions
from capture.screens.ddagrab import Ddagrab, Failed, is_there
from capture.screens.hdr import HdrScreen, picture_of
from capture.screens.mss import open_screen
from capture.screens.target import NotVisible
from dataset.errors import UserError
from dataset.pictures.light import WHITE_NITS, srgb_to_linear

pytest.importorskip("imagecodecs")
LEVELS = np.arange(256, dtype=np.uint8)


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> HdrDesktop:
    return HdrDesktop().install(monkeypatch)


def opened(**options: Any) -> Any:
    return open_screen(CaptureOptions(backend="hdr", **options))


def wanted(light: Any, white: float) -> Any:
    """Levels of scRGB, worked out with 64 bits: B, G, R."""
    share = np.clip(light[..., :3].astype(np.float64) * 80 / white, 0, 1)
    signal = np.where(share <= 0.0031308, 12.92 * share, 1.055 * share ** (1 / 2.4) - 0.055)
    return np.rint(255 * signal)[..., ::-1]


@pytest.mark.parametrize("white", [80.0, 200.0, 203.0, 480.0])
def test_what_is_no_brighter_than_sdr_white_has_the_levels_of_an_sdr_desktop(
    white: float, desktop: HdrDesktop
) -> None:
    colours = np.stack([LEVELS, LEVELS[::-1], np.roll(LEVELS, 7)], axis=1).reshape(16, 16, 3)
    desktop.pictures[LEFT] = np.zeros((48, 64, 4), np.float16)
    desktop.pictures[LEFT][:16, :16] = half(white * srgb_to_linear(colours / 255).astype(float))
    desktop.white[NAMES[LEFT]] = white
    with opened() as screen:
        grabbed = screen.grab()
        assert np.array_equal(grabbed[:16, :16, 2::-1], colours)
        assert screen.describe()["sdr_white_nits"] == white


@pytest.mark.parametrize(
    ("nits", "level"),
    [
        *((0, 0), (0.5, 8), (20, 89), (100, 188), (200, 255), (201, 255), (4000, 255), (1e9, 255)),
        *((np.inf, 255), (-50, 0), (-np.inf, 0), (np.nan, 0)),
    ],
)
def test_light_of_any_value_has_its_level(nits: float, level: int) -> None:
    picture = picture_of(half(np.full((2, 3, 3), nits)), 200.0)
    assert picture.shape == (2, 3, 4)
    assert np.all(picture[..., :3] == level)


def test_every_half_float_has_its_level() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    light = np.stack([halves, halves[::-1], halves, halves], axis=1)[None]
    found, right = picture_of(light, 240.0)[..., :3].astype(float), wanted(light, 240.0)
    assert np.abs(found - right).max() <= 1
    assert np.mean(found != right) < 1e-4  # where 32 bits round otherwise


def test_a_monitor_is_read_through_its_own_output_by_its_own_white(desktop: HdrDesktop) -> None:
    desktop.white[NAMES[RIGHT]] = 400.0
    with opened(monitor=2) as screen:
        assert isinstance(screen, HdrScreen)
        assert np.array_equal(screen.grab()[..., :3], wanted(desktop.pictures[RIGHT], 400.0))
        assert np.array_equal(screen.picture_light, desktop.pictures[RIGHT])
        facts = screen.describe()
    assert (facts["backend"], facts["monitor"], facts["rectangle"]) == ("hdr", 2, [*RIGHT])
    assert desktop.opened == [0]  # DXGI's first output is the right monitor


def test_a_region_is_cut_out_of_picture_and_light(desktop: HdrDesktop) -> None:
    with opened(region=(70, 10, 20, 30)) as screen:
        part = desktop.pictures[RIGHT][10:40, 6:26]
        assert np.array_equal(screen.grab()[..., :3], wanted(part, 200.0))
        assert np.array_equal(screen.picture_light, part)


def test_a_window_is_followed_to_the_other_monitor(
    desktop: HdrDesktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Game:
        title, id, others, place = "Game", 1, [], (10, 8, 30, 20)

        def rectangle(self) -> Any:
            return self.place

        def covering(self) -> None:
            return None

        def close(self) -> None:
            """Nothing is held."""

    game = Game()
    monkeypatch.setattr(capture.screens.screen, "find_window", lambda title: game)
    with opened(window="Game") as screen:
        screen.grab()
        assert np.array_equal(screen.picture_light, desktop.pictures[LEFT][8:28, 10:40])
        game.place = (74, 8, 30, 20)
        screen.grab()
        assert np.array_equal(screen.picture_light, desktop.pictures[RIGHT][8:28, 10:40])
    assert desktop.opened == [1, 0]


def test_later_pictures_do_not_write_into_earlier_ones(desktop: HdrDesktop) -> None:
    with opened() as screen:
        first, light = screen.grab(), screen.picture_light
        before = first.copy(), light.copy()
        for seed in range(9):
            desktop.pictures[LEFT] = speckled(LEFT[2:], seed=seed + 50)
            assert not np.array_equal(screen.grab(), before[0])
        assert np.array_equal(first, before[0])
        assert np.array_equal(light, before[1])


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_pictures_of_a_turned_monitor_are_upright(quarters: int, desktop: HdrDesktop) -> None:
    upright = desktop.pictures[LEFT]
    desktop.quarters = quarters
    desktop.pictures[LEFT] = np.rot90(upright, quarters)  # as its panel shows it
    with opened(region=(8, 4, 40, 30)) as screen:
        assert np.array_equal(screen.grab()[..., :3], wanted(upright[4:34, 8:48], 200.0))


def test_white_is_followed_while_its_slider_moves(
    desktop: HdrDesktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture.screens.screen, "MONITOR_CHECK_S", -1.0)
    with opened() as screen:
        for white in (200.0, 480.0, 80.0):
            desktop.white[NAMES[LEFT]] = white
            assert np.array_equal(screen.grab()[..., :3], wanted(desktop.pictures[LEFT], white))


def test_white_that_windows_does_not_tell_is_diffuse_white(desktop: HdrDesktop) -> None:
    desktop.white[NAMES[LEFT]] = None
    with opened() as screen:
        assert np.array_equal(screen.grab()[..., :3], wanted(desktop.pictures[LEFT], WHITE_NITS))


def test_an_sdr_desktop_is_seen_as_it_is_and_has_no_light(desktop: HdrDesktop) -> None:
    levels = np.random.default_rng(3).integers(0, 256, (48, 64, 4), dtype=np.uint8)
    desktop.pictures[LEFT] = levels
    with opened() as screen:
        assert np.array_equal(screen.grab(), levels)
        assert screen.picture_light is None


def test_hdr_that_is_switched_off_while_recording_is_a_miss_and_then_sdr(
    desktop: HdrDesktop,
) -> None:
    with opened() as screen:
        screen.grab()
        desktop.pictures[LEFT] = np.full((48, 64, 4), 7, np.uint8)
        desktop.fails = [OSError(errno.EIO, "AcquireNextFrame failed: 887a0026")]
        with pytest.raises(NotVisible, match="cannot be read now"):
            screen.grab()
        assert screen.picture_light is None
        assert np.all(screen.grab() == 7)
        assert screen.picture_light is None


def test_a_locked_screen_is_a_miss_until_it_is_back(desktop: HdrDesktop) -> None:
    with opened() as screen:
        desktop.fails = [OSError(errno.EPERM, "Desktop duplication access denied")]
        with pytest.raises(NotVisible, match="it is locked"):
            screen.grab()
        desktop.locked = True
        for _ in range(2):
            with pytest.raises(NotVisible, match=r"it is locked.*no outputs"):
                screen.grab()
        desktop.locked = False
        assert np.array_equal(screen.grab()[..., :3], wanted(desktop.pictures[LEFT], 200.0))


def test_a_changed_resolution_is_followed(
    desktop: HdrDesktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture.screens.screen, "MONITOR_CHECK_S", -1.0)
    small = (0, 0, 32, 24)
    monkeypatch.setitem(NAMES, small, NAMES[LEFT])
    with opened() as screen:
        assert screen.grab().shape == (48, 64, 4)
        desktop.monitors, desktop.on_card = [small, small], [small]
        desktop.pictures[small] = speckled(LEFT[2:])  # between two modes
        with pytest.raises(NotVisible, match="resolution of the screen is changing"):
            screen.grab()
        desktop.pictures[small] = speckled(small[2:])
        desktop.fails = [OSError(errno.EIO, "Output parameters changed!")]
        with pytest.raises(NotVisible, match="Output parameters changed"):
            screen.grab()
        assert screen.grab().shape == (24, 32, 4)


def test_all_monitors_together_are_refused(desktop: HdrDesktop) -> None:
    with pytest.raises(UserError, match="one monitor at a time") as caught:
        opened(monitor=0)
    assert "--backend hdr" in caught.value.remedy


def test_a_monitor_of_another_graphics_card_is_refused(desktop: HdrDesktop) -> None:
    desktop.on_card = [LEFT]
    with pytest.raises(UserError, match="Monitor 2 is not connected to the first graphics card"):
        opened(monitor=2)


def test_a_monitor_that_cannot_be_opened_at_first_is_an_error_of_the_user(
    desktop: HdrDesktop,
) -> None:
    desktop.locked = True
    with pytest.raises(UserError, match="Monitor 1 cannot be read: no outputs") as caught:
        opened()
    assert not isinstance(caught.value, NotVisible)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has it")
def test_elsewhere_it_is_refused() -> None:
    assert not is_there()
    with pytest.raises(UserError, match="--backend hdr needs Windows"):
        opened()
    with pytest.raises(Failed, match="ddagrab"):
        Ddagrab(0)


def test_without_what_writes_shots_it_does_not_start(
    desktop: HdrDesktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(UserError, match="imagecodecs") as caught:
        opened()
    assert "unclip[hdr]" in caught.value.remedy
    assert desktop.opened == []
