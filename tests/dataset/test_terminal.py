"""What reaches a terminal, and what happens when nothing does any more."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers import ROOT

import cli
from dataset import terminal
from dataset.pictures.images import write_png
from dataset.terminal import (
    Output,
    OutputGone,
    echo,
    fitted,
    lasting,
    progress,
    say,
    shown,
    status_line,
    to_json,
)

CLI = [sys.executable, str(ROOT / "cli.py")]
WHITE = np.full((20, 30, 3), 255, np.uint8)
# Clears a screen, sets a title, rings, ends a line, turns text round.
ODD = "a\x1b[2J\x1b]0;b\x07\nError: forged\u202egnp"
FULL = Path("/dev/full")


def acts(text: str) -> set[str]:
    """The characters of a text that a terminal would act on, line ends aside."""
    return {each for each in text if not each.isprintable() and each not in "\r\n"}


class StreamThatFails(io.StringIO):
    """A full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_status_covers_the_one_before_without_control_sequences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Consoles of Windows show them, and a line that wraps cannot be written over."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with status_line() as show:
        show("covered by " + "게임" * 60)
        show("1 frame")
    said = terminal.getvalue()
    assert not acts(said)
    lines = said.rstrip("\n").split("\r")[1:]
    assert [len(each.encode("cp949")) for each in lines] == [79, 79]  # two bytes: two columns
    assert lines[1] == "1 frame".ljust(79)


def test_progress_that_no_terminal_shows_is_whole_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "TOLD_S", 0)
    with progress("restoring", "file") as update:
        update(1, 4, "a.png")
        say("a.png is restored")
        monkeypatch.setattr(terminal, "TOLD_S", 1000)
        update(2, 4)
    out, err = capsys.readouterr()
    assert out == "a.png is restored\n"
    assert re.fullmatch(r"restoring:  25%\|.*\| 1/4 \[.*, a\.png\]\n", err)


@pytest.mark.parametrize(
    ("line", "columns", "fits"), [("ab", 1, "a"), ("게a", 2, "게"), ("게", 1, " "), ("", 2, "  ")]
)
def test_a_line_is_cut_between_signs(line: str, columns: int, fits: str) -> None:
    assert fitted(line, columns) == fits


def test_our_own_line_ends_stay_and_all_else_is_escaped() -> None:
    assert shown("one\ntwo\x1b[2J") == "one\ntwo\\x1b[2J"
    assert not acts(shown(ODD))


def test_json_stays_json_and_shows_nothing_raw() -> None:
    values = {"name": ODD + "\x9b\x7f", "half": "\udcff", "서울": [1, None]}
    text = to_json(values)
    assert not acts(text)
    assert json.loads(text) == values
    assert "서울" in text


def test_a_line_of_one_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(ODD)
    echo(ODD, error=True)
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert not acts(out + err)


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be there")
@pytest.mark.parametrize("words", [["restore"], ["import"], ["restore", "--method", "gamma"]])
def test_names_of_files_reach_no_terminal_raw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = tmp_path / f"{ODD}.png"
    write_png(picture, WHITE)
    for name in (picture.name, "broken" + picture.name, "missing" + picture.name):
        if name.startswith("broken"):
            (tmp_path / name).write_bytes(b"no picture")
        found = CliRunner().invoke(cli.main, [*words, name])
        assert found.output
        assert not acts(found.output), found.output
        assert not any(line.startswith("Error: forged") for line in found.output.splitlines())
    found = CliRunner().invoke(cli.main, [picture.name])
    assert not acts(found.output)


def test_a_stream_that_fails_ends_the_program_only_where_it_is_needed() -> None:
    needed, idle = Output(StreamThatFails(), True), Output(StreamThatFails(), False)
    for _ in range(2):
        with pytest.raises(OutputGone, match="No space"):
            needed.write("x")
        idle.write("x")
        idle.flush()
    Output(None, True).write("a program without any output")


def test_work_that_must_last_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Output(StreamThatFails(), True))
    with lasting():
        echo("nobody reads this")
    with pytest.raises(OutputGone):
        echo("nor this")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or not FULL.exists(), reason="has no such device")
@pytest.mark.parametrize(
    "words",
    ["--help", "--version", "split --help", "capture --list-keys", "restore --method gamma a.png"],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_takes_nothing_is_told(tmp_path: Path, words: str, unbuffered: str) -> None:
    write_png(tmp_path / "a.png", WHITE)
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with FULL.open("w") as full:
        done = subprocess.run(
            [*CLI, *words.split()],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1
    assert "Cannot write the output: No space left on device." in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="other numbers stand for its streams")
def test_a_program_started_without_streams_writes_into_no_file_of_its_own(tmp_path: Path) -> None:
    command = f'"{sys.executable}" "{ROOT / "cli.py"}" restore --method gamma a.png <&- >&- 2>&-'
    write_png(tmp_path / "a.png", WHITE)
    done = subprocess.run(command, shell=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.png", "a_restored.png"]


def test_what_an_encoding_has_no_sign_for_is_escaped() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    output = Output(stream, True)
    output.write("서울 ΔE")
    output.flush()
    assert stream.buffer.getvalue() == b"\\uc11c\\uc6b8 \\u0394E"  # type: ignore[attr-defined]
