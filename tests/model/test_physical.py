"""The training step of preset physical: it learns, goes on to the bit, and survives odd batches."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny_physical import PHYSICAL, scene
from torch import Tensor

from model import formation
from model.cyclegan import assert_learning
from model.distributed import Group
from model.options import TrainOptions, physical_preset
from model.physical import FOLLOWED, LOSS_NAMES, Physical
from model.physical_networks import LARGEST, small_copy
from model.state_files import fingerprint
from model.synthetic import expose_frames
from model.training.autotune import count_flops

CPU = torch.device("cpu")


def options(**changed: Any) -> TrainOptions:
    settings = {"batch_size": 8, "size": 48, "network": PHYSICAL, **changed}
    return replace(physical_preset(), **settings)


def model(gain: float = 3.0, **changed: Any) -> Physical:
    made = Physical(options(**changed), CPU)
    made.match_gains(math.log(gain))
    return made


def frames(first: int, count: int = 8, light: float = 1.0) -> Tensor:
    """Scenes, (count, 3, 48, 48) in [-1, 1]; `light` multiplies encoded values."""
    values = np.stack([scene(first + n) for n in range(count)]) / np.float32(255)
    return torch.from_numpy(np.clip(values * light, 0, 1)).permute(0, 3, 1, 2).float() * 2 - 1


@pytest.mark.slow
@pytest.mark.parametrize("linear", [True, False])
def test_steps_lower_the_losses(linear: bool) -> None:
    trained = model(2.0, network=replace(PHYSICAL, linear=linear), learning_rate=1e-2)
    x, y = frames(0), frames(100, light=1.8)
    reports = torch.stack([trained.train_step(x, y) for _ in range(60)])
    assert bool(torch.isfinite(reports).all())
    # Not of the content: one frame per step is drawn, under another gain each time.
    first, last = reports[:20].mean(0), reports[-20:].mean(0)
    for name in ("gain", "gain_error"):
        assert last[LOSS_NAMES.index(name)] < 0.9 * first[LOSS_NAMES.index(name)], name
    assert last[LOSS_NAMES.index("order")] < 0.01  # more light is hardly ever a smaller gain


def test_a_step_moves_f_and_reports_in_order() -> None:
    trained = model()
    before = {n: v.detach().clone() for n, v in trained.networks.named_parameters()}
    gains = trained.networks.G.gains.clone()
    for _ in range(3):  # in one of them a frame clips
        report = trained.train_step(frames(0), frames(100, light=1.8))
    assert report.shape == (len(LOSS_NAMES),)
    assert not report.requires_grad
    assert_learning(trained.networks, before)
    assert trained.networks.G.gains[1] == gains[1]
    assert trained.steps == 3


def test_the_typical_gain_follows_what_is_found_in_y() -> None:
    trained = model(3.0)
    trained.networks.F.head.proposal[-1].weight.data.zero_()
    trained.networks.F.head.proposal[-1].bias.data[:3] = 0.4
    trained.optimizers.set_learning_rate(0.0)
    typical = [float(trained.networks.G.gains[0])]
    for _ in range(3):
        trained.train_step(frames(0), frames(100))
        typical.append(float(trained.networks.G.gains[0]))
    expected = [0.4 + (math.log(3.0) - 0.4) * (1 - FOLLOWED) ** n for n in range(4)]
    assert typical == pytest.approx(expected, rel=1e-5)
    assert torch.equal(trained.networks.ema[0].gains, trained.networks.G.gains)


def test_content_that_cannot_be_drawn_is_not_pulled_at() -> None:
    """No gain was found, so that a clipped channel must be white, whatever it was."""
    trained = model()
    values = (frames(0) + 1) / 2
    made = expose_frames(
        values, torch.ones(8), torch.zeros(8, dtype=torch.bool), True, trained.random
    )
    small, none = small_copy(made.exposed), torch.zeros(8, 1, 1, 1)
    assert small[:, 3:6].mean() > 0.05
    trained._content_loss(made, small, none).backward()
    pulled = trained.networks.F.content.last.weight.grad
    assert pulled is None or not pulled.any()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_batch_of_a_few_frames_is_enough(count: int) -> None:
    trained = model()
    report = trained.train_step(frames(0, count), frames(100, count))
    assert bool(torch.isfinite(report).all())


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_frames_that_are_all_black_or_white_give_finite_steps(value: float) -> None:
    trained = model(50.0)
    flat = torch.full((4, 3, 48, 48), value)
    for _ in range(3):
        assert bool(torch.isfinite(trained.train_step(flat, flat)).all())
    assert all(bool(torch.isfinite(each).all()) for each in trained.networks.F.parameters())


def test_bfloat16_and_channels_last_compute_nearly_the_same() -> None:
    x, y = frames(0), frames(100)
    plain, quick = (
        Physical(options(), CPU, bf16=quick, channels_last=quick) for quick in (False, True)
    )
    for each in (plain, quick):
        each.match_gains(1.0)
    torch.testing.assert_close(quick.train_step(x, y), plain.train_step(x, y), atol=0.02, rtol=0.02)


def test_a_state_goes_on_to_the_bit() -> None:
    x, y = frames(0), frames(100)
    whole, other = model(ema=0.9), model(gain=1.5, ema=0.9, seed=7)
    for _ in range(2):
        whole.meter.add(whole.train_step(x, y))
    state = whole.train_state()
    copied = torch.utils._pytree.tree_map(
        lambda each: each.clone() if isinstance(each, Tensor) else each, state
    )
    other.load_train_state(copied)
    assert other.steps == 2
    assert other.networks.G.gains.tolist() == whole.networks.G.gains.tolist()
    assert other.meter.means(Group()) == whole.meter.means(Group())
    for _ in range(2):
        assert torch.equal(whole.train_step(x, y), other.train_step(x, y))
    assert fingerprint(whole.train_state()) == fingerprint(other.train_state())


@pytest.mark.parametrize("key", ["networks", "averages", "generator_optimizer", "drawn", "steps"])
def test_a_state_that_lacks_something_is_noticed(key: str) -> None:
    state = model().train_state()
    del state[key]
    with pytest.raises(KeyError):
        model().load_train_state(state)


def test_gains_are_drawn_around_the_median_of_y() -> None:
    trained = model(gain=3.0, ema=0.9)
    median, largest = trained.networks.G.gains.tolist()
    assert median == pytest.approx(math.log(3.0))
    assert median < largest <= LARGEST
    assert trained.networks.ema_or_G.gains.tolist() == [median, largest]
    trained.match_gains(50.0)
    assert trained.networks.G.gains[1] <= LARGEST


def test_gains_are_from_none_to_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of encoded values: linear light varies over a picture, around the gain that is drawn.
    trained, seen = model(gain=3.0, network=replace(PHYSICAL, linear=False)), list[Tensor]()
    proper = formation.expose

    def watched(picture: Tensor, log_gain: Tensor, *rest: Any) -> Tensor:
        seen.append(log_gain.flatten())
        return proper(picture, log_gain, *rest)

    monkeypatch.setattr(formation, "expose", watched)
    for _ in range(8):
        trained.train_step(frames(0, 4), frames(100, 4))
    gains, largest = torch.cat(seen), trained.networks.G.gains[1]
    assert 0 <= gains.min() < 0.1 * largest
    assert 0.7 * largest < gains.max() <= largest
    assert 1 <= int((gains == 0).sum()) < len(gains) / 2  # what needs no correction is learned, too


def in_group(rank: int, steps: int = 0) -> Physical:
    """One of two processes, begun or resumed after some steps of the main one."""
    made = Physical(options(), CPU, group=Group(rank, 1))
    if steps:
        saved = model().train_state()
        made.load_train_state({**saved, "steps": steps})
    return made


@pytest.mark.parametrize("steps", [0, 5])
def test_processes_of_a_group_draw_for_themselves(steps: int) -> None:
    states = [in_group(rank, steps).random.get_state() for rank in (0, 1)]
    assert not torch.equal(*states)
    assert torch.equal(states[1], in_group(1, steps).random.get_state())


@pytest.mark.slow
def test_work_is_counted_for_the_frames_of_a_whole_batch() -> None:
    one, eight = (count_flops(options(batch_size=count)) / count for count in (1, 8))
    assert eight < one  # content is drawn in some of the frames only
