"""The networks of CycleGAN: ResNet generator and PatchGAN discriminator.

Layers have the positions of CycleGAN's reference code, so state dicts have its keys (``model.1``,
``model.10.conv_block.1``, ...) and can be exchanged with it. Only networks: no loss, no optimizer,
no file.

References
----------
J.-Y. Zhu, T. Park, P. Isola, A. A. Efros, "Unpaired Image-to-Image Translation using
Cycle-Consistent Adversarial Networks", ICCV 2017, section 4 and appendix 7.2.
J. Johnson, A. Alahi, L. Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and
Super-Resolution", ECCV 2016 (the generator).
P. Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017
(the 70x70 PatchGAN).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from model.options import NetworkOptions

NETWORKS = ("G", "F", "D_X", "D_Y")
STRIDE = 4  # a generator halves its input twice: height and width must be multiples of this


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a skip connection: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.conv_block(features)


class Generator(nn.Module):
    """CycleGAN's ResNet generator: (B, 3, H, W) in [-1, 1] -> the same shape and range.

    Parameters
    ----------
    filters : int
        Channels of the first layer (CycleGAN: 64).
    blocks : int
        Residual blocks at a quarter of the resolution (CycleGAN: 9 at 256x256).
    residual : bool
        False: the network generates the output (CycleGAN). True: it generates a gain and an offset
        for every pixel and channel, which correct the input (``correct``), so that structure
        need not be learned first.
    resize : bool
        False: transposed convolutions (CycleGAN). True: nearest-neighbour upsampling and a
        convolution, which leaves no checkerboard (Odena et al., Distill 2016); other keys.
    """

    def __init__(
        self, filters: int = 64, blocks: int = 9, residual: bool = False, resize: bool = False
    ) -> None:
        super().__init__()
        self.residual = residual
        f = filters
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_norm_relu(nn.Conv2d(3, f, 7), f),
            *_norm_relu(nn.Conv2d(f, 2 * f, 3, stride=2, padding=1), 2 * f),
            *_norm_relu(nn.Conv2d(2 * f, 4 * f, 3, stride=2, padding=1), 4 * f),
            *(ResidualBlock(4 * f) for _ in range(blocks)),
            *_upsample_norm_relu(4 * f, 2 * f, resize),
            *_upsample_norm_relu(2 * f, f, resize),
            nn.ReflectionPad2d(3),
            *((nn.Conv2d(f, 6, 7),) if residual else (nn.Conv2d(f, 3, 7), nn.Tanh())),
        )

    def forward(self, picture: Tensor) -> Tensor:
        drawn = self.model(picture)
        return correct(picture, drawn) if self.residual else drawn


def correct(picture: Tensor, drawn: Tensor) -> Tensor:
    """Apply a gain and an offset, as light and veiling glare do, and clamp.

    Parameters
    ----------
    picture : Tensor
        (B, 3, H, W) in [-1, 1].
    drawn : Tensor
        (B, 6, H, W), unbounded: three channels of gain, three of offset. Zeros leave the picture
        as it is. The gain is between exp(-2) and exp(2), the offset within half of the range.

    Returns
    -------
    Tensor
        (B, 3, H, W) in [-1, 1], fp32.
    """
    gain, offset = drawn.float().chunk(2, dim=1)
    value = (picture.float() + 1) / 2
    value = value * torch.exp(2 * torch.tanh(gain / 2)) + torch.tanh(offset) / 2
    corrected = 2 * value - 1
    # The clamp is passed straight through in the backward pass: where it bites, its own gradient
    # is 0, and white regions, the very ones to restore, would never learn.
    return corrected + (corrected.clamp(-1, 1) - corrected).detach()


class Discriminator(nn.Module):
    """CycleGAN's PatchGAN: (B, 3, H, W) -> logits (B, 1, H/8 - 2, W/8 - 2).

    Each logit judges one 70x70 patch: positive means real.
    """

    def __init__(self, filters: int = 64) -> None:
        super().__init__()
        f = filters
        self.model = nn.Sequential(
            nn.Conv2d(3, f, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            *_conv_norm_leaky(f, 2 * f, stride=2),
            *_conv_norm_leaky(2 * f, 4 * f, stride=2),
            *_conv_norm_leaky(4 * f, 8 * f, stride=1),
            nn.Conv2d(8 * f, 1, 4, stride=1, padding=1),
        )

    def forward(self, picture: Tensor) -> Tensor:
        return self.model(picture)


class GeneratorPair(nn.Module):
    """G and F of a training, and the EMA of both; subclasses add what else is trained.

    Parameters
    ----------
    networks : (G, F)
    ema_decay : float
        Decay per step of the EMA of G and F; 0: none is kept.
    device : torch.device
    memory_format : torch.memory_format

    Attributes
    ----------
    names : tuple
        The networks that a checkpoint holds.
    ema : list
        The EMA of G and that of F, or nothing.
    ema_steps : Tensor
        Updates of the EMA so far; on the device, so that a captured step counts.
    """

    names: tuple[str, ...] = ("G", "F")

    def __init__(
        self,
        networks: tuple[nn.Module, nn.Module],
        ema_decay: float,
        device: torch.device,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        self.G, self.F = networks
        self.to(device)
        self.to(memory_format=memory_format)
        self.ema_decay = ema_decay
        self.ema = [ema_copy(network) for network in (self.G, self.F)] if ema_decay else []
        self.ema_steps = torch.zeros((), device=device)

    @property
    def ema_or_G(self) -> nn.Module:
        """The EMA of G if there is one, else G."""
        return self.ema[0] if self.ema else self.G

    @property
    def ema_or_F(self) -> nn.Module:
        """The EMA of F if there is one, else F."""
        return self.ema[1] if self.ema else self.F

    @torch.no_grad()
    def update_ema(self) -> None:
        """Move the EMA towards the weights; faster at first, when old weights are worth little."""
        if not self.ema:
            return
        self.ema_steps += 1
        share = torch.clamp(9 / (9 + self.ema_steps), min=1 - self.ema_decay)
        for ema, network in zip(self.ema, (self.G, self.F), strict=True):
            for held, value in zip(ema.parameters(), network.parameters(), strict=True):
                held.lerp_(value, share)


class CycleGANNetworks(GeneratorPair):
    """The four networks of a training, and what is derived from their weights.

    Parameters
    ----------
    options : NetworkOptions
        Size and kind of the networks.
    seed : int, optional
        Random seed of the initial weights. None: no initialization, for counting only.
    ema_decay, device, memory_format
        As of `GeneratorPair`.

    Attributes
    ----------
    frozen : dict
        ``D_X`` and ``D_Y`` for the generators' step: twins that share the weights and want no
        gradients of them. A generator's step needs the gradient through a discriminator, not that
        of its weights, and with twins nothing is ever switched on or off, which a compiled network
        would not notice.
    """

    names = NETWORKS

    def __init__(
        self,
        options: NetworkOptions,
        seed: int | None,
        ema_decay: float,
        device: torch.device,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        g, f, d_x, d_y = build_networks(options, seed)
        super().__init__((g, f), ema_decay, device, memory_format)
        self.D_X, self.D_Y = (
            each.to(device).to(memory_format=memory_format) for each in (d_x, d_y)
        )
        self.frozen = {"D_X": frozen_twin(self.D_X), "D_Y": frozen_twin(self.D_Y)}


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
    """One of CycleGAN's generators, of this size and kind."""
    return Generator(
        options.generator_filters, options.generator_blocks, options.residual, options.resize
    )


def ema_copy(network: nn.Module) -> nn.Module:
    """A copy without gradients, for an EMA of the weights."""
    return copy.deepcopy(network).requires_grad_(False)


def frozen_twin(network: nn.Module) -> nn.Module:
    """A network that shares the weights of another and wants no gradients of them."""
    twin = copy.deepcopy(network)
    for own, shared in zip(twin.parameters(), network.parameters(), strict=True):
        own.data = shared.data
        own.requires_grad_(False)
    return twin


def initialize(network: nn.Module, generator: torch.Generator) -> None:
    """Draw convolution weights from N(0, 0.02) and zero the biases, as CycleGAN does.

    A residual generator's last layer is drawn ten times smaller, so that it starts near the
    identity; at full size its first corrections saturate and leave blobs.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    if isinstance(network, Generator) and network.residual:
        last = network.model[-1]
        assert isinstance(last, nn.Conv2d)
        last.weight.data.mul_(0.1)


def count_parameters(network: nn.Module) -> int:
    """Number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters())


def _norm_relu(layer: nn.Module, channels: int) -> tuple[nn.Module, ...]:
    return layer, nn.InstanceNorm2d(channels), nn.ReLU(inplace=True)


def _upsample_norm_relu(inputs: int, outputs: int, resize: bool) -> tuple[nn.Module, ...]:
    """(B, inputs, H, W) -> (B, outputs, 2H, 2W)."""
    if not resize:
        layer: nn.Module = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1)
    else:
        layer = nn.Sequential(
            nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.Conv2d(inputs, outputs, 3)
        )
    return _norm_relu(layer, outputs)


def _conv_norm_leaky(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1)
    return conv, nn.InstanceNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True)
