"""Files that another program has open on Windows: waited for a moment, then named; nothing lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from helpers.held import held, violation
from helpers.processes import Process
from helpers.waiting import SOON_S

import cli
from dataset import files, parts
from dataset.errors import UserError


def replace_by_rename(path: Path) -> None:
    other = path.with_name("newer")
    other.write_text("new")
    files.move_over(other, path)


def remove_folder(path: Path) -> None:
    (path.parent / parts.OWN_MARKER).write_text("")
    parts.remove_marked(path.parent)


def append(path: Path) -> None:
    with files.open_to_append(path) as file:
        file.write(b"new")


WAYS: dict[str, Callable[[Path], object]] = {
    "write": lambda path: files.write_whole(path, b"new"),
    "replace": replace_by_rename,
    "rename": lambda path: files.move_new(path, path.with_name("moved")),
    "set aside": lambda path: files.move_aside(path, path.parent / "damaged"),
    "append": append,
    "cut": lambda path: files.cut_file(path, 1),
    "remove": files.remove_file,
    "remove the folder": remove_folder,
}


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files, "_rename_exclusively", lambda source, target: False)  # not Windows'
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "mine.txt"
    path.write_text("mine")
    return path


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held is waited for as long as it takes: a busy machine may let go late."""
    clock = SimpleNamespace(monotonic=lambda: 0.0, sleep=time.sleep)
    monkeypatch.setattr(files, "time", clock)


@pytest.mark.usefixtures("_patient")
@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_a_scanner_holds_for_a_moment_is_waited_for(mine: Path, way: str) -> None:
    with held(mine, for_s=0.3):
        WAYS[way](mine)
    assert not mine.exists() or mine.read_text() in ("new", "minenew", "m")
    assert not list(mine.parent.parent.rglob("*.part"))


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_stays_held_is_named_and_stays_as_it_is(
    mine: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.patiently, "__kwdefaults__", {"wait_s": 0.1, "lingers": False})
    with held(mine), pytest.raises((OSError, UserError)) as caught:
        WAYS[way](mine)
    told = caught.value if isinstance(caught.value, UserError) else caught.value.strerror
    assert "access to mine.txt was denied" in str(told)
    assert "may have it open. Close that, and try again" in str(told)
    assert mine.read_text() == "mine"
    assert not list(mine.parent.parent.rglob("*.part"))


@pytest.mark.usefixtures("_patient")
def test_a_folder_deep_in_one_that_is_deleted_is_waited_for(tmp_path: Path) -> None:
    made = tmp_path / "made"
    parts.make_marked(made, "A test.")
    (made / "deep").mkdir()
    (made / "deep" / "held").write_text("held")
    with held(made / "deep" / "held", for_s=0.3):
        parts.remove_marked(made)
    assert not made.exists()


@pytest.mark.usefixtures("_patient")
def test_a_finished_folder_is_renamed_once_its_files_are_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_rename_exclusively", lambda source, target: False)
    parts.make_marked(tmp_path / "made", "A test.")
    with held(tmp_path / "made", for_s=1.5) if os.name != "nt" else nullcontext():
        parts.move_finished(tmp_path / "made", tmp_path / "target")
    assert os.listdir(tmp_path / "target") == []


def test_a_part_that_is_held_stays_until_the_next_time(tmp_path: Path) -> None:
    part = tmp_path / ".a.png.999999999.part"
    part.write_text("half")
    with held(part):
        assert parts.remove_parts(tmp_path) == 0
    assert parts.remove_parts(tmp_path) == 1


def test_what_another_process_is_writing_is_left_to_it(tmp_path: Path) -> None:
    writer = Process([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    part = tmp_path / f".a.png.{writer.pid}.part"
    part.write_text("half")
    assert parts.remove_parts(tmp_path) == 0
    assert parts.is_being_written(tmp_path / "a.png")
    assert writer.poll() is None  # on Windows, a signal to ask it would have ended it
    writer.communicate(b"\n", timeout=SOON_S)
    assert parts.remove_parts(tmp_path) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows says the same of held files")
def test_what_may_not_be_written_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "mine.txt")

    waits: list[float] = []
    monkeypatch.setattr(files, "time", SimpleNamespace(monotonic=lambda: 0, sleep=waits.append))
    with pytest.raises(PermissionError, match="Permission denied"):
        files.patiently(refuse)
    assert waits == []


def test_a_held_file_ends_any_command_with_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        files.patiently(refuse, wait_s=0)

    def refuse() -> None:
        raise violation(tmp_path / "labels.csv")

    (tmp_path / "labels.csv").touch()
    monkeypatch.setattr("dataset.labelling.labels.label_captures", fail)
    done = CliRunner().invoke(cli.main, ["label"])
    assert done.exit_code == 1
    assert "Error: Cannot go on: access to labels.csv was denied" in done.output
    assert "Traceback" not in done.output
