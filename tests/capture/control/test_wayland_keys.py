"""Recorders of a Wayland desktop, commanded by its keys: all of it real but who presses them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT
from helpers.command_line import run_cli
from helpers.painted import noise
from helpers.processes import Process, Thread
from helpers.waiting import SOON_S, soon
from helpers.wayland_client import PaintedWindow, moving_pictures
from helpers.wayland_desktop import Desktop, wayland_desktop

from capture.control.channel import send_command
from capture.control.endpoints import read_endpoint
from capture.options import CaptureOptions, SweepOptions
from capture.sweep.sweep import run_sweep
from dataset.sessions.manifest import read_lines

pytestmark = pytest.mark.slow


class Recording(Process):
    """A recorder in another process, whose keys are asked for."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.out = folder / "captures"
        self._errors = open(folder / "errors", "wb")  # noqa: SIM115  # closed by `ended`
        command = ["-m", "cli", "capture", "--hotkey", "--session", "s", "--out", str(self.out)]
        super().__init__(
            [sys.executable, *command, "--disk-floor", "0", *more],
            stdout=subprocess.PIPE, stderr=self._errors, text=True, cwd=ROOT,
        )  # fmt: skip

    def status(self) -> dict[str, Any]:
        """What it does, once it listens and the desktop has answered its questions."""
        endpoint = soon(lambda: read_endpoint(self.out))
        assert endpoint is not None

        def answered() -> dict[str, Any]:
            told = dict(send_command(endpoint, "status")["status"])
            return {} if told["state"] == "asking" else told

        return soon(answered)

    @property
    def log(self) -> str:
        log = self.out / "recorder.log"
        return log.read_text(encoding="utf-8") if log.exists() else ""

    def ended(self) -> str:
        """What it printed by its end, both streams."""
        printed, _ = self.communicate(timeout=60)
        self._errors.close()
        assert self.returncode == 0, Path(self._errors.name).read_text(encoding="utf-8")
        return str(printed) + Path(self._errors.name).read_text(encoding="utf-8")


@contextmanager
def moving_desktop(fake: str) -> Iterator[Desktop]:
    with wayland_desktop("320x200", fake=fake) as desktop, moving_pictures(20):
        yield desktop


@contextmanager
def playing(game: PaintedWindow, pressed: Callable[[], int]) -> Iterator[None]:
    """A game that shows another picture after each press of a key."""
    ended = threading.Event()

    def play() -> None:
        shown = 0
        while not ended.wait(0.02):
            if (wanted := pressed()) != shown:
                shown = wanted
                game.paint(noise(shown, game.size))

    thread = Thread(play)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_keys_of_the_portal_start_label_and_end_a_recording(tmp_path: Path) -> None:
    with moving_desktop("GlobalShortcuts") as desktop:
        recording = Recording(tmp_path, "--fps", "10")
        soon(lambda: "Keys that the desktop gave: toggle: F9" in recording.log)
        soon(lambda: recording.status()["notice"] == "to record and pause: F9")
        desktop.fake.trigger("label-Y")
        desktop.fake.trigger("toggle")
        soon(lambda: recording.status()["frames"] > 3)
        desktop.fake.trigger("toggle")
        soon(lambda: recording.status()["state"] == "paused")
        desktop.fake.trigger("snap")
        desktop.fake.trigger("stop")
        printed = recording.ended()
    assert "stopped by key" in printed
    frames = list(read_lines(tmp_path / "captures" / "s"))
    assert {each.label for each in frames} == {"Y"}
    assert frames[-1].snap
    assert "toggle (key)" in recording.log


def test_without_such_a_portal_the_recorder_waits_for_commands(tmp_path: Path) -> None:
    with moving_desktop(""):
        recording = Recording(tmp_path, "--fps", "10")
        soon(lambda: "No global keys are heard" in recording.log)
        soon(lambda: "cli capture shortcuts" in (recording.status()["notice"] or ""))
        run_cli("capture", "toggle", "--out", str(recording.out))
        soon(lambda: recording.status()["frames"] > 1)
        run_cli("capture", "stop", "--out", str(recording.out))
        printed = recording.ended()
    assert "warn  | keys: This desktop's portal has no global keys (GlobalShortcuts)" in printed
    assert "The recorder waits for commands: `cli capture toggle`" in printed
    assert "stopped by control" in printed


def test_a_recorder_whose_portal_ends_records_on(tmp_path: Path) -> None:
    with moving_desktop("GlobalShortcuts") as desktop:
        recording = Recording(tmp_path, "--fps", "10", "--start")
        soon(lambda: recording.status()["frames"] > 1)
        desktop.kill("fake")
        before = recording.status()["frames"]
        soon(lambda: recording.status()["frames"] > before + 2)
        run_cli("capture", "stop", "--out", str(recording.out))
        recording.ended()


def test_a_recorder_says_that_the_desktop_asks(tmp_path: Path) -> None:
    with moving_desktop("") as desktop:
        desktop.answer("silence")
        recording = Recording(tmp_path, "--fps", "10", "--start")
        soon(lambda: desktop.questions)
        out = ("--out", str(recording.out))
        assert run_cli("capture", "status", *out) == "asking\n"
        assert run_cli("capture", "status", "--json", *out) == '{"state": "asking"}\n'
        assert "The desktop asks you first" in run_cli("capture", "snap", *out, code=1)
        desktop.answer("yes")
        soon(lambda: recording.status()["frames"] > 1)
        run_cli("capture", "stop", *out)
        recording.ended()


def test_ctrl_c_ends_a_recorder_whose_dialog_is_not_answered(tmp_path: Path) -> None:
    with moving_desktop("GlobalShortcuts") as desktop:
        desktop.fake.answer("silence")
        recording = Recording(tmp_path)
        soon(lambda: desktop.fake.calls("BindShortcuts"))
        recording.send_signal(2)
        assert "interrupted" in recording.ended()


def test_a_sweep_presses_keys_by_the_portal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capture.sweep.sweep.LATE", 10 * SOON_S)
    with wayland_desktop("320x200", fake="RemoteDesktop") as desktop, PaintedWindow() as game:
        game.paint(noise(0, game.size))

        def pressed() -> int:
            return sum(each[-1] for each in desktop.fake.calls("NotifyKeyboardKeysym"))

        with playing(game, pressed):
            summary = run_sweep(
                CaptureOptions(out=tmp_path / "captures", session="s", disk_floor_bytes=0),
                SweepOptions(key="]", steps=3, delay_s=0, settle_s=0.1),
            )
    assert summary.frames == 3
    frames = list(read_lines(tmp_path / "captures" / "s"))
    assert [each.light for each in frames] == ["step 0", "step 1", "step 2"]
    assert len({each.phash for each in frames}) > 1


def test_a_sweep_where_nobody_presses_keys_leaves_no_session(tmp_path: Path) -> None:
    with moving_desktop(""):
        printed = run_cli(
            "capture", "sweep", "--key", "]", "--out", str(tmp_path / "captures"), code=1
        )
    assert "RemoteDesktop" in printed
    assert "--driver flightgear" in printed
    assert not list((tmp_path / "captures").glob("*/session.json"))
