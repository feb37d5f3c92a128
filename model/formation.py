"""How light clips: the formation of an over-exposed picture, and what it leaves known.

y = clip(T(k T^-1(x) + veil)), rounded to 8 bits. x is the picture that was wanted, k the gain, and
veil the glare of the sun. T is sRGB's encoding where the gain acts on linear light, as a camera's
exposure or a game's sun does, and the identity where it acts on encoded values, as a game's
brightness filter does. So given k and the veil, every channel that is not clipped is known to
rounding, and a clipped one is at least what 1 maps to. Pure functions of tensors, differentiable
but for the rounding; any device.

References
----------
IEC 61966-2-1: sRGB's encoding. P. E. Debevec, J. Malik, "Recovering High Dynamic Range Radiance
Maps from Photographs", SIGGRAPH 1997, section 2 (exposure, clipping).
"""

from __future__ import annotations

import torch
from torch import Tensor

LEVELS = 255  # of 8 bits
CLIPPED = 1 - 0.5 / LEVELS  # encoded: a channel from here on is clipped


def to_light(encoded: Tensor) -> Tensor:
    """sRGB -> linear light; values over 1 go on along the same curve, negative ones are 0.

    Examples
    --------
    >>> round(float(to_light(torch.tensor(0.5))), 4)
    0.214
    """
    value = encoded.clamp(min=0)
    return torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def to_encoded(light: Tensor) -> Tensor:
    """Linear light -> sRGB, the inverse of `to_light`."""
    value = light.clamp(min=0)
    curve = 1.055 * value.clamp(min=1e-8) ** (1 / 2.4) - 0.055
    return torch.where(value <= 0.0031308, 12.92 * value, curve)


def expose(picture: Tensor, log_gain: Tensor, linear: bool, veil: Tensor | float = 0.0) -> Tensor:
    """The display values that more light makes of a picture, before they are clipped.

    Parameters
    ----------
    picture : Tensor
        (B, 3, H, W), encoded, 0..1.
    log_gain : Tensor
        Natural logarithm of k: (B, 1, 1, 1), or anything that broadcasts to the picture.
    linear : bool
        True: the gain and the veil act on linear light. False: on encoded values.
    veil : Tensor or float
        Added light, of the same kind.

    Returns
    -------
    Tensor
        (B, 3, H, W), encoded, from 0, over 1 where it would clip.

    Examples
    --------
    >>> grey = torch.full((1, 3, 1, 1), 0.6)
    >>> round(float(expose(grey, torch.tensor(0.5).log(), linear=False)[0, 0]), 3)
    0.3
    """
    if not linear:
        return picture * log_gain.exp() + veil
    return to_encoded(to_light(picture) * log_gain.exp() + veil)


def unexpose(picture: Tensor, log_gain: Tensor, linear: bool, veil: Tensor | float = 0.0) -> Tensor:
    """The inverse of `expose`: exact where nothing clipped, the lower bound where it did.

    Parameters and result are those of `expose`; values that the veil alone exceeds become 0.
    """
    if not linear:
        return ((picture - veil) * (-log_gain).exp()).clamp(min=0)
    return to_encoded((to_light(picture) - veil) * (-log_gain).exp())


def clip(values: Tensor) -> Tensor:
    """What a display and an 8-bit file keep: 0..1, in steps of 1/255."""
    return (values.clamp(0, 1) * LEVELS).round() / LEVELS


def dither(picture: Tensor, random: torch.Generator) -> Tensor:
    """An 8-bit picture with its rounding filled by noise.

    Without it, a gain leaves a comb in the histogram of 8-bit values, and a network reads the gain
    off the comb, which true over-exposed pictures do not have.
    """
    noise = torch.rand(picture.shape, generator=random).to(picture.device)
    return picture + (noise - 0.5) / LEVELS


def is_clipped(picture: Tensor) -> Tensor:
    """Which channel values are clipped: 1.0 or 0.0, of the picture's shape."""
    return (picture >= CLIPPED).to(picture.dtype)
