"""Any size in, the same size out, nothing overwritten."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.processes import printed_by
from helpers.tiny_runs import picture as scene

import model.restoring.restore
from dataset.errors import UserError
from dataset.pictures.images import read_image, write_png
from model.options import RestoreOptions
from model.restoring.restore import Outcome, compared_path, restore_files


def test_the_restored_picture_lies_beside_its_input(trained: Path, tmp_path: Path) -> None:
    source = tmp_path / "과다 노출.png"
    write_png(source, np.full((30, 50, 3), 255, np.uint8))
    before = source.read_bytes()
    done = list(restore_files([source], RestoreOptions(runs=trained / "runs")))
    assert done[0].target == tmp_path / "과다 노출_restored.png"
    assert read_image(done[0].target).shape == (30, 50, 3)
    assert source.read_bytes() == before


def test_outputs_and_inputs_are_never_overwritten_unasked(trained: Path, tmp_path: Path) -> None:
    source, other = tmp_path / "a.png", tmp_path / "a_restored.png"
    for path in (source, other):
        write_png(path, np.zeros((20, 20, 3), np.uint8))
    runs = trained / "runs"
    with pytest.raises(UserError, match="--overwrite"):
        list(restore_files([source], RestoreOptions(runs=runs)))
    with pytest.raises(UserError, match="never replaced"):
        list(restore_files([source], RestoreOptions(runs=runs, out=source, overwrite=True)))
    assert len(list(restore_files([source], RestoreOptions(runs=runs, overwrite=True)))) == 1


def test_several_inputs_go_into_a_folder(trained: Path, tmp_path: Path) -> None:
    sources = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in sources:
        write_png(path, np.zeros((20, 20, 3), np.uint8))
    options = RestoreOptions(runs=trained / "runs", run="tiny", out=tmp_path / "out")
    names = [done.target.name for done in restore_files(sources, options)]
    assert names == ["a_restored.png", "b_restored.png"]


def test_no_such_run_says_which_there_are(trained: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    write_png(source, np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(UserError, match="There are: tiny"):
        list(restore_files([source], RestoreOptions(runs=trained / "runs", run="other")))


def run(inputs: list[Path], trained: Path, **settings: Any) -> list[Outcome]:
    return list(restore_files(inputs, RestoreOptions(runs=trained / "runs", **settings)))


def test_a_broken_picture_is_named_and_the_rest_goes_on(trained: Path, tmp_path: Path) -> None:
    good, broken = tmp_path / "good.png", tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    write_png(good, np.zeros((20, 20, 3), np.uint8))
    outcomes = run([broken, good], trained)
    assert "broken.png" in outcomes[0].fault
    assert not outcomes[0].target.exists()
    assert outcomes[1].fault == ""
    assert outcomes[1].target.exists()


def test_a_disk_that_cannot_be_written_is_told(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    source = tmp_path / "a.png"
    write_png(source, np.zeros((20, 20, 3), np.uint8))
    monkeypatch.setattr(model.restoring.restore, "write_picture", full)
    assert "No space left" in run([source], trained)[0].fault


def test_a_comparison_shows_input_output_and_reference(trained: Path, tmp_path: Path) -> None:
    source, reference = tmp_path / "a.png", tmp_path / "true.png"
    write_png(source, np.full((40, 60, 3), 250, np.uint8))
    write_png(reference, np.full((40, 60, 3), 90, np.uint8))
    (done,) = run([source], trained, compare=True, reference=reference)
    shown = read_image(compared_path(done.target))
    assert shown.shape[1] > 3 * 60
    restored = read_image(done.target)
    for picture in (read_image(source), restored, read_image(reference)):
        assert any(
            np.array_equal(shown[top : top + 40, left : left + 60], picture)
            for top in range(shown.shape[0] - 39)
            for left in range(shown.shape[1] - 59)
        )
    done.target.unlink()
    with pytest.raises(UserError, match="_compared"):
        run([source], trained, compare=True)


def test_two_pictures_of_one_comparison_are_refused(trained: Path, tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=r"a\.jpg and .*a\.png would both be compared in"):
        run([tmp_path], trained, compare=True)


def test_what_came_before_restores_without_a_run(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    picture = np.full((40, 40, 3), 120, np.uint8)
    picture[10:20, 10:20] = 255
    write_png(source, picture)
    for method in ("cielab", "ycbcr", "gamma"):
        out = tmp_path / f"{method}.png"
        (done,) = run([source], tmp_path, method=method, out=out)
        assert done.fault == ""
        changed = read_image(out) != picture
        assert changed[15, 15].all() == (method != "gamma")  # which leaves white as it is


def test_a_threshold_is_refused_where_there_is_none(trained: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    write_png(source, np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(UserError, match="--threshold"):
        run([source], trained, threshold=80.0)


def test_a_video_is_restored_frame_by_frame(trained: Path, tmp_path: Path) -> None:
    source = tmp_path / "flight.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * number, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    told: list[tuple[float, int, str]] = []
    options = RestoreOptions(runs=trained / "runs")
    (done,) = restore_files([source], options, lambda *state: told.append(state))
    assert (done.target.name, done.frames, done.size) == ("flight_restored.mp4", 5, (64, 48))
    assert [share for share, _, _ in told] == sorted(share for share, _, _ in told)
    assert told[-1][:2] == (1, 1)


@pytest.mark.slow
def test_restoring_by_onnx_loads_no_torch(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((20, 20, 3), np.uint8))
    code = "import sys, model.restoring.restore; print('torch' in sys.modules)"
    assert printed_by(code).strip() == "False"


def test_a_name_that_is_too_long_concerns_no_other_file(tmp_path: Path) -> None:
    long = tmp_path / ("n" * 230 + ".png")
    for path in (long, tmp_path / "a.png", tmp_path / "z.png"):
        write_png(path, scene(1, 2.5))
    done = list(restore_files([tmp_path], RestoreOptions(method="gamma")))
    assert [each.source.name for each in done if not each.fault] == ["a.png", "z.png"]
    (fault,) = [each.fault for each in done if each.fault]
    assert "too long" in fault
    with pytest.raises(UserError, match="too long"):
        list(restore_files([long], RestoreOptions(method="gamma")))


def test_a_result_that_came_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_png(tmp_path / "a.png", scene(1, 2.5))
    theirs = tmp_path / "a_restored.png"
    for overwrite in (False, True):
        options = RestoreOptions(method="gamma", overwrite=overwrite)
        restoring = restore_files([tmp_path / "a.png"], options, lambda *_: write_once(theirs))
        theirs.unlink(missing_ok=True)
        (outcome,) = restoring
        assert ("exists" in outcome.fault) is not overwrite
        assert (theirs.read_bytes() == b"theirs") is not overwrite
    assert not [each for each in tmp_path.iterdir() if each.suffix == ".part"]


def write_once(path: Path) -> None:
    """What another process writes after the first look for it."""
    if not path.exists():
        path.write_bytes(b"theirs")


@pytest.mark.skipif(os.name == "nt", reason="asks for processes otherwise")
def test_what_another_process_is_writing_is_left_to_it_and_what_a_killed_one_left_goes(
    tmp_path: Path,
) -> None:
    write_png(tmp_path / "a.png", scene(1, 2.5))
    theirs = tmp_path / f".a_restored.png.{os.getppid()}.part"
    dead, foreign = tmp_path / ".a_restored.png.999999999.part", tmp_path / ".mine.png.7.part"
    for path in (theirs, dead, foreign):
        path.write_bytes(b"half a picture")
    options = RestoreOptions(method="gamma")
    (outcome,) = restore_files([tmp_path / "a.png"], options)
    assert "written by another process" in outcome.fault
    theirs.unlink()
    (outcome,) = restore_files([tmp_path / "a.png"], options)
    assert not outcome.fault
    assert {each.name for each in tmp_path.iterdir()} == {"a.png", "a_restored.png", foreign.name}
