"""A picture of any size by what is found on a small copy: as the network itself, and exact."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch
from helpers.tiny_physical import over_expose, restorer, scene
from hypothesis import given, settings
from hypothesis import strategies as some

import model.restoring.physical
from dataset.errors import UserError
from dataset.pictures.pixels import to_pixels
from model.options import RestoreOptions
from model.physical_networks import PhysicalRestorer, initialize
from model.restoring.full_size import BYTES
from model.restoring.methods import with_strength
from model.restoring.network import restorer_of, scaled_restorer_of
from model.restoring.physical import small_copy_restorer
from model.restoring.small_copy import SmallCopyRestorer

LEVEL = 1 / 255


def drawn_network(linear: bool) -> PhysicalRestorer:
    """Weights as before training, but larger in the last layers, so that gains vary."""
    network = PhysicalRestorer(4, linear)
    initialize(network, torch.Generator().manual_seed(3))
    for last in (network.head.proposal[-1], network.content.last):
        last.weight.data.mul_(2)
    return network.eval()


def over_exposed(height: int, width: int, linear: bool = True) -> np.ndarray:
    return to_pixels(over_expose(scene(5, height, width), 2.5, linear))


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("size", [(256, 384), (150, 310), (300, 129), (60, 90)])
def test_a_picture_is_restored_as_by_the_network_itself(
    size: tuple[int, int], linear: bool
) -> None:
    network, pixels = drawn_network(linear), over_exposed(*size, linear)
    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    with torch.inference_mode():
        wanted = (network(picture * 2 - 1)[0].permute(1, 2, 0).numpy() + 1) / 2
    found = small_copy_restorer(network)(pixels)
    assert found.dtype == np.float32
    assert np.abs(found - pixels).mean() > 0.02
    assert np.abs(found - wanted).max() <= 1e-4  # hundredths of a level


@pytest.mark.slow
@pytest.mark.parametrize("linear", [True, False])
def test_what_is_not_clipped_is_exact_to_rounding_at_full_size(linear: bool) -> None:
    gain = 2.5
    wanted = scene(5, 1080, 1920)
    displayed = over_expose(wanted, gain, linear)
    found = small_copy_restorer(restorer(math.log(gain), linear))(to_pixels(displayed))
    known = displayed < 255
    assert 0.2 < known.mean() < 0.95
    away = np.abs(found - wanted / 255)
    assert away[known].max() <= LEVEL / 2 + 1e-6
    bound = to_pixels(over_expose(np.full((1, 1, 3), 255, np.uint8), 1 / gain, linear)).max()
    assert found[~known].min() >= bound - LEVEL / 2 - 1e-6


@pytest.mark.parametrize("linear", [True, False])
def test_without_a_gain_a_picture_stays(linear: bool) -> None:
    pixels = over_exposed(200, 333, linear)
    assert pixels.max() == 1
    found = small_copy_restorer(restorer(0.0, linear))(pixels)
    assert np.abs(found - pixels).max() < 1e-6


@settings(max_examples=10)
@given(some.integers(1, 60), some.integers(1, 60), some.booleans())
def test_any_size_comes_back_as_it_went_in(height: int, width: int, linear: bool) -> None:
    pixels = np.random.default_rng(height).random((height, width, 3), np.float32)
    before = pixels.copy()
    found = small_copy_restorer(drawn_network(linear))(pixels)
    assert found.shape == pixels.shape
    assert 0 <= found.min() <= found.max() <= 1
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("size", [(1, 5000), (9000, 2)])
def test_a_strip_of_pixels_is_restored(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).random((*size, 3), np.float32)
    assert small_copy_restorer(drawn_network(True))(pixels).shape == pixels.shape


def test_progress_goes_to_the_end() -> None:
    told: list[float] = []
    small_copy_restorer(restorer(1.0), told.append)(over_exposed(64, 64))
    assert told == sorted(told)
    assert told[-1] == 1


def test_weights_that_overflow_give_an_error_and_no_black_picture() -> None:
    network = restorer(1.0)
    for value in network.parameters():
        value.data.fill_(3e38)
        value.data.flatten()[::2] *= -1
    with pytest.raises(UserError, match="is not finite"):
        small_copy_restorer(network)(over_exposed(64, 64))


@pytest.mark.slow
@pytest.mark.parametrize("light", [0.03, 0.6, 1.0])
def test_a_picture_takes_no_more_memory_than_is_asked_for(light: float) -> None:
    network = restorer(1.0)
    network.head.proposal[-1].weight.data.normal_(0, 0.01)  # gains that vary over the picture
    network = network.eval()
    pixels = np.full((1500, 1500, 3), light, np.float32)
    restore = small_copy_restorer(network)
    restore(pixels)  # what is allocated once
    tracemalloc.start()
    restore(pixels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 12 * 1500**2 < peak <= BYTES * 1500**2  # NumPy's; torch has small copies only


def test_a_picture_that_does_not_fit_into_memory_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model.restoring.physical, "free_device_bytes", lambda device: 1000)
    with pytest.raises(UserError, match=r"or make it smaller\.$"):
        small_copy_restorer(restorer(1.0))(over_exposed(64, 64))


@pytest.mark.parametrize("detail", ["auto", "native", "guided", "mixed"])
def test_a_picture_is_never_made_smaller_for_it(detail: str) -> None:
    network = drawn_network(True)
    assert isinstance(scaled_restorer_of(network, 64, detail), SmallCopyRestorer)
    assert isinstance(restorer_of(network), SmallCopyRestorer)


def test_a_part_of_the_correction_is_between_picture_and_result() -> None:
    pixels, whole = over_exposed(64, 64), small_copy_restorer(restorer(1.0))
    half = with_strength(whole, None, RestoreOptions(strength=0.5))(pixels)
    np.testing.assert_allclose(half, (pixels + whole(pixels)) / 2, atol=1e-6)
