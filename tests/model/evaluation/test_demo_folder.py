"""A new demo takes the place of an earlier one, and touches nothing that no demo wrote."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from dataset.errors import UserError
from model.evaluation.demo_folder import DEMO_LOCK, MARKER, hold_demo

MADE = (
    *("index.html", "result.json", "figure2.png", "captures/labels.csv"),
    *("captures/demo/session.json", "captures/demo/frames.jsonl"),
    *("captures/demo/frames/000000.png", "data/split.json", "data/.split.lock"),
    *("data/trainA/demo_000000.png", "data/report/leaks.png"),
    *("data/.cache/trainA-0123456789abcdef.frames", "data/.cache/trainA.lock"),
    *("runs/demo/options.json", "runs/demo/.lock", "runs/demo/checkpoints/latest_net_G_B.pth"),
    *("runs/physical/options.json", "runs/physical/checkpoints/latest_ema_net_G_B.pth"),
    *("runs/demo/samples/epoch_001.png", "runs/demo/tensorboard/events.out.tfevents.1.host.7"),
)


def make_demo(out: Path, whole: bool = True) -> None:
    """What a demo leaves, whole or stopped."""
    with hold_demo(out) as finished:
        for name in MADE:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(name.encode())
        (out / "data" / "testA").mkdir()  # stays empty
        if whole:
            finished()


def everything(folder: Path) -> dict[str, bytes | str]:
    """Every file below a folder with its bytes, and every link with its target."""
    return {
        str(each.relative_to(folder)): os.readlink(each) if each.is_symlink() else each.read_bytes()
        for each in folder.rglob("*")
        if each.is_symlink() or each.is_file()
    }


@pytest.mark.parametrize("whole", [True, False])
def test_a_demo_of_before_makes_room(tmp_path: Path, whole: bool) -> None:
    out = tmp_path / "demo"
    make_demo(out, whole)
    assert json.loads((out / MARKER).read_text())["complete"] is whole
    with hold_demo(out):
        assert {each.name for each in out.iterdir()} == {MARKER, DEMO_LOCK}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "thesis.txt",
            "captures/thesis.txt",
            "captures/demo/frames/thesis.png",
            "runs/mine/a.pth",
        ),
        *("data/trainA/mine.png", "captures/demo/notes/empty.txt", "runs/demo/checkpoints/a.docx"),
        *("captures/demo/frames/000001.png", "holiday.png"),  # as a demo calls them, but not its
    ],
)
def test_a_file_of_somebody_else_is_named_and_nothing_is_touched(tmp_path: Path, name: str) -> None:
    out = tmp_path / "demo"
    make_demo(out)
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_bytes(b"years of work")
    before = everything(tmp_path)
    top = name.removesuffix("/a.pth").removesuffix("/empty.txt")
    with pytest.raises(UserError, match=re.escape(str(Path(top)))), hold_demo(out):
        pytest.fail("it was cleared")
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["thesis.txt", "captures/demo/session.json"])
@pytest.mark.parametrize("marker", [None, "{", '{"tool": "other", "complete": false, "files": []}'])
def test_without_a_marker_of_ours_nothing_is_touched(
    tmp_path: Path, name: str, marker: str | None
) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"mine")
    if marker is not None:
        (tmp_path / MARKER).write_text(marker)
    before = everything(tmp_path)
    with pytest.raises(UserError, match="something other than a demo"), hold_demo(tmp_path):
        pytest.fail("it was cleared")
    assert everything(tmp_path) == before


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("link", ["captures", "captures/demo/frames", "runs/demo/samples", "."])
def test_no_link_is_followed(tmp_path: Path, link: str, whole: bool) -> None:
    out, victim = tmp_path / "demo", tmp_path / "victim"
    make_demo(out, whole)
    (out / link).rename(victim)
    (out / link).symlink_to(victim)
    before = everything(tmp_path)
    with pytest.raises(UserError), hold_demo(out):
        pytest.fail("it was cleared")
    assert everything(tmp_path) == before


def test_a_marker_cannot_name_what_no_demo_writes(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    make_demo(out)
    (out / "thesis.txt").write_bytes(b"mine")
    marker = json.loads((out / MARKER).read_text())
    marker["files"] += ["thesis.txt", "../thesis.txt"]
    (out / MARKER).write_text(json.dumps(marker))
    with pytest.raises(UserError, match=r"thesis\.txt"), hold_demo(out):
        pytest.fail("it was cleared")
    assert (out / "thesis.txt").read_bytes() == b"mine"


def test_of_two_demos_at_once_one_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    with hold_demo(out):
        with pytest.raises(UserError, match="Another `cli demo`") as caught, hold_demo(out):
            pytest.fail("both went on")
        assert caught.value.exit_code == 1


def test_a_folder_that_is_new_or_empty_will_do(tmp_path: Path) -> None:
    for out in (tmp_path / "new" / "demo", tmp_path):
        with hold_demo(out) as finished:
            finished()
        assert (out / MARKER).is_file()
        (out / MARKER).unlink()
        (out / DEMO_LOCK).unlink(missing_ok=True)  # Windows removes it with the last lock
        if out != tmp_path:
            out.rmdir()
            out.parent.rmdir()


def test_a_demo_that_was_killed_as_it_began_is_no_stranger(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    with hold_demo(out) as finish:
        (out / "index.html").write_text("<html></html>\n")
        finish()
    (out / f".{MARKER}.99999999.part").write_text('{"tool": "unc')
    with hold_demo(out):
        assert sorted(path.name for path in out.iterdir()) == sorted([MARKER, DEMO_LOCK])
