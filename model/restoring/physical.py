"""The restorer of `--preset physical` on pictures of any size: found small, applied at full size.

The network sees a small copy only. What it finds, gains and the content of clipped channels, is
applied to every pixel by the closed form of ``formation.unexpose``, a channel at a time, so that
time and memory hardly exceed those of reading the picture. No files.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dataset.memory import PLAIN_ADVICE, room_for
from dataset.pictures.pixels import Pixels, check_finite
from model.devices import free_device_bytes
from model.formation import CLIPPED
from model.physical_networks import PhysicalRestorer
from model.small_size import CHANNELS, small_size

BYTES = 48  # per pixel, beside the picture itself: the result, and planes of one channel, measured
TOE = 0.04045  # encoded: below it sRGB is a straight line
SPECKLE = 0.02  # of a clipped area's pixels: more that are not clipped come from a lossy file
LOSSY_CLIPPED = 240 / 255  # encoded: what a lossy file makes of clipped pixels is mostly above

Plane = NDArray[np.float32]


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
        needed, free = BYTES * height * width, free_device_bytes(device)
        with room_for(width, height, needed, free, PLAIN_ADVICE):
            gains, content = self.find(pixels)
            return check_finite(self.apply(pixels, gains, content))

    def find(self, pixels: Pixels) -> tuple[Pixels, Pixels]:
        """log k of a picture's parts, and the content of its clipped channels: small, (h, w, 3)."""
        device = next(self.network.parameters()).device
        small = small_planes(pixels)[None].to(device)
        with torch.inference_mode():
            gains = self.network.find_gains(small)
            content = self.network.draw(small, gains)
        gains = gains.expand(-1, 3, -1, -1)
        found, drawn = (each[0].permute(1, 2, 0).cpu().numpy() for each in (gains, content))
        return found, drawn

    def apply(self, pixels: Pixels, gains: Pixels, content: Pixels) -> Pixels:
        """The picture with its gains taken back, and its clipped channels filled."""
        result = np.empty_like(pixels)
        for channel in range(3):
            plane, own = result[..., channel], pixels[..., channel]
            log_gain = _enlarge(gains[..., channel], own.shape)
            plane[...] = take_back(own, log_gain, self.network.linear)
            clipped = clipped_of(own)
            if clipped.any():
                large = _enlarge(content[..., channel], own.shape)
                np.copyto(plane, np.maximum(large, plane), where=clipped)
            self.on_progress((channel + 1) / 3)
        return np.clip(result, 0, 1, out=result)


def small_planes(pixels: Pixels) -> Tensor:
    """``physical_networks.small_copy`` of one picture, (9, h, w), in the memory of one channel."""
    size = small_size(*pixels.shape[:2])
    planes = torch.empty(CHANNELS, *size)
    for channel in range(3):
        own = torch.from_numpy(np.ascontiguousarray(pixels[..., channel]))[None]
        clipped = torch.from_numpy(clipped_of(pixels[..., channel]))[None].float()
        for place, plane in enumerate((own, clipped, own * (1 - clipped))):
            planes[3 * place + channel] = functional.adaptive_avg_pool2d(plane, size)[0]
    return planes


def clipped_of(plane: Plane) -> NDArray[np.bool_]:
    """Which values of a channel are clipped, (H, W).

    Those of ``formation.is_clipped``, exactly, unless they are speckled with others, as JPEG and
    video leave clipped areas: then also what is nearly white and surrounded by them.
    """
    clipped = plane >= np.float32(CLIPPED)
    count = np.count_nonzero(clipped)
    if not 0 < count < plane.size:
        return clipped
    around = cv2.blur(clipped.view(np.uint8) * np.uint8(252), (3, 3))
    speckles = np.count_nonzero((around >= 5 * 28) & ~clipped)  # 5 of 9, 28 each
    if speckles <= SPECKLE * count:
        return clipped
    near = cv2.blur(clipped.view(np.uint8) * np.uint8(250), (5, 5)) >= 4 * 10  # 4 of 25
    return clipped | (near & (plane >= np.float32(LOSSY_CLIPPED)))


def _enlarge(plane: Plane, shape: tuple[int, ...]) -> Plane:
    """Bilinear, to (H, W); a single number stays one."""
    if plane.size == 1:
        return plane
    small = np.ascontiguousarray(plane)
    large = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32)


def take_back(plane: Plane, log_gain: Plane, linear: bool) -> Plane:
    """``formation.unexpose`` of one channel, without a veil.

    A gain of linear light is a straight line of sRGB values above its toe; only what ends up in the
    toe needs powers.
    """
    if not linear:
        return plane * np.exp(-log_gain)
    factor = np.exp(log_gain / np.float32(-2.4))
    result = (plane + np.float32(0.055)) * factor - np.float32(0.055)
    toe = result < np.float32(TOE)
    if toe.any():
        own = plane[toe]
        light = np.where(own <= TOE, own / 12.92, ((own + 0.055) / 1.055) ** 2.4)
        light *= np.exp(-np.broadcast_to(log_gain, plane.shape)[toe])
        curve = 1.055 * np.maximum(light, 1e-8) ** (1 / 2.4) - 0.055
        result[toe] = np.where(light <= 0.0031308, 12.92 * light, curve)
    return result
