"""Over-exposed frames made from frames of X: what is true of them is true."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.tiny_physical import scene
from torch import Tensor

from model import formation
from model.physical_networks import LARGEST
from model.synthetic import Exposed, expose_frames, glare, relight, thin, vary_saturation


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def frames(count: int = 6) -> Tensor:
    """(count, 3, 48, 48) in [0, 1]."""
    values = np.stack([scene(n) for n in range(count)]) / np.float32(255)
    return torch.from_numpy(values).permute(0, 3, 1, 2).float()


def none_of(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.bool)


def test_every_second_pixel_is_picked_and_none_is_averaged() -> None:
    picture = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert thin(picture).flatten().tolist() == [0, 2, 8, 10]


def test_a_filter_multiplies_all_of_a_picture_alike() -> None:
    x, log_gain = frames(2), torch.tensor([math.log(2), 0.0])
    made = expose_frames(x, log_gain, none_of(2), False, seeded())
    torch.testing.assert_close(made.lit, made.wanted * torch.tensor([2.0, 1]).reshape(2, 1, 1, 1))
    assert torch.equal(made.exposed, formation.clip(made.lit))
    assert float((made.wanted - x).abs().max()) <= 0.5 / 255 + 1e-6
    assert made.gains_of(2, 3).shape == (2, 3, 2, 3)
    assert made.gains_of(2, 3)[0].flatten().tolist() == pytest.approx([math.log(2)] * 18)


@pytest.mark.parametrize("linear", [True, False])
def test_frames_that_stay_have_no_gain(linear: bool) -> None:
    x, unchanged = frames(4), torch.tensor([True, False, True, False])
    made = expose_frames(x, torch.full((4,), 1.2), unchanged, linear, seeded())
    gains = made.gains_of(6, 6)
    assert float(gains[unchanged].abs().max()) < 1e-5
    assert float(gains[~unchanged].mean()) > 0.5
    assert float((made.exposed[unchanged] - x[unchanged]).abs().max()) <= 1 / 255 + 1e-6
    assert bool((made.exposed[~unchanged].mean((1, 2, 3)) > x[~unchanged].mean((1, 2, 3))).all())


def test_gains_of_parts_are_ratios_of_light() -> None:
    # The left half has 0.2 of light and gets 0.8, four times as much; the right 0.1 and gets 0.1.
    before = torch.tensor([0.2, 0.2, 0.1, 0.1]).reshape(1, 1, 1, 4).expand(1, 3, 2, 4)
    after = torch.tensor([0.8, 0.8, 0.1, 0.1]).reshape(1, 1, 1, 4).expand(1, 3, 2, 4)
    wanted, lit = formation.to_encoded(before), formation.to_encoded(after)
    found = Exposed(wanted, lit, formation.clip(lit), torch.zeros_like(wanted)).gains_of(1, 2)
    assert found.shape == (1, 3, 1, 2)
    assert found[0, 0, 0].tolist() == pytest.approx([math.log(4), 0], abs=0.01)


def test_light_varies_over_a_picture_and_glare_only_adds() -> None:
    x = frames(6)
    field = relight(x, seeded())
    assert field.shape == x.shape
    assert float(field.std((1, 2, 3)).min()) > 0.01
    glow = glare(x, seeded())
    assert glow.shape == (6, 1, 48, 48)
    assert float(glow.min()) >= 0
    made = expose_frames(x, torch.full((6,), 0.7), none_of(6), True, seeded())
    assert 0 <= float(made.gains.min()) <= float(made.gains.max()) <= LARGEST
    assert float((made.lit - made.wanted).min()) > -1e-5  # gains are from 1, and a veil adds
    assert bool(torch.isfinite(made.gains_of(6, 6)).all())


def test_other_colours_have_the_same_grey_where_nothing_clips() -> None:
    x = 0.4 + 0.2 * frames(3)
    found = vary_saturation(x, seeded())
    torch.testing.assert_close(found.mean(1), x.mean(1), atol=1e-6, rtol=0)
    assert float((found - x).abs().max()) > 0.005
    grey = x.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(vary_saturation(grey, seeded()), grey)


@pytest.mark.parametrize("linear", [True, False])
def test_the_same_seed_gives_the_same_frames(linear: bool) -> None:
    x, log_gain = frames(3), torch.full((3,), 0.8)
    one, same, other = (
        expose_frames(x, log_gain, none_of(3), linear, seeded(seed)).exposed for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("linear", [True, False])
def test_no_frames_give_no_frames(linear: bool) -> None:
    none = frames(1)[:0]
    made = expose_frames(
        vary_saturation(none, seeded()), none[:, 0, 0, 0], none_of(0), linear, seeded()
    )
    assert made.exposed.shape == none.shape
