"""Batches are a pure function of (seed, epoch, step), and cover the domains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from dataset.errors import UserError
from dataset.images import write_png
from model.data import Domains, find_frames, load_frames, shuffled_index, to_pictures, to_range


def flat_frames(count: int, first: int) -> list[np.ndarray]:
    return [np.full((40, 48, 3), first + n, np.uint8) for n in range(count)]


def test_batches_repeat_for_the_same_seed_epoch_and_step() -> None:
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (40, 48, 3), dtype=np.uint8) for _ in range(5)]
    one, same = (Domains(frames, frames[:3], 32, 2, seed=7, flip=True) for _ in range(2))
    for epoch, step in ((1, 0), (1, 1), (3, 0)):
        for a, b in zip(one.batch(epoch, step), same.batch(epoch, step), strict=True):
            assert torch.equal(a, b)
    assert not torch.equal(one.batch(1, 0)[0], one.batch(2, 0)[0])


def test_an_epoch_takes_every_frame_of_the_larger_domain_once() -> None:
    domains = Domains(flat_frames(12, 0), flat_frames(5, 100), 32, 3, seed=0, flip=True)
    assert domains.steps_per_epoch == 4
    seen_x, seen_y = [], []
    for step in range(4):
        x, y = domains.batch(1, step)
        assert x.shape == y.shape == (3, 3, 32, 32)
        seen_x += x[:, 0, 0, 0].tolist()
        seen_y += y[:, 0, 0, 0].tolist()
    assert sorted(seen_x) == list(range(12))
    assert max(seen_y.count(n) for n in range(100, 105)) <= 3  # 12 draws of 5 frames: evenly


@given(some.integers(1, 50), some.integers(0, 5), some.integers(0, 2**31))
def test_each_pass_over_a_domain_is_a_permutation(count: int, turn: int, seed: int) -> None:
    places = range(turn * count, (turn + 1) * count)
    taken = [shuffled_index(seed, 0, 1, place, count) for place in places]
    assert sorted(taken) == list(range(count))


def test_crops_differ_and_stay_inside() -> None:
    column = np.arange(48, dtype=np.uint8)
    frame = np.broadcast_to(column[None, :, None], (40, 48, 3)).copy()
    domains = Domains([frame], [frame], 32, 1, seed=0, flip=True)
    lefts, flipped = set(), set()
    for step in range(40):
        row = domains.batch(1, step)[0][0, 0, 0].int()
        flipped.add(bool(row[0] > row[1]))
        lefts.add(int(row.min()))
        assert (row.diff().abs() == 1).all()
    assert flipped == {True, False}
    assert len(lefts) > 5


def test_range_round_trip_is_exact() -> None:
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert to_range(values).min() == -1
    assert to_range(values).max() == 1
    assert np.array_equal(to_pictures(to_range(values)), values.permute(0, 2, 3, 1).numpy())


def test_frames_are_averaged_to_the_load_size_and_never_smaller_than_a_square(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "trainA"
    folder.mkdir()
    write_png(folder / "wide.png", np.zeros((100, 200, 3), np.uint8))
    write_png(folder / "small.png", np.zeros((10, 20, 3), np.uint8))
    paths = find_frames(tmp_path, "trainA")
    assert [path.name for path in paths] == ["small.png", "wide.png"]
    assert [frame.shape for frame in load_frames(paths, 32, 50)] == [(50, 100, 3), (50, 100, 3)]
    assert [frame.shape for frame in load_frames(paths, 32, 0)] == [(32, 64, 3), (100, 200, 3)]


def test_missing_data_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cli split"):
        find_frames(tmp_path, "trainA")
