"""Several processes that train together, on one machine or many: ``torchrun ... cli.py train``.

Each takes its slice of the global batch, gradients are averaged as one flat vector per optimizer,
and generated frames are gathered so that all processes keep the same image pool. So, up to
rounding, a run does not depend on how many processes share it, and may be resumed with another
number of them. No data and no networks here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

_T = TypeVar("_T")


class Group:
    """The processes of a run. By default one, and nothing is ever sent.

    Parameters
    ----------
    rank : int
        This process's number, from 0.
    world_size : int
        Number of processes.
    """

    def __init__(self, rank: int = 0, world_size: int = 1) -> None:
        self.rank, self.world_size = rank, world_size

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and talks to the user."""
        return self.rank == 0

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace the gradients of all processes by their mean, in one message."""
        if self.world_size == 1:
            return
        gradients = [value.grad for value in parameters if value.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        flat.div_(self.world_size)
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def gather(self, pictures: Tensor) -> Tensor:
        """(B, ...) of this process -> (B * world_size, ...) of all of them, by rank."""
        if self.world_size == 1:
            return pictures
        parts = [torch.empty_like(pictures) for _ in range(self.world_size)]
        distributed.all_gather(parts, pictures.contiguous())
        return torch.cat(parts)

    def part(self, pictures: Tensor) -> Tensor:
        """This process's slice of what ``gather`` put together."""
        count = len(pictures) // self.world_size
        return pictures[self.rank * count : (self.rank + 1) * count]

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes."""
        if self.world_size == 1:
            return values
        total = values.clone()
        distributed.all_reduce(total)
        return total / self.world_size

    def any_rank(self, wish: bool, device: torch.device) -> bool:
        """Whether it is true in any process, so that all of them stop at the same step."""
        if self.world_size == 1:
            return wish
        votes = torch.tensor(float(wish), device=device)
        distributed.all_reduce(votes)
        return bool(votes > 0)

    def broadcast(self, value: _T) -> _T:
        """The main process's value in all of them; anything that can be pickled."""
        if self.world_size == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]


@contextmanager
def join_group(device: torch.device) -> Iterator[tuple[Group, torch.device]]:
    """The group in which torchrun started this process, and this process's device.

    Without torchrun: a group of one. CUDA devices use NCCL where it is (Windows has none),
    everything else gloo.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Group(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    nccl = device.type == "cuda" and distributed.is_nccl_available()
    distributed.init_process_group("nccl" if nccl else "gloo")
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        distributed.destroy_process_group()
