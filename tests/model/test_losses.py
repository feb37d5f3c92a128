"""Equations (1) to (4) against numbers worked out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.losses import (
    SLICES,
    accuracy,
    colour_distance,
    cycle_loss,
    discriminator_loss,
    generator_loss,
)

REAL, FAKE = np.array([2.0, -1.0, 0.3]), np.array([-3.0, 0.5, 1.5])


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def test_discriminator_loss_is_the_negative_of_equation_2() -> None:
    wanted = -np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean()
    got = discriminator_loss(torch.tensor(REAL), torch.tensor(FAKE))
    assert got.item() == pytest.approx(wanted, rel=1e-6)


def test_generator_loss_in_both_forms() -> None:
    literal, usual = np.log(1 - sigmoid(FAKE)).mean(), -np.log(sigmoid(FAKE)).mean()
    assert generator_loss(torch.tensor(FAKE), minimax=True).item() == pytest.approx(literal)
    assert generator_loss(torch.tensor(FAKE)).item() == pytest.approx(usual)


def test_least_squares_losses_are_those_of_the_reference_code() -> None:
    wanted = (((REAL - 1) ** 2).mean() + (FAKE**2).mean()) / 2
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    assert discriminator_loss(real, fake, "least-squares").item() == pytest.approx(wanted)
    assert generator_loss(fake, "least-squares").item() == pytest.approx(((FAKE - 1) ** 2).mean())


@pytest.mark.parametrize("minimax", [False, True])
def test_both_forms_pull_a_generator_the_same_way(minimax: bool) -> None:
    fake = torch.tensor(FAKE, requires_grad=True)
    generator_loss(fake, minimax=minimax).backward()
    assert fake.grad is not None
    assert (fake.grad < 0).all()  # a higher logit, more real, lowers the loss


def test_discriminator_that_cannot_tell_loses_two_log_two() -> None:
    blind = torch.zeros(4)
    assert discriminator_loss(blind, blind).item() == pytest.approx(2 * np.log(2))
    assert discriminator_loss(blind + 0.5, blind + 0.5, "least-squares").item() == 0.25


def test_losses_stay_finite_for_extreme_logits() -> None:
    far = torch.tensor([-1e4, 1e4])
    assert torch.isfinite(discriminator_loss(far, far))
    assert torch.isfinite(generator_loss(far))
    assert torch.isfinite(generator_loss(far, minimax=True))


def test_losses_are_computed_in_fp32_from_bf16_logits() -> None:
    real, fake = (torch.tensor(each).to(torch.bfloat16) for each in (REAL, FAKE))
    for loss in (discriminator_loss(real, fake), generator_loss(fake), cycle_loss(real, fake)):
        assert loss.dtype == torch.float32


def test_cycle_loss_is_the_mean_absolute_difference() -> None:
    random = np.random.default_rng(0)
    first, second = random.random((2, 3, 4, 4)), random.random((2, 3, 4, 4))
    got = cycle_loss(torch.tensor(first), torch.tensor(second)).item()
    assert got == pytest.approx(np.abs(first - second).mean(), rel=1e-6)


def test_accuracy_counts_patches_on_the_right_side() -> None:
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    assert accuracy(real, fake).item() == pytest.approx((2 + 1) / 6)
    assert accuracy(real, fake, "least-squares").item() == pytest.approx((1 + 2) / 6)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def colours(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 6, 5, generator=torch.Generator().manual_seed(count))


def test_colours_are_compared_whatever_the_pictures_show() -> None:
    x = colours()
    assert colour_distance(x, x, seeded()).item() == 0
    mixed = x.movedim(1, -1).reshape(-1, 3)[torch.randperm(60, generator=seeded())]
    mixed = mixed.reshape(2, 6, 5, 3).movedim(-1, 1)
    assert not torch.equal(mixed, x)
    assert colour_distance(mixed, x, seeded()).item() == pytest.approx(0, abs=1e-7)


def test_brighter_colours_are_as_far_away_as_they_are_brighter() -> None:
    # Along a direction of unit length (a, b, c), 0.1 more of each channel is 0.1 |a + b + c| away.
    directions = torch.randn(3, SLICES, generator=seeded())
    wanted = 0.1 * (directions / directions.norm(dim=0)).sum(0).abs().mean()
    assert colour_distance(colours() + 0.1, colours(), seeded()).item() == pytest.approx(
        wanted.item(), rel=1e-4
    )


def test_colours_of_fewer_pixels_are_compared_by_their_ranks() -> None:
    x = colours()
    every = x.repeat(3, 1, 1, 1)
    assert colour_distance(x, every, seeded()).item() < 0.02
    assert colour_distance(x * 0.5, every, seeded()).item() > 0.1


def test_colours_have_gradients() -> None:
    x = (colours() * 0.5).requires_grad_()
    colour_distance(x, colours(), seeded()).backward()
    assert x.grad is not None
    assert float(x.grad.sum()) < 0  # brighter is nearer
