"""What a picture needs is learned from the domains; what needs nothing stays as it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny_runs import picture
from hypothesis import given, settings
from hypothesis import strategies as some

from dataset.errors import UserError
from dataset.pictures.images import Image
from dataset.pictures.pixels import Pixels, to_pixels
from model.exposure import (
    EDGES,
    EXPOSURE_FILE,
    Exposure,
    features,
    learn_exposure,
    parse_exposure,
    read_exposure,
)
from model.restoring.methods import AdaptiveStrength


def frames(light: float, first: int, count: int = 12) -> list[Image]:
    return [picture(first + number, light) for number in range(count)]


@pytest.fixture(scope="module")
def learned() -> Exposure:
    return learn_exposure(frames(0.9, 0), frames(2.5, 100, 30))


def test_frames_that_were_never_seen_are_told_apart(learned: Exposure) -> None:
    below = [learned(to_pixels(frame)) for frame in frames(0.9, 200)]
    above = [learned(to_pixels(frame)) for frame in frames(2.5, 300)]
    assert max(below) < 0.2
    assert min(above) > 0.8


def test_more_light_never_looks_less_over_exposed(learned: Exposure) -> None:
    looks = [learned(to_pixels(picture(7, light))) for light in (0.9, 1.2, 1.6, 2.0, 2.5)]
    assert looks == sorted(looks)


@settings(max_examples=30, deadline=None)
@given(some.integers(1, 400), some.integers(1, 400), some.integers(0, 99))
def test_features_are_roots_of_shares(height: int, width: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)
    found = features(pixels)
    assert found.shape == (len(EDGES) - 1,)
    assert (found**2).sum() == pytest.approx(1)


def test_white_and_black_are_counted_too() -> None:
    assert features(np.ones((3, 3, 3), np.float32))[-1] == 1
    assert features(np.zeros((3, 3, 3), np.float32))[0] == 1


@pytest.mark.slow
def test_the_slope_of_the_fit_is_that_of_its_loss() -> None:
    # A minimum: no step of any weight finds a smaller loss, computed independently here.
    x, y = frames(0.9, 0), frames(1.3, 50, 20)
    best = learn_exposure(x, y)

    def loss(weights: np.ndarray, constant: float) -> float:
        total = 1e-3 * float(weights @ weights)
        for sign, group in ((-1, x), (1, y)):
            odds = [float(features(to_pixels(f)) @ weights) + constant for f in group]
            total += 0.5 * float(np.mean(np.log1p(np.exp(-sign * np.array(odds)))))
        return total

    weights = np.array(best.weights)
    least = loss(weights, best.constant)
    for place in range(len(weights)):
        for step in (-0.1, 0.1):
            moved = weights.copy()
            moved[place] += step
            assert loss(moved, best.constant) >= least - 1e-6


def test_a_share_of_the_correction_is_applied() -> None:
    pixels = np.full((8, 8, 3), 0.8, np.float32)

    def darken(given: Pixels) -> Pixels:
        return given / 2

    assert AdaptiveStrength(darken, 0.25)(pixels) == pytest.approx(0.7 * np.ones_like(pixels))
    assert AdaptiveStrength(darken, 1.0)(pixels) == pytest.approx(0.4 * np.ones_like(pixels))


def test_what_needs_nothing_is_not_touched() -> None:
    def fail(given: Pixels) -> Pixels:
        raise AssertionError("it was restored")

    pixels = np.full((8, 8, 3), 0.2, np.float32)
    never = Exposure((0.0,) * (len(EDGES) - 1), -20.0)
    assert np.array_equal(AdaptiveStrength(fail, never)(pixels), pixels)
    assert np.array_equal(AdaptiveStrength(fail, 0.0)(pixels), pixels)


def test_it_comes_back_from_its_file_and_nothing_else_does(learned: Exposure) -> None:
    source = Path("night.safetensors")
    assert parse_exposure(learned.to_json(), source) == learned
    assert parse_exposure("", source) is None
    twelve = [0.0] * 12
    for text in (
        *("{}", "[1]", "5", "[" * 100_000, json.dumps({"weights": [1, 2], "constant": 0})),
        json.dumps({"weights": [float("nan")] * 12, "constant": 0}),
        json.dumps({"weights": [10**400] * 12, "constant": 0}),
        json.dumps({"weights": twelve, "constant": float("inf")}),
        json.dumps({"weights": twelve, "constant": 1e300}),
    ):
        with pytest.raises(UserError, match=r"night\.safetensors .* is damaged"):
            parse_exposure(text, source)


def test_a_runs_own_is_optional_but_never_damaged(tmp_path: Path) -> None:
    assert read_exposure(tmp_path) is None
    (tmp_path / EXPOSURE_FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"exposure\.json .* is damaged"):
        read_exposure(tmp_path)
    (tmp_path / EXPOSURE_FILE).unlink()
    (tmp_path / EXPOSURE_FILE).mkdir()
    with pytest.raises(UserError, match=r"Cannot read .*exposure\.json"):
        read_exposure(tmp_path)
