"""What a key of the desktop answers: a notification, and nothing that would be on the frames."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.processes import LIFE_S, printed_by

from capture.control.key_answers import shown_answer
from capture.recording import notify
from dataset.errors import UserError

SCRIPT = '#!/bin/sh\nsleep 0.2\nshift 2\nprintf "%s\\n" "$@" >"$0.told"\n'
RECORDING = {"state": "recording", "frames": 1, "missed": 0, "clipped_fraction": None,
             "disk_free_bytes": 0, "session": "captures/s"}  # fmt: skip


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would be shown."""
    shown: list[str] = []
    monkeypatch.setattr(notify, "_notify", lambda title, text, *_: shown.append(text))
    return shown


def test_what_went_wrong_is_shown_and_remains_an_error(told: list[str]) -> None:
    with pytest.raises(UserError), shown_answer(True):
        raise UserError("No recorder is running.")
    assert told == ["No recorder is running."]


@pytest.mark.parametrize("state", ["paused", "ready", "stopped"])
def test_the_status_is_shown_while_nothing_is_recorded(state: str, told: list[str]) -> None:
    with shown_answer(True) as show:
        show({"ok": True, "status": {**RECORDING, "state": state}})
    [text] = told
    assert text.startswith(f"{state} | 1 frames")


def test_a_video_that_becomes_png_is_told_too(told: list[str]) -> None:
    with shown_answer(True) as show:
        show({"ok": True, "status": {"state": "developing"}})
    assert told == ["developing"]


def test_nothing_is_shown_on_the_frames_or_without_being_asked(told: list[str]) -> None:
    with shown_answer(True) as show:
        show({"ok": True, "status": RECORDING})
    with shown_answer(False) as show:
        show({"ok": True, "status": {**RECORDING, "state": "paused"}})
    with pytest.raises(UserError), shown_answer(False):
        raise UserError("No recorder is running.")
    assert told == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a script stands for a tool of Linux")
def test_a_command_waits_until_its_answer_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "notify-send"
    tool.write_text(SCRIPT)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    command = [sys.executable, str(ROOT / "cli.py"), "capture", "toggle", "--notify"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIFE_S, cwd=tmp_path)
    assert done.returncode == 1
    assert "No recorder is running" in done.stderr
    said = tool.with_name("notify-send.told").read_text(encoding="utf-8")
    assert said.startswith("unclip\nNo recorder is running")


def test_a_key_loads_nothing_heavy() -> None:
    code = (
        "import sys, cli\n"
        "try:\n    cli.main(['capture', 'toggle', '--notify', '--out', '/nowhere'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'torch', 'cv2', 'skimage', 'mss', 'pynput', 'numpy', 'av', 'jeepney', 'PIL'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))\n"
    )
    assert "LOADED []" in printed_by(code)
