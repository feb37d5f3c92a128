"""The paper's method: four networks, their optimizers, and one training step.

X is the domain that is not over-exposed, Y the over-exposed one. G: X -> Y adds over-exposure,
F: Y -> X restores. D_Y tells y from G(x), D_X tells x from F(y). The losses stand in ``losses``,
how a step is made quick in ``speed``. No files and no loop here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from model.distributed import Group
from model.image_pool import ImagePool
from model.losses import accuracy, cycle_loss, discriminator_loss, generator_loss
from model.networks import Discriminator, Generator, initialize
from model.options import NetworkOptions, TrainOptions

# What one step reports, in this order: the discriminators' and generators' parts of equations
# (2) and (3), the two halves of equation (4) before the weight lambda, the identity loss, and the
# share of patches that the discriminators judge rightly.
LOSSES = ("D_Y", "D_X", "G", "F", "cycle_X", "cycle_Y", "identity", "accuracy_Y", "accuracy_X")

Run = Callable[[nn.Module, Tensor], Tensor]


class CycleGAN(nn.Module):
    """The four networks, their optimizers, and one training step.

    Parameters
    ----------
    options : TrainOptions
        The run's settings.
    device : torch.device
        Where everything lives.
    bf16 : bool
        Run the convolutions under bfloat16 autocast. Weights, Adam and losses stay fp32.
    channels_last : bool
        Keep weights and pictures in channels_last memory format.
    run : callable
        How a network is applied to pictures; ``speed`` puts a compiled way here.
    group : Group
        The processes that train together; by default this one alone.
    initial : bool
        Draw the initial weights. Without them the networks are good for counting only.
    """

    def __init__(
        self,
        options: TrainOptions,
        device: torch.device,
        bf16: bool = False,
        channels_last: bool = False,
        run: Run = lambda network, pictures: network(pictures),
        group: Group | None = None,
        initial: bool = True,
    ) -> None:
        super().__init__()
        self.options, self.bf16, self.run = options, bf16, run
        self.group = group or Group()
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.G, self.F, self.D_X, self.D_Y = build_networks(
            options.network, options.seed if initial else None
        )
        self.to(device)
        self.to(memory_format=self.format)
        self.averages = [averaged(net) for net in (self.G, self.F)] if options.ema else []
        # A generator's step needs the slope of a discriminator, not its weights' gradients. The
        # twins share the weights and want none, so nothing is ever switched on or off, which a
        # compiled network would not notice.
        self.frozen = {name: frozen_twin(getattr(self, name)) for name in ("D_X", "D_Y")}
        self.generator_optimizer = self._adam(1.0, self.G, self.F)
        self.discriminator_optimizer = self._adam(options.discriminator_rate, self.D_X, self.D_Y)
        self.pool_X = ImagePool(options.pool_size, options.seed + 1)
        self.pool_Y = ImagePool(options.pool_size, options.seed + 2)
        self.steps = 0
        self.averaged_steps = torch.zeros((), device=device)  # so that a captured step counts
        self.unread: list[Tensor] = []  # what steps reported since somebody looked
        self.judged = torch.zeros(4, device=device)  # D's last report, for steps without one

    def _adam(self, share: float, *networks: nn.Module) -> torch.optim.Adam:
        values = [value for network in networks for value in network.parameters()]
        on_cuda = values[0].is_cuda
        return torch.optim.Adam(
            [{"params": values, "share": share}],
            # A tensor on CUDA: a captured step reads it anew each time.
            lr=torch.tensor(self.options.learning_rate * share, device=values[0].device)
            if on_cuda
            else self.options.learning_rate * share,
            betas=(self.options.beta1, self.options.beta2),
            fused=values[0].device.type in ("cpu", "cuda"),
            capturable=on_cuda,
        )

    @property
    def adder(self) -> nn.Module:
        """The G to look through: its running average, or G itself."""
        return self.averages[0] if self.averages else self.G

    @property
    def restorer(self) -> nn.Module:
        """The F to restore with: its running average, or F itself."""
        return self.averages[1] if self.averages else self.F

    def set_learning_rate(self, rate: float) -> None:
        """Set the generators' rate, and the discriminators' share of it."""
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate * group["share"])
                else:
                    group["lr"] = rate * group["share"]

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """What the pools of Y and X shall do with the next ``count`` frames of all processes."""
        return self.pool_Y.draw(count), self.pool_X.draw(count)

    def train_step(
        self, x: Tensor, y: Tensor, drawn: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """One step of the generators, then one of the discriminators.

        Parameters
        ----------
        x, y : Tensor
            Frames of the two domains, (B, 3, H, W) in [-1, 1].
        drawn : (Tensor, Tensor)
            From ``draw``, on the device; drawn here when left out.

        Returns
        -------
        Tensor
            The values named by ``LOSSES``, (9,), fp32, still on the device.
        """
        x, y = x.contiguous(memory_format=self.format), y.contiguous(memory_format=self.format)
        fake_y, fake_x, parts = self.update_generators(x, y)
        if self.steps % self.options.discriminator_every == 0:
            pictures = len(x) * self.group.world
            drawn = drawn or tuple(each.to(x.device) for each in self.draw(pictures))  # type: ignore[assignment]
            self.judged = self.update_discriminators(x, y, fake_x, fake_y, drawn)  # type: ignore[arg-type]
        self.steps += 1
        return torch.cat((self.judged[:2], parts, self.judged[2:]))

    def note(self, report: Tensor) -> None:
        """Keep what a step reported, on the device: reading each would wait for each."""
        self.unread.append(report)

    def losses(self, forget: bool = True) -> dict[str, float]:
        """Means over the steps noted since the last call, of all processes; empty without any."""
        if not self.unread:
            return {}
        means = self.group.mean(torch.stack(self.unread).mean(0)).tolist()
        if forget:
            self.unread.clear()
        return dict(zip(LOSSES, means, strict=True))

    def update_generators(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One Adam step of G and F along equation (1); G(x), F(y) and the five parts."""
        options = self.options
        with self._autocast(x):
            fake_y, fake_x = self.run(self.G, x), self.run(self.F, y)
            back_x, back_y = self.run(self.F, fake_y), self.run(self.G, fake_x)
            judged_y = self.run(self.frozen["D_Y"], fake_y)
            judged_x = self.run(self.frozen["D_X"], fake_x)
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
        self._descend(self.generator_optimizer, loss)
        self._average()
        parts = torch.stack((adversarial_G, adversarial_F, cycle_x, cycle_y, identity))
        return fake_y.detach(), fake_x.detach(), parts.detach()

    def _identity_loss(self, x: Tensor, y: Tensor) -> Tensor:
        if self.options.identity_weight == 0:
            return x.new_zeros(())
        with self._autocast(x):
            same_x, same_y = self.run(self.F, x), self.run(self.G, y)
        return cycle_loss(x, same_x) + cycle_loss(y, same_y)

    def update_discriminators(
        self, x: Tensor, y: Tensor, fake_x: Tensor, fake_y: Tensor, drawn: tuple[Tensor, Tensor]
    ) -> Tensor:
        """One Adam step of D_Y and D_X along (2) and (3); their losses, then accuracies: (4,)."""
        kind = self.options.gan
        old_y = self._pooled(self.pool_Y, fake_y, drawn[0])
        old_x = self._pooled(self.pool_X, fake_x, drawn[1])
        with self._autocast(x):
            real_y, judged_y = self.run(self.D_Y, y), self.run(self.D_Y, old_y)
            real_x, judged_x = self.run(self.D_X, x), self.run(self.D_X, old_x)
        loss_y = discriminator_loss(real_y, judged_y, kind)
        loss_x = discriminator_loss(real_x, judged_x, kind)
        self._descend(self.discriminator_optimizer, loss_y + loss_x)
        rates = accuracy(real_y, judged_y, kind), accuracy(real_x, judged_x, kind)
        return torch.stack((loss_y, loss_x, *rates)).detach()

    def _pooled(self, pool: ImagePool, fakes: Tensor, drawn: Tensor) -> Tensor:
        """This process's part of what the pool gives for the frames of all of them."""
        given = pool.exchange(self.group.gather(fakes.float()), drawn)
        return self.group.part(given).contiguous(memory_format=self.format)

    def _descend(self, optimizer: torch.optim.Adam, loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.group.average_gradients(optimizer.param_groups[0]["params"])
        optimizer.step()

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averages, which keep little at a run's start: it would stay in them too long."""
        if not self.averages:
            return
        self.averaged_steps += 1
        share = torch.clamp(9 / (9 + self.averaged_steps), min=1 - self.options.ema)
        for average, network in zip(self.averages, (self.G, self.F), strict=True):
            for held, value in zip(average.parameters(), network.parameters(), strict=True):
                held.lerp_(value, share)

    def _autocast(self, like: Tensor) -> AbstractContextManager[Any]:
        return torch.autocast(like.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def train_state(self) -> dict[str, Any]:
        """Everything that the next steps depend on: tensors and plain values."""
        return {
            "networks": {name: getattr(self, name).state_dict() for name in NETWORKS},
            "averages": [average.state_dict() for average in self.averages],
            "averaged_steps": self.averaged_steps,
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "pool_X": self.pool_X.state_dict(),
            "pool_Y": self.pool_Y.state_dict(),
            "steps": self.steps,
            "judged": self.judged,
            "unread": list(self.unread),
        }

    def load_train_state(self, state: dict[str, Any]) -> None:
        """Put back what ``train_state`` gave; ``KeyError`` or ``RuntimeError`` where it misfits."""
        for name in NETWORKS:
            getattr(self, name).load_state_dict(state["networks"][name])
        for average, values in zip(self.averages, state["averages"], strict=True):
            average.load_state_dict(values)
        for name in ("generator_optimizer", "discriminator_optimizer"):
            load_optimizer(getattr(self, name), state[name])
        self.pool_X.load_state_dict(state["pool_X"])
        self.pool_Y.load_state_dict(state["pool_Y"])
        self.averaged_steps.copy_(state["averaged_steps"])
        self.steps, self.judged = int(state["steps"]), state["judged"].to(self.judged.device)
        self.unread = [report.to(self.judged.device) for report in state["unread"]]


NETWORKS = ("G", "F", "D_X", "D_Y")


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Put an optimizer's state back and keep what belongs to this device: its ways and its rate."""
    own = optimizer.param_groups[0]
    kept = {key: own[key] for key in ("lr", "fused", "capturable", "foreach")}
    groups = [{**group, **kept} for group in state["param_groups"]]
    optimizer.load_state_dict({**state, "param_groups": groups})


def averaged(network: nn.Module) -> nn.Module:
    """A copy for a running average, which nobody differentiates."""
    return copy.deepcopy(network).requires_grad_(False)


def frozen_twin(network: nn.Module) -> nn.Module:
    """A network that shares the weights of another and wants no gradients of them."""
    twin = copy.deepcopy(network)
    for own, shared in zip(twin.parameters(), network.parameters(), strict=True):
        own.data = shared.data
        own.requires_grad_(False)
    return twin


def assert_learning(model: CycleGAN, before: dict[str, Tensor]) -> None:
    """After a first step: every parameter has a finite gradient, and every weight has moved.

    A compiled or captured step that leaves a network out trains on without a word otherwise.
    """
    for name, value in model.named_parameters():
        assert value.grad is not None, f"{name} got no gradient in the first step"
        assert bool(torch.isfinite(value.grad).all()), f"{name} got a gradient that is not finite"
        # A bias before an instance norm has no effect: its gradient is 0 but for rounding.
        moved = name.endswith("bias") or not torch.equal(value, before[name])
        assert moved, f"{name} did not move in the first step"


def build_networks(
    options: NetworkOptions, seed: int | None = 0
) -> tuple[Generator, Generator, Discriminator, Discriminator]:
    """G, F, D_X and D_Y with CycleGAN's initial weights, which follow from the seed (None: no)."""
    networks = (
        build_generator(options),
        build_generator(options),
        Discriminator(options.discriminator_filters),
        Discriminator(options.discriminator_filters),
    )
    if seed is None:
        return networks
    random = torch.Generator().manual_seed(seed)
    for network in networks:
        initialize(network, random)
    return networks


def build_generator(options: NetworkOptions) -> Generator:
    """One generator of the shape that the options say."""
    return Generator(
        options.generator_filters, options.generator_blocks, options.residual, options.resize
    )


def decayed_rate(options: TrainOptions, epoch: int) -> float:
    """The learning rate of an epoch counted from 1: constant, then linearly to zero.

    The last epoch still learns: the rate would reach 0 in the epoch after it, as in CycleGAN.
    """
    constant, total = options.constant_epochs, options.epochs
    past = max(0, epoch - constant)
    return options.learning_rate * (1 - past / (total - constant + 1))
