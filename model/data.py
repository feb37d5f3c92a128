"""Frames of the two domains, kept in memory as uint8, and which of them each step takes.

The order, the crops and the flips are a pure function of (seed, epoch, step), so a resumed run
sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataset.errors import UserError
from dataset.images import READABLE, Image, read_image, resize_area


def find_frames(data: str | Path, folder: str) -> list[Path]:
    """The pictures of ``data/folder`` by name.

    Raises
    ------
    UserError
        The folder is missing or empty.
    """
    root = Path(data)
    found = sorted(path for path in (root / folder).glob("*") if path.suffix.lower() in READABLE)
    if not found:
        raise UserError(
            f"No pictures in {root / folder}. Make the data set first: record frames "
            "(`cli capture --hotkey`), then `cli split`; or name its folder with --data."
        )
    return found


def load_frames(
    paths: Sequence[Path],
    size: int,
    load_size: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Image]:
    """Read frames as RGB uint8 (H, W, 3), none smaller than ``size`` on its shorter side.

    Parameters
    ----------
    paths : sequence of Path
        The pictures.
    size : int
        Side of the square that will be cut out, pixels.
    load_size : int
        Shorter side after area-averaging, pixels; 0 keeps frames as recorded.
    on_progress : callable
        Called with (done, total).
    """

    def load(path: Path) -> Image:
        image = read_image(path)
        height, width = image.shape[:2]
        shorter = min(height, width)
        wanted = max(size, load_size or shorter)
        scale = wanted / shorter
        return resize_area(
            image, (max(wanted, round(width * scale)), max(wanted, round(height * scale)))
        )

    frames = []
    with ThreadPoolExecutor() as pool:
        for frame in pool.map(load, paths):
            frames.append(frame)
            if on_progress:
                on_progress(len(frames), len(paths))
    return frames


class Domains:
    """The frames of X and Y and the batches made of them.

    Parameters
    ----------
    x, y : list of (H, W, 3) uint8
        Frames of either domain.
    size : int
        Side of the squares that a batch holds, pixels.
    batch_size : int
        Frames of each domain in a batch.
    seed : int
        Of order, crops and flips.
    flip : bool
        Mirror half of the frames.
    """

    def __init__(
        self, x: list[Image], y: list[Image], size: int, batch_size: int, seed: int, flip: bool
    ) -> None:
        self.x, self.y, self.size, self.flip = x, y, size, flip
        self.batch_size, self.seed = batch_size, seed

    @property
    def steps_per_epoch(self) -> int:
        """Steps that pass once over the larger domain."""
        return steps_per_epoch(len(self.x), len(self.y), self.batch_size)

    def batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Frames of X and Y for one step (from 0) of an epoch: uint8 (B, 3, size, size) each."""
        return self._draw(self.x, 0, epoch, step), self._draw(self.y, 1, epoch, step)

    def _draw(self, frames: list[Image], domain: int, epoch: int, step: int) -> Tensor:
        first = step * self.batch_size
        chosen = [
            frames[shuffled_index(self.seed, domain, epoch, first + i, len(frames))]
            for i in range(self.batch_size)
        ]
        random = np.random.default_rng((self.seed, domain, epoch, step))
        squares = [cut_square(frame, self.size, random, self.flip) for frame in chosen]
        return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)


def steps_per_epoch(x: int, y: int, batch_size: int) -> int:
    """Whole batches in one pass over the larger of two domains of ``x`` and ``y`` frames."""
    return max(1, max(x, y) // batch_size)


def shuffled_index(seed: int, domain: int, epoch: int, place: int, count: int) -> int:
    """Which of ``count`` frames stands at ``place``; each pass over the domain is shuffled anew."""
    turn, within = divmod(place, count)
    return int(_permutation(seed, domain, epoch, turn, count)[within])


@lru_cache(maxsize=8)
def _permutation(seed: int, domain: int, epoch: int, turn: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, domain, epoch, turn, count)).permutation(count)


def cut_square(frame: Image, size: int, random: np.random.Generator, flip: bool) -> Image:
    """Cut a random (size, size, 3) square out of a frame and mirror it half of the time."""
    top = int(random.integers(frame.shape[0] - size + 1))
    left = int(random.integers(frame.shape[1] - size + 1))
    square = frame[top : top + size, left : left + size]
    return square[:, ::-1] if flip and random.random() < 0.5 else square


def to_range(pictures: Tensor) -> Tensor:
    """uint8 in [0, 255] -> fp32 in [-1, 1], on whatever device it lies."""
    return pictures.to(torch.float32).div(127.5).sub(1)


def to_pictures(values: Tensor) -> NDArray[np.uint8]:
    """(B, 3, H, W) in [-1, 1] -> RGB uint8 (B, H, W, 3), rounded."""
    scaled = values.detach().float().add(1).mul(127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
