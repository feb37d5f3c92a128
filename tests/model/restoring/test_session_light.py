"""Gains found together: nearer to the truth than each alone, and none where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from model.restoring.session_light import LEAST_TRUST, share_light


def session(count: int, mean: float, spread: float, error: float, seed: int = 0) -> np.ndarray:
    """(2, N): true log k, and what a network would find."""
    random = np.random.default_rng(seed)
    true = random.normal(mean, spread, count)
    return np.stack([true, true + random.normal(0, error, count)])


@pytest.mark.parametrize("spread", [0.0, 0.1, 0.3])
def test_gains_found_together_are_nearer_to_the_truth(spread: float) -> None:
    true, found = session(200, 0.9, spread, 0.2)
    light = share_light(list(found), 0.2)
    together = np.array([light.gain_of(each) for each in found])
    alone = np.abs(found - true).mean()
    assert np.abs(together - true).mean() < (0.6 if spread < 0.2 else 0.95) * alone
    assert light.mean == pytest.approx(0.9, abs=0.05)


def test_gains_that_differ_more_than_the_error_are_believed() -> None:
    _, found = session(200, 1.3, 0.6, 0.1)
    light = share_light(list(found), 0.1)
    assert light.trust > 0.9
    assert abs(light.gain_of(2.0) - 2.0) < 0.1


def test_pictures_that_are_not_over_exposed_stay_what_they_are() -> None:
    _, found = session(60, 0.9, 0.1, 0.1)
    light = share_light([*found, *[0.02] * 40], 0.1)
    assert light.share == pytest.approx(0.6, abs=0.02)
    assert light.mean == pytest.approx(0.9, abs=0.05)
    assert light.gain_of(0.02) == pytest.approx(0.02, abs=0.005)
    assert light.gain_of(0.0) == pytest.approx(0.0, abs=0.005)


@pytest.mark.parametrize("found", [[0.0], [0.7], [0.0, 0.0], [0.4] * 5])
def test_pictures_that_are_alike_keep_their_gain(found: list[float]) -> None:
    light = share_light(found, 0.2)
    assert light.gain_of(found[0]) == pytest.approx(found[0], abs=1e-6)
    assert LEAST_TRUST <= light.trust <= 1


def test_order_does_not_matter_and_moves_are_towards_the_mean() -> None:
    _, found = session(30, 0.6, 0.1, 0.2, seed=3)
    light = share_light(list(found), 0.2)
    assert share_light(list(found[::-1]), 0.2).mean == pytest.approx(light.mean)
    for each in found:
        moved = light.gain_of(each)
        assert min(each, light.mean) - 1e-9 <= moved <= max(each, light.mean) + 1e-9
