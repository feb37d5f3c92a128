"""The bundle for Windows: its start file, and what of the sources it has to know."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from helpers import ROOT

import cli
from capture.options import CaptureOptions

START = ROOT / ".ci" / "windows" / "start.py"
COMMANDS = cli.main.commands
SOURCES = [p for room in ("capture", "dataset", "model") for p in (ROOT / room).rglob("*.py")]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Starts the bundle under a name; the words that reach the command line."""
    reached: list[list[str]] = []
    monkeypatch.setattr(cli, "main", lambda: reached.append(sys.argv[1:]))

    def start(program: str, *words: str) -> list[str]:
        monkeypatch.setattr(sys, "executable", str(Path("bundle", program)))
        monkeypatch.setattr(sys, "argv", [program, *words])
        runpy.run_path(str(START))["start"]()
        return reached.pop()

    return start


def test_it_is_the_command_line(start: Callable[..., list[str]]) -> None:
    assert start("unclip.exe", "restore", "a.png") == ["restore", "a.png"]
    assert start("unclip.exe") == []


@pytest.mark.parametrize("name", ["unclip-record.exe", "Unclip-Record (2).exe"])
def test_its_other_program_records_by_keys(start: Callable[..., list[str]], name: str) -> None:
    words = start(name, "--window", "Flight")
    assert words == [*cli.record_words(), "--window", "Flight"]
    settings = options_of(words)
    assert settings["hotkey"]
    assert settings["window"] == "Flight"
    assert Path(settings["out"]).is_absolute()


def options_of(words: list[str]) -> dict[str, Any]:
    command = COMMANDS[words[0]]
    return dict(command.make_context(words[0], words[1:]).params)


@pytest.mark.parametrize("words", cli.start_menu().values(), ids=cli.start_menu())
def test_what_the_menu_offers_are_commands(words: list[str]) -> None:
    assert isinstance(COMMANDS[words[0]], click.Command)
    assert options_of(words)


def test_the_menu_tells_the_keys_that_record() -> None:
    first = next(iter(cli.start_menu())).lower()
    for key in (CaptureOptions.key_record, CaptureOptions.key_stop):
        assert re.sub("[<>]", "", key) in first


@pytest.mark.slow
def test_it_runs_the_recorder_as_python_does() -> None:
    words = ["-m", "capture.control.daemon", '{"fps": 5}']
    said = [
        subprocess.run(
            [sys.executable, *start, *words], cwd=ROOT, capture_output=True, text=True, timeout=60,
            stdin=subprocess.DEVNULL, env=None,
        )
        for start in ([], ["-c", RUNS])
    ]  # fmt: skip
    assert "These are no settings of a recording" in said[0].stdout
    assert said[0].stdout == said[1].stdout
    assert said[0].returncode == said[1].returncode == 2


RUNS = f"""
import runpy, sys
runpy.run_path({str(START)!r}, run_name="__main__")
"""


def test_it_runs_no_module_of_others(start: Callable[..., list[str]]) -> None:
    assert start("unclip.exe", "-m", "http.server") == ["-m", "http.server"]


def test_every_process_of_our_own_is_known_to_the_bundle() -> None:
    """`sys.executable` is no Python in a bundle: one file names it, one starts it."""
    texts = {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in SOURCES}
    started = {m for text in texts.values() for m in re.findall(r'module_command\("(.+?)"', text)}
    assert started == set(runpy.run_path(str(START))["MODULES"])
    users = {name for name, text in texts.items() if "sys.executable" in text}
    names = ("capture/children.py", "dataset/own_program.py", "dataset/own_window.py")
    assert users == set(names)


def test_every_package_that_is_imported_by_name_is_known_to_the_bundle() -> None:
    texts = [path.read_text(encoding="utf-8") for path in SOURCES]
    imported = {n for t in texts for n in re.findall(r'\b(?:package|import_module)\(f?"(\w+)', t)}
    spec = (START.parent / "unclip.spec").read_text(encoding="utf-8")
    known = re.search(r"^BY_NAME = \((.+?)\)", spec, re.MULTILINE)
    assert known is not None
    assert imported - {"capture"} == set(re.findall(r'"(\w+)"', known[1]))
