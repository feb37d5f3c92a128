"""Names that every system can have, and what is said of others wherever one is given."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from helpers.folders import film, shots
from helpers.painted import noise

import capture.recording.session
import cli
import dataset.names
from dataset import command_options
from dataset.errors import UserError
from dataset.names import (
    check_length,
    check_name,
    check_windows_path,
    fault_of,
    length_of,
    safe_name,
    takes_long_paths,
)
from dataset.pictures.images import write_png
from dataset.sessions.imports import import_files
from model.options import TrainOptions
from model.training.run_folder import _new_run

DEVICES = ["nul", "CON", "aux.txt", "com1", "LPT9.tar.gz", "prn .png", "COM¹", "conin$"]
ODD = [
    "a:b",
    "a<b",
    "a|b",
    'a"b',
    "a?",
    "a*",
    "a/b",
    "a\\b",
    "a\x00",
    "a\x1bb",
    "a\u202eb",
    "\ud800",
]
ENDS = ["a.", "a ", "a. .", "...", " ", ""]
FINE = [
    "a",
    "console",
    "com10",
    "comet",
    "nullify",
    "서울 1",
    ".hidden",
    "a.b.c",
    "20261122-182001",
]


@pytest.mark.parametrize("name", [*DEVICES, *ODD, *ENDS])
def test_what_some_system_cannot_have_is_refused_and_made_safe(name: str) -> None:
    with pytest.raises(UserError, match="cannot be the name of a session"):
        check_name(name, "a session")
    assert fault_of(safe_name(name, "film")) == ""


@pytest.mark.parametrize("name", FINE)
def test_what_every_system_can_have_is_left_as_it_is(name: str) -> None:
    check_name(name, "a session")
    assert safe_name(name, "film") == name.lstrip(".")


@pytest.mark.parametrize("name", ["nul", "con.txt", "a:b", "a."])
def test_a_name_that_is_given_is_refused_before_anything_is_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shots(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="name of a session"):
        import_files([tmp_path / "shots"], tmp_path / "out", session=name)
    with pytest.raises(UserError, match="name of a session"):
        capture.recording.session.create_session(tmp_path / "out", name)
    with pytest.raises(UserError, match="name of a run"):
        _new_run(TrainOptions(runs=tmp_path, run=name))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_session_named_after_a_device_gets_another_name(tmp_path: Path) -> None:
    film(tmp_path)
    device = tmp_path / "con.mp4"
    if os.name == "nt":
        pytest.skip("no file can have such a name here")
    (tmp_path / "film.mp4").rename(device)
    done = import_files([device], tmp_path / "captures")
    assert [each.session.name for each in done.sessions] == ["con_"]


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("captures/nul", "'nul' cannot be a name: Windows keeps this name for a device"),
        ("aux/captures", "'aux' cannot be a name"),
        ("C:/a/b./c", "ends with a dot"),
        ("a|b", "has '|'"),
        ("c:/a:b", "has ':'"),
    ],
)
def test_on_windows_a_path_to_a_device_is_no_folder(
    path: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError) as caught:
        check_windows_path(Path(path), "--out")
    assert fault in str(caught.value)

    class OfWindows:
        name = "nt"

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_options, "os", OfWindows())
    for words in (["label", "--source"], ["doctor", "--out"], ["train", "--runs"]):
        done = CliRunner().invoke(cli.main, [*words, path])
        assert (done.exit_code, fault in done.output) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("folder", "longest"), [(True, 199), (False, 239)])
def test_a_path_that_grows_too_long_is_refused_where_long_ones_are_off(
    folder: bool, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(Path.cwd().anchor)
    monkeypatch.setattr(dataset.names, "takes_long_paths", lambda: False)
    fits = root / ("a" * (longest - len(str(root))))
    check_length(fits, "--out", folder)
    with pytest.raises(UserError, match=r"--out .* LongPathsEnabled"):
        check_length(fits.with_name(f"{fits.name}a"), "--out", folder)
    monkeypatch.setattr(dataset.names, "takes_long_paths", lambda: True)
    check_length(root / ("a" * 250), "--out", folder)


def test_whether_long_paths_are_taken_can_be_asked() -> None:
    assert takes_long_paths() or sys.platform == "win32"


@pytest.mark.parametrize(
    "path", ["captures", "../a/b", ".", "C:/Users/홍길동/a b", "//server/share/a", "//?/C:/a/b"]
)
def test_other_paths_of_windows_are_taken(path: str) -> None:
    check_windows_path(Path(path), "--out")


def test_a_suffix_stays_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_png(tmp_path / "a.png", noise(1))
    for suffix in ("a/b", *([":x", "a?"] if os.name == "nt" else [])):
        done = CliRunner().invoke(
            cli.main, ["restore", "--method", "gamma", "a.png", "--suffix", suffix]
        )
        assert done.exit_code == 2, done.exception
        assert "--suffix" in done.output
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]


def test_the_length_of_a_name_is_counted_as_the_system_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert length_of("한" * 80 + "😀") == (82 if os.name == "nt" else 244)
