"""What is filled in: between what is trusted, and smooth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from model.restoring.filling import evidence, fill_in


@given(some.integers(0, 1000))
@settings(max_examples=20)
def test_what_is_filled_in_lies_between_what_is_trusted(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.uniform(0, 1, (17, 23, 2)).astype(np.float32)
    trust = (random.uniform(0, 1, (17, 23)) > 0.6).astype(np.float32)
    values[trust == 0] = 5.0  # what was lost says nothing
    filled = fill_in(values, trust, values[..., 0] * trust)
    assert filled.min() >= -1e-4
    assert filled.max() <= 1.01


def test_a_gap_in_a_ramp_is_bridged_by_a_ramp() -> None:
    ramp = np.linspace(0, 1, 33, dtype=np.float32)[None, :, None].repeat(20, axis=0)
    trust = np.ones((20, 33), np.float32)
    trust[:, 8:25] = 0
    holed = np.where(trust[..., None] > 0, ramp, np.float32(1))
    filled = fill_in(holed, trust, np.full((20, 33), 0.5, np.float32))
    assert filled == pytest.approx(ramp, abs=0.06)


def test_the_bright_tells_more_of_what_was_lost_than_the_dark() -> None:
    lightness = np.array([[0.95, 0.5, 0.1, 1.0]], np.float32)
    lost = np.array([[0, 0, 0, 1]], np.float32)
    bright, middle, dark, gone = evidence(lightness, lost)[0]
    assert bright > middle > dark > gone == 0
