"""The gain of a pair: what it was made with, whatever was clipped."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from dataset.pictures.images import Image
from model.gain import best_factor, gain_error, measure_gain


def scene(seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def brighter(picture: Image, gain: float) -> Image:
    return np.clip(np.rint(picture * gain), 0, 255).astype(np.uint8)


@given(some.integers(0, 1000), some.floats(0.5, 4))
def test_the_gain_of_a_pair_is_the_one_it_was_made_with(seed: int, gain: float) -> None:
    reference = scene(seed)
    assert measure_gain(brighter(reference, gain), reference) == pytest.approx(gain, rel=0.02)


def test_a_sun_that_was_always_white_does_not_count() -> None:
    reference = scene(0)
    reference[:20] = 255
    assert measure_gain(brighter(reference, 1.5), reference) == pytest.approx(1.5, rel=0.02)


def test_a_few_lights_of_their_own_do_not_move_a_gain() -> None:
    reference = scene(1)
    picture = brighter(reference, 1.5)
    picture[:5] = 100  # a sixth of the pixels is as bright as it likes
    assert measure_gain(picture, reference) == pytest.approx(1.5, rel=0.1)


def test_without_a_value_between_black_and_clipped_there_is_no_gain() -> None:
    for level in (0, 15, 250, 255):
        assert math.isnan(measure_gain(np.full((30, 40, 3), level, np.uint8), scene(2)))
    sparks = np.full((40, 40, 3), 255, np.uint8)
    sparks[0, 0] = 100  # 3 of 4,800 values
    assert math.isnan(measure_gain(sparks, sparks))
    sparks[0, 1] = 100
    assert measure_gain(sparks, sparks) == 1


def test_a_black_result_has_no_gain() -> None:
    source = np.full((8, 8, 3), 100, np.uint8)
    assert math.isnan(gain_error(np.zeros_like(source), source, 2.0))


def test_the_error_of_a_gain_is_a_ratio() -> None:
    source = np.full((8, 8, 3), 180, np.uint8)
    for level, ratio in ((180, 2), (90, 1), (120, 4 / 3), (60, 1.5)):
        restored = np.full_like(source, level)
        assert gain_error(restored, source, 2.0) == pytest.approx(math.log(ratio), abs=1e-9)


def test_the_best_factor_is_that_of_least_squares() -> None:
    # (1*20 + 2*10) / (1 + 4) = 8 in tens: sum(p r) / sum(p^2) with p = 10, 20 and r = 20, 10
    picture = np.array([[[10, 20, 0]]], np.uint8)
    reference = np.array([[[20, 10, 7]]], np.uint8)
    assert best_factor(picture, reference) == pytest.approx(400 / 500)
    assert best_factor(np.zeros_like(picture), reference) == 1
