"""The training step of `--preset physical`: pairs made from X alone, and the order of Y.

The networks are in ``physical_networks``, what they invert in ``formation``. A frame of X, exposed
with a gain that is known, is a true pair. Frames of Y say which gains occur, and that more light is
a larger gain. No loop and no files.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from model import formation
from model.cyclegan import ApplyNetwork, LossMeter, load_optimizer, make_adam
from model.distributed import Group
from model.image_pool import ImagePools
from model.options import TrainOptions
from model.physical_networks import (
    LARGEST,
    THUMBNAIL,
    ExposureSimulator,
    PhysicalNetworks,
    enlarge,
    overall,
    small_copy,
)

# What one step reports: the loss of log k, of the content of clipped channels, of the order of Y,
# and the mean error of log k on the frames of X that were exposed.
LOSS_NAMES = ("gain", "content", "order", "gain_error")
UNCHANGED = 0.15  # share of the frames that are not exposed at all
DRAWN = 1 / 16  # of the frames: drawing takes most of a step, and finding the gain is what matters
ORDERED = 1 / 8  # of the frames of Y: the same gain is found twice
SATURATION = 0.2  # standard deviation, logarithm: scenes differ in colour, gains do not
BEYOND = 1.5  # gains are drawn up to this multiple of the median in Y, logarithms
BETA = 0.1  # of log k: larger errors count linearly
RELIT, TINTED, BY_COLOUR = 0.3, 0.08, 0.5  # standard deviations of log k of linear light
GLARE = 0.15  # of diffuse white, for k = e
DARK = 1e-3  # linear light: the ratios of darker parts are noise
GAIN_WEIGHT, CONTENT_WEIGHT, ORDER_WEIGHT = 3.0, 1.0, 1.0


def thin(frames: Tensor) -> Tensor:
    """Every second pixel: a thumbnail hardly differs, and exposing takes a quarter of the time."""
    return frames[:, :, ::2, ::2]


@dataclass(frozen=True)
class Exposed:
    """Frames of X and what became of them under more light; all (B, 3, H, W), encoded."""

    wanted: Tensor
    lit: Tensor  # before clipping
    exposed: Tensor  # clipped, 8 bits
    gains: Tensor  # log k, as it broadcasts, without the veil

    def gains_of(self, rows: int, columns: int) -> Tensor:
        """log k of each part, glare included: the light that came out per light that went in."""
        if self.gains.shape[2:] == (1, 1):
            return self.gains.expand(-1, 3, rows, columns)
        before, after = (
            functional.adaptive_avg_pool2d(formation.to_light(each), (rows, columns)) + DARK
            for each in (self.wanted, self.lit)
        )
        return (after / before).log().clamp(0, LARGEST)


def relight(frames: Tensor, random: torch.Generator) -> Tensor:
    """How much more or less than the picture its parts are lit: log k, (B, 3, H, W).

    Smooth over the picture, and by colour: a sun lights the ground and not the sky.
    """
    count, device = len(frames), frames.device
    smooth = torch.randn(count, 1, 4, 4, generator=random) * RELIT
    tint = torch.randn(count, 3, 1, 1, generator=random) * TINTED
    field = enlarge((smooth + tint).to(device), frames.shape[2], frames.shape[3])
    weights = (torch.randn(count, 3, 1, 1, generator=random) * BY_COLOUR).to(device)
    colour = (frames - frames.mean((2, 3), keepdim=True)) * weights
    return field + colour.sum(1, keepdim=True)


def glare(frames: Tensor, random: torch.Generator) -> Tensor:
    """Veiling glare of a sun in or near the picture: linear light for k = e, (B, 1, H, W)."""
    count, (height, width) = len(frames), frames.shape[2:]
    place = torch.rand(count, 2, generator=random) * 1.6 - 0.3
    reach = 0.1 + 0.5 * torch.rand(count, generator=random)
    strength = GLARE * torch.rand(count, generator=random).square()
    down, across = torch.linspace(0, 1, height), torch.linspace(0, 1, width)
    distance = torch.hypot(
        down[None, :, None] - place[:, :1, None], across[None, None, :] - place[:, 1:, None]
    )
    glow = strength[:, None, None] / (1 + (distance / reach[:, None, None]).square())
    return glow[:, None].to(frames.device)


class PhysicalOptimizers:
    """Adam for F; named as ``cyclegan.Optimizers`` has it."""

    def __init__(self, networks: PhysicalNetworks, options: TrainOptions) -> None:
        self.generators = make_adam(options, 1.0, networks.F)

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate."""
        for group in self.generators.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


class Physical:
    """Networks and optimizer of a training, and its step; parameters are those of ``CycleGAN``."""

    def __init__(
        self,
        options: TrainOptions,
        device: torch.device,
        bf16: bool = False,
        channels_last: bool = False,
        apply: ApplyNetwork = lambda network, pictures: network(pictures),
        group: Group | None = None,
        initialized: bool = True,
    ) -> None:
        self.options, self.device, self.bf16, self.apply = options, device, bf16, apply
        self.group = group or Group()
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        seed = options.seed if initialized else None
        self.networks = PhysicalNetworks(options.network, seed, options.ema, device, self.format)
        self.optimizers = PhysicalOptimizers(self.networks, options)
        self.pools = ImagePools(0, options.seed)  # nothing is pooled
        self.meter = LossMeter(LOSS_NAMES)
        self.random = torch.Generator().manual_seed(options.seed + 1_000_003 * self.group.rank)
        self.steps = 0

    def train_step(
        self, x: Tensor, y: Tensor, drawn: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """One step of F.

        Parameters
        ----------
        x, y : Tensor
            Frames of the two domains, (B, 3, H, W) in [-1, 1].
        drawn : optional
            Not used; as of ``CycleGAN``.

        Returns
        -------
        Tensor
            The values named by ``LOSS_NAMES``, (4,), fp32, still on the device.
        """
        frames = (x + 1) / 2
        count = max(1, round(DRAWN * len(x)))
        unchanged, log_gain = self._draw_gains(len(x))
        varied = self._vary_saturation(thin(frames[count:]))
        first = self._expose_frames(frames[:count], log_gain[:count], unchanged[:count])
        others = self._expose_frames(varied, log_gain[count:], unchanged[count:])
        small = small_copy(first.exposed)
        size = small.shape[2] // THUMBNAIL, small.shape[3] // THUMBNAIL
        thumbnails = torch.cat(
            (functional.avg_pool2d(small, THUMBNAIL), small_copy(others.exposed, size))
        )
        found = self._propose(thumbnails)
        true = torch.cat(
            [each.gains_of(found.shape[2], found.shape[3]) for each in (first, others)]
        )
        log_gain = true.mean((1, 2, 3))
        gain = functional.smooth_l1_loss(overall(found), log_gain, beta=BETA)
        if self.options.network.linear:
            gain = gain + functional.smooth_l1_loss(found[:, :3], true, beta=BETA)
        order = self._order_loss(thin((y[: max(1, round(ORDERED * len(y)))] + 1) / 2), size)
        given = self.networks.F.as_gains(found[:count].detach())
        content = self._content_loss(first.wanted, first.exposed, small, given)
        loss = GAIN_WEIGHT * gain + CONTENT_WEIGHT * content + ORDER_WEIGHT * order
        adam = self.optimizers.generators
        adam.zero_grad(set_to_none=True)
        loss.backward()
        self.group.average_gradients(adam.param_groups[0]["params"])
        adam.step()
        self.networks.update_ema()
        self.steps += 1
        error = (overall(found) - log_gain).abs().mean()
        return torch.stack((gain, content, order, error)).detach()

    def _draw_gains(self, count: int) -> tuple[Tensor, Tensor]:
        """Which frames are not exposed at all, and log k of the others, up to beyond Y's: (B,)."""
        share, coin = torch.rand(2, count, generator=self.random).to(self.device)
        return coin < UNCHANGED, share * self.networks.G.gains[1]

    def _vary_saturation(self, frames: Tensor) -> Tensor:
        """Frames of other colours, from the same grey."""
        drawn = torch.randn(len(frames), 1, 1, 1, generator=self.random).to(self.device)
        grey = frames.mean(1, keepdim=True)
        return (grey + (frames - grey) * (SATURATION * drawn).exp()).clamp(0, 1)

    def _expose_frames(self, frames: Tensor, log_gain: Tensor, unchanged: Tensor) -> Exposed:
        """Frames of X without the comb of their 8 bits, and the same over-exposed."""
        wanted = formation.dither(frames, self.random)
        gains, veil = log_gain[:, None, None, None], wanted.new_zeros(1)
        if self.options.network.linear:
            gains = (gains + relight(frames, self.random)).clamp(0, LARGEST)
            veil = glare(frames, self.random) * (gains.exp() - 1)
        keep = ~unchanged[:, None, None, None]
        lit = formation.expose(wanted, gains * keep, self.options.network.linear, veil * keep)
        return Exposed(wanted, lit, formation.clip(lit), gains * keep)

    def _expose(self, values: Tensor, log_gain: Tensor) -> Tensor:
        linear = self.options.network.linear
        return formation.expose(values, log_gain[:, None, None, None], linear)

    def _propose(self, thumbnails: Tensor) -> Tensor:
        with self._autocast():
            return self.apply(self.networks.F.head, thumbnails)

    def _order_loss(self, values: Tensor, size: tuple[int, int]) -> Tensor:
        """A frame of Y under still more light: the difference is known, the gain is not."""
        more = torch.rand(len(values), generator=self.random).to(self.device)
        more = more * self.networks.G.gains[0]
        brighter = formation.clip(self._expose(values, more))
        both = small_copy(torch.cat((values, brighter)), size)
        once, twice = overall(self._propose(both)).chunk(2)
        return functional.smooth_l1_loss(twice - once, more, beta=BETA)

    def _content_loss(
        self, wanted: Tensor, exposed: Tensor, small: Tensor, gains: Tensor
    ) -> Tensor:
        """Distance of what is drawn from what clipped, by the share of each place that did."""
        clipped = formation.is_clipped(exposed)
        size = (small.shape[2], small.shape[3])
        share = small[:, 3:6]
        lost = functional.adaptive_avg_pool2d(wanted * clipped, size)
        with self._autocast():
            drawn = self.networks.F.draw(small, gains)
        away = drawn * share - lost
        each = away.square().mean((1, 2, 3))
        return (each + 1e-6).sqrt().mean() + away.abs().mean()

    def _autocast(self) -> AbstractContextManager[Any]:
        kind = self.device.type
        return torch.autocast(kind, torch.bfloat16) if self.bf16 else nullcontext()

    def match_gains(self, median: float) -> None:
        """Draw gains around the one that makes X look as Y does."""
        gains = torch.tensor([median, min(BEYOND * median, LARGEST)])
        for simulator in (self.networks.G, *self.networks.ema[:1]):
            assert isinstance(simulator, ExposureSimulator)
            simulator.gains.copy_(gains)

    def train_state(self) -> dict[str, Any]:
        """Everything that the next steps depend on: tensors and plain values."""
        nets = self.networks
        return {
            "networks": {name: getattr(nets, name).state_dict() for name in nets.names},
            "averages": [ema.state_dict() for ema in nets.ema],
            "averaged_steps": nets.ema_steps,
            "generator_optimizer": self.optimizers.generators.state_dict(),
            "drawn": self.random.get_state(),
            "steps": self.steps,
            "unread": list(self.meter.unread),
        }

    def load_train_state(self, state: Mapping[str, Any]) -> None:
        """Restore a ``train_state``; ``KeyError`` or ``RuntimeError`` where it does not fit."""
        nets = self.networks
        for name in nets.names:
            getattr(nets, name).load_state_dict(state["networks"][name])
        for ema, values in zip(nets.ema, state["averages"], strict=True):
            ema.load_state_dict(values)
        nets.ema_steps.copy_(state["averaged_steps"])
        load_optimizer(self.optimizers.generators, state["generator_optimizer"])
        self.steps = int(state["steps"])
        if self.group.is_main:
            self.random.set_state(state["drawn"].cpu())
        else:  # the state is the main process's, whose draws would come twice
            self.random.manual_seed(self.random.initial_seed() + self.steps)
        self.meter.unread = [report.to(self.device) for report in state["unread"]]
