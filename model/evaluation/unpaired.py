"""Measures restoring methods without references, on frames of Y and of X.

Frames of Y: how much is still clipped, and how much well-exposed pixels changed. Frames of X: how
close F(x) is to x. All frames: KID, if features are available. One frame is in memory at a time; a
broken one is set aside and reported. ``paired`` compares with true references.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from dataset.errors import UserError, first_of
from dataset.labelling.clipping import clipped_mask
from dataset.pictures.images import Image, read_image
from dataset.terminal import ProgressCallback
from model.evaluation.paired import INPUT_METHOD, apply, as_json, as_number, unchanged
from model.metrics import (
    Interval,
    Values,
    colour_difference,
    kernel_distance,
    mean_interval,
    well_exposed_change,
)
from model.restoring.methods import Restore

Features = Callable[[Image], Values]  # uint8 (H, W, 3) -> (D,)


@dataclass(frozen=True)
class OverExposed:
    """Results of a method on one frame of Y."""

    clipped_before: float  # share of clipped pixels, 0..1
    clipped_after: float
    change_median: float  # CIEDE2000 to the input, of its unclipped pixels; NaN if there are none
    change_p95: float  # the same, 95th percentile


@dataclass(frozen=True)
class WellExposed:
    """Results of a method on one frame of X, which it should not change."""

    identity_median: float  # median CIEDE2000 to the input
    identity_abs: float  # mean |F(x) - x|, 0..1


UNPAIRED_METRICS = tuple(each.name for kind in (OverExposed, WellExposed) for each in fields(kind))


@dataclass
class Unpaired:
    """The results of every method on frames without references; the input comes first."""

    over_exposed: dict[str, list[OverExposed]]  # by method, in the order of the frames
    well_exposed: dict[str, list[WellExposed]]
    kid: dict[str, float] = field(default_factory=dict)  # method -> its distance to X
    skipped: list[str] = field(default_factory=list)  # one sentence per frame set aside

    def interval(self, method: str, measure: str) -> Interval:
        """Mean of one of `UNPAIRED_METRICS` over its frames, and its 95 % bootstrap interval."""
        of_y = measure in {each.name for each in fields(OverExposed)}
        results: Sequence[Any] = (self.over_exposed if of_y else self.well_exposed)[method]
        return mean_interval(np.array([getattr(each, measure) for each in results], np.float64))

    def summary(self) -> dict[str, Any]:
        """Counts, and every metric of each method as mean, low, high (95 %) and count."""
        return {
            "over_exposed": len(self.over_exposed[INPUT_METHOD]),
            "well_exposed": len(self.well_exposed[INPUT_METHOD]),
            "skipped": len(self.skipped),
            "methods": {
                name: {
                    measure: as_json(self.interval(name, measure)) for measure in UNPAIRED_METRICS
                }
                | {"kid": as_number(self.kid.get(name, math.nan), 6)}
                for name in self.over_exposed
            },
        }


def evaluate_unpaired(
    over_exposed: Sequence[Path],
    well_exposed: Sequence[Path],
    methods: Mapping[str, Restore],
    features: Features | None = None,
    on_progress: ProgressCallback | None = None,
) -> Unpaired:
    """Restore frames of both domains with every method, and measure without references.

    Parameters
    ----------
    over_exposed, well_exposed : sequences of Path
        Frames of Y and of X; there may be none of X.
    methods : mapping
        As for ``evaluate_pairs``. The input is measured as well.
    features : callable, optional
        Features of a picture, for KID between restored Y and X.
    on_progress : callable, optional
        Called with (frames done, frames in total).

    Raises
    ------
    UserError
        No frame of Y can be read.
    """
    tried = {INPUT_METHOD: unchanged, **methods}
    found = Unpaired({name: [] for name in tried}, {name: [] for name in tried})
    made: dict[str, list[Values]] = {name: [] for name in tried}
    real: list[Values] = []
    frames = [(path, True) for path in over_exposed] + [(path, False) for path in well_exposed]
    for done, (path, is_y) in enumerate(frames, start=1):
        try:
            source = read_image(path)
        except UserError as error:
            found.skipped.append(error.what)
        else:
            if features and not is_y:
                real.append(features(source))
            for name, method in tried.items():
                restored = apply(method, source)
                if features and is_y:
                    made[name].append(features(restored))
                if is_y:
                    found.over_exposed[name].append(measure_over_exposed(restored, source))
                else:
                    found.well_exposed[name].append(measure_well_exposed(restored, source))
        if on_progress:
            on_progress(done, len(frames))
    if not found.over_exposed[INPUT_METHOD]:
        raise UserError(f"No over-exposed frame can be read. {first_of(found.skipped)}", 1)
    found.kid.update(distances(made, real))
    return found


def measure_over_exposed(restored: Image, source: Image) -> OverExposed:
    """Compare a restored frame of Y with its input, both RGB uint8 (H, W, 3)."""
    change = well_exposed_change(restored, source)
    middle, most = np.percentile(change, [50, 95]) if change.size else (math.nan, math.nan)
    before, after = (float(clipped_mask(each).mean()) for each in (source, restored))
    return OverExposed(before, after, float(middle), float(most))


def measure_well_exposed(restored: Image, source: Image) -> WellExposed:
    """Compare F(x) with x, both RGB uint8 (H, W, 3)."""
    apart = float(np.abs(restored.astype(np.float32) - source).mean()) / 255
    return WellExposed(float(np.median(colour_difference(restored, source))), apart)


def distances(made: Mapping[str, list[Values]], real: list[Values]) -> dict[str, float]:
    """KID of every method to the real frames; empty with fewer than two frames of either."""
    if len(real) < 2 or any(len(each) < 2 for each in made.values()):
        return {}
    truth = np.stack(real)
    return {name: kernel_distance(np.stack(each), truth) for name, each in made.items()}
