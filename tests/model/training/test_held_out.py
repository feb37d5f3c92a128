"""Which frames of X are held out: whole scenes, few of them, and none where they are needed."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dataset.errors import UserError
from model.options import TrainOptions
from model.training.held_out import (
    COLUMNS,
    FEWEST,
    HELD_OUT_FILE,
    LEAST,
    MOST_SHARE,
    choose_frames,
    count_held_out,
    held_out_frames,
    plan_trials,
    read_trials,
    stretches,
    whole_groups,
    without,
    write_trials,
)

NAMES = [f"{n:06d}.png" for n in range(400)]


def write_split(data: Path, groups: list[int], folder: str = "trainA") -> None:
    """A ``split.json`` with these groups for the frames of X."""
    (data / folder).mkdir(parents=True)
    for name in NAMES[: len(groups)]:
        (data / folder / name).touch()
    listed = [
        {"path": f"{folder}/{name}", "group": group}
        for name, group in zip(NAMES, groups, strict=False)
    ]
    record = {"tool": "unclip", "complete": True, "files": listed}
    (data / "split.json").write_text(json.dumps(record), encoding="utf-8")


def test_a_twentieth_is_held_out_but_8_at_least_and_no_more_than_asked_for() -> None:
    assert [count_held_out(frames, 48) for frames in (0, 63, 64, 159, 400, 3864)] == [
        *(0, 0, 8, 8, 20, 48)
    ]
    assert count_held_out(3864, 200) == 193
    assert count_held_out(3864, 5) == 5
    assert count_held_out(3864, 0) == 0


@pytest.mark.parametrize("folder", ["trainA", "train/X"])
def test_groups_of_the_split_are_held_out_whole(tmp_path: Path, folder: str) -> None:
    groups = [n // 4 for n in range(400)]
    write_split(tmp_path, groups, folder)
    held = choose_frames(tmp_path, NAMES, 48)
    assert len(held) == 20
    assert {groups[place] for place in held} & {
        groups[p] for p in without(range(400), held)
    } == set()
    assert max(held) - min(held) > 200  # from all over X


def test_groups_that_stand_scattered_among_the_names_are_found(tmp_path: Path) -> None:
    groups = [n % 50 for n in range(400)]
    write_split(tmp_path, groups)
    held = choose_frames(tmp_path, NAMES, 48)
    assert len(held) == 16  # two groups of eight; a third would be more than a twentieth
    assert {place % 50 for place in held} & {p % 50 for p in without(range(400), held)} == set()


def test_where_the_split_knows_no_groups_neighbours_stay_together(tmp_path: Path) -> None:
    held = choose_frames(tmp_path, NAMES, 48)
    assert len(held) == 20
    starts = [place for place in held if place - 1 not in held]
    assert len(starts) == 2
    write_split(tmp_path, [3] * 399)  # a frame that the user has added belongs to no group
    (tmp_path / "trainA" / NAMES[399]).touch()
    assert choose_frames(tmp_path, NAMES, 48) == held


def test_one_scene_of_all_frames_is_held_out_in_part() -> None:
    assert whole_groups([7] * 400, 20) == []
    assert whole_groups([0] * 30 + [1] * 370, 20) == list(range(30))  # under a tenth of X


@given(some.lists(some.integers(0, 30), min_size=FEWEST, max_size=400), some.integers(1, 48))
def test_no_group_is_ever_on_both_sides(groups: list[int], most: int) -> None:
    wanted = count_held_out(len(groups), most)
    held = whole_groups(groups, wanted)
    assert held == sorted(set(held))
    rest = without(groups, held)
    assert {groups[place] for place in held} & set(rest) == set()
    assert len(held) <= max(wanted, MOST_SHARE * len(groups))
    assert not held or len(held) >= min(LEAST // 2, wanted)


@given(some.integers(FEWEST, 5000), some.integers(1, 200))
def test_stretches_are_as_many_frames_as_wanted(count: int, most: int) -> None:
    wanted = count_held_out(count, most)
    held = stretches(count, wanted)
    assert held == sorted(set(held))
    assert len(held) == wanted
    assert 0 <= held[0] <= held[-1] < count


def test_held_out_frames_are_put_under_the_whole_range_of_light() -> None:
    trials = plan_trials(range(100, 148), 1.0)
    assert [frame for frame, _ in trials] == list(range(100, 148))
    gains = sorted(gain for _, gain in trials)
    assert sum(gain == 0 for gain in gains) == 6  # an eighth stays as it is
    assert 1.4 < gains[-1] <= 1.5
    rising = [gain for gain in gains if gain > 0]
    assert max(b - a for a, b in pairwise(rising)) < 0.08
    assert max(gain for _, gain in plan_trials([0], 100.0)) <= 6


def test_a_few_frames_are_restored_from_several_lights_each() -> None:
    trials = plan_trials(range(8), 1.0)
    assert len(trials) == 24
    for frame in range(8):
        assert len({gain for place, gain in trials if place == frame}) == 3


def test_a_run_keeps_what_it_held_out_whatever_becomes_of_the_split(tmp_path: Path) -> None:
    write_split(tmp_path, [n // 4 for n in range(400)])
    options = TrainOptions(data=tmp_path, held_out=48)
    held = held_out_frames(tmp_path, options, NAMES)
    trials = plan_trials(held, 0.7)
    names = [*NAMES[:-1], "\udcff.png"]  # is no text: half of a character, or a byte of a name
    write_trials(tmp_path, trials, names)
    (tmp_path / "split.json").unlink()
    resumed = TrainOptions(data=tmp_path, held_out=48, resume=True)
    assert held_out_frames(tmp_path, resumed, names) == held
    assert read_trials(tmp_path, 400) == trials
    assert held_out_frames(tmp_path, TrainOptions(data=tmp_path, resume=True), names) == []


@pytest.mark.parametrize(
    "rows", [None, [], ["x,a.png,0.5"], ["400,a.png,0.5"], ["-1,a.png,0"], ["3,a.png,nan"], ["3"]]
)
def test_what_was_held_out_and_cannot_be_read_is_told(
    tmp_path: Path, rows: list[str] | None
) -> None:
    if rows is not None:
        text = "\n".join([",".join(COLUMNS), *rows]) + "\n"
        (tmp_path / HELD_OUT_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"held_out\.csv cannot be read .*Copy the file again"):
        read_trials(tmp_path, 400)


def test_gains_come_back_to_the_bit(tmp_path: Path) -> None:
    trials = [(0, math.pi / 3), (1, 0.1 + 0.2)]
    write_trials(tmp_path, trials, ["a.png", "서울,b.png"])
    assert read_trials(tmp_path, 2) == trials
