"""The restorer of `--preset physical` on pictures of any size: found small, applied at full size.

The network sees a small copy only; ``full_size`` makes it, and applies what the network finds.
No files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from dataset.memory import PLAIN_ADVICE, room_for
from dataset.pictures.pixels import Pixels
from model.devices import free_device_bytes
from model.physical_networks import PhysicalRestorer, overall
from model.restoring import full_size
from model.restoring.full_size import Plane
from model.restoring.session_light import SessionLight, share_light

# Held-out frames are of the recordings that were learned from; other ones are stranger to F.
UNSEEN = 1.25  # multiple of F's error in them


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
        self.light: SessionLight | None = None

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

    def learn_light(self, pictures: Iterable[Pixels]) -> None:
        """Find the gains of pictures with all of them in view, from now on.

        Parameters
        ----------
        pictures : iterable of (H, W, 3) float32 in [0, 1]
            All that will be restored, or many of them; one is in memory at a time. Of none, nothing
            is learned.
        """
        found = [self._own_gain(full_size.small_planes(pixels)) for pixels in pictures]
        self.light = share_light(found, UNSEEN * float(self.network.gain_error)) if found else None

    def _own_gain(self, planes: Plane) -> float:
        with torch.inference_mode():
            return float(overall(self.network.propose(self._batch_of(planes[None])))[0])

    def _find(self, planes: Plane) -> tuple[Plane, Plane]:
        small, network = self._batch_of(planes), self.network
        with torch.inference_mode():
            proposals = network.propose(small)
            own = overall(proposals)
            light = self.light
            known = own if light is None else own.new_tensor([light.gain_of(float(own[0]))])
            gains = network.believed_gains(proposals, known)
            content = network.draw(small, gains)
        return gains.float().cpu().numpy(), content.cpu().numpy()

    def _batch_of(self, planes: Plane) -> Tensor:
        return torch.from_numpy(planes).to(next(self.network.parameters()).device)
