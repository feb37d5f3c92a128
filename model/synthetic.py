"""Over-exposed frames made from frames of X, with all that is true of them: gains and content.

As varied as light is, so that nothing is learned that only holds here: sun and sky differ, a sun
glares, scenes have other colours. What follows from a gain alone is in ``formation``. Tensors only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from model import formation
from model.physical_networks import LARGEST, enlarge

SATURATION = 0.2  # standard deviation, logarithm: scenes differ in colour, gains do not
RELIT, TINTED, BY_COLOUR = 0.3, 0.08, 0.5  # standard deviations of log k of linear light
GLARE = 0.15  # of diffuse white, for k = e
PARTS = 8  # a picture is divided into so many rows and columns of parts
DARK = 1e-3  # linear light: the ratios of darker parts are noise


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

    def overall_gain(self) -> Tensor:
        """log k of each picture, (B,): the one number that takes back most of its light.

        Parts count by the square of their brightness, as their errors do, and clipped ones not.
        """
        if self.gains.shape[1:] == (1, 1, 1):
            return self.gains[:, 0, 0, 0]
        gains = self.gains_of(PARTS, PARTS)
        kept = (1 - formation.is_clipped(self.exposed)) * self.wanted.square()
        weights = functional.adaptive_avg_pool2d(kept, PARTS) + DARK**2
        return (gains * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3))


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


def vary_saturation(frames: Tensor, random: torch.Generator) -> Tensor:
    """Frames of other colours and the same grey, (B, 3, H, W) in [0, 1]."""
    drawn = torch.randn(len(frames), 1, 1, 1, generator=random).to(frames.device)
    grey = frames.mean(1, keepdim=True)
    return (grey + (frames - grey) * (SATURATION * drawn).exp()).clamp(0, 1)


def expose_frames(
    frames: Tensor, log_gain: Tensor, unchanged: Tensor, linear: bool, random: torch.Generator
) -> Exposed:
    """Frames of X, without the comb of their 8 bits, and the same under more light.

    Parameters
    ----------
    frames : Tensor
        (B, 3, H, W), encoded, 0..1.
    log_gain : Tensor
        log k of each frame, (B,).
    unchanged : Tensor
        (B,), bool: frames that stay as they are.
    linear : bool
        Whether gains act on linear light; parts of a picture are then lit differently, and the sun
        glares. A filter on encoded values treats all of a picture alike.
    random : torch.Generator
        On the CPU.
    """
    wanted = formation.dither(frames, random)
    gains, veil = log_gain[:, None, None, None], wanted.new_zeros(1)
    if linear:
        gains = (gains + relight(frames, random)).clamp(0, LARGEST)
        veil = glare(frames, random) * (gains.exp() - 1)
    keep = ~unchanged[:, None, None, None]
    lit = formation.expose(wanted, gains * keep, linear, veil * keep)
    return Exposed(wanted, lit, formation.clip(lit), gains * keep)
