"""A picture in bands is the picture at once, for every generator, size and division."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor

import model.restoring.bands
from model.networks import Generator, initialize
from model.restoring.bands import BandedGenerator, Budget, Moments

IN_RANGE = 2 / 255  # one step of 255 in [-1, 1]
PLENTY = 2**40


@pytest.fixture(autouse=True)
def narrow_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.restoring.bands, "LEAST_ROWS", 4)


def make(residual: bool, resize: bool, blocks: int = 3) -> Generator:
    network = Generator(8, blocks, residual, resize).eval()
    initialize(network, torch.Generator().manual_seed(3))
    return network


def run_banded(network: Generator, picture: Tensor, budget: Budget) -> Tensor:
    rows: list[Tensor] = []
    with torch.inference_mode():
        BandedGenerator(network, budget)(picture, lambda first, band: rows.append(band))
    return torch.cat(rows, 2)


def pictured(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(4)) * 2 - 1


@pytest.mark.slow
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("resize", [False, True])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (100, 44), (20, 400), (16, 16)])
@pytest.mark.parametrize("band_pixels", [PLENTY, 3000, 700])
def test_bands_give_what_the_whole_gives(
    residual: bool, resize: bool, height: int, width: int, band_pixels: int
) -> None:
    network, picture = make(residual, resize), pictured(height, width)
    with torch.inference_mode():
        whole = network(picture)
    banded = run_banded(network, picture, Budget(band_pixels, PLENTY))
    assert (banded - whole).abs().max() < 1e-4
    half = run_banded(network, picture, Budget(band_pixels, 0))
    assert (half - whole).abs().max() < IN_RANGE


def test_statistics_of_a_part_alone_would_be_seen() -> None:
    network, picture = make(False, False), pictured(96, 64)
    picture[:, :, :48] *= 0.1  # two halves of different contrast
    with torch.inference_mode():
        apart = torch.cat([network(half) for half in picture.split(48, 2)], 2)
        whole = network(picture)
    assert (apart - whole).abs().max() > 10 * IN_RANGE  # what tiles without sharing do
    banded = run_banded(network, picture, Budget(700, PLENTY))
    assert (banded - whole).abs().max() < 1e-4


def test_a_network_without_residual_blocks_is_run_as_well() -> None:
    network, picture = make(True, True, blocks=0), pictured(40, 40)
    with torch.inference_mode():
        whole = network(picture)
    assert (run_banded(network, picture, Budget(400, PLENTY)) - whole).abs().max() < 1e-4


@settings(max_examples=30, deadline=None)
@given(some.lists(some.integers(1, 9), min_size=1, max_size=6), some.integers(0, 1000))
def test_moments_of_parts_are_those_of_the_whole(parts: list[int], seed: int) -> None:
    rows = 100 + torch.randn(1, 5, sum(parts), 7, generator=torch.Generator().manual_seed(seed))
    moments = Moments()
    for part in rows.split(parts, 2):
        moments.add(part)
    mean, scale = moments.mean_and_scale()
    variance = rows.double().var((2, 3), correction=0, keepdim=True)
    assert torch.allclose(mean, rows.mean((2, 3), keepdim=True))
    assert torch.allclose(scale.double(), (variance + 1e-5).rsqrt(), rtol=1e-4)


def test_progress_rises_to_one() -> None:
    shares: list[float] = []
    network = make(True, False)
    BandedGenerator(network, Budget(700, PLENTY), shares.append)(
        pictured(64, 64), lambda first, band: None
    )
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
