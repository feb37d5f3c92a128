"""Batches of the two domains as uint8, on the device that trains.

Frames lie on the device where they fit; otherwise squares are cut on the host, by a thread and
ahead of the steps for a device other than the CPU. How frames are read is in ``cache``, which of
them a batch holds in ``sampling``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataset.errors import UserError
from dataset.pictures.images import Image
from model.training.frame_cache import Frames, load_frames, open_frames
from model.training.sampling import Draw, Sampler, cut_squares, shuffled_index, steps_per_epoch

__all__ = [
    "Domains",
    "Frames",
    "load_frames",
    "open_frames",
    "shuffled_index",
    "steps_per_epoch",
    "to_pictures",
    "to_range",
]

CPU = torch.device("cpu")
RESIDENT_SHARE = 0.5  # of the free memory of a GPU: the rest is for networks and activations
AHEAD = 3  # batches that a thread prepares for a device that frames do not fit on

Pair = tuple[Tensor, Tensor]  # squares of X and of Y
Step = tuple[int, int]  # epoch, and step in it from 0


class Domains:
    """The frames of X and Y and the batches made of them.

    What a batch holds depends on the frames, ``size``, ``batch_size``, ``seed`` and ``flip``
    alone: not on the device, on where frames lie, or on how many processes share a batch.

    Parameters
    ----------
    x, y : sequence of (H, W, 3) uint8
        Frames of either domain, in memory or mapped; their shapes may differ.
    size : int
        Side of the squares that a batch holds, pixels.
    batch_size : int
        Frames of each domain in a batch, of all processes together.
    seed : int
        Of order, crops and flips.
    flip : bool
        Mirror half of the frames.
    device : torch.device
        Where batches are wanted.
    rank, world : int
        Which of how many processes this is; it gets an equal share of each batch.
    resident : bool, optional
        Keep all frames on the device. None: on a CUDA device whose memory has room for them.
    ahead : int, optional
        Batches that a thread prepares, where frames are not resident. None: ``AHEAD`` for a
        device other than the CPU; there, the thread would take a core from the networks.

    Attributes
    ----------
    waited_s : float
        Seconds that all calls of ``batch`` together have kept their callers.

    Raises
    ------
    UserError
        ``batch_size`` cannot be shared equally.
    ValueError
        A frame is smaller than a square.
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
        world: int = 1,
        resident: bool | None = None,
        ahead: int | None = None,
    ) -> None:
        if batch_size % world:
            raise UserError(
                f"{world} processes cannot share batches of {batch_size} frames equally. "
                f"Choose a --batch-size that is a multiple of {world}."
            )
        self.x, self.y, self.size, self.device = x, y, size, device
        self.batch_size, self.rank, self.world = batch_size, rank, world
        self.waited_s = 0.0
        self._samplers = [
            Sampler(_shapes(frames, size), domain, size, batch_size, seed, flip)
            for domain, frames in enumerate((x, y))
        ]
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
        """Whether all frames lie on the device."""
        return bool(self._pixels)

    def batch(self, epoch: int, step: int) -> Pair:
        """This process's share of a step (from 0) of an epoch, squares of X and of Y.

        Returns
        -------
        tuple of Tensor
            uint8 (batch_size / world, 3, size, size) each, contiguous, on the device. Nothing
            here waits for a GPU.
        """
        began = time.perf_counter()
        pair = self._picked((epoch, step)) if self._pixels else self._sent((epoch, step))
        self.waited_s += time.perf_counter() - began
        return pair

    def close(self) -> None:
        """End the thread that prepares batches, if there is one. Takes no batch afterwards."""
        self._ahead.close()

    def __enter__(self) -> Domains:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _draws(self, at: Step) -> tuple[Draw, Draw]:
        x, y = (each.draw(*at).part(self.rank, self.world) for each in self._samplers)
        return x, y

    def _picked(self, at: Step) -> Pair:
        """Squares of frames that lie on the device."""
        x, y = self._draws(at)
        return self._pixels[0].squares(x), self._pixels[1].squares(y)

    def _sent(self, at: Step) -> Pair:
        """Squares cut on the host, on their way to the device."""
        x, y = self._ahead.take(at)
        pinned = self.device.type == "cuda"  # elsewhere memory is not kept until it has been read
        return x.to(self.device, non_blocking=pinned), y.to(self.device, non_blocking=pinned)

    def _cut(self, at: Step) -> Pair:
        """Squares in the host's memory, pinned where a CUDA device will fetch them."""
        shape = (self.batch_size // self.world, 3, self.size, self.size)
        pin = self.device.type == "cuda"
        x, y = (torch.empty(shape, dtype=torch.uint8, pin_memory=pin) for _ in range(2))
        for frames, draw, out in zip((self.x, self.y), self._draws(at), (x, y), strict=True):
            cut_squares(frames, draw, out.numpy())
        return x, y

    def _following(self, at: Step) -> Step:
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
        Their shapes may differ: a square is found by its first pixel and its frame's width.
    size : int
        Side of the squares, pixels.
    device : torch.device
    """

    def __init__(self, frames: Sequence[Image], size: int, device: torch.device) -> None:
        self.size = size
        self.widths = np.array([frame.shape[1] for frame in frames], np.int64)
        ends = np.cumsum([frame.shape[0] * frame.shape[1] for frame in frames], dtype=np.int64)
        self.starts = np.concatenate(([0], ends[:-1]))
        self.pixels = torch.empty((int(ends[-1]), 3), dtype=torch.uint8, device=device)
        for frame, start, end in zip(frames, self.starts, ends, strict=True):
            # Copied, because torch takes no array that cannot be written to.
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
    """Makes what is likely to be asked for next, in a thread.

    Parameters
    ----------
    make : callable
        From a step to its pair of tensors.
    following : callable
        The step that is likely to be asked for after a step.
    depth : int
        Steps made ahead; 0: no thread, all is made when it is asked for.
    """

    def __init__(
        self, make: Callable[[Step], Pair], following: Callable[[Step], Step], depth: int
    ) -> None:
        self.make, self.following, self.depth = make, following, depth
        self._pool = ThreadPoolExecutor(1, "batches") if depth else None
        self._made: dict[Step, Future[Pair]] = {}

    def take(self, at: Step) -> Pair:
        """The pair of a step, whatever was asked for before."""
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
        """Drop what was made, and end the thread."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._made.clear()


def to_range(pictures: Tensor) -> Tensor:
    """uint8 in [0, 255] -> fp32 in [-1, 1], on whatever device it lies."""
    return pictures.to(torch.float32).div(127.5).sub(1)


def to_pictures(values: Tensor) -> NDArray[np.uint8]:
    """(B, 3, H, W) in [-1, 1] -> RGB uint8 (B, H, W, 3), rounded."""
    scaled = values.detach().float().add(1).mul(127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
