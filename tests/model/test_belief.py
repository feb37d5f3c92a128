"""What is believed of a head's proposals: the same numbers without torch as with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.tiny_physical import restorer

from model import belief, physical_networks


@pytest.fixture(scope="module")
def proposals() -> np.ndarray:
    random = np.random.default_rng(0)
    found = random.normal(0.8, 0.5, (1, 4, 8, 14)).astype(np.float32)
    found[0, 3] *= 5  # sureness, of any size
    return found


def test_overall_is_that_of_the_network(proposals: np.ndarray) -> None:
    wanted = float(physical_networks.overall(torch.from_numpy(proposals)))
    assert belief.overall(proposals) == pytest.approx(wanted, abs=1e-5)
    proposals = proposals + np.float32([0, 0, 0, 1000]).reshape(1, 4, 1, 1)
    assert belief.overall(proposals) == pytest.approx(wanted, abs=1e-4)  # no overflow


@pytest.mark.parametrize("light", [-0.3, 0.0, 0.04, 0.1, 0.2, 1.0, 7.0])
@pytest.mark.parametrize("linear", [True, False])
def test_gains_are_those_of_the_network(proposals: np.ndarray, linear: bool, light: float) -> None:
    network = restorer(0.0, linear)
    wanted = network.believed_gains(torch.from_numpy(proposals), torch.tensor([light])).numpy()
    found = belief.believed_gains(proposals, light, linear)
    assert (found.shape, found.dtype) == (wanted.shape, np.float32)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_how_likely_a_picture_is_over_exposed_is_what_bayes_says() -> None:
    height = 1 / (belief.STRAY * math.sqrt(2 * math.pi))  # of the spike at 0
    assert belief.how_likely_exposed(0) == pytest.approx(1 / (1 + height))
    assert belief.how_likely_exposed(belief.STRAY) == pytest.approx(
        1 / (1 + height * math.exp(-0.5))
    )
    assert belief.how_likely_exposed(1) == pytest.approx(1)


def test_who_knows_better_may_say_how_likely(proposals: np.ndarray) -> None:
    certain = belief.believed_gains(proposals, 0.02, True, likely=1.0)
    assert np.allclose(belief.believed_gains(proposals, 0.02, True, likely=0.25), certain / 4)
    assert not belief.believed_gains(proposals, 0.02, True, likely=0.0).any()
