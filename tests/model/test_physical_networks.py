"""The networks that invert over-exposure: what is known stays, what is drawn keeps its bound."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.tiny_physical import PHYSICAL, restorer
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor

from model import formation
from model.networks import count_parameters
from model.options import physical_preset
from model.physical_networks import (
    COARSE,
    GAMMA,
    INPUTS,
    LARGEST,
    LEVEL_PLANE,
    REACH,
    ExposureSimulator,
    PhysicalNetworks,
    PhysicalRestorer,
    build_restorer,
    enlarge,
    how_likely_exposed,
    initialize,
    near_rims,
    overall,
    small_copy,
)
from model.small_size import small_size

CPU = torch.device("cpu")
LEVEL = 1 / 255


def noise(height: int, width: int, most: int = 255) -> Tensor:
    """Whole levels up to `most`, (1, 3, H, W) in [0, 1]."""
    random = torch.Generator().manual_seed(height * 1000 + width)
    return torch.randint(0, most + 1, (1, 3, height, width), generator=random) / 255


def restored(network: torch.nn.Module, values: Tensor) -> Tensor:
    """Pictures in [0, 1] -> the same."""
    with torch.inference_mode():
        return (network(values * 2 - 1) + 1) / 2


def test_a_small_copy_has_sides_of_multiples_of_32() -> None:
    assert small_size(1080, 1920) == (128, 224)  # 1920 * 128 / 1080 = 227.6 = 7.1 * 32
    assert small_size(224, 224) == (128, 128)
    assert small_size(4000, 3000) == (160, 128)  # 170.7 = 5.3 * 32
    assert small_size(1, 1) == (128, 128)


@pytest.mark.parametrize("size", [(1, 100_000), (40_000, 3), (100, 20_000)])
def test_a_small_copy_stays_small_for_long_pictures(size: tuple[int, int]) -> None:
    height, width = small_size(*size)
    assert min(height, width) == 128
    assert height * width <= 1 << 18
    assert height % 32 == width % 32 == 0


def test_clipping_is_seen_before_averaging() -> None:
    picture = torch.zeros(1, 3, 2, 2)
    picture[0, 0] = torch.tensor([[1, 1], [0.2, 0]])  # a half clipped; averaged it is 0.55
    picture[0, 1] = 0.55
    found = small_copy(picture, (1, 1)).flatten()
    mean, clipped, rest = found[:3], found[3:6], found[6:]
    torch.testing.assert_close(mean, torch.tensor([0.55, 0.55, 0]))
    torch.testing.assert_close(clipped, torch.tensor([0.5, 0, 0]))
    torch.testing.assert_close(rest, torch.tensor([0.05, 0.55, 0]))  # 0.2 / 4


def test_a_picture_has_the_mean_of_proposals_by_their_sureness() -> None:
    proposals = torch.zeros(1, 4, 1, 2)
    proposals[0, :3, 0, 0] = torch.tensor([0.2, 0.3, 0.4])  # on average 0.3
    proposals[0, :3, 0, 1] = 1.1
    proposals[0, 3, 0] = torch.tensor([math.log(3), 0.0])  # three times as sure
    assert overall(proposals).item() == pytest.approx((3 * 0.3 + 1.1) / 4)


def test_gains_are_those_of_parts_for_light_and_of_the_whole_for_encoded_values() -> None:
    proposals = torch.tensor([-2.0, 1.0, 4.0, 0.0]).reshape(1, 4, 1, 1).expand(2, 4, 5, 6)
    lit, filtered = (restorer(0.0, linear).as_gains(proposals) for linear in (True, False))
    assert lit.shape == (2, 3, 5, 6)
    assert lit[0, :, 2, 3].tolist() == [0, 1, 2.5]  # half-way from the mean to each; none below 0
    assert restorer(0.0).as_gains(4 * proposals)[0, :, 2, 3].tolist() == [0, 4, LARGEST]
    assert filtered.shape == (2, 1, 1, 1)
    alike = restorer(0.0, False).as_gains(proposals[:, [1, 1, 1, 3]])
    torch.testing.assert_close(alike.flatten(), torch.ones(2))


def test_who_knows_the_light_of_a_picture_better_replaces_its_mean() -> None:
    proposals = torch.tensor([0.5, 1.0, 1.5, 0.0]).reshape(1, 4, 1, 1).expand(2, 4, 5, 6)
    known = torch.tensor([2.0, 0.0])
    lit, filtered = (restorer(0.0, linear).as_gains(proposals, known) for linear in (True, False))
    assert lit[0, :, 2, 3].tolist() == [1.75, 2, 2.25]
    assert lit[1, :, 2, 3].tolist() == pytest.approx([0, 0, 0.25])
    assert filtered.flatten().tolist() == [2, 0]


def test_a_gain_that_may_be_none_hardly_counts() -> None:
    light = torch.tensor([0.0, 0.15, -0.15, 1.0])
    # 1 / (1 + exp(-z^2 / 2) / (0.05 sqrt(2 pi))) for z = 0, 3, -3 and 20
    expected = torch.tensor([0.11138, 0.91858, 0.91858, 1.0])
    torch.testing.assert_close(how_likely_exposed(light), expected, atol=1e-5, rtol=0)
    rising = torch.linspace(0, 1, 201)
    assert ((how_likely_exposed(rising) * rising).diff() > 0).all()  # more light, more gain


@pytest.mark.parametrize("linear", [True, False])
def test_a_frame_that_is_hardly_brighter_than_usual_stays_and_a_bright_one_does_not(
    linear: bool,
) -> None:
    values = noise(140, 180)
    network = restorer(0.03, linear)
    assert (restored(network, values) - values).abs().max() < LEVEL
    gains = restorer(0.4, linear).find_gains(small_copy(values))
    torch.testing.assert_close(gains, torch.full_like(gains, 0.4))


def test_gains_of_parts_are_carried_to_all_pixels_between_them() -> None:
    gains = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    found = enlarge(gains, 2, 4)  # centres of the new pixels at -0.25, 0.25, 0.75 and 1.25
    assert found[0, 0].tolist() == [[0, 0.25, 0.75, 1]] * 2
    single = gains[..., :1]
    assert enlarge(single, 2, 4) is single


@settings(max_examples=10)
@given(some.integers(1, 70), some.integers(1, 70), some.booleans())
def test_any_size_comes_back_as_it_went_in(height: int, width: int, linear: bool) -> None:
    values = noise(height, width)
    found = restored(restorer(0.9, linear), values)
    assert found.shape == values.shape
    assert found.dtype == torch.float32
    assert 0 <= float(found.min()) <= float(found.max()) <= 1


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("most", [250, 255])
def test_without_a_gain_the_picture_stays(linear: bool, most: int) -> None:
    values = noise(140, 180, most)
    torch.testing.assert_close(restored(restorer(0.0, linear), values), values, atol=1e-6, rtol=0)


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("gain", [1.3, 4.0])
def test_what_is_not_clipped_is_exact_to_rounding(linear: bool, gain: float) -> None:
    log_gain = torch.tensor(math.log(gain))
    wanted = noise(150, 130)
    displayed = formation.clip(formation.expose(wanted, log_gain, linear))
    found = restored(restorer(math.log(gain), linear), displayed)
    known = formation.is_clipped(displayed) == 0
    assert 0.1 < float(known.float().mean()) < 0.95
    assert float((found - wanted).abs()[known].max()) <= LEVEL / 2 + 1e-6
    bound = float(formation.unexpose(torch.ones(()), log_gain, linear))
    assert float(found[~known].min()) >= bound - 1e-6
    assert float(found[~known].max()) <= 1


RISING = torch.linspace(0.6, 1.4, 128).clamp(max=1).expand(1, 3, 128, 128)
RIM = int((RISING[0, 0, 0] < 1).sum())


@pytest.mark.parametrize("linear", [True, False])
def test_gains_of_another_kind_and_back_are_the_same(linear: bool) -> None:
    network = PhysicalRestorer(4, linear)
    initialize(network, torch.Generator().manual_seed(0))
    small = small_copy(noise(64, 64) / 255)
    before, drawn = network.find_gains(small), network.draw(small, torch.full((1, 1, 1, 1), 0.5))
    network.turn_into(not linear)
    other = overall(network.propose(small))
    factor = 1 / GAMMA if linear else GAMMA
    network.turn_into(linear)
    torch.testing.assert_close(other, factor * overall(network.propose(small)))
    torch.testing.assert_close(network.find_gains(small), before)
    torch.testing.assert_close(network.draw(small, torch.full((1, 1, 1, 1), 0.5)), drawn)


@pytest.mark.parametrize("linear", [True, False])
def test_what_a_gain_meant_for_the_content_it_means_in_the_other_kind(linear: bool) -> None:
    network = PhysicalRestorer(4, linear)
    initialize(network, torch.Generator().manual_seed(0))
    planes = torch.rand(1, INPUTS, 32, 32, generator=torch.Generator().manual_seed(0))
    before = network.content(planes)
    network.turn_into(not linear)
    planes[:, LEVEL_PLANE] *= 1 / GAMMA if linear else GAMMA
    torch.testing.assert_close(network.content(planes), before)


def test_a_rim_is_where_light_grew_until_it_clipped() -> None:
    near = near_rims(small_copy(RISING))[0, 0, 64]
    assert float(near[RIM]) == 1
    assert float(near[RIM + 2 * COARSE * (REACH + 1) :].max()) == 0
    assert bool((near[RIM:].diff() <= 0).all())


def test_the_edge_of_what_is_bright_beside_something_dark_is_no_rim() -> None:
    values = torch.where(torch.arange(128) < 64, 0.4, 1.0).expand(1, 3, 128, 128)
    assert float(near_rims(small_copy(values)).max()) == 0


@pytest.mark.parametrize(("logit", "least", "most"), [(9.0, 0, 0.03), (-9.0, 0.1, 0.5)])
def test_content_goes_on_from_a_rim_if_light_grew_there(
    logit: float, least: float, most: float
) -> None:
    network, bias = restorer(0.7), torch.zeros(2, 12)
    bias[0], bias[1] = 0.25, logit
    network.content.last.weight.data.zero_()
    network.content.last.bias.data = bias.flatten()
    row = restored(network, RISING)[0, 0, 64]
    assert least < float(row[RIM] - row[RIM - 1]) < most
    assert float(row[-1] - row[RIM - 1]) > 0.1


def test_only_clipped_channels_are_drawn() -> None:
    values = noise(64, 64, 200)
    values[:, 0, 10:30, 10:30] = 1
    plain, drawn = restorer(0.5), restorer(0.5)
    drawn.content.last.bias.data[:12] = 3.0  # almost white
    away = (restored(plain, values) - restored(drawn, values)).abs()
    inside = torch.zeros_like(away, dtype=torch.bool)
    inside[:, 0, 10:30, 10:30] = True
    assert float(away[~inside].max()) == 0
    assert float(away[inside].min()) > 0.01


def test_over_exposure_has_the_median_gain_of_the_run() -> None:
    simulator = ExposureSimulator(linear=False)
    simulator.gains.copy_(torch.tensor([math.log(2), math.log(3)]))
    values = torch.tensor([0.1, 0.25, 0.7]).reshape(1, 3, 1, 1)
    found = restored(simulator, values).flatten()
    wanted = torch.tensor([51 / 255, 128 / 255, 1.0])  # 0.2; 0.5 of 255 is 127.5; clipped
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


def test_weights_follow_from_the_seed() -> None:
    one, same, other = (build_restorer(PHYSICAL) for _ in range(3))
    for network, seed in ((one, 1), (same, 1), (other, 2)):
        initialize(network, torch.Generator().manual_seed(seed))
    pairs = list(zip(one.parameters(), same.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(first, second) for first, second, _ in pairs)
    assert any(not torch.equal(first, third) for first, _, third in pairs)


def test_a_training_has_two_networks_and_their_averages() -> None:
    nets = PhysicalNetworks(PHYSICAL, 0, 0.5, CPU)
    assert nets.names == ("G", "F")
    assert count_parameters(nets.G) == 0
    value, average = next(nets.F.parameters()), next(nets.ema_or_F.parameters())
    before = average.clone()
    value.data.add_(1)
    nets.update_ema()
    # The first update takes the share 9 / 10 of what was added.
    torch.testing.assert_close(average, before + 0.9)
    assert nets.ema_or_G.gains.tolist() == nets.G.gains.tolist()


def test_the_preset_has_one_tenth_of_the_papers_generators() -> None:
    network = build_restorer(physical_preset().network)
    assert count_parameters(network) < 2.3e6  # the paper's two have 22.8 million
