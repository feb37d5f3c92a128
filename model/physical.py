"""The training step of `--preset physical`: pairs made from X alone, and what Y says unpaired.

The networks are in ``physical_networks``, what they invert in ``formation``. A frame of X, exposed
with a gain that is known, is a true pair. Frames of Y say which gains occur, that more light is a
larger gain, and, where light is not the same everywhere, that restored frames have the colours of
X. Where Y are true pairs of X (*supervised*), they are learned from as well. No loop and no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from model import formation
from model.cyclegan import LossMeter, TrainedModel, load_optimizer, make_adam, set_rate
from model.image_pool import ImagePools
from model.losses import colour_distance, picture_distance
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
from model.supervised import known_loss, thinned, true_pairs
from model.synthetic import Exposed, expose_frames, thin, vary_saturation

# What one step reports: the losses of log k, of the content of clipped channels, of the order of Y,
# of the colours of restored Y, and the mean error of log k on the frames of X that were exposed.
LOSS_NAMES = ("gain", "content", "order", "match", "gain_error")
SUPERVISED = ("pairs",)  # what a step of true pairs reports in addition: how far off they are
UNCHANGED = 0.25  # share of the frames that are not exposed at all
DRAWN = 1 / 8  # of the frames: drawing takes most of a step, and finding the gain is what matters
ORDERED = 1 / 4  # of the frames of Y: the same gain is found twice
FOLLOWED = 0.01  # how much of what is found in frames of Y each step believes
BEYOND = 1.5  # gains are drawn evenly, up to this multiple of the first guess of Y's
LEAST = 0.05  # log k: typical of Y is at least this
BETA = 0.05  # of log k: larger errors count linearly
GAIN_WEIGHT, CONTENT_WEIGHT, ORDER_WEIGHT, MATCH_WEIGHT = 3.0, 1.0, 1.0, 2.0
PAIRS_WEIGHT, KNOWN_WEIGHT = 2.0, 3.0  # of true pairs; of what did not clip in them


class PhysicalOptimizers:
    """Adam for F; named as ``cyclegan.Optimizers`` has it."""

    def __init__(self, networks: PhysicalNetworks, options: TrainOptions) -> None:
        self.generators = make_adam(options, 1.0, networks.F)

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate."""
        set_rate(self.generators, rate)


class Physical(TrainedModel):
    """Networks and optimizer of a training, and its step; as `TrainedModel`."""

    def __init__(
        self, options: TrainOptions, device: torch.device, *more: Any, **named: Any
    ) -> None:
        super().__init__(options, device, *more, **named)
        self.networks = PhysicalNetworks(
            options.network, self.seed, options.ema, device, self.format
        )
        self.optimizers = PhysicalOptimizers(self.networks, options)
        self.pools = ImagePools(0, options.seed)  # nothing is pooled
        self.supervised = options.pairs is not None
        self.meter = LossMeter(LOSS_NAMES + (SUPERVISED if self.supervised else ()))
        self.random = torch.Generator().manual_seed(options.seed + 1_000_003 * self.group.rank)

    def train_step(
        self, x: Tensor, y: Tensor, drawn: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """One step of F.

        Parameters
        ----------
        x, y : Tensor
            Frames of the two domains, (B, 3, H, W) in [-1, 1]; true pairs in a supervised run.
        drawn : optional
            Not used; as of ``CycleGAN``.

        Returns
        -------
        Tensor
            The values named by ``LOSS_NAMES``, (5,), fp32, still on the device; of a supervised
            run also those of ``SUPERVISED``.
        """
        frames = (x + 1) / 2
        first, others = self._expose_x(frames)
        small = small_copy(first.exposed)
        size = small.shape[2] // THUMBNAIL, small.shape[3] // THUMBNAIL
        thumbnails = functional.avg_pool2d(small, THUMBNAIL), small_copy(others.exposed, size)
        found = self._propose(torch.cat(thumbnails))
        gain, error = self._gain_loss(found, (first, others))
        of_y = thin((y[: max(1, round(ORDERED * len(y)))] + 1) / 2)
        order, restored, light = self._order_loss(of_y, size)
        match = self._match_loss(restored, (first, others))
        given = self.networks.F.as_gains(found[: len(first.exposed)].detach())
        content = self._content_loss(first, small, given)
        loss = GAIN_WEIGHT * gain + CONTENT_WEIGHT * content
        loss = loss + ORDER_WEIGHT * order + MATCH_WEIGHT * match
        report = [gain, content, order, match, error]
        if self.supervised:
            report.append(self._pairs_loss(frames, (y + 1) / 2, size))
            loss = loss + PAIRS_WEIGHT * report[-1]
        self.descend(self.optimizers.generators, loss)
        self.networks.update_ema()
        self._follow(light)
        self.steps += 1
        return torch.stack(report).detach()

    def _expose_x(self, frames: Tensor) -> tuple[Exposed, Exposed]:
        """The frames whose content is drawn, under more light, and the others, thinned."""
        count = max(1, round(DRAWN * len(frames)))
        unchanged, log_gain = self._draw_gains(len(frames))
        varied = vary_saturation(thin(frames[count:]), self.random)
        first = self._expose_frames(frames[:count], log_gain[:count], unchanged[:count])
        return first, self._expose_frames(varied, log_gain[count:], unchanged[count:])

    def _match_loss(self, restored: Tensor, frames: Sequence[Exposed]) -> Tensor:
        """How far the colours of restored parts of Y are from those of parts of X."""
        if self.supervised or not self.options.network.linear:
            return restored.new_zeros(())
        places = restored.shape[2], restored.shape[3]
        wanted = [functional.adaptive_avg_pool2d(each.wanted, places) for each in frames]
        return colour_distance(restored, torch.cat(wanted), self.random)

    def _gain_loss(self, found: Tensor, frames: Sequence[Exposed]) -> tuple[Tensor, Tensor]:
        """The loss of log k, of each part where light is not the same everywhere; its error."""
        places = found.shape[2], found.shape[3]
        own, wanted = overall(found), torch.cat([each.overall_gain() for each in frames])
        gain = functional.smooth_l1_loss(own, wanted, beta=BETA)
        if self.options.network.linear:
            true = torch.cat([each.gains_of(*places) for each in frames])
            gain = gain + functional.smooth_l1_loss(found[:, :3], true, beta=BETA)
        return gain, (own - wanted).abs().mean()

    def _draw_gains(self, count: int) -> tuple[Tensor, Tensor]:
        """Which frames are not exposed at all, and log k of the others: (B,) each."""
        share, coin = torch.rand(2, count, generator=self.random).to(self.device)
        return coin < UNCHANGED, share * self.networks.G.gains[1]

    def _expose_frames(self, frames: Tensor, log_gain: Tensor, unchanged: Tensor) -> Exposed:
        linear = self.options.network.linear
        return expose_frames(frames, log_gain, unchanged, linear, self.random)

    def _expose(self, values: Tensor, log_gain: Tensor) -> Tensor:
        linear = self.options.network.linear
        return formation.expose(values, log_gain[:, None, None, None], linear)

    def _propose(self, thumbnails: Tensor) -> Tensor:
        with self.autocast():
            return self.apply(self.networks.F.head, thumbnails)

    def _order_loss(self, values: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """A frame of Y under still more light: its gain must not be found smaller.

        How much larger it is is known, too, but to ask for that would forbid F to be cautious: what
        it finds in doubtful frames must stay near what is usual.

        Also gives the frames' parts, restored, (B, 3, h / 8, w / 8), and log k as found, (B,).
        """
        more = torch.rand(len(values), generator=self.random).to(self.device)
        more = more * self.networks.G.gains[0]
        brighter = formation.clip(self._expose(values, more))
        both = small_copy(torch.cat((values, brighter)), size)
        proposals = self._propose(both)
        once, twice = overall(proposals).chunk(2)
        order = functional.relu(once - twice).mean()
        own = slice(0, len(values))
        places = proposals.shape[2], proposals.shape[3]
        parts = functional.adaptive_avg_pool2d(both[own, :3], places)
        gains = self.networks.F.as_gains(proposals[own])
        restored = formation.unexpose(parts, gains, self.options.network.linear)
        return order, restored, once.detach()

    def _content_loss(self, frames: Exposed, small: Tensor, gains: Tensor) -> Tensor:
        """Distance of what is drawn from what clipped, by the share of each place that did."""
        size, share = (small.shape[2], small.shape[3]), small[:, 3:6]
        lost = frames.wanted * formation.is_clipped(frames.exposed)
        with self.autocast():
            drawn = self.networks.F.draw(small, gains)
        # What is wanted may be under a bound that a wrong gain left too high. It cannot be drawn:
        # pulled at for ever, the layer before the clamp would run away.
        least = formation.unexpose(torch.ones_like(gains), gains, self.options.network.linear)
        least = enlarge(least, *size) * share
        away = drawn * share - functional.adaptive_avg_pool2d(lost, size).maximum(least)
        return picture_distance(away)

    def _pairs_loss(
        self, references: Tensor, over_exposed: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """True pairs: what did not clip must follow from the gains, and what did must be drawn."""
        linear, count = self.options.network.linear, max(1, round(DRAWN * len(references)))
        pairs = thinned(true_pairs(references, over_exposed, linear))
        gains = self.networks.F.as_gains(self._propose(small_copy(pairs.exposed, size)))
        first = true_pairs(references[:count], over_exposed[:count], linear)
        content = self._content_loss(first, small_copy(first.exposed), gains[:count].detach())
        return KNOWN_WEIGHT * known_loss(pairs, gains, linear) + content

    def match_gains(self, typical: float) -> None:
        """Draw gains around the one that makes X look as Y does."""
        self._set_gains(torch.tensor([typical, min(BEYOND * typical, LARGEST)]))

    def _follow(self, light: Tensor) -> None:
        """Let the typical gain move to what is found in frames of Y: they are other scenes."""
        found = light.mean().clamp(LEAST, LARGEST)
        typical, largest = self.networks.G.gains
        self._set_gains(torch.stack((torch.lerp(typical, found, FOLLOWED), largest)))

    def _set_gains(self, gains: Tensor) -> None:
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
