"""What ``--keep unclipped`` makes of a restored picture: the input, with its clipped areas filled.

A restored picture is darker as a whole, and what it shows where the input is clipped would be a
grey patch between the bright surroundings of the input. So restored content is first brought to the
brightness of the input, by their ratio where nothing is clipped. It is then brighter than white:
away from bright pixels that stay, it is darkened by as much as the brightest content around it
exceeds white; beside them it is not, so that there is no seam. What is still over white keeps its
hue. Any method's result will do. No files, no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.memory import PLAIN_ADVICE, free_memory, room_for
from dataset.pictures.pixels import Pixels
from model.restoring import steady
from model.restoring.full_size import Plane, clipped_of, take_back

SIDE = 256  # pixels, shorter side of the copy on which brightness is compared
PICKED_SIDE = 512  # the copy is averaged from about as many rows or columns of the picture
BRIGHT = 0.75  # encoded: clipped content may be darker than this right beside it
RAMP = 0.1  # of the shorter side: how far from bright pixels content is darkened in full
REACH = 0.25  # of the shorter side: how far around the brightest content is looked for
FEATHER = 0.004  # of the shorter side: how far into a clipped area the input fades out
LEAST_FEATHER = 1.5  # pixels
DARKEST = 1e-5  # light: below it, ratios say nothing
MOST_RATIO = 6.0  # logarithm
SMOOTH = 0.05  # weight of what is known further away, against 1 of what is known here
ROWS = 256  # that are filled at once
BYTES = 40  # per pixel, beside both pictures: the result, the distance to the rim, planes, measured


def keep_unclipped(pixels: Pixels, restored: Pixels) -> Pixels:
    """Fill the clipped areas of a picture from a restored one; all else stays, bit for bit.

    Parameters
    ----------
    pixels, restored : (H, W, 3) float32 in [0, 1]
        RGB, display-encoded.

    Returns
    -------
    (H, W, 3) float32 in [0, 1]

    Raises
    ------
    UserError
        There is not enough memory.
    """
    height, width = pixels.shape[:2]
    with room_for(width, height, BYTES * height * width, free_memory(), PLAIN_ADVICE):
        clipped = clipped_anywhere(pixels)
        if not clipped.any():
            return pixels
        scale = brightness(pixels, restored, clipped)
        share = fade(clipped)
        result = pixels.copy()
        for rows, log_gain in bands(scale, height, width):
            inside = clipped[rows]
            if inside.any():
                own = pixels[rows][inside]
                content = below_white(take_back(restored[rows][inside], -log_gain[inside], True))
                result[rows][inside] = own + share[rows][inside][:, None] * (content - own)
        return result


class KeepingUnclipped:
    """Restores clipped areas only, by another method: (H, W, 3) float32 in [0, 1] -> the same."""

    def __init__(self, restore: Callable[[Pixels], Pixels]) -> None:
        self.restore = restore

    def __call__(self, pixels: Pixels) -> Pixels:
        return keep_unclipped(pixels, self.restore(pixels))

    def look(self, frames: Iterable[Pixels]) -> steady.Arrays:
        """As the other method looks at a video."""
        return steady.look(self.restore, frames)

    def follow(self, seen: steady.Arrays) -> steady.Followed:
        """As the other method follows a video."""
        run = steady.follow(self.restore, seen)
        return replace(run, restore=lambda at, pixels: keep_unclipped(pixels, run(at, pixels)))


def keeping_unclipped(restore: Callable[[Pixels], Pixels]) -> KeepingUnclipped:
    """A method that restores clipped areas only."""
    return KeepingUnclipped(restore)


def clipped_anywhere(pixels: Pixels) -> NDArray[np.bool_]:
    """Pixels with a clipped channel, (H, W)."""
    found = clipped_of(np.ascontiguousarray(pixels[..., 0]))
    for channel in (1, 2):
        found |= clipped_of(np.ascontiguousarray(pixels[..., channel]))
    return found


def brightness(pixels: Pixels, restored: Pixels, clipped: NDArray[np.bool_]) -> Pixels:
    """Logarithm of the light by which restored content is multiplied, (h, w, 3), small."""
    step = max(1, min(clipped.shape) // PICKED_SIDE)
    own, content = (to_light(each[::step, ::step]) for each in (pixels, restored))
    known = (~clipped[::step, ::step]).astype(np.float32)
    ratio = input_ratio(own, content, known)
    level = np.log(np.maximum(brightest(_small(content) * np.exp(ratio)), 1))
    level *= _small(known) < 0.7  # what is mostly known is not content
    darker = distance_share(own, known) * around(level)
    return np.asarray(ratio - cv2.GaussianBlur(darker, (0, 0), 1)[..., None], np.float32)


def input_ratio(own: Pixels, content: Pixels, known: Plane) -> Pixels:
    """log(light of the input / light of the content) where it is known, continued smoothly."""
    lights = (_small(known[..., None] * each) for each in (own, content))
    ours, theirs = (np.maximum(each, DARKEST) for each in lights)
    ratio = np.clip(np.log(ours / theirs), -MOST_RATIO, MOST_RATIO)
    # The brightest known pixels, at the rim: what a network does to dark ones says little of them.
    return continued(ratio, _small(known * brightest(own) ** 3))


def continued(values: Pixels, weights: Plane) -> Pixels:
    """Values where weights are large, and the mean of those nearby where they are small."""
    levels = [(values * weights[..., None], weights)]
    while max(levels[-1][1].shape) > 1:
        levels.append((_half(levels[-1][0]), _half(levels[-1][1])))
    found = np.zeros_like(levels[-1][0])
    for sums, known in reversed(levels):
        wider = cv2.resize(found, known.shape[::-1], interpolation=cv2.INTER_LINEAR)
        found = (sums + SMOOTH * wider.reshape(sums.shape)) / (known[..., None] + SMOOTH)
    return np.asarray(found, np.float32)


def distance_share(own: Pixels, known: Plane) -> Plane:
    """0 at bright pixels that are kept, rising smoothly to 1 away from them, (h, w)."""
    bright = _small(known * (brightest(own) > to_light(np.float32(BRIGHT)))) > 0.5
    opened = cv2.morphologyEx(bright.view(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    if not opened.any():
        return np.ones(opened.shape, np.float32)
    distance = cv2.distanceTransform(1 - opened, cv2.DIST_L2, 5)
    share = np.clip(distance / (RAMP * min(opened.shape)), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def around(level: Plane) -> Plane:
    """The highest level within reach of each place, smoothed."""
    side = int(REACH * min(level.shape)) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.GaussianBlur(cv2.dilate(level, disc), (0, 0), side / 3), np.float32)


def fade(clipped: NDArray[np.bool_]) -> Plane:
    """How much of a clipped pixel is content, (H, W): from near 0 at the rim to 1."""
    distance = np.asarray(cv2.distanceTransform(clipped.view(np.uint8), cv2.DIST_L2, 3), np.float32)
    distance /= np.float32(max(LEAST_FEATHER, FEATHER * min(clipped.shape)))
    return np.minimum(distance, 1, out=distance)


def below_white(content: Plane) -> Plane:
    """Colours (N, 3), encoded, with light over 1 -> the same hue, as bright as can be shown."""
    top = np.maximum(brightest(content), 1)[:, None]
    log_light = np.float32(2.4) * np.log((top + np.float32(0.055)) / np.float32(1.055))
    return np.clip(take_back(content, log_light, True), 0, 1)


def bands(small: Pixels, height: int, width: int) -> Iterator[tuple[slice, Pixels]]:
    """Rows of a small picture enlarged to (height, width), bilinearly, some at a time."""
    wide = cv2.resize(small, (width, small.shape[0]), interpolation=cv2.INTER_LINEAR)
    wide = wide.reshape(small.shape[0], width, 3)
    places = np.clip((np.arange(height) + 0.5) * len(wide) / height - 0.5, 0, len(wide) - 1)
    above = places.astype(int)
    below = np.minimum(above + 1, len(wide) - 1)
    share = (places - above).astype(np.float32)[:, None, None]
    for first in range(0, height, ROWS):
        rows = slice(first, min(first + ROWS, height))
        upper = wide[above[rows]]
        yield rows, upper + share[rows] * (wide[below[rows]] - upper)


def brightest(pixels: Pixels) -> Plane:
    """max(R, G, B); quicker than a maximum along the last axis."""
    two = np.maximum(pixels[..., 0], pixels[..., 1])
    return np.asarray(np.maximum(two, pixels[..., 2]), np.float32)


def to_light(encoded: Pixels) -> Pixels:
    """``formation.to_light``, of values in [0, 1]."""
    curve = ((encoded + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.where(encoded <= np.float32(0.04045), encoded / np.float32(12.92), curve)


def _small(values: Plane) -> Plane:
    """Area-averaged to a shorter side of 256 pixels at most, (H, W) or (H, W, 3)."""
    height, width = values.shape[:2]
    scale = min(1.0, SIDE / min(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _half(values: Plane) -> Plane:
    height, width = values.shape[:2]
    size = -(-width // 2), -(-height // 2)
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(size[1], size[0], *values.shape[2:])
