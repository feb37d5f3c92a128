"""Batches of the two domains: which frames, where they are cut, and how they get to the device.

What a step takes is a pure function of (seed, domain, epoch, step), so a resumed run, a run of
several processes and a run on another device see the same crops. Frames are kept on the device if
they fit; otherwise crops are cut on the host, for a device other than the CPU in a thread and
ahead of the steps. ``frame_cache`` reads the frames.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataset.errors import UserError
from dataset.pictures.images import Image

CPU = torch.device("cpu")
RESIDENT_SHARE = 0.5  # of the free memory of a GPU: the rest is for networks and activations
AHEAD = 3  # batches that a thread prepares if the frames do not fit on the device

BatchPair = tuple[Tensor, Tensor]  # crops of X and of Y
StepPosition = tuple[int, int]  # epoch, and step in it from 0


def steps_per_epoch(x: int, y: int, batch_size: int) -> int:
    """Whole batches in one pass over the larger of two domains of ``x`` and ``y`` frames."""
    return max(1, max(x, y) // batch_size)


def shuffled_index(seed: int, domain: int, epoch: int, place: int, count: int) -> int:
    """Which of ``count`` frames is at ``place``; each pass over the domain has its own order."""
    turn, within = divmod(place, count)
    return int(_permutation(seed, domain, epoch, turn, count)[within])


@lru_cache(maxsize=16)
def _permutation(seed: int, domain: int, epoch: int, turn: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, domain, epoch, turn, count)).permutation(count)


@dataclass(frozen=True)
class Draw:
    """The crops of a batch: four arrays of shape (B,)."""

    frames: NDArray[np.int64]  # which frame
    tops: NDArray[np.int64]  # first row, pixels
    lefts: NDArray[np.int64]  # first column, pixels
    flips: NDArray[np.bool_]  # columns reversed

    def part(self, rank: int, world_size: int) -> Draw:
        """The share of process ``rank``: a run of places, the same number for each process."""
        share = len(self.frames) // world_size
        mine = slice(rank * share, (rank + 1) * share)
        return Draw(self.frames[mine], self.tops[mine], self.lefts[mine], self.flips[mine])


@dataclass(frozen=True)
class Sampler:
    """Draws the crops of one domain."""

    shapes: NDArray[np.int64]  # (N, 2): height and width of each frame, pixels
    domain: int  # 0 for X, 1 for Y
    size: int  # side of a crop, pixels
    batch_size: int  # crops per step, of all processes
    seed: int  # random seed of order, crops and flips
    flip: bool  # mirror half of the crops

    def draw(self, epoch: int, step: int) -> Draw:
        """The crops of a step (from 0) of an epoch.

        Offsets are scaled from [0, 1), so that a flip does not depend on a frame's shape and every
        step takes the same number of random numbers.
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
    """Fill ``out``, uint8 (B, 3, size, size), with the crops drawn from (H, W, 3) frames."""
    size = out.shape[-1]
    for place, (index, top, left, flip) in enumerate(
        zip(draw.frames, draw.tops, draw.lefts, draw.flips, strict=True)
    ):
        square = frames[index][top : top + size, left : left + size]
        out[place] = (square[:, ::-1] if flip else square).transpose(2, 0, 1)


class Domains:
    """The frames of X and Y and the batches made of them.

    What a batch holds depends only on the frames, ``size``, ``batch_size``, ``seed`` and ``flip``:
    not on the device, on where frames are kept, or on how many processes share a batch.

    Parameters
    ----------
    x, y : sequence of (H, W, 3) uint8
        Frames of each domain, in memory or mapped; their shapes may differ.
    size : int
        Side of the square crops, pixels.
    batch_size : int
        Frames of each domain in a batch, of all processes together.
    seed : int
        Random seed of order, crops and flips.
    flip : bool
        Mirror half of the frames.
    device : torch.device
        Where batches go.
    rank, world_size : int
        Number of this process, and of all; each gets an equal share of a batch.
    resident : bool, optional
        Keep all frames on the device. None: on a CUDA device that has enough memory.
    ahead : int, optional
        Batches that a thread prepares if frames are not resident. None: ``AHEAD`` for a device
        other than the CPU, where the thread would take a core from the networks.
    paired : bool
        Whether ``x`` and ``y`` are true pairs, in the same order: a batch then holds both pictures
        of each of its pairs, cut and mirrored alike.

    Attributes
    ----------
    waited_s : float
        Total seconds spent in ``batch``.

    Raises
    ------
    UserError
        ``batch_size`` cannot be shared equally.
    ValueError
        A frame is smaller than a crop, or the pictures of a pair differ in size.
    """

    def __init__(
        self,
        x: Sequence[Image],
        y: Sequence[Image],
        size: int,
        batch_size: int,
        seed: int,
        flip: bool,
        device: torch.device = CPU,
        rank: int = 0,
        world_size: int = 1,
        resident: bool | None = None,
        ahead: int | None = None,
        paired: bool = False,
    ) -> None:
        if batch_size % world_size:
            raise UserError(
                f"{world_size} processes cannot share batches of {batch_size} frames equally. "
                f"Choose a --batch-size that is a multiple of {world_size}."
            )
        self.x, self.y, self.size, self.device = x, y, size, device
        self.batch_size, self.rank, self.world_size = batch_size, rank, world_size
        self.waited_s = 0.0
        self._samplers = [
            Sampler(_shapes(frames, size), 0 if paired else domain, size, batch_size, seed, flip)
            for domain, frames in enumerate((x, y))
        ]
        shapes = [each.shapes for each in self._samplers]
        if paired and not np.array_equal(shapes[0], shapes[1]):
            raise ValueError("the pictures of a pair differ in size")
        if resident is None:
            resident = _fits(device, sum(int(s.shapes.prod(1).sum()) for s in self._samplers) * 3)
        self._pixels = [DevicePixels(each, size, device) for each in (x, y)] if resident else []
        if ahead is None:
            ahead = 0 if resident or device.type == "cpu" else AHEAD
        self._ahead = Ahead(self._cut, self._following, ahead)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that pass once over the larger domain."""
        return steps_per_epoch(len(self.x), len(self.y), self.batch_size)

    @property
    def resident(self) -> bool:
        """Whether all frames are on the device."""
        return bool(self._pixels)

    def batch(self, epoch: int, step: int) -> BatchPair:
        """This process's share of a step (from 0) of an epoch: crops of X and of Y.

        Returns
        -------
        tuple of Tensor
            uint8 (batch_size / world_size, 3, size, size) each, contiguous, on the device. Nothing
            here waits for a GPU.
        """
        began = time.perf_counter()
        pair = self._picked((epoch, step)) if self._pixels else self._sent((epoch, step))
        self.waited_s += time.perf_counter() - began
        return pair

    def close(self) -> None:
        """Stop the thread that prepares batches, if there is one. No batches afterwards."""
        self._ahead.close()

    def __enter__(self) -> Domains:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _draws(self, at: StepPosition) -> tuple[Draw, Draw]:
        x, y = (each.draw(*at).part(self.rank, self.world_size) for each in self._samplers)
        return x, y

    def _picked(self, at: StepPosition) -> BatchPair:
        """Crops of frames on the device."""
        x, y = self._draws(at)
        return self._pixels[0].squares(x), self._pixels[1].squares(y)

    def _sent(self, at: StepPosition) -> BatchPair:
        """Crops cut on the host, on their way to the device."""
        x, y = self._ahead.take(at)
        pinned = self.device.type == "cuda"  # elsewhere memory could be freed before it is read
        return x.to(self.device, non_blocking=pinned), y.to(self.device, non_blocking=pinned)

    def _cut(self, at: StepPosition) -> BatchPair:
        """Crops in the host's memory, pinned if a CUDA device will fetch them."""
        shape = (self.batch_size // self.world_size, 3, self.size, self.size)
        pin = self.device.type == "cuda"
        x, y = (torch.empty(shape, dtype=torch.uint8, pin_memory=pin) for _ in range(2))
        for frames, draw, out in zip((self.x, self.y), self._draws(at), (x, y), strict=True):
            cut_squares(frames, draw, out.numpy())
        return x, y

    def _following(self, at: StepPosition) -> StepPosition:
        epoch, step = at
        return (epoch, step + 1) if step + 1 < self.steps_per_epoch else (epoch + 1, 0)


def _shapes(frames: Sequence[Image], size: int) -> NDArray[np.int64]:
    shapes = np.array([frame.shape[:2] for frame in frames], np.int64)
    if shapes.min() < size:
        raise ValueError(f"a frame of {shapes.min()} pixels has no square of {size}")
    return shapes


def _fits(device: torch.device, size_bytes: int) -> bool:
    if device.type != "cuda":
        return False
    return size_bytes < RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]


class DevicePixels:
    """All pixels of a domain in one uint8 tensor (M, 3) on a device.

    Parameters
    ----------
    frames : sequence of (H, W, 3) uint8
        Their shapes may differ: a crop is given by its first pixel and its frame's width.
    size : int
        Side of the crops, pixels.
    device : torch.device
    """

    def __init__(self, frames: Sequence[Image], size: int, device: torch.device) -> None:
        self.size = size
        self.widths = np.array([frame.shape[1] for frame in frames], np.int64)
        ends = np.cumsum([frame.shape[0] * frame.shape[1] for frame in frames], dtype=np.int64)
        self.starts = np.concatenate(([0], ends[:-1]))
        self.pixels = torch.empty((int(ends[-1]), 3), dtype=torch.uint8, device=device)
        for frame, start, end in zip(frames, self.starts, ends, strict=True):
            # Copied, because torch takes no read-only array.
            self.pixels[start:end] = torch.from_numpy(np.array(frame).reshape(-1, 3))
        self.along = torch.arange(size, device=device)

    def squares(self, draw: Draw) -> Tensor:
        """Cut and mirror by one indexing operation: uint8 (B, 3, size, size), contiguous."""
        widths = self.widths[draw.frames]
        first = self.starts[draw.frames] + draw.tops * widths + draw.lefts
        first += np.where(draw.flips, self.size - 1, 0)  # a mirrored row is read backwards
        numbers = torch.from_numpy(np.stack([first, widths, np.where(draw.flips, -1, 1)]))
        if self.pixels.device.type == "cuda":
            numbers = numbers.pin_memory()
        start, down, right = numbers.to(self.pixels.device, non_blocking=True)[:, :, None, None]
        picked = start + self.along[:, None] * down + self.along * right  # (B, size, size)
        return self.pixels[picked].permute(0, 3, 1, 2).contiguous()


class Ahead:
    """Prepares the batches that are likely to be asked for next, in a thread.

    Parameters
    ----------
    make : callable
        From a step to its batches.
    following : callable
        From a step to the one that is likely to follow.
    depth : int
        Steps prepared ahead; 0: no thread.
    """

    def __init__(
        self,
        make: Callable[[StepPosition], BatchPair],
        following: Callable[[StepPosition], StepPosition],
        depth: int,
    ) -> None:
        self.make, self.following, self.depth = make, following, depth
        self._pool = ThreadPoolExecutor(1, "batches") if depth else None
        self._made: dict[StepPosition, Future[BatchPair]] = {}

    def take(self, at: StepPosition) -> BatchPair:
        """The batches of a step, whatever was asked for before."""
        if self._pool is None:
            return self.make(at)
        wanted = [at]
        for _ in range(self.depth):
            wanted.append(self.following(wanted[-1]))
        for old in self._made.keys() - set(wanted):
            self._made.pop(old).cancel()
        for each in wanted:
            if each not in self._made:
                self._made[each] = self._pool.submit(self.make, each)
        return self._made.pop(at).result()

    def close(self) -> None:
        """Drop what was prepared, and stop the thread."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._made.clear()


def to_range(pictures: Tensor) -> Tensor:
    """uint8 in [0, 255] -> fp32 in [-1, 1], on the same device."""
    return pictures.to(torch.float32).div(127.5).sub(1)


def to_pictures(values: Tensor) -> NDArray[np.uint8]:
    """(B, 3, H, W) in [-1, 1] -> RGB uint8 (B, H, W, 3), rounded."""
    scaled = values.detach().float().add(1).mul(127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
