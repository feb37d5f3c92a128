"""The doctor finds what is wrong, says what to do, and is content where all is well."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.painted import PaintedWindow, noise, own_server
from helpers.waiting import SOON_S

import capture.doctor.doctor
from capture.doctor.disk import free_disk_bytes, write_speed
from capture.doctor.doctor import _desktop, examine, warnings_at_start
from capture.doctor.finding import Finding, format_findings
from capture.options import CaptureOptions
from dataset.errors import UserError

SIZE = (320, 200)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same checks with shorter measurements, of a session that says nothing of itself."""
    monkeypatch.setattr(capture.doctor.doctor, "ENCODE_S", 0.05)
    monkeypatch.setattr(capture.doctor.doctor, "STILL_S", 0.02)
    monkeypatch.delenv("XDG_SESSION_ID", raising=False)


def found(findings: list[Finding], name: str, level: str | None = None) -> Finding:
    """The one finding of that name."""
    assert all(each.remedy for each in findings if each.level != "ok"), findings
    [one] = [each for each in findings if each.name == name and level in (None, each.level)]
    return one


def options(tmp_path: Path, **changed: Any) -> CaptureOptions:
    wanted: dict[str, Any] = {"out": tmp_path / "new" / "captures", "window": "the game"}
    return CaptureOptions(**{**wanted, "disk_floor_bytes": 0, **changed})


class FakeSystem(SimpleNamespace):
    """A system that answers what a test wants; everything is well otherwise."""

    def __init__(self, **answers: Any) -> None:
        well = {"screen_locked": False, "hdr_displays": [], "missing_permissions": []}
        super().__init__(**{name: lambda one=one: one for name, one in {**well, **answers}.items()})
        self.elevated_window = lambda title: answers.get("elevated_window")


def test_a_game_that_can_be_recorded_gets_no_warning(display: str, tmp_path: Path) -> None:
    with PaintedWindow("The Game", size=SIZE) as game:
        game.paint(noise(1, SIZE))
        findings = examine(options(tmp_path, hotkey=True, fps=1.0))
    assert {each.level for each in findings} == {"ok"}, format_findings(findings)
    named = f"{display}, " if display else ""  # desktops of Windows have no name
    assert found(findings, "display").message.startswith(f"{named}1280x800")
    assert found(findings, "picture").message.startswith("320x200 in ")
    assert '"The Game", 320x200 at 0,0' in found(findings, "window").message
    assert "minutes at 1 frames/s" in found(findings, "disk").message
    assert not (tmp_path / "new").exists()


def test_a_covered_window_is_named_with_its_cover(display: str, tmp_path: Path) -> None:
    with PaintedWindow("The Game", size=SIZE), PaintedWindow("Notes", size=SIZE):
        findings = examine(options(tmp_path))
    assert 'covered by "Notes"' in found(findings, "picture", "warning").message
    assert found(findings, "disk").level == "ok"


def test_a_window_that_is_not_there_is_a_fault(display: str, tmp_path: Path) -> None:
    assert "No visible window" in found(examine(options(tmp_path)), "picture", "fault").message


def test_a_black_picture_is_told_with_the_way_out(display: str, tmp_path: Path) -> None:
    with PaintedWindow("The Game", size=SIZE):
        finding = found(examine(options(tmp_path)), "black", "warning")
    assert "borderless" in str(finding.remedy)


def test_without_a_display_the_disk_is_still_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    findings = examine(options(tmp_path))
    assert found(findings, "display", "fault").message.startswith("No display")
    assert found(findings, "writing").level == "ok"


def test_the_window_is_named_and_others_that_match(display: str, tmp_path: Path) -> None:
    with PaintedWindow("The Game", (20, 30), SIZE) as game:
        [alone] = warnings_at_start(CaptureOptions(window="the game"))
        assert alone.level == "ok"
        assert alone.message == f'"The Game", 320x200 at 20,30 ({game.id:#x})'
        with PaintedWindow("The Game - Launcher", (400, 300)) as other:
            [finding] = warnings_at_start(CaptureOptions(window="the game"))
            assert finding.level == "warning"
            assert f'also "The Game - Launcher" ({other.id:#x}, 96x64)' in finding.message
            assert f"--window {other.id:#x}." in str(finding.remedy)
            assert "also" in found(examine(options(tmp_path)), "window").message
            [chosen] = warnings_at_start(CaptureOptions(window=f"{other.id:#x}"))
            assert chosen.level == "ok"
            assert chosen.message.startswith('"The Game - Launcher"')
    assert warnings_at_start(CaptureOptions(window="no such window")) == []


def test_wayland_is_a_fault_where_mss_is_asked_for(
    display: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setattr(capture.doctor.doctor, "is_xwayland", lambda: True)
    [finding] = warnings_at_start(CaptureOptions(backend="mss"))
    assert (finding.name, finding.level) == ("session", "fault")
    assert "--backend mss" in str(finding.remedy)


def test_a_full_disk_is_a_fault_and_a_small_one_a_warning(display: str, tmp_path: Path) -> None:
    full = options(tmp_path, disk_floor_bytes=1 << 60)
    with PaintedWindow("The Game", size=SIZE) as game:
        game.paint(noise(1, SIZE))
        assert "below the floor" in found(examine(full), "disk", "fault").message
        small = options(tmp_path, duration_s=1e12)
        assert found(examine(small), "disk", "warning").remedy


def test_a_folder_that_cannot_be_written_is_a_fault(display: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    findings = examine(options(tmp_path, out=tmp_path / "file" / "captures", window=None))
    assert "Cannot write in" in found(findings, "writing", "fault").message


def test_frames_that_come_too_fast_for_png_are_told(display: str, tmp_path: Path) -> None:
    wanted = options(tmp_path, window=None, fps=1000.0, codec="png")
    with PaintedWindow(size=(1280, 800)) as window:
        window.paint(noise(0, (1280, 800)))
        finding = found(examine(wanted), "encoding", "warning")
    assert "1000 asked for" in finding.message
    assert "--codec h264" in str(finding.remedy)


def test_keys_that_cannot_be_told_apart_are_a_fault_only_if_keys_are_wanted(
    display: str, tmp_path: Path
) -> None:
    wanted = options(tmp_path, window=None, key_snap="<f9>")
    assert found(examine(wanted), "keys", "warning").message.startswith("The key '<f9>'")
    same = options(tmp_path, window=None, key_snap="<f9>", hotkey=True)
    assert found(examine(same), "keys", "fault").remedy


def test_hdr_lock_and_permissions_are_told_at_the_start_without_a_grab(
    display: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = FakeSystem(
        screen_locked=True, hdr_displays=["Dell U27"], missing_permissions=["Screen Recording"]
    )
    monkeypatch.setattr(capture.doctor.doctor, "_system", lambda: system)
    monkeypatch.setattr(capture.doctor.doctor, "open_screen", None)
    findings = warnings_at_start(CaptureOptions())
    assert [each.name for each in findings] == ["lock", "hdr", "permission"]
    assert "Dell U27" in found(findings, "hdr").message
    assert "Record with --backend hdr" in found(findings, "hdr").remedy
    assert "turn HDR off" in found(findings, "hdr").remedy
    assert "`cli expose`" in found(findings, "hdr").remedy


def test_a_back_end_that_was_never_run_is_told_at_the_start(
    display: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture.doctor.doctor, "_system", lambda: FakeSystem())
    monkeypatch.setattr(capture.doctor.doctor, "IS_WINDOWS", False)
    assert warnings_at_start(CaptureOptions(backend="hdr")) == []  # opening it says so
    monkeypatch.setattr(capture.doctor.doctor, "IS_WINDOWS", True)
    [finding] = warnings_at_start(CaptureOptions(backend="dxcam"))
    assert finding.name == "backend"
    assert "never run DXcam" in finding.message
    system = FakeSystem(hdr_displays=["Dell U27"])
    monkeypatch.setattr(capture.doctor.doctor, "_system", lambda: system)
    [finding] = warnings_at_start(CaptureOptions(backend="hdr"))
    assert finding.name == "backend"
    assert "never run --backend hdr" in finding.message
    assert "leave --backend hdr out" in str(finding.remedy)


@pytest.mark.parametrize(
    ("backend", "shown", "level"),
    [("auto", [], "ok"), ("auto", ["A"], "warning"), ("hdr", ["A"], "ok"), ("hdr", [], "warning")],
)
def test_hdr_is_a_fault_only_where_the_back_end_does_not_want_it(
    backend: str, shown: list[str], level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        capture.doctor.doctor, "_system", lambda: FakeSystem(hdr_displays=list(shown))
    )
    monkeypatch.setattr(capture.doctor.doctor, "IS_WINDOWS", True)
    monkeypatch.setattr(capture.doctor.doctor, "find_spec", lambda name: None)
    finding = found([*_desktop(CaptureOptions(backend=backend))], "hdr", level)
    assert ("on (A)" in finding.message) == bool(shown)
    named = "pip install 'unclip[hdr]'. Or" in str(finding.remedy)
    assert named == (backend == "auto" and shown != [])


def test_a_game_run_by_the_administrator_is_told(
    display: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(capture.doctor.doctor, "_system", lambda: FakeSystem(elevated_window="Sim"))
    finding = found(examine(options(tmp_path, window=None)), "keys", "warning")
    assert '"Sim" runs as administrator' in finding.message


def test_a_system_too_old_to_be_asked_is_no_fault(
    display: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = FakeSystem()
    system.hdr_displays = system.screen_locked = no_such_function
    monkeypatch.setattr(capture.doctor.doctor, "_system", lambda: system)
    assert warnings_at_start(CaptureOptions()) == []


def test_the_portal_is_told_of_where_the_screen_is_opened_on_other_systems(
    monkeypatch: pytest.MonkeyPatch, display: str, tmp_path: Path
) -> None:
    monkeypatch.setattr(capture.doctor.doctor, "_system", lambda: FakeSystem())
    monkeypatch.setattr(capture.doctor.doctor, "_wayland", None)  # its libraries are Linux's
    monkeypatch.setattr(sys, "platform", "darwin")
    asked = options(tmp_path, window=None, backend="portal")
    assert warnings_at_start(asked) == []
    assert "--backend portal needs Linux" in found(examine(asked), "picture", "fault").message


def no_such_function() -> None:
    raise AttributeError("function 'CGSessionCopyCurrentDictionary' not found")


@pytest.mark.parametrize(
    ("hint", "where", "warned"),
    [("yes", "same", True), ("no", "same", False), ("yes", ":77", False)],
)
def test_the_lock_hint_of_the_own_session_is_believed(
    display: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hint: str,
    where: str,
    warned: bool,
) -> None:
    script = tmp_path / "loginctl"
    shown = display if where == "same" else where
    script.write_text(f"#!/bin/sh\necho LockedHint={hint}\necho Display={shown}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_SESSION_ID", "3")
    assert [each.name for each in warnings_at_start(CaptureOptions())] == ["lock"] * warned


def test_a_screen_saver_is_told() -> None:
    with own_server():
        assert warnings_at_start(CaptureOptions()) == []
        subprocess.run(["xset", "s", "activate"], check=True, timeout=SOON_S)
        assert [each.name for each in warnings_at_start(CaptureOptions())] == ["lock"]


def test_findings_are_printed_one_a_line_with_the_remedy_below() -> None:
    findings = [
        Finding("display", "ok", ":99, 1280x800"),
        Finding("disk", "fault", "full", "Tidy."),
    ]
    assert format_findings(findings).splitlines() == [
        "ok    | display: :99, 1280x800",
        "fault | disk: full",
        "        Tidy.",
    ]


def test_the_disk_is_measured_where_the_folder_will_be(tmp_path: Path) -> None:
    there = tmp_path / "not" / "yet"
    assert free_disk_bytes(there) > 0
    assert write_speed(there) > 0
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--out"):
        write_speed(tmp_path / "file" / "captures")


def test_the_page_on_games_explains_every_finding() -> None:
    root = Path(__file__).parents[3]
    files = [root / "capture" / "doctor" / f"{name}.py" for name in ("doctor", "wayland")]
    code = "".join(each.read_text(encoding="utf-8") for each in files)
    page = (root / "docs" / "games.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| ([a-z]+) \|", page, re.M))
    names = set(re.findall(r'(?:Finding|fault_of)\(\s*"([a-z]+)"', code))
    assert {"display", "picture", "encoding", "portal", "stream"} <= names
    assert names <= explained
