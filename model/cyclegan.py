"""The paper's method: the losses of equations (1) to (4), the image pool and one training step.

X is the domain that is not over-exposed, Y the over-exposed one. G: X -> Y adds over-exposure,
F: Y -> X restores. D_Y tells y from G(x), D_X tells x from F(y). No files and no loop here.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks import Discriminator, Generator, initialize
from model.options import NetworkOptions, TrainOptions

# What one step reports, in this order: the discriminators' and generators' parts of
# equations (2) and (3), then the two halves of equation (4), before the weight lambda.
LOSSES = ("D_Y", "D_X", "G", "F", "cycle_X", "cycle_Y", "identity")


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """What D minimizes in equations (2) and (3): -E[log D(real)] - E[log(1 - D(fake))].

    Parameters
    ----------
    real, fake : Tensor
        Logits of any shape; D = sigmoid(logit).

    Returns
    -------
    Tensor
        Scalar, fp32, at least 0; 2 log 2 where D cannot tell.
    """
    # -log sigmoid(z) = softplus(-z) and -log(1 - sigmoid(z)) = softplus(z), without overflow.
    return functional.softplus(-real.float()).mean() + functional.softplus(fake.float()).mean()


def generator_loss(fake: Tensor, minimax: bool = False) -> Tensor:
    """What a generator minimizes in equations (2) and (3).

    Parameters
    ----------
    fake : Tensor
        Logits of D on generated pictures.
    minimax : bool
        True: E[log(1 - D(fake))], the equation to the letter. False: -E[log D(fake)], which has
        the same fixed points and does not fade while D is sure (Goodfellow et al. 2014, section 3).

    Returns
    -------
    Tensor
        Scalar, fp32.
    """
    fake = fake.float()
    return -functional.softplus(fake).mean() if minimax else functional.softplus(-fake).mean()


def cycle_loss(picture: Tensor, back: Tensor) -> Tensor:
    """One half of equation (4): the mean absolute difference of a picture and its way back."""
    return functional.l1_loss(back.float(), picture.float())


class ImagePool:
    """Generated frames of earlier steps, mixed into what a discriminator sees.

    Half of the frames asked for come from the pool, each replaced there by the new one
    (Shrivastava et al., CVPR 2017, section 2.3). The pool draws from a generator of its own, so
    its state can be saved.

    Parameters
    ----------
    size : int
        Frames kept; 0 turns the pool off.
    seed : int
        Of its own random numbers.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.frames: Tensor | None = None  # (size, 3, H, W)
        self.filled = 0
        self.random = torch.Generator().manual_seed(seed)

    def exchange(self, fakes: Tensor) -> Tensor:
        """Store new fakes (B, 3, H, W) and return as many, new or old."""
        if self.size == 0:
            return fakes
        if self.frames is None:
            self.frames = torch.zeros(
                (self.size, *fakes.shape[1:]), dtype=fakes.dtype, device=fakes.device
            )
        return torch.stack([self._exchange_one(self.frames, fake) for fake in fakes])

    def _exchange_one(self, frames: Tensor, fake: Tensor) -> Tensor:
        if self.filled < self.size:
            frames[self.filled] = fake
            self.filled += 1
            return fake
        if torch.rand((), generator=self.random) < 0.5:
            return fake
        place = int(torch.randint(self.size, (), generator=self.random))
        old = frames[place].clone()
        frames[place] = fake
        return old

    def state_dict(self) -> dict[str, object]:
        return {"frames": self.frames, "filled": self.filled, "random": self.random.get_state()}

    def load_state_dict(self, state: dict[str, object]) -> None:
        frames, filled, random = state["frames"], state["filled"], state["random"]
        assert isinstance(filled, int)
        assert isinstance(random, Tensor)
        self.frames = frames.clone() if isinstance(frames, Tensor) else None
        self.filled = filled
        self.random.set_state(random.cpu())


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
    """

    def __init__(self, options: TrainOptions, device: torch.device, bf16: bool = False) -> None:
        super().__init__()
        self.options, self.bf16 = options, bf16
        self.G, self.F, self.D_X, self.D_Y = build_networks(options.network, options.seed)
        self.to(device)
        self.generator_optimizer = self._adam(self.G, self.F)
        self.discriminator_optimizer = self._adam(self.D_X, self.D_Y)
        self.pool_X = ImagePool(options.pool_size, options.seed + 1)
        self.pool_Y = ImagePool(options.pool_size, options.seed + 2)

    def _adam(self, *networks: nn.Module) -> torch.optim.Adam:
        values = [value for network in networks for value in network.parameters()]
        betas = (self.options.beta1, self.options.beta2)
        return torch.optim.Adam(values, lr=self.options.learning_rate, betas=betas)

    def set_learning_rate(self, rate: float) -> None:
        """Set the rate of both optimizers."""
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = rate

    def train_step(self, x: Tensor, y: Tensor) -> Tensor:
        """One step of the generators, then one of the discriminators.

        Parameters
        ----------
        x, y : Tensor
            Frames of the two domains, (B, 3, H, W) in [-1, 1].

        Returns
        -------
        Tensor
            The losses named by ``LOSSES``, (7,), fp32, still on the device.
        """
        require_gradients((self.D_X, self.D_Y), False)
        fake_y, fake_x, generator_parts = self._update_generators(x, y)
        require_gradients((self.D_X, self.D_Y), True)
        discriminator_parts = self._update_discriminators(x, y, fake_x, fake_y)
        return torch.stack((*discriminator_parts, *generator_parts)).detach()

    def _update_generators(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        options = self.options
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            fake_y, fake_x = self.G(x), self.F(y)
            back_x, back_y = self.F(fake_y), self.G(fake_x)
            judged_y, judged_x = self.D_Y(fake_y), self.D_X(fake_x)
            identity = self._identity_loss(x, y)
        adversarial_G = generator_loss(judged_y, options.minimax)
        adversarial_F = generator_loss(judged_x, options.minimax)
        cycle_x, cycle_y = cycle_loss(x, back_x), cycle_loss(y, back_y)
        loss = (  # equation (1)
            adversarial_G
            + adversarial_F
            + options.cycle_weight * (cycle_x + cycle_y)
            + options.identity_weight * identity
        )
        self.generator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.generator_optimizer.step()
        parts = (adversarial_G, adversarial_F, cycle_x, cycle_y, identity)
        return fake_y.detach(), fake_x.detach(), parts

    def _identity_loss(self, x: Tensor, y: Tensor) -> Tensor:
        if self.options.identity_weight == 0:
            return x.new_zeros(())
        return cycle_loss(x, self.F(x)) + cycle_loss(y, self.G(y))

    def _update_discriminators(
        self, x: Tensor, y: Tensor, fake_x: Tensor, fake_y: Tensor
    ) -> tuple[Tensor, Tensor]:
        old_y, old_x = self.pool_Y.exchange(fake_y), self.pool_X.exchange(fake_x)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            judged = self.D_Y(y), self.D_Y(old_y), self.D_X(x), self.D_X(old_x)
        loss_y = discriminator_loss(judged[0], judged[1])
        loss_x = discriminator_loss(judged[2], judged[3])
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        (loss_y + loss_x).backward()
        self.discriminator_optimizer.step()
        return loss_y, loss_x


def build_networks(
    options: NetworkOptions, seed: int = 0
) -> tuple[Generator, Generator, Discriminator, Discriminator]:
    """G, F, D_X and D_Y with CycleGAN's initial weights, which follow from the seed."""
    networks = (
        build_generator(options),
        build_generator(options),
        Discriminator(options.discriminator_filters),
        Discriminator(options.discriminator_filters),
    )
    random = torch.Generator().manual_seed(seed)
    for network in networks:
        initialize(network, random)
    return networks


def build_generator(options: NetworkOptions) -> Generator:
    """One generator of the shape that the options say."""
    return Generator(
        options.generator_filters, options.generator_blocks, options.residual, options.resize
    )


def require_gradients(networks: Iterable[nn.Module], wanted: bool) -> None:
    """Switch the weight gradients of whole networks on or off."""
    for network in networks:
        network.requires_grad_(wanted)


def decayed_rate(options: TrainOptions, epoch: int) -> float:
    """The learning rate of an epoch counted from 1: constant, then linearly to zero.

    The last epoch still learns: the rate would reach 0 in the epoch after it, as in CycleGAN.
    """
    constant, total = options.constant_epochs, options.epochs
    past = max(0, epoch - constant)
    return options.learning_rate * (1 - past / (total - constant + 1))
