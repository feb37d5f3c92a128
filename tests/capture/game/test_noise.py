"""Tileable noise, whose places wrap round."""

from __future__ import annotations

import numpy as np

from capture.game.noise import cells


def test_places_a_hair_below_the_edge_are_inside() -> None:
    """-1e-9 % 64 is 64 in 32-bit floats: a world of such a seed could not be made."""
    for jitter in (-1e-9, 0.0, 1e-9):
        field = np.full((64, 64), jitter, np.float32)
        number, distance = cells(np.random.default_rng(0), 64, 4, field)
        assert number.max() < 4 * 64
        assert number[0, 0] < 64
        assert distance.shape == (64, 64)
