"""Applies at full size what preset physical finds on a small copy of a picture. Loads no torch.

The copy holds what `physical_networks.small_copy` holds. Gains and content of clipped channels,
found on it by torch (``physical``) or onnxruntime (``onnx``), are applied to every pixel
by the closed form of ``formation.unexpose``, a channel at a time, so that time and memory hardly
exceed those of reading the picture. No files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.pictures.pixels import Pixels, check_finite
from model.small_size import CHANNELS, small_size

BYTES = 48  # per pixel, beside the picture itself: the result, and planes of one channel, measured
CLIPPED = 1 - 0.5 / 255  # encoded: that of ``formation``
BELOW_CLIPPED = float(np.nextafter(np.float32(CLIPPED), np.float32(0)))
TOE = 0.04045  # encoded: below it sRGB is a straight line
SPECKLE = 0.02  # of a clipped area's pixels: more that are not clipped come from a lossy file
ROUGH = 0.07  # of a clipped area's rim: more that is nearly white and in a dent, likewise
DENT = 252.5 / 255  # encoded: what counts as nearly white there
BLOCK = 17  # pixels: what a lossy file decides on at once, and one to its middle
LOSSY_CLIPPED = 240 / 255  # encoded: what a lossy file makes of clipped pixels is mostly above

Plane = NDArray[np.float32]  # (H, W), one channel
Report = Callable[[float], None]  # called with the share of a picture that is done, 0 to 1
Find = Callable[[Plane], tuple[Plane, Plane]]  # (1, 9, h, w) -> two of (1, 3, h, w), as `restore`


def restore(
    pixels: Pixels,
    find: Find,
    linear: bool,
    on_progress: Report,
    source: str = "the network",
) -> Pixels:
    """Restore a picture by what is found on a small copy of it.

    Parameters
    ----------
    pixels : (H, W, 3) float32 in [0, 1]
        RGB, display-encoded, any size.
    find : callable
        Of the small copy, (1, 9, h, w): log k of its parts, (1, 3 or 1, any, any), and the content
        of its clipped channels, (1, 3, h, w), encoded.
    linear : bool
        Whether gains act on linear light.
    on_progress : callable
        Called with the share of the picture that is done.
    source : str
        What an error calls the network.

    Returns
    -------
    (H, W, 3) float32 in [0, 1]

    Raises
    ------
    UserError
        The output is not finite.
    """
    gains, content = find(small_planes(pixels)[None])
    result = np.empty_like(pixels)
    for channel in range(3):
        plane, own = result[..., channel], pixels[..., channel]
        log_gain = enlarge(gains[0, channel % gains.shape[1]], own.shape)
        plane[...] = take_back(own, log_gain, linear)
        clipped = clipped_of(own)
        if clipped.any():
            large = enlarge(content[0, channel], own.shape)
            np.copyto(plane, np.maximum(large, plane), where=clipped)
        on_progress((channel + 1) / 3)
    return check_finite(np.clip(result, 0, 1, out=result), source)


def small_planes(pixels: Pixels) -> Plane:
    """``physical_networks.small_copy`` of one picture, (9, h, w), in the memory of one channel.

    Clipped is what the network has learned to call so, not what `clipped_of` adds.
    """
    size = small_size(*pixels.shape[:2])
    planes = np.empty((CHANNELS, *size), np.float32)
    for channel in range(3):
        own = np.ascontiguousarray(pixels[..., channel])
        clipped = own >= np.float32(CLIPPED)
        planes[channel] = planes[6 + channel] = average(own, size)
        planes[3 + channel] = 0
        if clipped.any():
            planes[3 + channel] = average(clipped.view(np.uint8), size)
            _, known = cv2.threshold(own, BELOW_CLIPPED, 0, cv2.THRESH_TOZERO_INV)
            planes[6 + channel] = average(np.asarray(known, np.float32), size)
    return planes


def average(plane: Plane | NDArray[np.uint8], size: tuple[int, int]) -> Plane:
    """Means over a grid of rectangles that cover a plane: torch's ``adaptive_avg_pool2d``.

    Their bounds are whole pixels, so that neighbours may share a row or a column.
    """
    strips = _means(plane, _bounds(plane.shape[0], size[0]))
    return _means(strips.T, _bounds(plane.shape[1], size[1])).T


def _means(plane: Plane | NDArray[np.uint8], rows: list[tuple[int, int]]) -> Plane:
    """Means over some rows each: (H, W) -> (len(rows), W)."""
    values: Any = np.ascontiguousarray(plane)
    means = np.empty((len(rows), plane.shape[1]), np.float32)
    for at, (first, end) in enumerate(rows):
        cv2.reduce(values[first:end], 0, cv2.REDUCE_AVG, means[at : at + 1], cv2.CV_32F)
    return means


def _bounds(whole: int, parts: int) -> list[tuple[int, int]]:
    return [(n * whole // parts, -(-(n + 1) * whole // parts)) for n in range(parts)]


def clipped_of(plane: Plane) -> NDArray[np.bool_]:
    """Which values of a channel are clipped, (H, W).

    Those of ``formation.is_clipped``, exactly, unless they are speckled with others, as JPEG and
    video leave clipped areas: then also what is nearly white and surrounded by them.
    """
    clipped = plane >= np.float32(CLIPPED)
    count = np.count_nonzero(clipped)
    if not 0 < count < plane.size:
        return clipped
    around = cv2.blur(clipped.view(np.uint8) * np.uint8(252), (3, 3))  # 28 for each of 9
    dents = (around >= 5 * 28) & ~clipped
    rim = np.count_nonzero(around) - count
    if np.count_nonzero(dents & (plane >= np.float32(DENT))) > ROUGH * rim:
        side, share = BLOCK, 0.1
    elif np.count_nonzero(dents) > SPECKLE * count:
        side, share = 5, 0.16
    else:
        return clipped
    near = cv2.blur(clipped.view(np.uint8) * np.uint8(250), (side, side)) >= share * 250
    return clipped | (near & (plane >= np.float32(LOSSY_CLIPPED)))


def enlarge(plane: Plane, shape: tuple[int, ...]) -> Plane:
    """Bilinear, to (H, W); a single number stays one."""
    if plane.size == 1:
        return plane
    small = np.ascontiguousarray(plane)
    large = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32)


def take_back(plane: Plane, log_gain: Plane, linear: bool) -> Plane:
    """``formation.unexpose`` of one channel, without a veil.

    A gain of linear light is a straight line of sRGB values above its toe; only what is or ends up
    in the toe needs powers.
    """
    if not linear:
        return plane * np.exp(-log_gain)
    factor = np.exp(log_gain / np.float32(-2.4))
    result = (plane + np.float32(0.055)) * factor - np.float32(0.055)
    toe = result < np.float32(TOE)
    toe |= plane < np.float32(TOE)
    if toe.any():
        own = plane[toe]
        light = np.where(own <= TOE, own / 12.92, ((own + 0.055) / 1.055) ** 2.4)
        light *= np.exp(-np.broadcast_to(log_gain, plane.shape)[toe])
        curve = 1.055 * np.maximum(light, 1e-8) ** (1 / 2.4) - 0.055
        result[toe] = np.where(light <= 0.0031308, 12.92 * light, curve)
    return result
