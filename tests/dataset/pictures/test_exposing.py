"""Exposures of one HDR frame: which are chosen, and what each of them shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.made_shots import shot

from dataset.errors import UserError
from dataset.labelling.clipping import clipped_mask
from dataset.pictures.exposing import develop, exposures, veil_of
from model import formation

STOPS = (-2.5, 0.0, 1.75)


@pytest.mark.parametrize("stops", STOPS)
def test_an_exposure_is_what_the_formation_model_says(stops: float) -> None:
    light = shot(1)
    encoded = formation.to_encoded(torch.from_numpy(light) * 2.0**stops)
    expected = (formation.clip(encoded) * formation.LEVELS).round().numpy()
    off = np.abs(develop(light, stops).astype(int) - expected)
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-3


def test_exposures_of_known_light() -> None:
    """Of 0.25: 0.5 at one stop, which sRGB encodes as 0.7354, level 188; of 0.6: clipped."""
    light = np.array([[[0.25, 0.6, -0.1]]], np.float32)
    assert develop(light, 1.0).tolist() == [[[188, 255, 0]]]
    assert develop(light, 0.0).tolist() == [[[137, 203, 0]]]


def test_the_first_is_well_exposed_and_the_last_over_exposed() -> None:
    for seed in range(5):
        light = shot(seed)
        stops = exposures(light, 6)
        assert np.allclose(np.diff(stops), np.diff(stops)[0])
        frames = [develop(light, each) for each in stops]
        shares = [clipped_mask(each, 250).mean() for each in frames]
        assert shares[0] <= 0.005
        assert shares[-1] >= 0.3
        assert shares == sorted(shares)
        assert frames[0].max() > 200  # as bright as it can be without clipping


def test_a_display_s_white_is_no_brighter_than_it_is() -> None:
    dim = np.full((8, 8, 3), 0.1, np.float32)
    assert exposures(dim, 2)[0] == pytest.approx(np.log2(9.5))
    assert exposures(dim, 2, brightest=0.0) == pytest.approx([0, np.log2(9.5)])


def test_stops_that_are_asked_for_are_taken() -> None:
    assert exposures(shot(0), 3, -1, 3) == [-1, 1, 3]
    assert exposures(shot(0), 2, first=-1)[0] == -1
    with pytest.raises(UserError, match="not brighter than its first exposure"):
        exposures(shot(0), 3, last=-30)


def test_specks_in_the_dark_are_exposed_by_themselves() -> None:
    stars = np.zeros((100, 100, 3), np.float32)
    stars[3, 4] = 8
    first, last = exposures(stars, 2)
    assert 2**first * 8 == pytest.approx(0.95)
    assert last - first == 6  # no exposure would clip a third of it


def test_the_veil_spares_the_first_exposure_and_grows_with_the_others() -> None:
    light = np.zeros((60, 80, 3), np.float32)
    light[20:30, 30:40] = 50
    veil = veil_of(light)
    assert veil.shape == light.shape
    assert veil.mean() == pytest.approx(0.03 * light.mean(), rel=0.1)
    assert veil[25, 35, 0] > veil[25, 60, 0] > veil[55, 75, 0] > 0
    assert np.array_equal(develop(light, -3, veil, -3), develop(light, -3))
    corner = [int(develop(light, stops, veil, -3)[55, 75, 0]) for stops in (-3, -1, 0, 2)]
    assert corner == sorted(set(corner))
