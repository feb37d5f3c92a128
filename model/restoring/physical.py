"""The restorer of `--preset physical` on pictures of any size: found small, applied at full size.

The network sees a small copy only; ``full_size`` makes it, and applies what the network finds.
No files.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from dataset.memory import PLAIN_ADVICE, room_for
from dataset.pictures.pixels import Pixels
from model.devices import free_device_bytes
from model.physical_networks import PhysicalRestorer
from model.restoring import full_size
from model.restoring.full_size import Plane


class SmallCopyRestorer:
    """Restores pictures by what a network finds on a small copy of each.

    Parameters
    ----------
    network : PhysicalRestorer
        F.
    on_progress : callable, optional
        Called with the share of the current picture that is done.
    """

    def __init__(
        self, network: PhysicalRestorer, on_progress: Callable[[float], None] | None = None
    ) -> None:
        self.network, self.on_progress = network, on_progress or (lambda share: None)

    def __call__(self, pixels: Pixels) -> Pixels:
        """Restore (H, W, 3) float32 in [0, 1], RGB, display-encoded, any size -> the same.

        Raises
        ------
        UserError
            There is not enough memory, or the output is not finite.
        """
        height, width = pixels.shape[:2]
        device = next(self.network.parameters()).device
        needed, free = full_size.BYTES * height * width, free_device_bytes(device)
        with room_for(width, height, needed, free, PLAIN_ADVICE):
            return full_size.restore(pixels, self._find, self.network.linear, self.on_progress)

    def _find(self, planes: Plane) -> tuple[Plane, Plane]:
        small = torch.from_numpy(planes).to(next(self.network.parameters()).device)
        with torch.inference_mode():
            gains = self.network.find_gains(small)
            content = self.network.draw(small, gains)
        return gains.float().cpu().numpy(), content.cpu().numpy()
