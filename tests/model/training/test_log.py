"""The log of a run: valid lines, none twice after a resume, and the same in TensorBoard."""

from __future__ import annotations

import builtins
import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from dataset.errors import UserError
from model.training.log import TRAINING_LOG, Tracker, cut_log, read_log, tag_of


def lines_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / TRAINING_LOG).read_text().splitlines()]


def events_of(run: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(run / "tensorboard")).Reload()


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with Tracker(tmp_path, tensorboard=False) as tracker:
        tracker.write(1, 20, {"D_X": 1.2345678, "pairs_per_s": 6})
        assert lines_of(tmp_path) == [{"epoch": 1, "step": 20, "D_X": 1.23457, "pairs_per_s": 6.0}]


def test_what_is_no_number_stands_as_null(tmp_path: Path) -> None:
    with Tracker(tmp_path, tensorboard=False) as tracker:
        tracker.write(1, 20, {"G": math.nan, "F": math.inf, "D_X": 1.0})
    text = (tmp_path / TRAINING_LOG).read_text()
    line = json.loads(text, parse_constant=pytest.fail)
    assert line == {"epoch": 1, "step": 20, "G": None, "F": None, "D_X": 1.0}
    assert read_log(tmp_path)[0]["G"] is None


def test_a_resumed_log_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    with Tracker(whole, tensorboard=False) as tracker:
        for step in range(20, 101, 20):
            tracker.write(1, step, {"G": step / 7})
    with Tracker(cut, tensorboard=False) as tracker:
        for step in range(20, 81, 20):
            tracker.write(1, step, {"G": step / 7})
    with open(cut / TRAINING_LOG, "ab") as file:
        file.write(b'{"epoch": 1, "step": 100, "G": 14.')  # killed while writing
    with Tracker(cut, steps_done=40, tensorboard=False) as tracker:
        for step in range(60, 101, 20):
            tracker.write(1, step, {"G": step / 7})
    assert (cut / TRAINING_LOG).read_bytes() == (whole / TRAINING_LOG).read_bytes()
    assert [path.name for path in cut.iterdir()] == [TRAINING_LOG]


@pytest.mark.slow
@given(some.lists(some.integers(1, 50)), some.integers(0, 50), some.binary(max_size=12))
def test_cutting_keeps_exactly_the_steps_that_were_done(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], done: int, rubbish: bytes
) -> None:
    path = tmp_path_factory.mktemp("log") / TRAINING_LOG
    good = b"".join(b'{"epoch": 1, "step": %d}\n' % step for step in steps)
    path.write_bytes(good + b'{"epoch": 1, "st' + rubbish)
    cut_log(path, done)
    once = path.read_bytes()
    kept = [json.loads(line)["step"] for line in once.splitlines()]
    assert kept == [step for step in steps if step <= done]
    cut_log(path, done)
    assert path.read_bytes() == once


def test_a_new_run_starts_with_an_empty_log(tmp_path: Path) -> None:
    with Tracker(tmp_path / "runs" / "첫 실행", tensorboard=False) as tracker:
        assert tracker.path.read_bytes() == b""


def test_tensorboard_shows_grouped_values_and_pictures(tmp_path: Path) -> None:
    with Tracker(tmp_path) as tracker:
        tracker.write(1, 20, {"D_X": 1.5, "G": 0.75, "pairs_per_s": 6.0, "new": 2.0})
        tracker.write(1, 20, {"clipped_before": 0.25, "clipped_after": 0.125, "identity": 0.5})
        tracker.picture("samples", 20, np.full((8, 12, 3), 200, np.uint8))
        assert tracker.note == ""
    events = events_of(tmp_path)
    assert set(events.Tags()["scalars"]) == {
        *("discriminator/D_X", "loss/G", "speed/pairs_per_s", "other/new"),
        *("quality/clipped_before", "quality/clipped_after", "quality/identity"),
    }
    assert [(e.step, e.value) for e in events.Scalars("discriminator/D_X")] == [(20, 1.5)]
    picture = events.Images("samples")[0]
    assert (picture.step, picture.width, picture.height) == (20, 12, 8)


def test_tensorboard_forgets_what_a_resumed_run_does_again(tmp_path: Path) -> None:
    with Tracker(tmp_path) as tracker:
        for step in (20, 40, 60):
            tracker.write(1, step, {"G": 1.0})
    with Tracker(tmp_path, steps_done=40) as tracker:
        tracker.write(1, 60, {"G": 2.0})
    found = [(e.step, e.value) for e in events_of(tmp_path).Scalars("loss/G")]
    assert sorted(found) == [(20, 1.0), (40, 1.0), (60, 2.0)]


def test_without_tensorboard_the_log_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if "tensorboard" in name:
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with Tracker(tmp_path) as tracker:
        assert "pip install tensorboard" in tracker.note
        tracker.write(1, 20, {"G": 1.0})
        tracker.picture("samples", 20, np.zeros((4, 4, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == [TRAINING_LOG]


def test_a_full_disk_gives_a_message(small_disk: Path) -> None:
    with Tracker(small_disk, tensorboard=False) as tracker:
        fill(small_disk / "filler")
        with pytest.raises(UserError, match=r"log\.jsonl.*space"):
            write_lines(tracker, 1000)


def fill(path: Path) -> None:
    with open(path, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 12))


def write_lines(tracker: Tracker, count: int) -> None:
    for step in range(count):
        tracker.write(1, step, {"G": 1.0})


def test_a_run_without_a_log_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cli train"):
        read_log(tmp_path)
    (tmp_path / TRAINING_LOG).write_bytes(b'{"epoch": 1')
    with pytest.raises(UserError, match="no line yet"):
        read_log(tmp_path)


def test_every_name_of_a_step_has_its_chart() -> None:
    from model import cyclegan, physical

    names = (*cyclegan.LOSS_NAMES, *physical.LOSS_NAMES)
    assert [name for name in names if tag_of(name, {}).startswith("other/")] == []
