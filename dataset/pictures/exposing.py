"""One HDR frame under several exposures, each as a game shows it on an SDR screen.

y = clip(T(k x + veil)), rounded to 8 bits, channel by channel: x is linear light, k the exposure, T
sRGB's encoding and the veil what a lens scatters, if it is asked for. So what each exposure lost is
known from the one that lost nothing. No tone mapping, and no files.

References
----------
.. [1] P. E. Debevec, J. Malik, "Recovering High Dynamic Range Radiance Maps from Photographs",
   SIGGRAPH 1997, section 2: exposure, clipping.
.. [2] IEC 61966-2-1: sRGB.
.. [3] ISO 9358: veiling glare of lenses, as a share of the light; a few per cent are usual.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from dataset.errors import UserError
from dataset.pictures.images import Image
from dataset.pictures.light import Light
from dataset.pictures.pixels import to_image
from dataset.pictures.tone import encoded

CLIPS = 0.95  # linear light just below level 250, from which pixels count as clipped
CLIPPED_AT_FIRST = 0.004  # share of pixels, such as the sun's disc
CLIPPED_AT_LAST = 0.35
SPAN = (2.0, 6.0)  # stops from the first exposure to the last, at least and at most
VEIL = 0.03  # share of the light
REACH = (1 / 24, 1 / 6, 1 / 2)  # how far it is scattered, of the shorter side: about 1 / angle²
SMALL = 128  # pixels of the shorter side, on which it is worked out


def exposures(
    light: Light,
    steps: int,
    first: float | None = None,
    last: float | None = None,
    brightest: float = math.inf,
) -> list[float]:
    """Exposures from well exposed to clipped, evenly spaced, in stops.

    Parameters
    ----------
    light : Light
        Not all black.
    steps : int
        How many, two at least.
    first, last : float or None
        In stops: 0 leaves the light as it is, so that it clips at diffuse white. None: so that all
        but specks is below clipping, and so that a third of the picture clips.
    brightest : float
        The first exposure that is chosen is no brighter.

    Raises
    ------
    UserError
        ``last`` is not brighter than the first one.

    Examples
    --------
    >>> ramp = np.linspace(0, 8, 1000, dtype=np.float32)[:, None, None] * np.ones(3, np.float32)
    >>> [round(each, 1) for each in exposures(ramp, 3, last=1)]
    [-3.1, -1.0, 1.0]
    """
    channel = light.max(axis=2)
    if first is None:
        specks = float(np.quantile(channel, 1 - CLIPPED_AT_FIRST))
        first = min(_stops_until(specks if specks > 0 else float(channel.max())), brightest)
    if last is None:
        clipping = _stops_until(float(np.quantile(channel, 1 - CLIPPED_AT_LAST)))
        last = min(max(clipping, first + SPAN[0]), first + SPAN[1])
    if not last > first:
        raise UserError(
            f"--to {last:+.2f} stops is not brighter than its first exposure, {first:+.2f} stops."
        )
    return [float(each) for each in np.linspace(first, last, steps)]


def _stops_until(level: float) -> float:
    """The exposure at which a level comes to clipping; infinity where there is no light."""
    return math.log2(CLIPS / level) if level > 0 else math.inf


def develop(light: Light, stops: float, veil: Light | None = None, first: float = 0.0) -> Image:
    """Light under one exposure: RGB uint8 (H, W, 3), clipped by channel, in sRGB.

    Parameters
    ----------
    light : Light
    stops : float
        The exposure.
    veil : Light or None
        As `veil_of` makes it. Added for what the exposure is beyond ``first``: the frame that the
        others are compared with has none.
    first : float
        The first exposure, in stops.

    Examples
    --------
    >>> develop(np.full((1, 1, 3), 0.25, np.float32), 1.0).tolist()
    [[[188, 188, 188]]]
    """
    exposed = light * np.float32(2.0**stops)
    if veil is not None:
        exposed += veil * np.float32(2.0**stops - 2.0**first)
    return to_image(encoded(np.clip(exposed, 0, 1)))


def veil_of(light: Light) -> Light:
    """What a lens scatters over the picture, for the light as it is."""
    height, width = light.shape[:2]
    short = min(height, width)
    size = [max(1, round(side * min(1, SMALL / short))) for side in (width, height)]
    small = np.maximum(cv2.resize(light, size, interpolation=cv2.INTER_AREA), 0)
    parts = [cv2.GaussianBlur(small, (0, 0), reach * min(size)) for reach in REACH]
    veil = np.mean(parts, axis=0, dtype=np.float32) * np.float32(VEIL)
    full = cv2.resize(veil, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, np.float32)
