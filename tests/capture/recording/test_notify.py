"""Notifications reach the desktop's own tools and are never in the way."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from helpers.waiting import SOON_S, soon

from capture.recording.notify import commands, notify

SCRIPT = """#!/bin/sh
for each in "$@"; do printf '%s\\n' "$each"; done > "$0.part"
mv "$0.part" "$0.told"
"""


def tool(folder: Path, name: str, text: str = SCRIPT) -> Path:
    """A program that writes its arguments, one a line, beside itself; that file."""
    path = folder / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path.with_name(f"{name}.told")


def lines_of(path: Path) -> list[str]:
    soon(path.exists, f"{path.name} was not written")
    return path.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_title_and_text_arrive_as_they_are(tools: Path) -> None:
    told = tool(tools, "notify-send")
    notify("unclip", "--녹화 $(date) 'X' \"Y\"")
    assert lines_of(told)[-3:] == ["--", "unclip", "--녹화 $(date) 'X' \"Y\""]


def test_a_sound_is_played_with_or_without_a_notice(tools: Path) -> None:
    shown, played = tool(tools, "notify-send"), tool(tools, "canberra-gtk-play")
    notify("unclip", "started", show=False, sound=True)
    assert "--id=message" in lines_of(played)
    assert not shown.exists()


def test_a_slow_tool_keeps_nobody_waiting(tools: Path) -> None:
    tool(tools, "notify-send", '#!/bin/sh\nwhile [ ! -e "$0.end" ]; do sleep 0.02; done\n')
    work = notify("unclip", "started")
    assert work.is_alive()
    (tools / "notify-send.end").touch()
    work.join(SOON_S)
    assert not work.is_alive()


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 1\n", "no program at all"])
def test_a_tool_that_fails_raises_nothing(tools: Path, text: str) -> None:
    tool(tools, "notify-send", text)
    notify("unclip", "started")


def test_without_any_tool_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    notify("unclip", "started", show=True, sound=True)


def test_each_system_has_its_own_tools() -> None:
    assert commands("a", "b", True, True, "darwin")[0][-2:] == ["a", "b"]
    [toast] = commands("unclip", "it's", True, True, "win32")
    assert toast[0] == "powershell"
    assert toast[-1].endswith("'unclip' 'it''s'")
    assert commands("a", "b", False, False, "linux") == []
