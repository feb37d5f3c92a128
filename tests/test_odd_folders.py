"""Folders of other languages, of the cloud and far from the root: all commands work there."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.command_line import run_cli
from helpers.folders import film, pictures, sweep

import dataset.gate
import dataset.names
from dataset.errors import UserError
from dataset.gate import is_link, refuse_links
from dataset.pictures.images import read_image
from dataset.sessions.manifest import read_frames

CLOUD = 0x9000001A  # IO_REPARSE_TAG_CLOUD: a file of OneDrive
JUNCTION = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT
LONG = 300  # characters; Windows' old limit is 260


def far_away(root: Path) -> Path:
    """A folder with a path of more than `LONG` characters."""
    while len(str(root)) < LONG:
        root /= "far away " * 5 + "x"
    return root


@pytest.fixture(params=["홍길동 é 😀", "far"])
def folder(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    there = far_away(tmp_path) if request.param == "far" else tmp_path / request.param
    try:
        there.mkdir(parents=True)
        os.path.realpath(there / "captures")  # where Wine gives up
    except OSError:
        pytest.skip("this system has no such paths")
    monkeypatch.setattr(dataset.names, "takes_long_paths", lambda: True)  # the folder is there
    return there


@pytest.mark.slow
def test_the_way_to_a_data_set_and_to_restored_files(folder: Path) -> None:
    pictures(folder)
    film(folder)
    captures, data, out = folder / "captures", folder / "data", folder / "out"
    run_cli("import", str(folder / "in" / "a.png"), "--out", str(captures), "--label", "Y")
    run_cli("import", str(folder / "film.mp4"), "--out", str(captures), "--label", "X")
    assert "labels.csv" in run_cli("label", "--source", str(captures))
    sweep(folder / "swept")
    swept = folder / "swept" / "captures"
    run_cli("split", "--source", str(swept), "--out", str(data), "--counts", "4,4,2,2")
    assert (data / "split.json").is_file()
    said = run_cli("restore", "--method", "gamma", str(folder / "in"), "-o", str(out))
    assert "a_restored.png" in said
    assert read_image(out / "a_restored.png").shape == (64, 96, 3)
    assert (out / "b_restored.mp4").stat().st_size > 0
    run_cli("label", "--source", str(captures), "--calibrate")


@pytest.mark.usefixtures("display")
def test_recording_there(folder: Path) -> None:
    run_cli(
        *("capture", "--start", "--region", "0,0,32,24", "--max-frames", "3", "--fps", "20"),
        *("--session", "녹화", "--out", str(folder / "captures"), "--disk-floor", "0"),
    )
    assert len(list(read_frames(folder / "captures" / "녹화"))) == 3
    run_cli("capture", "repair", str(folder / "captures" / "녹화"))


@pytest.mark.parametrize(("tag", "link"), [(CLOUD, False), (JUNCTION, True)])
def test_files_of_the_cloud_are_no_links_and_junctions_are(
    tag: int, link: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.lstat(tmp_path)
    about = SimpleNamespace(st_mode=real.st_mode, st_reparse_tag=tag)
    monkeypatch.setattr(dataset.gate, "os", SimpleNamespace(lstat=lambda path: about))
    assert is_link(tmp_path) == link
    if link:
        with pytest.raises(UserError, match="is a link to another place"):
            refuse_links(tmp_path, "the frames")
    else:
        refuse_links(tmp_path, "the frames")
