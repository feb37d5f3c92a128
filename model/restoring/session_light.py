"""The light of pictures taken together: the gain of each, found with the help of the others.

Frames of one session were over-exposed alike, by one slider or one sun. What F finds in a single
frame is off by about as much as gains differ from frame to frame, so their distribution says more
about a frame than the frame alone: the estimate of each is moved towards the mean of all, as far as
the error of F and the spread of all suggest (empirical Bayes). Frames that are not over-exposed
stay what they are. Pure functions; no torch, no files.

References
----------
B. Efron, C. Morris, "Stein's Estimation Rule and Its Competitors: An Empirical Bayes Approach",
J. American Statistical Association 68, 1973.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Estimates are somewhat drawn to a mean already, by what F has learned of gains: their spread is
# smaller than that of true ones and the error together, and would ask for no trust at all.
LEAST_TRUST = 0.4
UNEXPOSED_ERROR = 0.5  # of F's error: gains of pictures that are not over-exposed are found better
ROUNDS = 50

Gains = NDArray[np.float64]  # log k, (N,)


@dataclass(frozen=True)
class SessionLight:
    """How the gains of a session are distributed, and how far one that was found is believed."""

    mean: float  # log k of over-exposed pictures
    variance: float
    share: float  # of the pictures that are over-exposed
    error: float  # of what is found in a single picture, standard deviation

    @property
    def trust(self) -> float:
        """How far a picture's own estimate counts, 0.4 to 1; the rest counts for the mean."""
        return float(np.clip(1 - self.error**2 / self.variance, LEAST_TRUST, 1))

    def gain_of(self, found: float) -> float:
        """log k of a picture, by what was found in it alone."""
        exposed = float(self.likelihood(np.array([found]))[0])
        return found + exposed * (1 - self.trust) * (self.mean - found)

    def likelihood(self, found: Gains) -> Gains:
        """How likely pictures are over-exposed, (N,) in 0..1."""
        exposed = np.log(self.share) + _log_density(found - self.mean, self.variance)
        kept = np.log(1 - self.share) + _log_density(found, (UNEXPOSED_ERROR * self.error) ** 2)
        return 1 / (1 + np.exp(np.clip(kept - exposed, -50, 50)))


def share_light(found: Sequence[float], error: float) -> SessionLight:
    """The light of a session.

    Parameters
    ----------
    found : sequence of float
        log k as found in each picture alone, at least one.
    error : float
        Standard deviation of what is found around the truth.

    Returns
    -------
    SessionLight
        Fitted by expectation-maximization: some pictures are not over-exposed, log k of the others
        is normally distributed.

    Examples
    --------
    >>> light = share_light([0.5, 0.7, 0.9], 0.2)
    >>> round(light.mean, 2), round(light.gain_of(0.9), 2)
    (0.7, 0.78)
    """
    gains = np.asarray(found, np.float64)
    least = max(1e-6, (error / 4) ** 2)
    light = SessionLight(float(gains.mean()), max(float(gains.var()), least), 0.9, error)
    for _ in range(ROUNDS):
        exposed = light.likelihood(gains)
        total = max(float(exposed.sum()), 1e-9)
        mean = float((exposed * gains).sum() / total)
        variance = float((exposed * (gains - mean) ** 2).sum() / total)
        share = float(np.clip(exposed.mean(), 0.01, 0.99))
        light = SessionLight(mean, max(variance, least), share, error)
    return light


def _log_density(away: Gains, variance: float) -> Gains:
    """Of a normal distribution, but for a constant."""
    return np.asarray(-0.5 * (away**2 / variance + np.log(variance)))
