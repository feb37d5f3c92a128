"""How far F of preset physical believes what its head proposes: from proposals to gains.

The same as ``physical_networks`` reckons with tensors, for restoring without torch. Pure functions
of arrays; no files.

References
----------
T. J. Mitchell, J. J. Beauchamp, "Bayesian Variable Selection in Linear Regression", J. American
Statistical Association 83, 1988 (a spike and a slab: an effect is none, or anything).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

LARGEST = 6.0  # of log k
DEVIATION = 0.5  # of a part's gain from the picture's: how much of what a head proposes is applied
STRAY = 0.05  # standard deviation of log k that is found where nothing is over-exposed

Proposals = NDArray[np.float32]  # (1, 4, h, w): log k of three channels, and how sure it is


def overall(proposals: Proposals) -> float:
    """log k of the whole picture: each place counts by how sure it is.

    Examples
    --------
    >>> sure = np.float32([[[[0.5, 0.9]]] * 3 + [[[0.0, 0.0]]]]).reshape(1, 4, 1, 2)
    >>> round(overall(sure), 3)
    0.7
    """
    gain, sureness = proposals[0, :3].mean(0, dtype=np.float64), proposals[0, 3].astype(np.float64)
    weights = np.exp(sureness - sureness.max())
    return float((gain * weights).sum() / weights.sum())


def how_likely_exposed(light: float) -> float:
    """How likely a picture is over-exposed at all, 0 to 1, by log k as it was found.

    Before looking, half of them are. In those any log k is as likely, up to 1; in the others F
    finds 0, give or take `STRAY`.
    """
    spike = math.exp(-0.5 * (light / STRAY) ** 2) / (STRAY * math.sqrt(2 * math.pi))
    return 1 / (1 + spike)


def believed_gains(
    proposals: Proposals, light: float, linear: bool, likely: float | None = None
) -> Proposals:
    """The gains that a head's proposals mean, and none in a picture that is not over-exposed.

    Parameters
    ----------
    proposals : (1, 4, h, w) float32
    light : float
        log k of the whole picture: `overall`, or what others know better.
    linear : bool
        Whether gains act on linear light. A brightness filter treats all of a picture alike;
        light does not.
    likely : float, optional
        How likely the picture is over-exposed; `how_likely_exposed` if left out.

    Returns
    -------
    (1, 3, h, w) float32, or (1, 1, 1, 1) if gains are of encoded values
        log k, 0 to 6.
    """
    found = np.full((1, 1, 1, 1), light)
    if linear:
        found = light + DEVIATION * (proposals[:, :3] - overall(proposals))
    likely = how_likely_exposed(light) if likely is None else likely
    return np.asarray(np.clip(found, 0, LARGEST) * likely, np.float32)
