"""What files say of a network in plain values: its shape, its frames, its stride. Typed, limited.

The only place that states how large a network may be. Needs no torch, as ``onnx_run`` has none.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from dataset import gate
from model.options import NetworkOptions

MOST_FILTERS = 1024  # channels of a first layer; the paper's networks have 64
MOST_BLOCKS = 64  # residual blocks; the paper's have 9
MOST_SIDE = 65_536  # pixels of a frame that is learned on
MOST_STRIDE = 64  # pixels
MOST_FILE = 4 << 30  # bytes of one network; the paper's has 45 MB
USUAL_SIDE = 256  # of frames that CycleGAN learns on, pixels

Filters = Annotated[int, msgspec.Meta(ge=1, le=MOST_FILTERS)]
Blocks = Annotated[int, msgspec.Meta(ge=0, le=MOST_BLOCKS)]
Side = Annotated[int, msgspec.Meta(ge=0, le=MOST_SIDE)]
Stride = Annotated[int, msgspec.Meta(ge=1, le=MOST_STRIDE)]


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`NetworkOptions` as a file states them: one that it does not know is built otherwise."""

    generator_filters: Filters = NetworkOptions.generator_filters
    generator_blocks: Blocks = NetworkOptions.generator_blocks
    discriminator_filters: Filters = NetworkOptions.discriminator_filters
    residual: bool = NetworkOptions.residual
    resize: bool = NetworkOptions.resize

    def options(self) -> NetworkOptions:
        """The same as settings."""
        return NetworkOptions(**msgspec.structs.asdict(self))


class Settings(msgspec.Struct, frozen=True):
    """Of a run's settings, what restoring needs."""

    network: Shape
    load_size: Side


class RunOptions(msgspec.Struct, frozen=True):
    """A run's ``options.json``."""

    options: Settings


class Note(msgspec.Struct, frozen=True):
    """A run's note of when its network files were written."""

    steps: gate.Count


def parse_shape(text: str) -> NetworkOptions:
    """What it takes to build a network, from JSON; ``ValueError`` beyond the limits.

    Examples
    --------
    >>> parse_shape('{"generator_filters": 4}').generator_filters
    4
    """
    return gate.parse_json(text, Shape).options()


def parse_side(text: str) -> int:
    """Shorter side of the frames of training, pixels, from JSON; ``ValueError``."""
    return gate.parse_json(text, Side)


def parse_stride(text: str) -> int:
    """What height and width must be multiples of, from JSON; ``ValueError``."""
    return gate.parse_json(text, Stride)
