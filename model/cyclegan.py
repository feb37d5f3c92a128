"""CycleGAN's training step: the update of the generators, then that of the discriminators.

The networks are in ``networks``, the equations in ``losses``, the pools in ``image_pool``; here are
their optimizers, the step itself, what it reports, and the state of all of them as plain values.
No loop and no files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from model.distributed import Group
from model.image_pool import ImagePool, ImagePools
from model.losses import accuracy, cycle_loss, discriminator_loss, generator_loss
from model.networks import NETWORKS, CycleGANNetworks
from model.options import TrainOptions

# What one step reports, in this order: the discriminators' and generators' parts of equations
# (2) and (3), the two halves of equation (4) before the weight lambda, the identity loss, and the
# share of patches that the discriminators classify correctly.
LOSS_NAMES = ("D_Y", "D_X", "G", "F", "cycle_X", "cycle_Y", "identity", "accuracy_Y", "accuracy_X")

ApplyNetwork = Callable[[nn.Module, Tensor], Tensor]


class Optimizers:
    """Adam for the generators, and Adam for the discriminators."""

    def __init__(self, networks: CycleGANNetworks, options: TrainOptions) -> None:
        self.generators = make_adam(options, 1.0, networks.G, networks.F)
        self.discriminators = make_adam(
            options, options.discriminator_rate, networks.D_X, networks.D_Y
        )

    def set_learning_rate(self, rate: float) -> None:
        """Set the generators' rate, and the discriminators' share of it."""
        for optimizer in (self.generators, self.discriminators):
            set_rate(optimizer, rate)


def make_adam(options: TrainOptions, share: float, *networks: nn.Module) -> torch.optim.Adam:
    """Adam for the weights of networks, at a share of the run's learning rate."""
    values = [value for network in networks for value in network.parameters()]
    device, rate = values[0].device, options.learning_rate * share
    on_cuda = device.type == "cuda"
    return torch.optim.Adam(
        [{"params": values, "share": share}],
        # A tensor on CUDA: a captured step reads its present value.
        lr=torch.tensor(rate, device=device) if on_cuda else rate,
        betas=(options.beta1, options.beta2),
        fused=device.type in ("cpu", "cuda"),
        capturable=on_cuda,
    )


def set_rate(adam: torch.optim.Adam, rate: float) -> None:
    """Set the learning rate, of which each group of weights has its share."""
    for group in adam.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate * group["share"])
        else:
            group["lr"] = rate * group["share"]


class LossMeter:
    """Means of what steps report, kept on the device: reading each report would wait for it."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names, self.unread = names, list[Tensor]()

    def add(self, report: Tensor) -> None:
        """Keep the report of a step."""
        self.unread.append(report)

    def means(self, group: Group, forget: bool = True) -> dict[str, float]:
        """Means since the last call, over all processes; empty if no step came since."""
        if not self.unread:
            return {}
        means = group.mean(torch.stack(self.unread).mean(0)).tolist()
        if forget:
            self.unread.clear()
        return dict(zip(self.names, means, strict=True))


class TrainedModel:
    """What every kind of training has, CycleGAN or not: settings, device, and ways to run faster.

    Parameters
    ----------
    options : TrainOptions
        The run's settings.
    device : torch.device
        Where all tensors are.
    bf16 : bool
        Run the convolutions under bfloat16 autocast. Weights, Adam and losses stay fp32.
    channels_last : bool
        Keep weights and pictures in channels_last memory format.
    apply : callable
        How a network is applied to pictures; ``autotune`` passes a compiled function.
    group : Group
        The processes that train together; by default this one alone.
    initialized : bool
        Draw the initial weights. Without them the networks are good for counting only.
    """

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
        self.seed = options.seed if initialized else None
        self.steps = 0

    def autocast(self) -> AbstractContextManager[Any]:
        """Where convolutions run in bfloat16, if they do."""
        kind = self.device.type
        return torch.autocast(kind, torch.bfloat16) if self.bf16 else nullcontext()

    def descend(self, optimizer: torch.optim.Adam, loss: Tensor) -> None:
        """One step of an optimizer, with the gradients of all processes."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.group.average_gradients(optimizer.param_groups[0]["params"])
        optimizer.step()


class CycleGAN(TrainedModel):
    """Networks, optimizers and pools of a training, and its step; as `TrainedModel`."""

    def __init__(
        self, options: TrainOptions, device: torch.device, *more: Any, **named: Any
    ) -> None:
        super().__init__(options, device, *more, **named)
        self.networks = CycleGANNetworks(
            options.network, self.seed, options.ema, device, self.format
        )
        self.optimizers = Optimizers(self.networks, options)
        self.pools = ImagePools(options.pool_size, options.seed)
        self.meter = LossMeter(LOSS_NAMES)
        self.judged = torch.zeros(4, device=device)  # D's last report, for steps without one

    def train_step(
        self, x: Tensor, y: Tensor, drawn: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """One step of the generators, then one of the discriminators.

        Parameters
        ----------
        x, y : Tensor
            Frames of the two domains, (B, 3, H, W) in [-1, 1].
        drawn : (Tensor, Tensor)
            From ``pools.draw``, on the device; drawn here if left out.

        Returns
        -------
        Tensor
            The values named by ``LOSS_NAMES``, (9,), fp32, still on the device.
        """
        x, y = x.contiguous(memory_format=self.format), y.contiguous(memory_format=self.format)
        fake_y, fake_x, parts = self.update_generators(x, y)
        if self.steps % self.options.discriminator_every == 0:
            if drawn is None:
                for_y, for_x = self.pools.draw(len(x) * self.group.world_size)
                drawn = for_y.to(x.device), for_x.to(x.device)
            self.judged = self.update_discriminators(x, y, fake_x, fake_y, drawn)
        self.steps += 1
        return torch.cat((self.judged[:2], parts, self.judged[2:]))

    def update_generators(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One Adam step of G and F on equation (1); G(x), F(y) and the five parts."""
        options, nets, apply = self.options, self.networks, self.apply
        with self.autocast():
            fake_y, fake_x = apply(nets.G, x), apply(nets.F, y)
            back_x, back_y = apply(nets.F, fake_y), apply(nets.G, fake_x)
            judged_y = apply(nets.frozen["D_Y"], fake_y)
            judged_x = apply(nets.frozen["D_X"], fake_x)
        adversarial_G = generator_loss(judged_y, options.gan, options.minimax)
        adversarial_F = generator_loss(judged_x, options.gan, options.minimax)
        cycle_x, cycle_y = cycle_loss(x, back_x), cycle_loss(y, back_y)
        identity = self._identity_loss(x, y)
        loss = (  # equation (1)
            adversarial_G
            + adversarial_F
            + options.cycle_weight * (cycle_x + cycle_y)
            + options.identity_weight * identity
        )
        self.descend(self.optimizers.generators, loss)
        nets.update_ema()
        parts = torch.stack((adversarial_G, adversarial_F, cycle_x, cycle_y, identity))
        return fake_y.detach(), fake_x.detach(), parts.detach()

    def _identity_loss(self, x: Tensor, y: Tensor) -> Tensor:
        if self.options.identity_weight == 0:
            return x.new_zeros(())
        with self.autocast():
            same_x, same_y = self.apply(self.networks.F, x), self.apply(self.networks.G, y)
        return cycle_loss(x, same_x) + cycle_loss(y, same_y)

    def update_discriminators(
        self, x: Tensor, y: Tensor, fake_x: Tensor, fake_y: Tensor, drawn: tuple[Tensor, Tensor]
    ) -> Tensor:
        """One Adam step of D_Y and D_X on (2) and (3); their losses, then accuracies: (4,)."""
        kind, nets, apply = self.options.gan, self.networks, self.apply
        old_y = self._pooled(self.pools.Y, fake_y, drawn[0])
        old_x = self._pooled(self.pools.X, fake_x, drawn[1])
        with self.autocast():
            real_y, judged_y = apply(nets.D_Y, y), apply(nets.D_Y, old_y)
            real_x, judged_x = apply(nets.D_X, x), apply(nets.D_X, old_x)
        loss_y = discriminator_loss(real_y, judged_y, kind)
        loss_x = discriminator_loss(real_x, judged_x, kind)
        self.descend(self.optimizers.discriminators, loss_y + loss_x)
        rates = accuracy(real_y, judged_y, kind), accuracy(real_x, judged_x, kind)
        return torch.stack((loss_y, loss_x, *rates)).detach()

    def _pooled(self, pool: ImagePool, fakes: Tensor, drawn: Tensor) -> Tensor:
        """This process's part of what the pool returns for the frames of all of them."""
        given = pool.exchange(self.group.gather(fakes.float()), drawn)
        return self.group.part(given).contiguous(memory_format=self.format)

    def train_state(self) -> dict[str, Any]:
        """Everything that the next steps depend on: tensors and plain values."""
        nets = self.networks
        return {
            "networks": {name: getattr(nets, name).state_dict() for name in NETWORKS},
            "averages": [ema.state_dict() for ema in nets.ema],
            "averaged_steps": nets.ema_steps,
            "generator_optimizer": self.optimizers.generators.state_dict(),
            "discriminator_optimizer": self.optimizers.discriminators.state_dict(),
            "pool_X": self.pools.X.state_dict(),
            "pool_Y": self.pools.Y.state_dict(),
            "steps": self.steps,
            "judged": self.judged,
            "unread": list(self.meter.unread),
        }

    def load_train_state(self, state: Mapping[str, Any]) -> None:
        """Restore a ``train_state``; ``KeyError`` or ``RuntimeError`` where it does not fit."""
        nets = self.networks
        for name in NETWORKS:
            getattr(nets, name).load_state_dict(state["networks"][name])
        for ema, values in zip(nets.ema, state["averages"], strict=True):
            ema.load_state_dict(values)
        nets.ema_steps.copy_(state["averaged_steps"])
        load_optimizer(self.optimizers.generators, state["generator_optimizer"])
        load_optimizer(self.optimizers.discriminators, state["discriminator_optimizer"])
        self.pools.X.load_state_dict(state["pool_X"])
        self.pools.Y.load_state_dict(state["pool_Y"])
        self.steps, self.judged = int(state["steps"]), state["judged"].to(self.device)
        self.meter.unread = [report.to(self.device) for report in state["unread"]]


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Restore an optimizer's state but keep its rate and what depends on this device."""
    own = optimizer.param_groups[0]
    kept = {key: own[key] for key in ("lr", "fused", "capturable", "foreach")}
    groups = [{**group, **kept} for group in state["param_groups"]]
    optimizer.load_state_dict({**state, "param_groups": groups})


def assert_learning(networks: nn.Module, before: Mapping[str, Tensor]) -> None:
    """After a first step: every parameter has a finite gradient, and the weights have moved.

    Otherwise a compiled or captured step that leaves a network out would go unnoticed. What is not
    in ``before`` may rest.
    """
    for name, value in networks.named_parameters():
        assert value.grad is not None, f"{name} got no gradient in the first step"
        assert bool(torch.isfinite(value.grad).all()), f"{name} got a gradient that is not finite"
        # A bias before an instance norm has no effect: its gradient is 0 up to rounding.
        may_rest = name.endswith("bias") or name not in before
        moved = may_rest or not torch.equal(value, before[name])
        assert moved, f"{name} did not move in the first step"


def decayed_rate(options: TrainOptions, epoch: int) -> float:
    """The learning rate of an epoch counted from 1: constant, then linear to zero.

    The last epoch still learns: the rate would be 0 in the epoch after it, as in CycleGAN.
    """
    constant, total = options.constant_epochs, options.epochs
    past = max(0, epoch - constant)
    return options.learning_rate * (1 - past / (total - constant + 1))
