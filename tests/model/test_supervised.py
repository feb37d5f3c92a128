"""True pairs as what preset physical learns from: gains by hand, and a loss that falls."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny_physical import PHYSICAL, over_expose, scene, tiny_physical
from torch import Tensor

from dataset.pictures.images import Image
from model.physical import LOSS_NAMES, SUPERVISED, Physical
from model.supervised import known_loss, true_pairs

CPU = torch.device("cpu")


def tensor_of(pictures: list[Image]) -> Tensor:
    """(B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.stack(pictures) / np.float32(255)).permute(0, 3, 1, 2)


def pairs_of(gain: float, linear: bool, count: int = 8) -> tuple[Tensor, Tensor]:
    """References, and the same under `gain` times the light."""
    scenes = [scene(n) for n in range(count)]
    return tensor_of(scenes), tensor_of([over_expose(each, gain, linear) for each in scenes])


@pytest.mark.parametrize("linear", [True, False])
def test_a_pairs_gain_follows_from_what_did_not_clip(linear: bool) -> None:
    references, over_exposed = pairs_of(1.8, linear)
    found = true_pairs(references, over_exposed, linear).overall_gain()
    assert found.tolist() == pytest.approx([math.log(1.8)] * 8, abs=0.03)
    same = true_pairs(references, references, linear).overall_gain()
    assert same.tolist() == [0.0] * 8


@pytest.mark.parametrize("linear", [True, False])
def test_the_true_gain_leaves_rounding_and_no_other_does(linear: bool) -> None:
    pairs = true_pairs(*pairs_of(1.8, linear), linear)
    losses = [
        float(known_loss(pairs, torch.full((8, 1, 1, 1), math.log(k)), linear))
        for k in (1.0, 1.5, 1.8, 2.2)
    ]
    assert losses[2] < 0.01
    assert min(losses[0], losses[1], losses[3]) > 0.05


def test_what_clipped_tells_nothing_about_the_gain() -> None:
    white = torch.ones(2, 3, 8, 8)
    pairs = true_pairs(torch.full_like(white, 0.5), white, linear=True)
    gains = torch.zeros(2, 3, 1, 1, requires_grad=True)
    known_loss(pairs, gains, linear=True).backward()
    assert gains.grad is not None
    assert not gains.grad.any()


@pytest.mark.slow
@pytest.mark.parametrize("linear", [True, False])
def test_steps_lower_the_loss_of_true_pairs(linear: bool) -> None:
    network = replace(PHYSICAL, linear=linear)
    options = tiny_physical(
        Path(), pairs=Path("pairs.csv"), learning_rate=1e-2, network=network, batch_size=8
    )
    trained = Physical(options, CPU)
    trained.match_gains(math.log(2.5))
    x, y = (2 * each - 1 for each in pairs_of(2.5, linear))
    reports = torch.stack([trained.train_step(x, y) for _ in range(80)])
    assert reports.shape[1] == len(LOSS_NAMES + SUPERVISED)
    assert bool(torch.isfinite(reports).all())
    names = LOSS_NAMES + SUPERVISED
    first, last = (part[:, names.index("pairs")].mean() for part in (reports[:10], reports[-10:]))
    assert last < 0.6 * first
    assert not reports[:, names.index("match")].any()  # colours need no matching: they are known
