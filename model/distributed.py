"""Several processes that train together, on one machine or many: ``torchrun ... cli.py train``.

Each takes its slice of the global batch, gradients are averaged as one flat vector an optimizer,
and generated frames are gathered so that all keep the same image pool. So a run does not depend on
how many processes share it, but for rounding, and may go on with another number of them.

No data and no networks here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn


class Group:
    """The processes of a run. By itself: one, and nothing is ever sent.

    Parameters
    ----------
    rank : int
        This process's number, from 0.
    world : int
        How many there are.
    """

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank, self.world = rank, world

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and speaks to the user."""
        return self.rank == 0

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace the gradients of all processes by their mean, in one message."""
        if self.world == 1:
            return
        gradients = [value.grad for value in parameters if value.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        flat.div_(self.world)
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def gather(self, pictures: Tensor) -> Tensor:
        """(B, ...) of this process -> (B * world, ...) of all of them, by rank."""
        if self.world == 1:
            return pictures
        parts = [torch.empty_like(pictures) for _ in range(self.world)]
        distributed.all_gather(parts, pictures.contiguous())
        return torch.cat(parts)

    def part(self, pictures: Tensor) -> Tensor:
        """This process's slice of what ``gather`` put together."""
        count = len(pictures) // self.world
        return pictures[self.rank * count : (self.rank + 1) * count]

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes."""
        if self.world == 1:
            return values
        total = values.clone()
        distributed.all_reduce(total)
        return total / self.world

    def any(self, wish: bool, device: torch.device) -> bool:
        """Whether any of the processes wishes it: all of them stop at the same step."""
        if self.world == 1:
            return wish
        votes = torch.tensor(float(wish), device=device)
        distributed.all_reduce(votes)
        return bool(votes > 0)

    def agree(self, text: str) -> str:
        """What the leading process says, on all of them."""
        if self.world == 1:
            return text
        said = [text]
        distributed.broadcast_object_list(said, src=0)
        return str(said[0])

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.world > 1:
            distributed.barrier()


@contextmanager
def join_group(device: torch.device) -> Iterator[tuple[Group, torch.device]]:
    """The group that torchrun started this process in, and the device that is this one's.

    Without torchrun: a group of one. CUDA devices talk by NCCL, everything else by gloo.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Group(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        distributed.destroy_process_group()
