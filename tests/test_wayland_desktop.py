"""The Wayland desktop of the tests: it is real, of its own, and ends with the test."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from helpers import ROOT, wayland_programs
from helpers.painted import noise
from helpers.processes import Process
from helpers.waiting import SOON_S, soon
from helpers.wayland_client import (
    PaintedWindow,
    moving_pictures,
    numbered_picture,
    read_stamp,
)
from helpers.wayland_desktop import (
    Desktop,
    KeptDesktop,
    mutter_desktop,
    started_desktop,
    wayland_desktop,
)
from helpers.wayland_programs import needs

from capture.portal import PORTAL, Bus, Denied, NoAnswer

PARTS = ["bus", "pipewire", "wireplumber", "sway", "filter", "store", "xdpw", "portal"]


@pytest.mark.slow
def test_every_program_runs_in_a_desktop_of_its_own_and_none_after_it() -> None:
    before = dict(os.environ)
    with wayland_desktop("800x600") as desktop:
        assert list(desktop.pids) == PARTS
        assert desktop.is_whole
        assert desktop.grim().shape == (600, 800, 3)
        assert os.environ["XDG_SESSION_TYPE"] == "wayland"
        assert "DISPLAY" not in os.environ
        pids, folder = desktop.pids, desktop.folder
    assert dict(os.environ) == before
    assert not folder.exists()
    assert not any(_lives(each) for each in pids.values())


@pytest.mark.slow
def test_each_program_can_be_killed() -> None:
    for name in PARTS[1:]:
        with started_desktop() as desktop:
            desktop.kill(name)
            assert not _lives(desktop.pids[name])
            assert not desktop.is_whole


@pytest.mark.slow
def test_a_desktop_ends_with_a_failing_test() -> None:
    pids: dict[str, int] = {}
    with suppress(ZeroDivisionError), wayland_desktop() as desktop:
        pids = desktop.pids
        _ = 1 / 0
    assert len(pids) == len(PARTS)
    assert not any(_lives(each) for each in pids.values())


@pytest.mark.slow
def test_another_desktop_is_kept_where_a_test_has_killed_a_part_of_it() -> None:
    kept = KeptDesktop()
    try:
        first = kept.whole()
        assert kept.whole() is first
        first.kill("portal")
        second = kept.whole()
        assert second is not first
        assert second.is_whole
        assert not any(map(_lives, first.pids.values()))
    finally:
        kept.close()


KILLED = """
import json, os, signal
from helpers.wayland_desktop import wayland_desktop
with wayland_desktop() as desktop:
    print(json.dumps(list(desktop.pids.values())), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_desktop_ends_where_the_tests_are_killed(wayland: Desktop, short_path: Path) -> None:
    path = {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", "TMPDIR": str(short_path)}  # what is left
    short_path.chmod(0o711)  # sway goes through it as nobody
    with Process(
        [sys.executable, "-c", KILLED], 60, stdout=subprocess.PIPE, env={**os.environ, **path}
    ) as process:
        assert process.stdout is not None
        pids = [int(each) for each in process.stdout.readline().strip(b"[]\n").split(b",")]
    assert len(pids) == len(PARTS)
    soon(lambda: not any(map(_lives, pids)))


def _lives(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def test_the_screen_shows_what_a_window_paints(wayland: Desktop) -> None:
    with PaintedWindow() as window:
        assert window.size == (1280, 720)
        for seed in range(3):
            window.paint(noise(seed, window.size))
            assert np.array_equal(wayland.grim(), noise(seed, window.size))


def test_a_window_with_a_size_floats_at_that_size(wayland: Desktop) -> None:
    with PaintedWindow("Small", (320, 200)) as window:
        window.paint(noise(1, (320, 200)))
        wayland.sway("[title=Small]", "move", "absolute", "position", "100", "60")
        soon(lambda: np.array_equal(wayland.grim()[60:260, 100:420], noise(1, (320, 200))))


def test_moving_pictures_carry_their_number_and_time(wayland: Desktop) -> None:
    with moving_pictures(30):
        first = wayland.grim()
        number, when_ns = read_stamp(first)
        assert np.array_equal(first, numbered_picture((1280, 720), number, when_ns))
        assert 0 <= time.monotonic_ns() - when_ns < SOON_S * 1e9
        soon(lambda: read_stamp(wayland.grim())[0] > number + 5)


def test_a_resized_screen_is_filled(wayland: Desktop) -> None:
    with moving_pictures(30):
        wayland.resize("800x600")
        soon(lambda: wayland.grim().shape == (600, 800, 3))
        soon(lambda: _is_numbered(wayland, (800, 600)))


def _is_numbered(desktop: Desktop, size: tuple[int, int]) -> bool:
    picture = desktop.grim()
    return np.array_equal(picture, numbered_picture(size, *read_stamp(picture)))


def test_keys_reach_what_sway_binds(wayland: Desktop, tmp_path: Path) -> None:
    for key in ("F9", "Control+F10"):
        wayland.sway("bindsym", key, "exec", f"mkdir {wayland.folder}/{key}")
    wayland.press("F9", "ctrl+F10")
    soon(lambda: all((wayland.folder / key).exists() for key in ("F9", "Control+F10")))


@pytest.fixture(scope="module")
def faked() -> Iterator[Desktop]:
    """A desktop with portals that sway lacks."""
    with started_desktop(fake="GlobalShortcuts;RemoteDesktop") as desktop, desktop.use():
        yield desktop


@pytest.mark.slow
def test_shortcuts_are_bound_and_heard_through_the_real_front_end(faked: Desktop) -> None:
    name = f"{PORTAL}.GlobalShortcuts"
    wanted = [("toggle", {"description": ("s", "Record"), "preferred_trigger": ("s", "F9")})]
    with Bus() as bus, bus.signals(name, "Activated") as presses:
        session = bus.session(name)
        told = bus.request(name, "BindShortcuts", "oa(sa{sv})sa{sv}", session, wanted, "")
        [(bound, about)] = told["shortcuts"]
        assert (bound, about["trigger_description"]) == ("toggle", "F9")
        faked.fake.trigger("toggle")
        press = presses.get(SOON_S)
        assert press is not None
        assert press[:2] == (session, "toggle")
        faked.fake.answer("no")
        with pytest.raises(Denied):
            bus.request(name, "BindShortcuts", "oa(sa{sv})sa{sv}", session, wanted, "")
        faked.fake.answer("silence")
        with pytest.raises(NoAnswer):
            bus.request(
                name, "BindShortcuts", "oa(sa{sv})sa{sv}", session, wanted, "", timeout_s=0.3
            )
        faked.fake.answer("yes")
    assert len(faked.fake.calls("BindShortcuts")) == 3


@pytest.mark.slow
def test_keys_of_a_remote_control_arrive_at_the_fake(faked: Desktop) -> None:
    name = f"{PORTAL}.RemoteDesktop"
    with Bus() as bus:
        assert bus.properties(name)["AvailableDeviceTypes"] == 3
        session = bus.session(name)
        bus.request(name, "SelectDevices", "oa{sv}", session, options={"types": ("u", 1)})
        assert bus.request(name, "Start", "osa{sv}", session, "")["devices"] == 1
        for state in (1, 0):
            bus.call(name, "NotifyKeyboardKeysym", "oa{sv}iu", session, {}, 0x2B, state)
    heard = "NotifyKeyboardKeysym"
    soon(lambda: len(faked.fake.calls(heard)) == 2)  # the front end waits for no answer
    assert [(key, state) for _, _, key, state in faked.fake.calls(heard)] == [(0x2B, 1), (0x2B, 0)]


@pytest.mark.slow
def test_gnomes_compositor_offers_to_cast_its_screen() -> None:
    with mutter_desktop("1280x720") as desktop:
        assert list(desktop.pids) == ["bus", "pipewire", "wireplumber", "mutter"]
        with PaintedWindow() as window:
            assert window.size == (1280, 720)


def test_what_is_missing_skips_a_test_and_fails_it_under_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(wayland_programs, "program", lambda name: None if name == "sway" else name)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs sway: apt-get install sway"):
        needs("sway", "grim")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="needs sway"):
        needs("sway", "grim")
    needs("grim")


def test_other_systems_skip_it_even_under_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.skip.Exception, match="Linux"):
        needs("sway")
