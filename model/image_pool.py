"""Generated frames of earlier steps, mixed into what a discriminator sees.

Half of the frames asked for come from the pool, each replaced there by the new one (Shrivastava et
al., "Learning from Simulated and Unsupervised Images through Adversarial Training", CVPR 2017,
section 2.3). Which ones is drawn on the host, apart from the frames, so that the exchange itself
is a fixed sequence of device operations that can be captured once and replayed.
"""

from __future__ import annotations

import torch
from torch import Tensor


class ImagePool:
    """A fixed store of generated frames, with its own random numbers.

    Parameters
    ----------
    size : int
        Frames kept; 0 turns the pool off.
    seed : int
        Random seed.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.frames: Tensor | None = None  # (size + 1, 3, H, W)
        self.filled = 0
        self.random = torch.Generator().manual_seed(seed)

    def draw(self, count: int) -> Tensor:
        """What to do with the next ``count`` frames: int64 (count, 2) on the host.

        A row is (place, old): the place in the store that the frame goes to, or ``size`` for
        none, and 1 where the stored frame is returned instead.
        """
        return torch.tensor([self._draw_one() for _ in range(count)], dtype=torch.int64)

    def _draw_one(self) -> tuple[int, int]:
        if self.size == 0:
            return 0, 0
        if self.filled < self.size:
            self.filled += 1
            return self.filled - 1, 0
        if torch.rand((), generator=self.random) < 0.5:
            return self.size, 0
        return int(torch.randint(self.size, (), generator=self.random)), 1

    def exchange(self, fakes: Tensor, drawn: Tensor) -> Tensor:
        """Store new fakes and return the same number, new or old.

        Parameters
        ----------
        fakes : Tensor
            (B, 3, H, W), without gradient.
        drawn : Tensor
            (B, 2) from ``draw``, on the device of the fakes.

        Returns
        -------
        Tensor
            (B, 3, H, W).
        """
        if self.size == 0:
            return fakes
        frames = self.allocate(fakes)
        pairs = zip(fakes, drawn, strict=True)
        return torch.stack([self._exchange_one(frames, fake, row) for fake, row in pairs])

    def allocate(self, fakes: Tensor) -> Tensor:
        """The store, allocated at first use: (size + 1, 3, H, W)."""
        if self.frames is None:
            # One more place than there are frames, for those that are not kept.
            self.frames = fakes.new_zeros((self.size + 1, *fakes.shape[1:]))
        return self.frames

    def _exchange_one(self, frames: Tensor, fake: Tensor, row: Tensor) -> Tensor:
        # One by one: two frames of a batch may draw the same place.
        place = row[:1]
        given = torch.where(row[1].bool(), frames.index_select(0, place)[0], fake)
        frames.index_copy_(0, place, fake[None])
        return given

    def state_dict(self) -> dict[str, object]:
        return {"frames": self.frames, "filled": self.filled, "random": self.random.get_state()}

    def load_state_dict(self, state: dict[str, object]) -> None:
        frames, filled, random = state["frames"], state["filled"], state["random"]
        assert isinstance(filled, int)
        assert isinstance(random, Tensor)
        self.frames = frames.clone() if isinstance(frames, Tensor) else None
        self.filled = filled
        self.random.set_state(random.cpu())


class ImagePools:
    """The pools of both domains.

    Parameters
    ----------
    size, seed : int
        As of `ImagePool`; the two draw different numbers.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.X, self.Y = ImagePool(size, seed + 1), ImagePool(size, seed + 2)

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """What to do with the next ``count`` frames of all processes: for Y, then for X."""
        return self.Y.draw(count), self.X.draw(count)
