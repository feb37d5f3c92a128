"""F -> a function from pixels to restored pixels, for pictures of any size.

Decides how much of a picture goes through the network at once. ``bands`` runs the parts, ``guided``
decides at which scale the network sees a picture, and ``restore`` handles files.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from dataset.memory import PLAIN_ADVICE, room_for
from dataset.pictures.images import Image
from dataset.pictures.pixels import Pixels, check_finite, pad_reflected, to_image, to_pixels
from model.devices import free_device_bytes
from model.networks import STRIDE, Generator
from model.physical_networks import PhysicalRestorer
from model.restoring.bands import BandedGenerator, Budget, Report
from model.restoring.guided import ScaledRestorer
from model.restoring.physical import small_copy_restorer

BAND_BYTES = {"cpu": 16 << 20}  # features of one full-size layer in a band
WHOLE_BYTES = 16  # per pixel and filter, measured: peak of a single pass, a tenth faster
MOST_WHOLE = 2 << 30  # bytes of a single pass on a CPU: about 1920x1080 with the paper's generator
MODULE_BYTES = 120  # per pixel: about ten fp32 pictures, of the formation and of its steps
KEPT_BYTES = 9 << 28  # 2.25 GiB of kept features; more are kept in half precision

Restorer = Callable[[Pixels], Pixels]  # any size in, the same size out


class NetworkRestorer:
    """A network for pictures of any size, each restored at its own size.

    Parameters
    ----------
    network : Generator
        F.
    on_progress : callable, optional
        Called with the share of the current picture that is done.
    """

    def __init__(self, network: Generator, on_progress: Report | None = None) -> None:
        self.network, self.on_progress = network, on_progress

    def __call__(self, pixels: Pixels) -> Pixels:
        """Restore a picture.

        Parameters
        ----------
        pixels : (H, W, 3) float32 in [0, 1]
            RGB, display-encoded, any size.

        Returns
        -------
        (H, W, 3) float32 in [0, 1]

        Raises
        ------
        UserError
            There is not enough memory, or the output is not finite.
        """
        height, width = pixels.shape[:2]
        device = next(self.network.parameters()).device
        free = free_device_bytes(device)
        with room_for(width, height, least_bytes(self.network, height, width), free):
            return check_finite(self._run(pixels, device, free))

    def _run(self, pixels: Pixels, device: torch.device, free: int) -> Pixels:
        height, width = pixels.shape[:2]
        values = pad_reflected(pixels, STRIDE) * np.float32(2)
        values -= 1
        picture = torch.from_numpy(values).permute(2, 0, 1)[None].to(device)

        def write(first: int, rows: Tensor) -> None:
            # Over the input, whose rows are no longer needed.
            picture[:, :, first : first + rows.shape[2]] = rows

        with torch.inference_mode():
            budget = plan(self.network, values.shape[0], values.shape[1], device, free)
            BandedGenerator(self.network, budget, self.on_progress)(picture, write)
            picture.add_(1).div_(2)
        return picture[0].permute(1, 2, 0).cpu().numpy()[:height, :width]


def least_bytes(network: Generator, height: int, width: int) -> int:
    """Memory for bands: two fp16 maps of 4 times the filters at a quarter of each side."""
    return _filters(network) * height * width


def plan(network: Generator, height: int, width: int, device: torch.device, free: int) -> Budget:
    """How a picture is divided into bands, given the free memory in bytes."""
    filters = _filters(network)
    whole = WHOLE_BYTES * filters * height * width
    if whole <= (min(free // 2, MOST_WHOLE) if device.type == "cpu" else free // 2):
        return Budget(height * width, KEPT_BYTES)
    band_bytes = BAND_BYTES.get(device.type, free // 32)
    return Budget(max(1, band_bytes // (4 * filters)), min(KEPT_BYTES, free // 2))


def restorer_of(network: nn.Module, on_progress: Report | None = None) -> Restorer:
    """What restores pictures at their own size by a network of either kind."""
    if isinstance(network, PhysicalRestorer):
        return small_copy_restorer(network, on_progress)
    if isinstance(network, Generator):
        return NetworkRestorer(network, on_progress)
    return ModuleRestorer(network)


def scaled_restorer_of(
    network: nn.Module, side: int, detail: str, on_progress: Report | None = None
) -> Restorer:
    """The same, at the scale of training where that matters; see ``guided.ScaledRestorer``."""
    restorer = restorer_of(network, on_progress)
    # The others make their own small copy, or treat every pixel alike.
    return ScaledRestorer(restorer, side, detail) if isinstance(network, Generator) else restorer


class ModuleRestorer:
    """A network without banding, such as the formation itself: one pass over the whole picture."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, pixels: Pixels) -> Pixels:
        """(H, W, 3) float32 in [0, 1] -> the same; errors as of `NetworkRestorer`."""
        height, width = pixels.shape[:2]
        device = next(chain(self.network.parameters(), self.network.buffers())).device
        needed, free = MODULE_BYTES * height * width, free_device_bytes(device)
        with room_for(width, height, needed, free, PLAIN_ADVICE), torch.inference_mode():
            picture = torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None] * 2 - 1
            made = (self.network(picture) + 1) / 2
            return check_finite(made[0].permute(1, 2, 0).clamp(0, 1).cpu().numpy())


def restore_image(network: nn.Module, image: Image) -> Image:
    """Run F on one picture at its own size: RGB uint8 (H, W, 3) of any size -> the same."""
    return to_image(restorer_of(network)(to_pixels(image)))


def _filters(network: Generator) -> int:
    filters = network.model[1].out_channels
    assert isinstance(filters, int)
    return filters
