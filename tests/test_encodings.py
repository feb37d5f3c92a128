"""Any encoding of the terminal will do, and no file is read or written by the system's encoding."""

from __future__ import annotations

import ast
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from helpers import ROOT
from helpers.folders import pictures, shots

import cli

SOURCES = [
    ROOT / "cli.py",
    *(path for room in ("capture", "dataset", "model") for path in (ROOT / room).rglob("*.py")),
]
STARTERS = ("subprocess.run", "subprocess.Popen", "subprocess.check_output")
ENCODINGS = ["ascii", "cp1252", "cp949"]
FOLDER = "홍길동 é 밝은😀"  # of which each encoding lacks a part


def by_the_system(text: str) -> Iterator[str]:
    """Each place where text goes by the system's encoding, as line and call."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            name, named = ast.unparse(node.func), {each.arg for each in node.keywords}
            if "encoding" not in named and (
                _is_text_file(name, node) or _is_text_pipe(name, named)
            ):
                yield f"{node.lineno}: {name}"


def _is_text_file(name: str, call: ast.Call) -> bool:
    if name.endswith((".read_text", ".write_text")):
        return len(call.args) < (1 if name.endswith(".read_text") else 2)
    if name not in ("open", "io.open", "os.fdopen", "io.TextIOWrapper"):
        return False
    modes = [*call.args[1:2], *(each.value for each in call.keywords if each.arg == "mode")]
    return not any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes)


def _is_text_pipe(name: str, named: set[str | None]) -> bool:
    return name in STARTERS and bool(named & {"text", "universal_newlines", "errors"})


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_text_goes_by_the_systems_encoding(path: Path) -> None:
    assert list(by_the_system(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "open(path)",
        "open(path, 'w')",
        "os.fdopen(number)",
        "path.read_text()",
        "path.write_text('a')",
        "subprocess.run(words, text=True)",
    ],
)
def test_text_by_the_systems_encoding_is_seen(line: str) -> None:
    assert len(list(by_the_system(f"{line}\n"))) == 1


class Terminal:
    """Standard output and error in an encoding, which refuse what it has no sign for."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self.out, self.error = (
            io.TextIOWrapper(io.BytesIO(), encoding, errors="strict", write_through=True)
            for _ in range(2)
        )

    def text(self, stream: io.TextIOWrapper) -> str:
        data = stream.buffer.getvalue()  # type: ignore[attr-defined]
        return str(data.decode(self.encoding, "replace"))  # click writes UTF-8 instead of ASCII

    def run(self, *words: str, code: int | None = 0) -> str:
        """What a command prints on standard output; it must end with this exit code, if any."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdout", self.out)
            patch.setattr(sys, "stderr", self.error)
            with pytest.raises(SystemExit) as ended:
                cli.main(list(words))
        said, why = self.text(self.out), self.text(self.error)
        assert code in (None, ended.value.code or 0), why
        assert "Traceback" not in why
        for stream in (self.out, self.error):
            stream.seek(0)
            stream.truncate()
        return said


def all_commands(command: Any = cli.main, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from all_commands(each, (*words, name))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / FOLDER
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_help_of_every_command_can_be_printed(encoding: str) -> None:
    terminal = Terminal(encoding)
    for words in all_commands():
        assert "Usage:" in terminal.run(*words, "--help")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_main_commands_print_names_of_any_language(encoding: str, work: Path) -> None:
    shots(work)
    (work / "shots").rename(work / FOLDER)
    terminal = Terminal(encoding)
    assert "captures" in terminal.run("import", FOLDER, "--session", FOLDER, "--label", "Y")
    assert json.loads(terminal.run("label", "--json"))
    assert "Y" in terminal.run("label")
    terminal.run("label", "--source", f"no {FOLDER}", code=2)
    terminal.run("split", "--fit", "--dry-run", "--json", code=2)
    session = work / "captures" / FOLDER
    assert json.loads(terminal.run("capture", "repair", str(session), "--json"))
    assert terminal.run("capture", "repair", str(session))
    terminal.run("capture", "status", "--out", FOLDER, code=1)
    terminal.run("capture", "--window", FOLDER, "--session", "x:y", code=2)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_restore_prints_names_of_any_language(encoding: str, work: Path) -> None:
    pictures(work)
    (work / "in").rename(work / FOLDER)
    terminal = Terminal(encoding)
    said = terminal.run("restore", "--method", "gamma", FOLDER, "-o", f"out {FOLDER}")
    assert "a_restored.png" in said
    terminal.run("restore", f"no {FOLDER}.png", code=2)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_is_json_in_every_encoding(encoding: str, work: Path) -> None:
    findings = json.loads(Terminal(encoding).run("doctor", "--out", FOLDER, "--json", code=None))
    assert any(FOLDER in each["message"] for each in findings)
