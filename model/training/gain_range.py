"""Which gains over-exposed frames have: the gain under which frames of X look like frames of Y.

Neither labels nor pairs: only the brightness and the clipped shares of both domains are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataset.layout.readers import evenly_spaced
from dataset.pictures.images import Image
from model import formation

MOST_FRAMES = 400  # of each domain, evenly spaced
THUMBNAIL = 48  # pixels, both sides; pixels are picked, not averaged, as clipping comes first
TRIED = np.linspace(0.1, 5.0, 99)  # medians of log k
COARSE = 6  # every sixth is tried first, then those around the best
SPREAD = 0.3  # standard deviation of log k, relative to its median
SHARES = torch.linspace(0.02, 0.98, 49)  # of the distributions that are compared


def matching_gain(x: Sequence[Image], y: Sequence[Image], linear: bool) -> float:
    """The median log k with which exposed frames of X are closest to frames of Y.

    Parameters
    ----------
    x, y : sequences of RGB uint8 (H, W, 3)
        Frames of the two domains.
    linear : bool
        Whether gains act on linear light.

    Returns
    -------
    float
        Natural logarithm, 0.1 to 5. Closest is the least Wasserstein distance, summed over the
        features of `describe`.
    """
    dark, bright = (_thumbnails(evenly_spaced(each, MOST_FRAMES)) for each in (x, y))
    wanted = _quantiles(bright)
    # Frames may be sorted by their light, and gains must not be.
    order = torch.randperm(len(dark), generator=torch.Generator().manual_seed(0))
    steps = torch.linspace(-1.5, 1.5, len(dark) + 2)[1:-1][order, None, None, None]

    def distance(median: float) -> float:
        gains = (median * (1 + SPREAD * steps)).clamp(min=0)
        exposed = formation.expose(dark, gains, linear).clamp(0, 1)
        return float((_quantiles(exposed) - wanted).abs().mean())

    best = COARSE * int(np.argmin([distance(median) for median in TRIED[::COARSE]]))
    near = TRIED[max(0, best - COARSE + 1) : best + COARSE]
    return float(min(near, key=distance))


def describe(frames: Tensor) -> Tensor:
    """What is compared of frames, (B, 8): how bright they are, and what of them is clipped.

    The mean and four percentiles of max(R, G, B), and the square root of each channel's clipped
    share, because the first hundredth says more than another one.
    """
    brightest = frames.amax(1).flatten(1)
    levels = torch.quantile(brightest, torch.tensor([0.1, 0.25, 0.5, 0.75]), dim=1).T
    clipped = formation.is_clipped(frames).mean((2, 3)).sqrt()
    return torch.cat((brightest.mean(1, keepdim=True), levels, clipped), 1)


def _quantiles(frames: Tensor) -> Tensor:
    return torch.quantile(describe(frames), SHARES, dim=0)


def _thumbnails(frames: Sequence[Image]) -> Tensor:
    """(N, 3, 48, 48) in [0, 1]."""
    small: list[NDArray[np.uint8]] = []
    for frame in frames:
        rows, columns = (
            np.linspace(0, side - 1, THUMBNAIL).round().astype(int) for side in frame.shape[:2]
        )
        small.append(frame[rows][:, columns])
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / formation.LEVELS
