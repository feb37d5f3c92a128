"""The networks are CycleGAN's: sizes, keys, shapes; and the residual one is what it says."""

from __future__ import annotations

import pytest
import torch

from model.networks import (
    Discriminator,
    Generator,
    build_generator,
    build_networks,
    correct,
    count_parameters,
    initialize,
)
from model.options import NetworkOptions, cpu_preset


def test_parameter_counts_are_cyclegans() -> None:
    # Its public code prints 11.378 M for the ResNet-9 generator and 2.765 M for the PatchGAN.
    assert count_parameters(Generator()) == 11_378_179
    assert count_parameters(Discriminator()) == 2_764_737


def test_state_dict_keys_stand_where_cyclegan_has_them() -> None:
    places = ["1", "4", "7", *(f"{n}.conv_block.{k}" for n in range(10, 19) for k in (1, 5))]
    places += ["19", "22", "26"]
    keys = [f"model.{place}.{part}" for place in places for part in ("weight", "bias")]
    assert list(Generator().state_dict()) == keys
    wanted = [f"model.{n}.{part}" for n in (0, 2, 5, 8, 11) for part in ("weight", "bias")]
    assert list(Discriminator().state_dict()) == wanted


@pytest.mark.parametrize(("residual", "resize"), [(False, False), (True, False), (True, True)])
def test_generator_keeps_shape_and_range(residual: bool, resize: bool) -> None:
    network = Generator(4, 2, residual, resize)
    picture = torch.rand(2, 3, 36, 20) * 2 - 1
    drawn = network(picture)
    assert drawn.shape == picture.shape
    assert drawn.abs().max() <= 1


def test_discriminator_judges_patches_of_70_pixels() -> None:
    network = Discriminator(4)
    picture = torch.zeros(1, 3, 256, 256, requires_grad=True)
    logits = network.model[0:1](picture)  # the size follows from strides, not from weights
    assert logits.shape == (1, 4, 128, 128)
    assert network(picture).shape == (1, 1, 30, 30)
    # The receptive field: without instance norm, only a 70x70 window moves one logit.
    convolutions = [layer for layer in network.model if isinstance(layer, torch.nn.Conv2d)]
    torch.nn.Sequential(*convolutions)(picture)[0, 0, 15, 15].backward()
    assert picture.grad is not None
    rows = picture.grad.abs().sum((0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_residual_generator_starts_near_the_identity() -> None:
    network = Generator(8, 2, residual=True)
    initialize(network, torch.Generator().manual_seed(0))
    picture = torch.rand(1, 3, 32, 32) * 1.6 - 0.8
    with torch.no_grad():
        assert (network(picture) - picture).abs().mean() < 0.2


def test_clamped_white_still_learns() -> None:
    network = Generator(4, 1, residual=True)
    for value in network.parameters():
        torch.nn.init.zeros_(value)
    assert isinstance(network.model[-1], torch.nn.Conv2d)
    assert network.model[-1].bias is not None
    network.model[-1].bias.data += 1  # far beyond white
    assert (network(torch.ones(1, 3, 16, 16)) == 1).all()
    network(torch.ones(1, 3, 16, 16)).mean().backward()
    last = network.model[-1]
    assert isinstance(last, torch.nn.Conv2d)
    assert last.bias is not None
    assert last.bias.grad is not None
    assert (last.bias.grad > 0).all()


def test_correction_is_a_gain_and_an_offset_on_display_values() -> None:
    picture = torch.full((1, 3, 1, 1), 0.2)  # 0.6 on a scale from 0 to 1
    drawn = torch.zeros(1, 6, 1, 1)
    assert torch.allclose(correct(picture, drawn), picture)
    drawn[:, :3], drawn[:, 3:] = -1.0, 0.1
    # 0.6 * exp(2 * tanh(-0.5)) + tanh(0.1) / 2 = 0.6 * 0.39683 + 0.04983 = 0.28793
    assert correct(picture, drawn)[0, 0, 0, 0].item() == pytest.approx(2 * 0.28793 - 1, abs=1e-4)


def test_weights_follow_from_the_seed() -> None:
    options = NetworkOptions(4, 1, 4)
    one, same, other = (build_networks(options, seed)[1].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["model.1.weight"], other["model.1.weight"])


def test_cpu_preset_is_small_and_residual() -> None:
    network = build_generator(cpu_preset().network)
    assert network.residual
    assert count_parameters(network) < 3_000_000
