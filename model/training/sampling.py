"""Which frames a step takes, where they are cut and which are mirrored: numpy and numbers only.

All of it is a pure function of (seed, domain, epoch, step), so a resumed run, a run of several
processes and a run on another device see the same squares. Where frames lie and how squares get
to a device is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dataset.pictures.images import Image


def steps_per_epoch(x: int, y: int, batch_size: int) -> int:
    """Whole batches in one pass over the larger of two domains of ``x`` and ``y`` frames."""
    return max(1, max(x, y) // batch_size)


def shuffled_index(seed: int, domain: int, epoch: int, place: int, count: int) -> int:
    """Which of ``count`` frames stands at ``place``; each pass over the domain is shuffled anew."""
    turn, within = divmod(place, count)
    return int(_permutation(seed, domain, epoch, turn, count)[within])


@lru_cache(maxsize=16)
def _permutation(seed: int, domain: int, epoch: int, turn: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, domain, epoch, turn, count)).permutation(count)


@dataclass(frozen=True)
class Draw:
    """The squares of a batch: four arrays of shape (B,)."""

    frames: NDArray[np.int64]  # which frame
    tops: NDArray[np.int64]  # first row, pixels
    lefts: NDArray[np.int64]  # first column, pixels
    flips: NDArray[np.bool_]  # columns reversed

    def part(self, rank: int, world: int) -> Draw:
        """The share of process ``rank`` of ``world``: places in a row, as many for each."""
        share = len(self.frames) // world
        mine = slice(rank * share, (rank + 1) * share)
        return Draw(self.frames[mine], self.tops[mine], self.lefts[mine], self.flips[mine])


@dataclass(frozen=True)
class Sampler:
    """Draws the squares of one domain."""

    shapes: NDArray[np.int64]  # (N, 2): height and width of each frame, pixels
    domain: int  # 0 for X, 1 for Y
    size: int  # side of a square, pixels
    batch_size: int  # squares of a step, of all processes
    seed: int  # of order, crops and flips
    flip: bool  # mirror half of the squares

    def draw(self, epoch: int, step: int) -> Draw:
        """The squares of a step (from 0) of an epoch.

        Offsets are scaled from [0, 1), so that a flip depends on no frame's shape and every step
        takes as many random numbers.
        """
        first, count = step * self.batch_size, len(self.shapes)
        frames = np.array(
            [
                shuffled_index(self.seed, self.domain, epoch, place, count)
                for place in range(first, first + self.batch_size)
            ]
        )
        random = np.random.default_rng((self.seed, self.domain, epoch, step))
        tops, lefts, coins = random.random((3, self.batch_size))
        rows, columns = (self.shapes[frames] - self.size + 1).T
        return Draw(
            frames,
            (tops * rows).astype(np.int64),
            (lefts * columns).astype(np.int64),
            (coins < 0.5) & self.flip,
        )


def cut_squares(frames: Sequence[Image], draw: Draw, out: NDArray[np.uint8]) -> None:
    """Fill ``out``, uint8 (B, 3, size, size), with the squares drawn from (H, W, 3) frames."""
    size = out.shape[-1]
    for place, (index, top, left, flip) in enumerate(
        zip(draw.frames, draw.tops, draw.lefts, draw.flips, strict=True)
    ):
        square = frames[index][top : top + size, left : left + size]
        out[place] = (square[:, ::-1] if flip else square).transpose(2, 0, 1)
