"""Equations (1) to (4), the pool and the step, against numbers worked out in NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.cyclegan import (
    LOSSES,
    CycleGAN,
    ImagePool,
    cycle_loss,
    decayed_rate,
    discriminator_loss,
    generator_loss,
)
from model.options import NetworkOptions, TrainOptions

TINY = NetworkOptions(generator_filters=4, generator_blocks=1, discriminator_filters=4)
OPTIONS = TrainOptions(size=32, batch_size=2, network=TINY, pool_size=3)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def test_discriminator_loss_is_the_negative_of_equation_2() -> None:
    real, fake = np.array([2.0, -1.0, 0.3]), np.array([-3.0, 0.5, 1.5])
    wanted = -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean()
    got = discriminator_loss(torch.tensor(real), torch.tensor(fake))
    assert got.item() == pytest.approx(wanted, rel=1e-6)


def test_generator_loss_in_both_forms() -> None:
    fake = np.array([-3.0, 0.5, 1.5])
    literal, usual = np.log(1 - sigmoid(fake)).mean(), -np.log(sigmoid(fake)).mean()
    assert generator_loss(torch.tensor(fake), minimax=True).item() == pytest.approx(literal)
    assert generator_loss(torch.tensor(fake)).item() == pytest.approx(usual)


def test_losses_stay_finite_for_extreme_logits() -> None:
    far = torch.tensor([-1e4, 1e4])
    assert torch.isfinite(discriminator_loss(far, far))
    assert torch.isfinite(generator_loss(far))
    assert torch.isfinite(generator_loss(far, minimax=True))


def test_cycle_loss_is_the_mean_absolute_difference() -> None:
    random = np.random.default_rng(0)
    first, second = random.random((2, 3, 4, 4)), random.random((2, 3, 4, 4))
    got = cycle_loss(torch.tensor(first), torch.tensor(second)).item()
    assert got == pytest.approx(np.abs(first - second).mean(), rel=1e-6)


def test_rate_is_constant_then_falls_to_zero_as_in_the_paper() -> None:
    paper = TrainOptions()
    assert [decayed_rate(paper, epoch) for epoch in (1, 50, 100)] == [2e-4] * 3
    assert decayed_rate(paper, 150) == pytest.approx(2e-4 * (1 - 50 / 101))
    assert 0 < decayed_rate(paper, 200) < 2.1e-6


def random_batch(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    x, y = (torch.rand(2, 3, 32, 32, generator=random) * 2 - 1 for _ in "xy")
    return x, y


@pytest.mark.parametrize("bf16", [False, True])
def test_one_step_moves_every_parameter_of_all_four_networks(bf16: bool) -> None:
    model = CycleGAN(replace(OPTIONS, identity_weight=0.5), torch.device("cpu"), bf16)
    before = {name: value.clone() for name, value in model.named_parameters()}
    losses = model.train_step(*random_batch(0))
    assert losses.shape == (len(LOSSES),)
    assert torch.isfinite(losses).all()
    for name, value in model.named_parameters():
        assert value.grad is not None, name
        assert torch.isfinite(value.grad).all(), name
        # A bias before an instance norm has no effect: its gradient is 0 but for rounding.
        assert name.endswith("bias") or not torch.equal(value, before[name]), name
        assert value.dtype == torch.float32


def test_generator_step_leaves_discriminator_gradients_alone() -> None:
    model = CycleGAN(OPTIONS, torch.device("cpu"))
    x, y = random_batch(1)
    model.D_X.requires_grad_(False)
    model.D_Y.requires_grad_(False)
    model._update_generators(x, y)
    assert all(value.grad is None for value in model.D_X.parameters())
    assert all(value.grad is not None for value in model.F.parameters())


def test_reported_losses_are_those_of_the_networks_before_the_step() -> None:
    model, twin = (CycleGAN(OPTIONS, torch.device("cpu")) for _ in range(2))
    x, y = random_batch(2)
    reported = dict(zip(LOSSES, model.train_step(x, y).tolist(), strict=True))
    with torch.no_grad():
        fake_y, fake_x = twin.G(x), twin.F(y)
        assert reported["D_Y"] == pytest.approx(
            discriminator_loss(twin.D_Y(y), twin.D_Y(fake_y)).item(), rel=1e-5
        )
        assert reported["F"] == pytest.approx(generator_loss(twin.D_X(fake_x)).item(), rel=1e-5)
        assert reported["cycle_Y"] == pytest.approx(cycle_loss(y, twin.G(fake_x)).item(), rel=1e-5)


def test_pool_gives_new_frames_until_full_then_old_ones_too() -> None:
    pool = ImagePool(size=3, seed=0)
    first = torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 3, 2, 2)
    assert torch.equal(pool.exchange(first), first)
    seen = [float(pool.exchange(torch.full((1, 3, 2, 2), 10.0 + n))[0, 0, 0, 0]) for n in range(40)]
    new = [value == 10.0 + n for n, value in enumerate(seen)]
    assert 8 < sum(new) < 32  # half of the time, give or take
    assert {0.0, 1.0, 2.0} & set(seen)
    assert len(set(seen)) == len(seen)  # nothing comes out twice


def test_pool_goes_on_from_its_saved_state() -> None:
    pool, twin = ImagePool(4, seed=1), ImagePool(4, seed=99)
    for n in range(6):
        pool.exchange(torch.full((1, 3, 2, 2), float(n)))
    twin.load_state_dict(pool.state_dict())
    for n in range(20):
        fake = torch.full((1, 3, 2, 2), 50.0 + n)
        assert torch.equal(pool.exchange(fake), twin.exchange(fake))


def test_pool_of_size_zero_is_off() -> None:
    fake = torch.rand(2, 3, 2, 2)
    assert ImagePool(0, seed=0).exchange(fake) is fake
