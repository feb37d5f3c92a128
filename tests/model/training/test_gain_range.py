"""The gain of over-exposed frames is found back from both domains, without pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.tiny_physical import over_expose, scene

from dataset.pictures.images import Image
from model.training.gain_range import TRIED, describe, matching_gain

pytestmark = pytest.mark.slow


def domains(gain: float, linear: bool) -> tuple[list[Image], list[Image]]:
    """Frames of X and of Y, which is exposed by gains around this one."""
    spread = np.random.default_rng(0).permutation(np.linspace(0.7, 1.3, 90))
    y = [
        over_expose(scene(1000 + n), math.exp(math.log(gain) * share), linear)
        for n, share in enumerate(spread)
    ]
    return [scene(n) for n in range(80)], y


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("gain", [1.5, 2.5, 4.0])
def test_a_known_median_gain_is_found_back(gain: float, linear: bool) -> None:
    x, y = domains(gain, linear)
    assert math.exp(matching_gain(x, y, linear)) == pytest.approx(gain, rel=0.15)


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_frames_does_not_matter(order: int) -> None:
    x, y = domains(3.0, linear=False)
    x.sort(key=lambda frame: order * float(frame.mean()))
    assert math.exp(matching_gain(x, y, linear=False)) == pytest.approx(3.0, rel=0.15)


def test_one_frame_of_each_is_enough() -> None:
    x = [scene(3)]
    y = [over_expose(scene(3), 2.0, linear=False)]
    assert math.exp(matching_gain(x, y, linear=False)) == pytest.approx(2.0, rel=0.05)


def test_domains_that_look_alike_have_the_smallest_gain() -> None:
    x, y = [scene(n) for n in range(40)], [scene(1000 + n) for n in range(40)]
    assert matching_gain(x, y, linear=False) <= 0.2
    white = [np.full((20, 30, 3), 255, np.uint8)]
    assert TRIED[0] <= matching_gain(x, white, linear=True) <= TRIED[-1]


def test_frames_of_any_number_and_shape_are_compared() -> None:
    one = [scene(0, 33, 90)]
    assert TRIED[0] <= matching_gain(one, [scene(1, 70, 40), scene(2, 9, 9)], True) <= TRIED[-1]


def test_a_frame_is_described_by_its_brightness_and_clipped_shares() -> None:
    frame = torch.zeros(1, 3, 1, 4)
    frame[0, 0, 0] = torch.tensor([0.0, 0.2, 0.4, 1.0])
    frame[0, 1, 0, 3] = 0.9
    # Mean of 0, 0.2, 0.4 and 1; quantiles at places 0.3, 0.75, 1.5 and 2.25 between them; a
    # quarter of red is clipped, and its square root is a half.
    wanted = [0.4, 0.06, 0.15, 0.3, 0.55, 0.5, 0, 0]
    assert describe(frame)[0].tolist() == pytest.approx(wanted)
