"""How over-exposed a picture looks, learned from the two domains: 0 like X, 1 like Y.

F darkens every picture, even one that needs no correction. How much of the correction is needed is
learned, too, from frames that are over-exposed and frames that are not: there is no threshold to
choose. A logistic regression on the distribution of max(R, G, B).

References
----------
D. R. Cox, "The Regression Analysis of Binary Sequences", J. Royal Statistical Society B 20(2),
1958.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from dataset import gate
from dataset.errors import UserError
from dataset.files import write_whole
from dataset.layout.readers import evenly_spaced
from dataset.pictures.images import Image
from dataset.pictures.pixels import Pixels, to_pixels

EXPOSURE_FILE = "exposure.json"
EDGES = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.94, 0.98, 1.001])
SAMPLED_PIXELS = 2**16  # of a picture, evenly spaced
MOST_FRAMES = 2000  # of each domain, evenly spaced
PENALTY = 1e-3  # of the squared weights: keeps the step between the domains soft
MOST_WEIGHT = 1e6  # fits to real frames stay under 100

Weight = Annotated[float, msgspec.Meta(ge=-MOST_WEIGHT, le=MOST_WEIGHT)]
Weights = Annotated[
    list[Weight], msgspec.Meta(min_length=len(EDGES) - 1, max_length=len(EDGES) - 1)
]


@dataclass(frozen=True)
class Exposure:
    """A logistic regression: the weights of ``features``, and a constant."""

    weights: tuple[float, ...]
    constant: float

    def __call__(self, pixels: Pixels) -> float:
        """How over-exposed (H, W, 3) float32 in [0, 1] looks: 0 to 1."""
        odds = float(features(pixels) @ np.array(self.weights)) + self.constant
        return float(1 / (1 + np.exp(-np.clip(odds, -50, 50))))

    def to_json(self) -> str:
        """As it is written to files."""
        return json.dumps(asdict(self))


class _Written(msgspec.Struct):
    """`Exposure` as it is written to files."""

    weights: Weights
    constant: Weight


def features(pixels: Pixels) -> NDArray[np.float64]:
    """Square roots of the shares of max(R, G, B) between ``EDGES``: (12,).

    Square roots, because the first hundredth of clipped pixels says more than another one.
    """
    height, width = pixels.shape[:2]
    step = max(1, int(np.sqrt(height * width / SAMPLED_PIXELS)))
    brightest = pixels[::step, ::step].max(2)
    counts, _ = np.histogram(brightest, EDGES)
    return np.sqrt(counts / brightest.size)


def learn_exposure(x: Sequence[Image], y: Sequence[Image]) -> Exposure:
    """Fit to frames of both domains, RGB uint8 (H, W, 3); both have the same weight."""
    halves = [
        np.stack([features(to_pixels(frame)) for frame in evenly_spaced(each, MOST_FRAMES)])
        for each in (x, y)
    ]
    values = np.concatenate(halves)
    signs = np.repeat([-1.0, 1.0], [len(half) for half in halves])
    shares = np.repeat([0.5 / len(half) for half in halves], [len(half) for half in halves])

    def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = point[:-1]
        margins = signs * (values @ weights + point[-1])
        slopes = -shares * signs / (1 + np.exp(np.clip(margins, -500, 500)))
        gradient = np.append(slopes @ values + 2 * PENALTY * weights, slopes.sum())
        return float(shares @ np.logaddexp(0, -margins) + PENALTY * weights @ weights), gradient

    found = minimize(loss, np.zeros(values.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return Exposure(tuple(map(float, found[:-1])), float(found[-1]))


def write_exposure(run: Path, exposure: Exposure) -> None:
    """Write it to a run's folder."""
    write_whole(run / EXPOSURE_FILE, exposure.to_json().encode())


def parse_exposure(text: str | bytes, source: Path) -> Exposure | None:
    """From ``to_json``; None if the text is empty, as for older networks.

    Raises
    ------
    UserError
        It is something else; the source names it.
    """
    if not text:
        return None
    try:
        found = gate.parse_json(text, _Written)
    except ValueError as error:
        raise UserError(
            f"What {source} says about how over-exposed pictures look is damaged ({error}). Copy "
            "the file again."
        ) from error
    return Exposure(tuple(found.weights), found.constant)


def read_exposure(run: Path) -> Exposure | None:
    """That of a run; None for a run of an older version. Errors as of `parse_exposure`.

    Raises
    ------
    UserError
        It cannot be read.
    """
    path = run / EXPOSURE_FILE
    try:
        return parse_exposure(gate.read_regular(path, gate.MOST_SETTINGS), path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
