"""The networks of CycleGAN: ResNet generator and PatchGAN discriminator.

Layers stand at the positions of CycleGAN's reference code, so state dicts have its keys
(``model.1``, ``model.10.conv_block.1``, ...) and can be exchanged with it. Only networks here:
no loss, no optimizer, no file.

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

import torch
from torch import Tensor, nn

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
        False: the output is drawn anew (CycleGAN). True: the network draws a gain and an offset
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
        as it is. The gain lies between exp(-2) and exp(2), the offset within half of the range.

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
