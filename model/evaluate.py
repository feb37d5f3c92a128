"""How good a restored picture is, measured against the true reference of its viewpoint.

What is compared comes from ``pairs.csv`` and a restoring function.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dataset.errors import UserError
from dataset.images import Image, read_image
from model.devices import pick_device
from model.exchange import open_restorer
from model.restore import restore


@dataclass(frozen=True)
class Pair:
    """Two files of one viewpoint."""

    over_exposed: Path
    reference: Path


@dataclass(frozen=True)
class Quality:
    """One picture against its reference."""

    psnr: float  # dB, peak 255
    ssim: float  # -1 to 1, mean over the channels
    edges: float  # -1 to 1, correlation of the gradient magnitudes: 1 is every outline in place


@dataclass(frozen=True)
class Evaluation:
    """Quality of every pair before and after restoring, in the order of the pairs."""

    pairs: list[Pair]
    inputs: list[Quality]
    restored: list[Quality]

    def mean(self, which: str, measure: str) -> float:
        """Mean of a measure (``psnr``, ``ssim``, ``edges``) of ``inputs`` or ``restored``."""
        return float(np.mean(self.values(which, measure)))

    def values(self, which: str, measure: str) -> NDArray[np.float64]:
        """A measure of every pair, (N,)."""
        return np.array([getattr(quality, measure) for quality in getattr(self, which)])

    def summary(self) -> dict[str, float | int]:
        """Counts, means and the spread of the gain, as they stand in reports."""
        gain = self.values("restored", "psnr") - self.values("inputs", "psnr")
        means = {
            f"{name}_{measure}": round(self.mean(which, measure), 4)
            for measure in ("psnr", "ssim", "edges")
            for name, which in (("input", "inputs"), ("restored", "restored"))
        }
        spread = {
            "psnr_gain": round(float(gain.mean()), 4),
            "psnr_gain_sd": round(float(gain.std(ddof=1)) if len(gain) > 1 else 0.0, 4),
            "psnr_gain_min": round(float(gain.min()), 4),
            "psnr_gain_max": round(float(gain.max()), 4),
        }
        return {"pairs": len(self.pairs), **means, **spread}


def read_pairs(path: str | Path) -> list[Pair]:
    """Read ``over_exposed,reference``; relative paths count from the file's folder.

    Raises
    ------
    UserError
        The file is missing, has other columns, holds no pair or names a missing picture.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"No list of pairs {path}. `cli split` writes one where viewpoints were recorded under "
            "several lights; or name your own with --pairs."
        )
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        pairs = [
            Pair(path.parent / row["over_exposed"], path.parent / row["reference"]) for row in rows
        ]
    except (OSError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is no list of pairs: it needs the columns over_exposed,reference."
        ) from error
    if not pairs:
        raise UserError(f"{path} lists no pair. Record viewpoints under two lights first.")
    for pair in pairs:
        for picture in (pair.over_exposed, pair.reference):
            if not picture.is_file():
                raise UserError(f"{path} names {picture}, which is not there.")
    return pairs


def evaluate_run(
    pairs_file: Path,
    runs: Path,
    run: str = "",
    device: str = "auto",
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Evaluate F of a run (the newest when ``run`` is empty) on a list of pairs."""
    pairs = read_pairs(pairs_file)
    network = open_restorer(runs, run, pick_device(device))
    return evaluate_pairs(pairs, lambda image: restore(network, image), on_progress)


def evaluate_pairs(
    pairs: Sequence[Pair],
    restore: Callable[[Image], Image],
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Restore the over-exposed picture of every pair and measure it before and after.

    Raises
    ------
    UserError
        A picture is unreadable, or the two of a pair differ in size.
    """
    inputs, restored = [], []
    for done, pair in enumerate(pairs, start=1):
        picture, reference = read_image(pair.over_exposed), read_image(pair.reference)
        if picture.shape != reference.shape:
            raise UserError(f"{pair.over_exposed} and {pair.reference} differ in size.")
        inputs.append(measure_quality(picture, reference))
        restored.append(measure_quality(restore(picture), reference))
        if on_progress:
            on_progress(done, len(pairs))
    return Evaluation(list(pairs), inputs, restored)


def measure_quality(picture: Image, reference: Image) -> Quality:
    """PSNR, SSIM and edge correlation of a picture, both RGB uint8 (H, W, 3).

    References
    ----------
    Z. Wang et al., "Image quality assessment: from error visibility to structural similarity",
    IEEE Trans. Image Processing 13(4), 2004 (SSIM; scikit-image's 7x7 window).
    """
    if np.array_equal(picture, reference):
        return Quality(100.0, 1.0, 1.0)  # PSNR has no bound for equal pictures
    return Quality(
        float(peak_signal_noise_ratio(reference, picture, data_range=255)),
        float(structural_similarity(reference, picture, channel_axis=2, data_range=255)),
        edge_correlation(picture, reference),
    )


def edge_correlation(picture: Image, reference: Image) -> float:
    """Pearson correlation of the Sobel gradient magnitudes of the luminance, -1 to 1.

    PSNR hardly sees a smeared outline; this does. 0 where either picture has no edges at all.
    """
    first, second = (_gradient(each).ravel() for each in (picture, reference))
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _gradient(image: Image) -> NDArray[np.float32]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return np.hypot(across, down)
