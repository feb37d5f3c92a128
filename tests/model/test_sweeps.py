"""What two lights of one place say about their gains, by hand; nothing where nothing is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from model.formation import to_encoded
from model.sweeps import gain_difference, sweep_loss

TWICE = math.log(2)


def halves(left: float, right: float) -> Tensor:
    """A picture whose halves have this linear light: (1, 3, 8, 8), encoded."""
    light = torch.full((1, 3, 8, 8), left)
    light[..., 4:] = right
    return to_encoded(light)


def test_light_that_doubled_in_one_half_is_a_gain_there() -> None:
    wanted, weights = gain_difference(halves(0.1, 0.2), halves(0.2, 0.2), 1, 2)
    assert wanted[0, 0, 0].tolist() == pytest.approx([TWICE, 0.0], abs=0.02)
    assert torch.equal(weights, torch.ones(1, 3, 1, 2))


def test_what_is_clipped_in_one_of_them_or_dark_says_nothing() -> None:
    clipped = halves(0.3, 1.0)
    clipped[:, 0, :2] = 1.0
    _, weights = gain_difference(halves(0.1, 0.4), clipped, 1, 2)
    assert weights[0, :, 0].tolist() == [[0.75, 0.0], [1.0, 0.0], [1.0, 0.0]]
    _, weights = gain_difference(halves(0.0, 0.1), halves(0.0, 0.2), 1, 2)
    assert weights[0, 0, 0].tolist() == [0.0, 1.0]


def test_gains_that_differ_as_light_does_cost_nothing() -> None:
    frames, others = halves(0.1, 0.2), halves(0.2, 0.2)
    wanted, _ = gain_difference(frames, others, 1, 2)
    found = torch.randn(1, 4, 1, 2, generator=torch.Generator().manual_seed(0))
    sureness = torch.ones(1, 1, 1, 2)  # it may be anything
    right = torch.cat((found[:, :3] + wanted, sureness), 1)
    assert float(sweep_loss(found, right, frames, others)) == pytest.approx(0.0, abs=1e-6)
    assert float(sweep_loss(found, found, frames, others)) > 0.1
    assert float(sweep_loss(right, found, others, frames)) == pytest.approx(0.0, abs=1e-6)


def test_nothing_in_common_gives_no_loss_and_a_finite_gradient() -> None:
    white, found = torch.ones(1, 3, 8, 8), torch.zeros(1, 4, 1, 2, requires_grad=True)
    loss = sweep_loss(found, found.detach() + 1, white, white)
    loss.backward()
    assert float(loss.detach()) == 0
    assert found.grad is not None
    assert not found.grad.any()
