"""One training step: what it moves, what it reports, and what breaks when it is wrong.

The step is held to a second way of computing it, written out here with plain autograd: a swapped
network, a forgotten detach, a frozen network or a missing term makes one of these tests fail.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.cyclegan import LOSS_NAMES, CycleGAN, assert_learning, decayed_rate
from model.losses import cycle_loss, discriminator_loss, generator_loss
from model.options import NetworkOptions, TrainOptions

TINY = NetworkOptions(generator_filters=4, generator_blocks=1, discriminator_filters=4)
OPTIONS = TrainOptions(size=32, batch_size=2, network=TINY, pool_size=3)
CPU = torch.device("cpu")


def random_batch(seed: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    x, y = (torch.rand(2, 3, 32, 32, generator=random) * 2 - 1 for _ in "xy")
    return x, y


def gradients(network: nn.Module) -> list[Tensor]:
    return [value.grad for value in network.parameters() if value.grad is not None]


def written_out(options: TrainOptions, x: Tensor, y: Tensor) -> dict[str, list[Tensor]]:
    """The gradients of equation (1) for each network, one network at a time."""
    model = CycleGAN(options, CPU)
    nets = model.networks
    G, F, D_X, D_Y = nets.G, nets.F, nets.D_X, nets.D_Y
    softplus = functional.softplus
    whole = (
        softplus(-D_Y(G(x))).mean()
        + softplus(-D_X(F(y))).mean()
        + options.cycle_weight * ((F(G(x)) - x).abs().mean() + (G(F(y)) - y).abs().mean())
    )
    fooled = torch.autograd.grad(whole, [*G.parameters(), *F.parameters()])
    with torch.no_grad():
        fake_y, fake_x = G(x), F(y)
    judged_y = softplus(-D_Y(y)).mean() + softplus(D_Y(fake_y)).mean()
    judged_x = softplus(-D_X(x)).mean() + softplus(D_X(fake_x)).mean()
    count = len(list(G.parameters()))
    return {
        "G": list(fooled[:count]),
        "F": list(fooled[count:]),
        "D_Y": list(torch.autograd.grad(judged_y, list(D_Y.parameters()))),
        "D_X": list(torch.autograd.grad(judged_x, list(D_X.parameters()))),
    }


@pytest.mark.parametrize("network", ["G", "F", "D_X", "D_Y"])
def test_gradients_are_those_of_equation_1_written_out(network: str) -> None:
    x, y = random_batch(4)
    wanted = written_out(OPTIONS, x, y)[network]
    model = CycleGAN(OPTIONS, CPU)
    if network in ("G", "F"):
        model.update_generators(x, y)
    else:
        with torch.no_grad():
            fakes = model.networks.F(y), model.networks.G(x)
        model.update_discriminators(x, y, *fakes, model.pools.draw(2))
    found = gradients(getattr(model.networks, network))
    assert len(found) == len(wanted)
    for got, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("bf16", [False, True])
def test_one_step_moves_every_parameter_of_all_four_networks(bf16: bool) -> None:
    model = CycleGAN(replace(OPTIONS, identity_weight=0.5), CPU, bf16)
    before = {name: value.clone() for name, value in model.networks.named_parameters()}
    losses = model.train_step(*random_batch(0))
    assert losses.shape == (len(LOSS_NAMES),)
    assert torch.isfinite(losses).all()
    assert_learning(model.networks, before)
    assert all(value.dtype == torch.float32 for value in model.networks.parameters())


@pytest.mark.parametrize("network", ["G", "F", "D_X", "D_Y"])
def test_a_network_that_does_not_learn_is_noticed_after_the_first_step(network: str) -> None:
    model = CycleGAN(OPTIONS, CPU)
    getattr(model.networks, network).requires_grad_(False)
    before = {name: value.clone() for name, value in model.networks.named_parameters()}
    model.train_step(*random_batch(0))
    with pytest.raises(AssertionError, match=network):
        assert_learning(model.networks, before)


def test_generators_step_leaves_the_discriminators_without_gradients() -> None:
    model = CycleGAN(OPTIONS, CPU)
    model.update_generators(*random_batch(1))
    assert not gradients(model.networks.D_X)
    assert not gradients(model.networks.D_Y)
    assert not any(gradients(twin) for twin in model.networks.frozen.values())
    assert len(gradients(model.networks.F)) == len(list(model.networks.F.parameters()))


def test_discriminators_step_sends_nothing_back_into_the_generators() -> None:
    model = CycleGAN(OPTIONS, CPU)
    x, y = random_batch(1)
    fake_y, fake_x, _ = model.update_generators(x, y)
    assert not fake_y.requires_grad
    assert not fake_x.requires_grad
    before = [gradient.clone() for gradient in gradients(model.networks.G)]
    model.update_discriminators(x, y, fake_x, fake_y, model.pools.draw(2))
    assert all(map(torch.equal, before, gradients(model.networks.G)))


def test_frozen_twins_follow_the_discriminators() -> None:
    model = CycleGAN(OPTIONS, CPU)
    for seed in range(2):
        model.train_step(*random_batch(seed))
    x, _ = random_batch(5)
    assert torch.equal(model.networks.frozen["D_X"](x), model.networks.D_X(x))
    assert torch.equal(model.networks.frozen["D_Y"](x), model.networks.D_Y(x))


def test_reported_losses_are_those_of_the_networks_before_the_step() -> None:
    model, twin = (CycleGAN(OPTIONS, CPU) for _ in range(2))
    x, y = random_batch(2)
    reported = dict(zip(LOSS_NAMES, model.train_step(x, y).tolist(), strict=True))
    with torch.no_grad():
        fake_y, fake_x = twin.networks.G(x), twin.networks.F(y)
        wanted = {
            "D_Y": discriminator_loss(twin.networks.D_Y(y), twin.networks.D_Y(fake_y)),
            "D_X": discriminator_loss(twin.networks.D_X(x), twin.networks.D_X(fake_x)),
            "G": generator_loss(twin.networks.D_Y(fake_y)),
            "F": generator_loss(twin.networks.D_X(fake_x)),
            "cycle_X": cycle_loss(x, twin.networks.F(fake_y)),
            "cycle_Y": cycle_loss(y, twin.networks.G(fake_x)),
        }
    for name, value in wanted.items():
        assert reported[name] == pytest.approx(value.item(), rel=1e-5), name


@pytest.mark.slow
def test_cycle_term_teaches_the_way_back_and_without_it_nothing_does() -> None:
    x, y = random_batch(3)
    learned, ignored = (
        CycleGAN(replace(OPTIONS, cycle_weight=weight, learning_rate=2e-3), CPU)
        for weight in (10.0, 0.0)
    )
    for _ in range(25):
        with_term, without = learned.train_step(x, y), ignored.train_step(x, y)
    at = LOSS_NAMES.index("cycle_X"), LOSS_NAMES.index("cycle_Y")
    for place in at:
        assert with_term[place] < without[place] - 0.02  # noise has no more to be learned


def test_average_follows_the_weights_by_its_decay() -> None:
    model = CycleGAN(replace(OPTIONS, ema=0.8), CPU)
    before = [value.detach().clone() for value in model.networks.F.parameters()]
    for step, kept in ((0, 0.1), (1, 2 / 11), (200, 0.8)):  # less is kept at a run's start
        model.networks.ema_steps.fill_(step)
        model.train_step(*random_batch(step))
        for old, new, average in zip(
            before, model.networks.F.parameters(), model.networks.ema_or_F.parameters(), strict=True
        ):
            torch.testing.assert_close(average, kept * old + (1 - kept) * new)
        before = [value.detach().clone() for value in model.networks.ema_or_F.parameters()]
    assert model.networks.ema_or_F is not model.networks.F
    assert CycleGAN(OPTIONS, CPU).networks.ema_or_F.__class__ is model.networks.F.__class__


def test_discriminators_rest_and_learn_more_slowly_when_asked_to() -> None:
    model = CycleGAN(replace(OPTIONS, discriminator_every=2, discriminator_rate=0.25), CPU)
    model.optimizers.set_learning_rate(4e-4)
    assert model.optimizers.discriminators.param_groups[0]["lr"] == pytest.approx(1e-4)
    moved = []
    for seed in range(4):
        before = model.networks.D_X.model[0].weight.detach().clone()
        model.train_step(*random_batch(seed))
        moved.append(not torch.equal(before, model.networks.D_X.model[0].weight))
    assert moved == [True, False, True, False]


def test_instance_norm_keeps_its_statistics_in_fp32_under_bf16() -> None:
    far = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0)) + 40
    wanted = functional.instance_norm(far.to(torch.bfloat16).float())
    with torch.autocast("cpu", torch.bfloat16):
        got = functional.instance_norm(far.to(torch.bfloat16))
    # Statistics in bf16, whose steps at 40 are 1/4, would be off by tenths; values have steps, too.
    assert (got.float() - wanted).abs().max() < 0.1


def test_state_is_put_back_to_the_bit() -> None:
    options = replace(OPTIONS, ema=0.9)
    model, twin = CycleGAN(options, CPU), CycleGAN(replace(options, seed=9), CPU)
    for seed in range(3):
        model.meter.add(model.train_step(*random_batch(seed)))
    twin.load_train_state(copy.deepcopy(model.train_state()))
    for each in (model, twin):
        each.meter.add(each.train_step(*random_batch(7)))
    assert model.meter.means(model.group) == twin.meter.means(twin.group)
    for one, other in zip(model.networks.parameters(), twin.networks.parameters(), strict=True):
        assert torch.equal(one, other)


def test_rate_is_constant_then_falls_to_zero_as_in_the_paper() -> None:
    paper = TrainOptions()
    assert [decayed_rate(paper, epoch) for epoch in (1, 50, 100)] == [2e-4] * 3
    assert decayed_rate(paper, 150) == pytest.approx(2e-4 * (1 - 50 / 101))
    assert 0 < decayed_rate(paper, 200) < 2.1e-6
