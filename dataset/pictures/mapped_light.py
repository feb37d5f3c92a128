"""An SDR picture and the levels of its gain map -> light. Nothing here reads a file.

Diffuse white is the white of the SDR picture. A map has mostly fewer pixels than its picture.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.pictures.apple_gain_map import apply_apples
from dataset.pictures.colour_profile import linearized, matrix_of
from dataset.pictures.gain_map import GainMap, apply
from dataset.pictures.light import Light, Matrix, by_matrix, in_rec709, srgb_to_linear

Formula = GainMap | float  # what metadata say; of Apple's maps the headroom


def in_own_space(formula: Formula) -> bool:
    """Whether gains are those of other primaries than the picture's."""
    return isinstance(formula, GainMap) and formula.in_own_space


def with_gains(
    samples: NDArray[Any],
    profile: bytes,
    levels: NDArray[Any],
    formula: Formula,
    own: Matrix | None = None,
) -> Light:
    """Light of Rec. 709's primaries.

    Parameters
    ----------
    samples : (H, W, C) integers
        Of the SDR picture.
    profile : bytes
        Its colour profile; empty: sRGB.
    levels : (H, W, C) integers
        Of the map, upright, of any size.
    own : (3, 3)
        The matrix to Rec. 709 from the primaries of which the gains are; None: the picture's.

    Raises
    ------
    ValueError
        The profile is of no kind that is read.
    """
    light, matrix = _linear(samples, profile)
    if own is not None:
        light, matrix = by_matrix(light, np.linalg.inv(own) @ matrix), own
    gains = _fitted(levels, (light.shape[1], light.shape[0]))
    if isinstance(formula, GainMap):
        return in_rec709(apply(light, gains, formula), matrix)
    return in_rec709(apply_apples(light, gains, formula), matrix)


def _fitted(levels: NDArray[Any], size: tuple[int, int]) -> Light:
    """Gains, grey or RGB, in [0, 1], for a picture of this width and height."""
    colour = levels[..., :1] if levels.shape[2] < 3 else levels[..., :3]
    shares = np.divide(colour, np.float32(np.iinfo(levels.dtype).max), dtype=np.float32)
    gains: Any = cv2.resize(shares, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(gains.reshape(size[1], size[0], -1), np.float32)


def _linear(samples: NDArray[Any], profile: bytes) -> tuple[Light, Matrix]:
    """Light of the SDR picture in its own primaries, and their matrix to Rec. 709."""
    most = np.iinfo(samples.dtype).max
    levels = (np.arange(most + 1) / most)[None, :, None].repeat(3, axis=2)
    curves = linearized(levels, profile) if profile else srgb_to_linear(levels)
    colour = samples[..., [0, 0, 0]] if samples.shape[2] < 3 else samples
    light = np.stack([curves[0, :, at][colour[..., at]] for at in range(3)], axis=2)
    return light, matrix_of(profile) if profile else np.eye(3)
