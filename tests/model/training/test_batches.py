"""Batches are a pure function of (seed, epoch, step), and cover the domains."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
import torch
from helpers.waiting import SOON_S, soon
from hypothesis import given
from hypothesis import strategies as some

from dataset.errors import UserError
from dataset.pictures.images import Image
from model.training.batches import Domains, shuffled_index, to_pictures, to_range

SIZE = 8
WAYS = {  # where frames lie, and who cuts them
    "cut when asked for": {"resident": False, "ahead": 0},
    "cut by a thread": {"resident": False, "ahead": 3},
    "all on the device": {"resident": True},
}


def flat_frames(count: int, first: int) -> list[Image]:
    return [np.full((40, 48, 3), first + n, np.uint8) for n in range(count)]


def told_frames(shapes: list[tuple[int, int]]) -> list[Image]:
    """Frames whose pixels tell their frame's number, their row and their column."""
    frames = []
    for number, (height, width) in enumerate(shapes):
        rows, columns = np.mgrid[:height, :width]
        frames.append(np.dstack([np.full_like(rows, number), rows, columns]).astype(np.uint8))
    return frames


some_shapes = some.lists(
    some.tuples(some.integers(SIZE, 20), some.integers(SIZE, 20)), min_size=1, max_size=6
)
one_shape = some.tuples(some_shapes, some.integers(1, 6)).map(lambda pair: pair[0][:1] * pair[1])
any_frames = (some_shapes | one_shape).map(told_frames)
seeds = some.integers(0, 2**40)
steps = some.lists(some.tuples(some.integers(1, 4), some.integers(0, 9)), min_size=1, max_size=4)


def equal(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@given(x=any_frames, y=any_frames, seed=seeds, at=steps, flip=some.booleans())
def test_batches_are_alike_wherever_frames_lie(
    way: str, x: list[Image], y: list[Image], seed: int, at: list[tuple[int, int]], flip: bool
) -> None:
    plain = Domains(x, y, SIZE, 4, seed, flip)
    with Domains(x, y, SIZE, 4, seed, flip, **WAYS[way]) as same:
        for epoch, step in at:
            batch = same.batch(epoch, step)
            assert equal(plain.batch(epoch, step), batch)
            for half in batch:
                assert half.shape == (4, 3, SIZE, SIZE)
                assert half.dtype == torch.uint8
                assert half.is_contiguous()


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@given(
    x=any_frames,
    y=any_frames,
    seed=seeds,
    at=steps,
    world=some.sampled_from((2, 4)),
    share=some.integers(1, 3),
)
def test_processes_together_see_what_one_would(
    way: str,
    x: list[Image],
    y: list[Image],
    seed: int,
    at: list[tuple[int, int]],
    world: int,
    share: int,
) -> None:
    settings: dict[str, Any] = {"size": SIZE, "batch_size": world * share, "seed": seed}
    alone = Domains(x, y, flip=True, **settings)
    ranks = [
        Domains(x, y, flip=True, rank=rank, world_size=world, **WAYS[way], **settings)
        for rank in range(world)
    ]
    for epoch, step in at:
        shares = [each.batch(epoch, step) for each in ranks]
        together = torch.cat([x for x, _ in shares]), torch.cat([y for _, y in shares])
        assert equal(alone.batch(epoch, step), together)
    for each in ranks:
        assert each.steps_per_epoch == alone.steps_per_epoch
        each.close()


@pytest.mark.slow
@given(x=any_frames, seed=seeds, at=steps, flip=some.booleans())
def test_a_square_is_an_upright_piece_of_one_frame_perhaps_mirrored(
    x: list[Image], seed: int, at: list[tuple[int, int]], flip: bool
) -> None:
    domains = Domains(x, x, SIZE, 3, seed, flip, resident=True)
    for square in (square for where in at for half in domains.batch(*where) for square in half):
        number, rows, columns = square.int()
        assert (number == number[0, 0]).all()
        frame = x[int(number[0, 0])]
        assert (rows[:, :1] == rows).all()
        assert (rows.diff(dim=0) == 1).all()
        assert int(rows.max()) < frame.shape[0]
        assert (columns[:1] == columns).all()
        step = columns.diff(dim=1)
        assert (step == 1).all() or (flip and (step == -1).all())
        assert int(columns.max()) < frame.shape[1]


@pytest.mark.slow
@given(seed=seeds)
def test_another_epoch_another_seed_and_the_other_domain_are_drawn_apart(seed: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    one, other = (Domains([*frames], [*frames], 32, 4, each, True) for each in (seed, seed + 1))
    x, y = one.batch(1, 0)
    assert not torch.equal(x, y)
    assert not torch.equal(x, one.batch(2, 0)[0])
    assert not torch.equal(x, one.batch(1, 1)[0])
    assert not torch.equal(x, other.batch(1, 0)[0])


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


def test_crops_reach_every_edge_and_half_of_them_are_mirrored() -> None:
    (frame,) = told_frames([(SIZE + 2, SIZE + 3)])
    domains = Domains([frame], [frame], SIZE, 100, seed=0, flip=True)
    x = domains.batch(1, 0)[0].int()
    assert set(x[:, 1].amin((1, 2)).tolist()) == {0, 1, 2}
    assert set(x[:, 2].amin((1, 2)).tolist()) == {0, 1, 2, 3}
    assert 35 < int((x[:, 2, 0, 0] > x[:, 2, 0, 1]).sum()) < 65


def test_a_batch_that_cannot_be_shared_says_what_to_choose() -> None:
    with pytest.raises(UserError, match=r"--batch-size that is a multiple of 2"):
        Domains(flat_frames(3, 0), flat_frames(3, 0), 32, 3, seed=0, flip=True, world_size=2)


def test_a_frame_smaller_than_a_square_is_refused() -> None:
    with pytest.raises(ValueError, match="40 pixels has no square of 41"):
        Domains(flat_frames(3, 0), flat_frames(3, 0), 41, 1, seed=0, flip=True)


class FramesThatWait(list[Image]):
    """Frames that can be cut only once they are let go, as from a slow disk."""

    def __init__(self, frames: list[Image]) -> None:
        super().__init__(frames)
        self.gate, self.taken = threading.Event(), 0
        self.opens_after_s: float | None = None  # from the first that is asked for

    def __getitem__(self, index: Any) -> Any:
        if self.opens_after_s is not None:
            time.sleep(self.opens_after_s)
            self.opens_after_s = None
            self.gate.set()
        assert self.gate.wait(SOON_S)
        self.taken += 1
        return super().__getitem__(index)


def test_the_wait_for_a_batch_is_counted() -> None:
    frames = FramesThatWait(flat_frames(6, 0))
    domains = Domains(frames, flat_frames(6, 0), 32, 2, seed=0, flip=True)
    assert domains.waited_s == 0
    frames.opens_after_s = 0.3
    domains.batch(1, 0)
    first = domains.waited_s
    assert first > 0.25
    domains.batch(1, 1)
    assert domains.waited_s > first


def test_a_thread_cuts_the_next_steps_while_the_networks_work() -> None:
    frames = FramesThatWait(flat_frames(6, 0))
    frames.gate.set()
    with Domains(frames, flat_frames(6, 0), 32, 2, seed=0, flip=True, ahead=2) as domains:
        domains.batch(1, 1)
        soon(lambda: frames.taken >= 3 * 2)  # the networks at work
        assert frames.taken == 3 * 2  # the step asked for, the last of the epoch, the next one's
        frames.gate.clear()  # what is ready needs no frame
        plain = Domains(flat_frames(6, 0), flat_frames(6, 0), 32, 2, seed=0, flip=True)
        assert equal(domains.batch(1, 2), plain.batch(1, 2))
        frames.gate.set()


def test_an_error_in_the_thread_reaches_who_asks() -> None:
    class FramesThatFail(list[Image]):
        def __getitem__(self, index: Any) -> Any:
            raise OSError("the disk is gone")

    frames = FramesThatFail(flat_frames(4, 0))
    with (
        Domains(frames, flat_frames(4, 0), 32, 2, seed=0, flip=True, ahead=2) as domains,
        pytest.raises(OSError, match="the disk is gone"),
    ):
        domains.batch(1, 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@given(x=any_frames, y=any_frames, seed=seeds, at=steps, resident=some.booleans())
def test_a_gpu_sees_what_a_cpu_would(
    x: list[Image], y: list[Image], seed: int, at: list[tuple[int, int]], resident: bool
) -> None:
    plain, device = Domains(x, y, SIZE, 4, seed, True), torch.device("cuda")
    with Domains(x, y, SIZE, 4, seed, True, device, resident=resident) as same:
        for epoch, step in at:
            on_gpu = same.batch(epoch, step)
            assert all(half.device.type == "cuda" for half in on_gpu)
            assert equal(plain.batch(epoch, step), tuple(half.cpu() for half in on_gpu))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("resident", [True, False])
def test_no_batch_waits_for_a_gpu(resident: bool) -> None:
    device, frames = torch.device("cuda"), flat_frames(6, 0)
    with Domains(frames, frames, 32, 2, 0, True, device, resident=resident) as domains:
        domains.batch(1, 0)
        torch.cuda.set_sync_debug_mode("error")
        try:
            for step in range(3):
                domains.batch(1, step)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_range_round_trip_is_exact() -> None:
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert to_range(values).min() == -1
    assert to_range(values).max() == 1
    assert np.array_equal(to_pictures(to_range(values)), values.permute(0, 2, 3, 1).numpy())
