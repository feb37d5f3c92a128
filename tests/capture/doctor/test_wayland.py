"""The doctor under Wayland: in a real desktop, with its portals, PipeWire and consent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.painted import noise
from helpers.waiting import soon
from helpers.wayland_client import PaintedWindow, moving_pictures
from helpers.wayland_desktop import Desktop, started_desktop, wayland_desktop

import capture.doctor.doctor
import capture.doctor.wayland
from capture.consent import keep_token, kept_token
from capture.doctor.doctor import examine, warnings_at_start
from capture.doctor.finding import Finding
from capture.options import CaptureOptions
from capture.screens import libpipewire
from capture.screens.wayland import WaylandScreen


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture.doctor.doctor, "ENCODE_S", 0.05)
    monkeypatch.setattr(capture.doctor.doctor, "STILL_S", 0.1)
    monkeypatch.setattr(capture.doctor.wayland, "RATE_S", 1.0)


def options(tmp_path: Path, **changed: Any) -> CaptureOptions:
    return CaptureOptions(out=tmp_path / "captures", disk_floor_bytes=0, **changed)


def found(findings: list[Finding], name: str) -> Finding:
    assert all(each.remedy for each in findings if each.level != "ok"), findings
    [one] = [each for each in findings if each.name == name]
    return one


def consent() -> None:
    """Say yes in the desktop's dialog, as at the first recording."""
    WaylandScreen(CaptureOptions()).close()


def test_a_game_that_can_be_recorded_is_looked_at_by_the_consent_that_is_kept(
    wayland: Desktop, tmp_path: Path
) -> None:

    def well() -> list[Finding]:
        """The findings, once the desktop did not stand still while it was looked at."""
        findings = examine(options(tmp_path, fps=1.0))
        faulty = [each.name for each in findings if each.level != "ok"]
        moved = ", 0 pictures/s" not in found(findings, "stream").message
        return findings if faulty == ["keys"] and moved else []  # sway gives no keys

    with moving_pictures(60):
        consent()
        findings = soon(well)
    assert wayland.questions == 1  # that of the first recording
    names = [each.name for each in findings]
    assert names[:5] == ["session", "portal", "pipewire", "consent", "lock"]
    assert found(findings, "session").message == "Wayland, sway"
    expected = "ScreenCast 4 (monitors), no GlobalShortcuts, no RemoteDesktop"
    assert found(findings, "portal").message.replace("ScreenCast 5", "ScreenCast 4") == expected
    assert found(findings, "pipewire").message.startswith("it runs; library ")
    assert found(findings, "consent").message == "kept for a monitor: the desktop need not ask you"
    assert found(findings, "picture").message.startswith("1280x720 in ")
    assert found(findings, "motion").message.startswith("the picture changed")
    stream = found(findings, "stream").message
    assert stream.startswith("1280x720 BGRx, ")
    assert float(stream.split(", ")[1].split()[0]) > 0
    assert found(findings, "hdr").message == "not known"


def test_nobody_is_asked_where_consent_was_never_given(wayland: Desktop, tmp_path: Path) -> None:
    findings = examine(options(tmp_path))
    assert wayland.questions == 0
    consent = found(findings, "consent")
    assert consent.level == "warning"
    assert "which monitor may be recorded, this once" in consent.message
    assert not {"picture", "stream"} & {each.name for each in findings}
    assert found(findings, "writing").level == "ok"
    [told] = warnings_at_start(options(tmp_path))
    assert told.message == consent.message
    assert str(consent.remedy).startswith(str(told.remedy))
    assert wayland.questions == 0


def test_a_user_who_takes_consent_back_is_no_traceback(wayland: Desktop, tmp_path: Path) -> None:
    keep_token("monitor", "00000000-0000-4000-8000-000000000000")  # none that the desktop knows
    wayland.answer("no")
    assert "did not allow" in found(examine(options(tmp_path)), "picture").message


def test_a_still_screen_is_no_fault(wayland: Desktop, tmp_path: Path) -> None:
    with PaintedWindow() as window:
        window.paint(noise(1, window.size))
        consent()

        def at_rest() -> Finding | None:
            stream = found(examine(options(tmp_path)), "stream")
            still = "0 pictures/s from the desktop, as nothing moved"  # the last may come late
            return stream if stream.message.endswith(still) else None

        stream = soon(at_rest)
    assert stream is not None
    assert stream.level == "ok"


def test_a_desktop_slower_than_the_recording_is_told(wayland: Desktop, tmp_path: Path) -> None:
    with moving_pictures(10):
        consent()
        stream = found(examine(options(tmp_path, fps=200.0)), "stream")
    assert stream.level == "warning"
    assert stream.message.endswith("200 asked for")


def test_a_window_where_the_portal_has_none_is_a_fault(wayland: Desktop, tmp_path: Path) -> None:
    portal = found(examine(options(tmp_path, window="game")), "portal")
    assert portal.level == "fault"
    assert "cannot record a window" in portal.message


def test_keys_that_the_desktop_does_not_give_are_told_at_the_start_if_they_are_wanted(
    wayland: Desktop, tmp_path: Path
) -> None:
    keys = found(examine(options(tmp_path)), "keys")
    assert keys.level == "warning"
    assert "cli capture shortcuts" in str(keys.remedy)
    assert keys in warnings_at_start(options(tmp_path, hotkey=True))
    assert keys not in warnings_at_start(options(tmp_path))


@pytest.fixture
def own_desktop() -> Iterator[Desktop]:
    with wayland_desktop() as desktop:
        yield desktop


@pytest.mark.slow
def test_a_desktop_with_global_keys_has_them(tmp_path: Path) -> None:
    with started_desktop(fake="GlobalShortcuts") as desktop, desktop.use():
        findings = examine(options(tmp_path, hotkey=True))
    assert found(findings, "keys").level == "ok"
    assert "GlobalShortcuts 1, no RemoteDesktop" in found(findings, "portal").message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed", "name", "said"),
    [
        ("pipewire", "pipewire", "PipeWire does not run"),
        ("portal", "portal", "no portal"),
        ("bus", "portal", "no session bus"),
    ],
)
def test_a_part_that_is_missing_is_a_fault(
    own_desktop: Desktop, tmp_path: Path, killed: str, name: str, said: str
) -> None:
    own_desktop.kill(killed)
    fault = found(examine(options(tmp_path)), name)
    assert fault.level == "fault"
    assert said in fault.message


@pytest.mark.slow
def test_a_portal_whose_back_end_has_ended_is_a_fault_and_consent_is_kept(
    own_desktop: Desktop, tmp_path: Path
) -> None:
    with moving_pictures(30):
        consent()
    own_desktop.kill("xdpw")
    fault = found(examine(options(tmp_path)), "picture")
    assert "CreateSession" in fault.message
    assert "restart xdg-desktop-portal" in str(fault.remedy)
    assert kept_token("monitor") is not None


def test_without_the_library_nothing_is_recorded(
    wayland: Desktop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libpipewire, "LIBRARY", "libpipewire-none.so")
    libpipewire.load.cache_clear()
    fault = found(examine(options(tmp_path)), "pipewire")
    assert fault.level == "fault"
    assert "apt-get install libpipewire-0.3-0" in str(fault.remedy)
