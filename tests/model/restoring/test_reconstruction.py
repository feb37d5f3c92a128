"""Highlight reconstruction: exact where its assumption holds, and harmless where it does not."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from model.restoring.filling import Floats
from model.restoring.reconstruction import CLIPPED, reconstruct, recover, to_encoded, to_linear


def ramp(colour: tuple[float, float, float], brightest: float = 2.0) -> Floats:
    """Linear light of one colour, brighter from left to right, (40, 200, 3)."""
    strength = np.linspace(0.1, brightest, 200, dtype=np.float32)
    return (strength[None, :, None] * np.array(colour, np.float32)).repeat(40, axis=0)


def clip(light: Floats) -> Floats:
    """What a camera makes of linear light."""
    return to_encoded(np.minimum(light, 1))


@pytest.mark.parametrize("colour", [(0.9, 0.6, 0.3), (0.3, 0.45, 0.8), (0.4, 0.9, 0.2)])
def test_a_clipped_ramp_of_one_colour_is_recovered_exactly(
    colour: tuple[float, float, float],
) -> None:
    scene = ramp(colour)
    pixels = clip(scene)
    assert (scene > 1).any(axis=(0, 1)).sum() >= 1
    assert (pixels >= CLIPPED).all(axis=2).sum() == 0  # each pixel keeps a channel
    assert recover(pixels) == pytest.approx(scene, rel=1e-4)


def test_a_clipped_channel_is_a_channel_left_times_their_ratio() -> None:
    # Red is twice green and four times blue in every pixel; of the last, 1.2 was clipped to 1.
    light = np.array([[[0.4, 0.2, 0.1], [0.8, 0.4, 0.2], [1.2, 0.6, 0.3]]], np.float32)
    assert recover(clip(light))[0, 2] == pytest.approx([1.2, 0.6, 0.3], rel=1e-4)


def test_one_factor_on_light_brings_the_picture_back_into_range() -> None:
    scene = ramp((0.9, 0.6, 0.3))  # up to 1.8, which more than 0.1 % of the pixels reach
    assert to_linear(reconstruct(clip(scene))) == pytest.approx(scene / 1.8, rel=1e-3, abs=1e-5)


def test_what_is_all_clipped_has_the_colour_around_it_and_is_as_bright_as_it_must_be() -> None:
    scene = np.full((60, 60, 3), (0.9, 0.7, 0.45), np.float32)
    scene[20:40, 20:40] *= 2.5  # 2.25, 1.75, 1.12: nothing is left of these
    found = recover(clip(scene))
    assert found[:, :20] == pytest.approx(scene[:, :20], rel=1e-4)
    # Blue was 1 at least: all of the colour is raised by 1 / 0.45.
    expected = np.broadcast_to(np.array([2.0, 0.7 / 0.45, 1.0]), (20, 20, 3))
    assert found[20:40, 20:40] == pytest.approx(expected, rel=1e-3)


def test_what_is_all_clipped_takes_light_that_was_recovered_around_it() -> None:
    scene = np.full((60, 60, 3), (1.8, 1.4, 0.9), np.float32)  # blue is left
    scene[:, :10] /= 2  # and here all channels, which gives the ratios
    scene[20:40, 20:40] *= 1.2  # blue 1.08
    assert recover(clip(scene))[30, 30] == pytest.approx(np.array([2.0, 1.4 / 0.9, 1.0]), rel=1e-3)


def test_a_picture_without_clipping_comes_back_as_it_is() -> None:
    picture = np.random.default_rng(1).uniform(0, 0.97, (20, 30, 3)).astype(np.float32)
    assert np.array_equal(reconstruct(picture), picture)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_white_stays_white_and_black_stays_black(value: float) -> None:
    picture = np.full((30, 40, 3), value, np.float32)
    assert np.array_equal(reconstruct(picture), picture)


def test_a_single_spark_does_not_darken_a_picture() -> None:
    picture = np.full((100, 100, 3), 0.5, np.float32)
    picture[50, 50] = (1.0, 0.9, 0.1)
    assert np.array_equal(reconstruct(picture), picture)


@given(some.integers(0, 1000))
@settings(max_examples=20)
def test_clipped_channels_only_become_brighter_and_others_stay(seed: int) -> None:
    picture = np.random.default_rng(seed).uniform(0, 1.2, (13, 17, 3)).astype(np.float32)
    pixels = np.minimum(picture, 1)
    before, after = to_linear(pixels), recover(pixels)
    assert np.isfinite(after).all()
    assert np.array_equal(after[pixels < CLIPPED], before[pixels < CLIPPED])
    assert (after >= before * (1 - 1e-5)).all()


@given(some.floats(0, 4))
def test_encoding_and_linear_light_are_inverse(value: float) -> None:
    light = np.full((1, 1, 3), value, np.float32)
    assert to_linear(to_encoded(light)) == pytest.approx(light, rel=1e-4, abs=1e-6)


def test_the_encoding_is_that_of_srgb() -> None:
    # IEC 61966-2-1: 0.5 is 0.21404 of white, and 0.04 is in its linear part, 0.04 / 12.92.
    found = to_linear(np.array([[[0.5, 0.04, 1.0]]], np.float32))[0, 0]
    assert found == pytest.approx([0.21404, 0.0030960, 1.0], abs=1e-5)


@pytest.mark.slow
def test_a_megapixel_takes_a_few_seconds() -> None:
    picture = np.random.default_rng(2).uniform(0, 1.3, (25, 25, 3)).astype(np.float32)
    large = np.minimum(np.kron(picture, np.ones((40, 40, 1), np.float32)), 1)
    began = time.process_time()
    reconstruct(large)
    assert time.process_time() - began < 8  # 2 s alone on one core; others may be at work
