"""The command line: messages, exit codes, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click.core
import numpy as np
import pytest
from click.testing import CliRunner, Result
from helpers import ROOT

import cli
from dataset import own_window
from dataset.pictures.images import write_png

WHITE = np.full((20, 30, 3), 255, np.uint8)


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.main, list(words))


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_there(empty: Path, trained: Path) -> Path:
    """A working folder with ``data`` and a run of two steps."""
    return Path(shutil.copytree(trained, empty, dirs_exist_ok=True))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("capture", "--hotkey"),
        ("label", "cli capture --hotkey"),
        ("split", "cli capture --hotkey"),
        ("train", "cli split"),
        ("train --resume", "cli train"),
        ("train --dry-run", "cli split"),
        ("restore image.png", "No such file: image.png"),
        ("evaluate", "pairs.csv"),
        ("import nothing", "nothing"),
        ("train --device cuda:99", "--device"),
    ],
)
def test_an_empty_folder_gives_a_message_and_stays_empty(
    empty: Path, words: str, message: str
) -> None:
    result = run(*words.split())
    assert result.exit_code in (1, 2), result.output
    assert result.output.splitlines()[-1].startswith("Error: ")
    assert message in result.output
    assert not isinstance(result.exception, (KeyError, OSError, ValueError))
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        "capture --size 12",
        "capture --region 1,2,3",
        "split --counts 1,2,3,x",
        "train --epochs 0",
        "train --preset huge",
        "label --limit 300",
        "capture --size 0x5",
    ],
)
def test_a_malformed_option_is_named(empty: Path, words: str) -> None:
    result = run(*words.split())
    assert result.exit_code == 2
    assert words.split()[1] in result.output


def test_restoring_needs_no_run_and_says_how_to_get_one(empty: Path) -> None:
    write_png(empty / "image.png", WHITE)
    result = run("restore", "image.png")
    assert result.exit_code == 0
    assert "`cli train` makes one" in result.output
    assert (empty / "image_restored.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "words", "extra"),
    [
        ("torch", ("train",), "train"),
        ("panda3d.core", ("game",), "game"),
        ("torch", ("demo",), "all"),
    ],
)
def test_an_extra_that_is_missing_is_named(
    empty: Path, package: str, words: tuple[str], extra: str
) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; import cli; cli.main({words!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=empty, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"Install with: pip install 'unclip[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_resumed_run_keeps_its_settings(run_there: Path) -> None:
    refused = run("train", "--run", "tiny", "--resume", "--batch-size", "4")
    assert refused.exit_code == 2
    assert "--batch-size" in refused.output
    assert run("train", "--run", "tiny", "--resume", "--steps", "3").exit_code == 0


def test_evaluate_prints_json(run_there: Path) -> None:
    result = CliRunner().invoke(cli.main, ["evaluate", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["pairs"] == 6


def test_restore_writes_beside_the_input(run_there: Path) -> None:
    write_png(run_there / "image.png", WHITE)
    result = run("restore", "image.png")
    assert result.exit_code == 0
    assert "image.png -> image_restored.png (30x20, " in result.output
    again = run("restore", "image.png")
    assert again.exit_code == 2
    assert "--overwrite" in again.output


class OfWindows:
    """The module os, as on Windows."""

    name = "nt"

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def test_on_windows_brackets_stay_letters_and_the_users_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "shots").mkdir()
    for module in (click.core, cli):
        monkeypatch.setattr(module, "os", OfWindows())
    for word, said in (("[s]hots", "[s]hots"), ("~/none", str(tmp_path / "home" / "none"))):
        monkeypatch.setattr(sys, "argv", ["cli", "label", "--source", word])
        with pytest.raises(SystemExit):
            cli.main()
        assert said in capsys.readouterr().err


def test_train_names_its_preset_only_once_there_is_something_to_train(empty: Path) -> None:
    done = run("train", "--minutes", "1", "--device", "cpu")
    assert done.exit_code == 2
    assert "Make the data set first" in done.output
    assert "preset" not in done.output


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ([], ["restore", "--serve"]),
        (["{there}"], ["restore", "{there}"]),
        (["{there}", "{there}"], ["restore", "{there}", "{there}"]),
        (["{there}.gone"], ["{there}.gone"]),
        (["doctor"], ["doctor"]),
    ],
    ids=["nothing", "a file", "files", "no file", "a command"],
)
def test_a_double_click_asks_and_dropped_files_are_restored(
    words: list[str], meant: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "a.png"
    there.touch()
    words, meant = ([each.format(there=there) for each in some] for some in (words, meant))
    assert cli.started_with(words) == words
    monkeypatch.setattr(own_window, "is_own", lambda: True)
    monkeypatch.setattr("builtins.input", lambda: "2")
    assert cli.started_with(words) == meant


def test_keys_of_a_shortcut_are_told_from_what_somebody_reads() -> None:
    for words in (["capture", "toggle"], ["capture", "label", "X"], ["capture", "stop", "--json"]):
        assert cli.for_a_recorder(words)
    for words in ([], ["capture"], ["capture", "--hotkey"], ["capture", "repair", "s"], ["doctor"]):
        assert not cli.for_a_recorder(words)


def test_the_version_is_told_of_a_clone_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "version", lambda: "of a clone, not installed")
    done = CliRunner().invoke(cli.main, ["--version"])
    assert (done.exit_code, done.output) == (0, "unclip of a clone, not installed\n")
