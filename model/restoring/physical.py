"""F of `--preset physical`, run by torch on small copies of pictures; see ``small_copy``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from model.belief import Proposals
from model.devices import free_device_bytes
from model.physical_networks import PhysicalRestorer
from model.restoring.full_size import Plane
from model.restoring.small_copy import SmallCopyRestorer


class TorchFinder:
    """A `small_copy.Finder` by a network on the device where its weights are."""

    source = "the network"

    def __init__(self, network: PhysicalRestorer) -> None:
        self.network, self.linear = network, network.linear

    @property
    def gain_error(self) -> float:
        return float(self.network.gain_error)

    def free_bytes(self) -> int:
        return free_device_bytes(self._device)

    def propose(self, small: Plane) -> Proposals:
        with torch.inference_mode():
            found: Proposals = self.network.propose(self._on_device(small)).float().cpu().numpy()
            return found

    def draw(self, small: Plane, gains: Plane) -> Plane:
        with torch.inference_mode():
            content = self.network.draw(self._on_device(small), self._on_device(gains))
            drawn: Plane = content.cpu().numpy()
            return drawn

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _on_device(self, planes: Plane) -> Tensor:
        return torch.from_numpy(planes).to(self._device)


def small_copy_restorer(
    network: PhysicalRestorer, on_progress: Callable[[float], None] | None = None
) -> SmallCopyRestorer:
    """What restores pictures of any size by a network."""
    return SmallCopyRestorer(TorchFinder(network), on_progress)
