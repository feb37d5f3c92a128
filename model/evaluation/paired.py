"""Compares restoring methods against the true references of ``pairs.csv``.

Methods are passed in as functions. One pair is in memory at a time; a broken pair is set aside and
reported. ``unpaired`` measures without references, ``metrics`` defines the metrics. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from dataset.errors import UserError, first_of
from dataset.layout.pairs import Pair
from dataset.pictures.images import Image, read_image
from dataset.pictures.pixels import Pixels, to_image, to_pixels
from dataset.tables import table_text
from dataset.terminal import ProgressCallback
from model.gain import measure_gain
from model.metrics import Comparison, Interval, Values, compute_metrics, mean_interval
from model.restoring.methods import Restore

INPUT_METHOD = "input"  # the method that does nothing
PAIRED_METRICS = tuple(each.name for each in fields(Comparison))
SPREAD = ("psnr", "ssim", "edges")  # their means are at the top of a summary

Oracle = Callable[[Pixels, Pixels, float], Pixels]  # the picture, its reference, its gain or NaN


@dataclass(frozen=True)
class Evaluation:
    """The results of every method on every pair, in the order of the pairs.

    ``found`` maps a method's name to its results. ``input`` comes first; the method after it is
    called restored in summaries.
    """

    pairs: list[Pair]
    found: dict[str, list[Comparison]]
    skipped: list[str] = field(default_factory=list)  # one sentence per pair set aside

    @property
    def restored(self) -> str:
        """The method that is judged: the first after the input."""
        return next((name for name in self.found if name != INPUT_METHOD), INPUT_METHOD)

    def mean(self, method: str, measure: str) -> float:
        """Mean of a metric over the pairs that have it; NaN if none has."""
        return self.interval(method, measure).mean

    def values(self, method: str, measure: str) -> Values:
        """A metric of every pair, (N,); NaN where it does not exist."""
        return np.array([getattr(found, measure) for found in self.found[method]])

    def interval(self, method: str, measure: str) -> Interval:
        """Mean of a metric and its 95 % bootstrap interval."""
        return mean_interval(self.values(method, measure))

    def gain(self, method: str) -> Interval:
        """Mean gain in PSNR over the input of the same pair, dB, and its interval."""
        return mean_interval(self.values(method, "psnr") - self.values(INPUT_METHOD, "psnr"))

    def summary(self) -> dict[str, Any]:
        """Counts, means and the spread of the gain, as JSON values.

        ``methods`` has every metric of each method as mean, low, high (95 %) and count. None where
        something does not exist.
        """
        gain = self.values(self.restored, "psnr") - self.values(INPUT_METHOD, "psnr")
        means = {
            f"{name}_{measure}": as_number(self.mean(method, measure))
            for measure in SPREAD
            for name, method in ((INPUT_METHOD, INPUT_METHOD), ("restored", self.restored))
        }
        spread = {
            "psnr_gain": as_number(float(gain.mean())),
            "psnr_gain_sd": as_number(float(gain.std(ddof=1)) if len(gain) > 1 else 0.0),
            "psnr_gain_min": as_number(float(gain.min())),
            "psnr_gain_max": as_number(float(gain.max())),
        }
        methods = {
            name: {measure: as_json(self.interval(name, measure)) for measure in PAIRED_METRICS}
            | {"psnr_gain": as_json(self.gain(name))}
            for name in self.found
        }
        return {
            "pairs": len(self.pairs),
            **means,
            **spread,
            "skipped": len(self.skipped),
            "restored_by": self.restored,
            "methods": methods,
        }

    def to_csv(self) -> str:
        """A line per pair and method; a cell is empty where a metric does not exist."""
        rows = (
            [pair.over_exposed, pair.reference, method, *_cells(results[place])]
            for place, pair in enumerate(self.pairs)
            for method, results in self.found.items()
        )
        return table_text(["over_exposed", "reference", "method", *PAIRED_METRICS], rows)


def _cells(result: Comparison) -> list[str]:
    """The metrics of a result; empty where one does not exist."""
    values = (getattr(result, metric) for metric in PAIRED_METRICS)
    return [f"{value:.6g}" if np.isfinite(value) else "" for value in values]


def evaluate_pairs(
    pairs: Sequence[Pair],
    methods: Mapping[str, Restore],
    oracles: Mapping[str, Oracle] | None = None,
    on_progress: ProgressCallback | None = None,
) -> Evaluation:
    """Restore the over-exposed picture of every pair with every method, and measure the result.

    Parameters
    ----------
    pairs : sequence of Pair
    methods : mapping
        Name -> function from float32 (H, W, 3) in 0..1 to the same. Results are rounded to 8 bits
        before they are measured, as in a file.
    oracles : mapping, optional
        Name -> the same, with the reference and the gain k as further arguments: that of the list,
        or else measured, or else NaN.
    on_progress : callable, optional
        Called with (pairs done, pairs in total).

    Returns
    -------
    Evaluation
        The input first, then methods, then oracles. A pair whose pictures cannot be read or
        differ in size is set aside.

    Raises
    ------
    UserError
        No pair could be compared.
    """
    tried = {INPUT_METHOD: unchanged, **methods}
    kept: list[Pair] = []
    skipped: list[str] = []
    found: dict[str, list[Comparison]] = {name: [] for name in (*tried, *(oracles or {}))}
    for done, pair in enumerate(pairs, start=1):
        try:
            source, reference = read_pair(pair)
        except UserError as error:
            skipped.append(error.what)
        else:
            kept.append(pair)
            gain = pair.gain or measure_gain(source, reference)
            pictures = restore_all(source, reference, tried, oracles or {}, gain)
            for name, restored in pictures.items():
                found[name].append(compute_metrics(restored, reference, source, gain))
        if on_progress:
            on_progress(done, len(pairs))
    if not kept:
        raise UserError(f"No pair can be compared. {first_of(skipped)}", 1)
    return Evaluation(kept, found, skipped)


def restore_all(
    source: Image,
    reference: Image,
    methods: Mapping[str, Restore],
    oracles: Mapping[str, Oracle],
    gain: float = math.nan,
) -> dict[str, Image]:
    """What every method makes of one picture: name -> RGB uint8 (H, W, 3)."""
    pixels, truth = to_pixels(source), to_pixels(reference)
    restored = {name: to_image(method(pixels)) for name, method in methods.items()}
    bounds = {name: to_image(oracle(pixels, truth, gain)) for name, oracle in oracles.items()}
    return restored | bounds


def apply(method: Restore, source: Image) -> Image:
    """Run a method on RGB uint8 (H, W, 3) and round its result to the same."""
    return to_image(method(to_pixels(source)))


def read_pair(pair: Pair) -> tuple[Image, Image]:
    """Both pictures of a pair; ``UserError`` if any cannot be read or they differ in size."""
    images, faults = [], []
    for path in (pair.over_exposed, pair.reference):
        try:
            images.append(read_image(path))
        except UserError as error:
            faults.append(error.what)
    if faults:
        raise UserError(" ".join(faults), 1)
    source, reference = images
    if source.shape != reference.shape:
        raise UserError(f"{pair.over_exposed} and {pair.reference} differ in size.")
    return source, reference


def as_number(value: float, digits: int = 4) -> float | None:
    """Rounded for a report; None for NaN, which JSON lacks."""
    return round(value, digits) if np.isfinite(value) else None


def as_json(found: Interval) -> dict[str, float | int | None]:
    """An interval for a report."""
    bounds = {name: as_number(getattr(found, name)) for name in ("mean", "low", "high")}
    return {**bounds, "count": found.count}


def unchanged(pixels: Pixels) -> Pixels:
    """The method that does nothing."""
    return pixels
