"""The image pool: what it hands out, what it keeps, and that it goes on where it was saved."""

from __future__ import annotations

import torch
from torch import Tensor

from model.image_pool import ImagePool


def exchange(pool: ImagePool, fakes: Tensor) -> Tensor:
    return pool.exchange(fakes, pool.draw(len(fakes)))


def test_pool_gives_new_frames_until_full_then_old_ones_too() -> None:
    pool = ImagePool(size=3, seed=0)
    first = torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 3, 2, 2)
    assert torch.equal(exchange(pool, first), first)
    seen = [
        float(exchange(pool, torch.full((1, 3, 2, 2), 10.0 + n))[0, 0, 0, 0]) for n in range(40)
    ]
    new = [value == 10.0 + n for n, value in enumerate(seen)]
    assert 8 < sum(new) < 32  # half of the time, give or take
    assert {0.0, 1.0, 2.0} & set(seen)
    assert len(set(seen)) == len(seen)  # nothing comes out twice


def test_no_frame_is_lost_between_what_the_pool_holds_and_what_it_gave() -> None:
    pool, passed = ImagePool(size=4, seed=3), []
    for n in range(50):
        passed.append(float(exchange(pool, torch.full((1, 3, 2, 2), float(n)))[0, 0, 0, 0]))
    assert pool.frames is not None
    held = [float(frame[0, 0, 0]) for frame in pool.frames[:4]]
    assert set(held + passed) == {float(n) for n in range(50)}


def test_two_frames_of_a_batch_may_draw_one_place() -> None:
    pool = ImagePool(size=1, seed=0)
    exchange(pool, torch.zeros(1, 3, 2, 2))
    drawn = torch.tensor([[0, 1], [0, 1]])
    fakes = torch.stack([torch.full((3, 2, 2), value) for value in (5.0, 6.0)])
    assert pool.exchange(fakes, drawn)[:, 0, 0, 0].tolist() == [0.0, 5.0]
    assert pool.frames is not None
    assert pool.frames[0, 0, 0, 0] == 6.0


def test_pool_goes_on_from_its_saved_state() -> None:
    pool, twin = ImagePool(4, seed=1), ImagePool(4, seed=99)
    for n in range(6):
        exchange(pool, torch.full((1, 3, 2, 2), float(n)))
    twin.load_state_dict(pool.state_dict())
    for n in range(20):
        fake = torch.full((1, 3, 2, 2), 50.0 + n)
        assert torch.equal(exchange(pool, fake), exchange(twin, fake))


def test_pool_of_size_zero_is_off() -> None:
    fake = torch.rand(2, 3, 2, 2)
    assert exchange(ImagePool(0, seed=0), fake) is fake
