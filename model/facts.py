"""What the file of a network says about it, as text: its shape, its frames, its stride.

Loads no torch: ONNX files are read without it, too.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from dataset import gate
from model.belief import LARGEST
from model.options import MOST_SIDE, NetworkOptions

MOST_STRIDE = 64  # pixels
USUAL_SIDE = 256  # of CycleGAN's training frames, pixels

Side = Annotated[int, msgspec.Meta(ge=0, le=MOST_SIDE)]
LogGain = Annotated[float, msgspec.Meta(ge=0, le=LARGEST)]
Stride = Annotated[int, msgspec.Meta(ge=1, le=MOST_STRIDE)]


def parse_shape(text: str) -> NetworkOptions:
    """What it takes to build a network, from JSON.

    Raises
    ------
    ValueError
        It is beyond the limits, or names a setting that is not known: that network is built
        differently.

    Examples
    --------
    >>> parse_shape('{"generator_filters": 4}').generator_filters
    4
    """
    values = gate.parse_json(text, dict[str, bool | int])
    return gate.settings_from(values, NetworkOptions, exact=(NetworkOptions,))


def parse_side(text: str) -> int:
    """Shorter side of the training frames, pixels, from JSON; ``ValueError``."""
    return gate.parse_json(text, Side)


def parse_stride(text: str) -> int:
    """What height and width must be multiples of, from JSON; ``ValueError``."""
    return gate.parse_json(text, Stride)


def parse_gain_error(text: str) -> float:
    """How far off a network of preset physical finds log k, from JSON; ``ValueError``."""
    return gate.parse_json(text, LogGain)
