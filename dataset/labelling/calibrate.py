"""Proposes thresholds for X and Y from the statistics, and plots them: ``calibration.png``.

Changes no threshold: the proposal is printed as the command that would apply it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from dataset.errors import UserError
from dataset.labelling.histogram import BINS, LEAST_SHARE, draw_histogram, histogram
from dataset.labelling.labels import label_captures, read_labels, told_of_edits
from dataset.labelling.rules import BY_HAND, LabelRow, label_by_thresholds
from dataset.options import LabelOptions
from dataset.parts import remove_parts
from dataset.pictures.images import write_png
from dataset.terminal import ProgressCallback

PLOT_FILE = "calibration.png"
VALLEY_DEPTHS = (0.1, 0.25, 0.6)  # of the lower peak beside it; the deepest that exists counts
VALLEY_SIDE = 0.05  # of all frames: minimum on either side of a valley
WANTED_PRECISION = 0.95  # of X and of Y, among the frames labelled by hand
FEWEST_BY_HAND = 5  # of X and of Y, for a calibration by hand labels


@dataclass(frozen=True)
class Score:
    """Agreement of thresholds with the hand labels of one domain."""

    precision: float | None  # of the frames that the statistic calls so; None if there are none
    recall: float  # of the frames that a person calls so


@dataclass(frozen=True)
class Calibration:
    """What `calibrate_captures` proposes."""

    x_fraction: float
    y_fraction: float
    rule: str  # hand labels | valley | none: where the two come from
    frames: int  # measured frames
    by_hand: dict[str, int]  # frames per hand label, X and Y
    scores: dict[str, Score]  # X and Y at the proposal; empty without hand labels
    scores_now: dict[str, Score]  # the same at the thresholds in use
    path: Path  # of the plot
    edited: int = 0  # labels that a person had changed in the table

    def __str__(self) -> str:
        lines = [
            f"{self.frames:,} measured frames, {self.by_hand['X']:,} X and {self.by_hand['Y']:,} Y "
            f"by hand: {RULES[self.rule]}",
        ]
        if self.rule != "none":
            lines += [f"cli label --x-fraction {self.x_fraction} --y-fraction {self.y_fraction}"]
        for name, scores in (("proposed", self.scores), ("now", self.scores_now)):
            lines += [f"{name:<8} {domain}: {_words(each)}" for domain, each in scores.items()]
        return "\n".join([*lines, f"Plot: {self.path}"]) + told_of_edits(self.edited)


RULES = {
    "hand labels": "thresholds from the hand labels",
    "valley": "thresholds from the widest valley of the histogram",
    "none": "no valley between two peaks; label some frames by hand (cli review) and try again",
}


def _words(score: Score) -> str:
    precision = "-" if score.precision is None else f"{score.precision:.1%}"
    return f"precision {precision}, recall {score.recall:.1%}"


def calibrate_captures(
    options: LabelOptions, on_progress: ProgressCallback | None = None
) -> Calibration:
    """Label as `label_captures` does, then propose thresholds and draw the histogram.

    By `thresholds_by_hand` if there are enough hand labels, else by `widest_valley`.

    Raises
    ------
    UserError
        As for `label_captures`; or no frame could be measured.
    """
    edited = label_captures(options, on_progress).edited
    rows = [row for row in read_labels(options.source) if row.statistics is not None]
    if not rows:
        raise UserError(f"No frame of {options.source} could be measured.")
    hand = [row for row in rows if row.source in BY_HAND and row.label in ("X", "Y")]
    by_hand = {label: sum(row.label == label for row in hand) for label in ("X", "Y")}
    if min(by_hand.values()) >= FEWEST_BY_HAND:
        rule, found = "hand labels", thresholds_by_hand(hand, options)
    else:
        rule, found = "valley", widest_valley(histogram([_share(row) for row in rows]))
    if found is None:
        rule, found = "none", (options.x_fraction, options.y_fraction)
    proposed = replace(options, x_fraction=found[0], y_fraction=found[1])
    path = Path(options.source) / PLOT_FILE
    with suppress(OSError):  # of a process that was killed
        remove_parts(path.parent, f"{PLOT_FILE}.")
    write_png(path, draw_histogram(_layers(rows), dict(zip("XY", found, strict=True))))
    return Calibration(
        *found,
        rule,
        len(rows),
        by_hand,
        score(hand, proposed),
        score(hand, options),
        path,
        edited,
    )


def _share(row: LabelRow) -> float:
    assert row.clipped_fraction is not None
    return row.clipped_fraction


def _edge(number: int) -> float:
    """The lower edge of a bin, to three digits."""
    return float(f"{LEAST_SHARE ** (1 - number / BINS):.3g}")


def kernel_density(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Kernel density estimate of a histogram, in frames per bin: closes the gaps of few frames.

    Parameters
    ----------
    counts : int array, (BINS,)
        From `histogram`.

    Returns
    -------
    float array, (BINS,)
        With the same sum; mirrored at both ends, so that nothing leaks out there.

    References
    ----------
    .. [1] B. W. Silverman: Density Estimation for Statistics and Data Analysis. Chapman and Hall,
       1986, equation (3.28): bandwidth 1.06 times standard deviation times N ** -0.2, of which
       (3.31) takes 0.9 where there may be two peaks. The interquartile range, his other measure
       of width, is 0 where half of the frames have no clipped pixel, and is not used.
    """
    total = int(counts.sum())
    place = np.repeat(np.arange(BINS), counts)
    deviation = float(place.std()) if total else 0.0
    if deviation == 0:
        return counts.astype(np.float64)
    bandwidth = 0.9 * deviation * total**-0.2
    return np.asarray(gaussian_filter1d(counts.astype(np.float64), bandwidth, mode="reflect"))


def widest_valley(counts: NDArray[np.int64]) -> tuple[float, float] | None:
    """The widest range of shares with hardly any frames.

    A valley is a run of bins of the smoothed histogram, each with at most 10 % (else 25 %, else
    60 %) of the lower one of the highest bins on its two sides; more than 5 % of all frames are on
    each side. Of equally wide valleys the emptiest counts.

    Parameters
    ----------
    counts : int array, (BINS,)
        From `histogram`.

    Returns
    -------
    (x_fraction, y_fraction) or None
        The edges of the valley; None if there is none.

    Examples
    --------
    >>> widest_valley(histogram([0.001] * 50 + [0.01] * 2 + [0.2] * 50))
    (0.01, 0.0215)
    """
    below, total, smoothed = np.cumsum(counts), int(counts.sum()), kernel_density(counts)
    for depth in VALLEY_DEPTHS:
        found = []
        for first in range(1, BINS - 1):
            for last in range(first, BINS - 1):
                floor = depth * min(smoothed[:first].max(), smoothed[last + 1 :].max())
                sides = min(below[first - 1], total - below[last])
                inside = smoothed[first : last + 1]
                if inside.max() <= floor and sides > VALLEY_SIDE * total:
                    found.append((last + 1 - first, -float(inside.sum()), first, last + 1))
        if found:
            _, _, first, end = max(found)
            return _edge(first), _edge(end)
    return None


def thresholds_by_hand(
    hand: Sequence[LabelRow], options: LabelOptions
) -> tuple[float, float] | None:
    """The thresholds that leave fewest frames unsure at 95 % precision among hand labels.

    `x_fraction` is the largest share up to which 95 % of the frames are X by hand, `y_fraction` the
    smallest from which 95 % (of those with a blob of `y_blob` too) are Y. If the two cross,
    they are swapped, so that the frames between them stay unsure.

    Parameters
    ----------
    hand : rows with statistics, labelled X or Y by hand
    options : LabelOptions
        For `y_blob`.

    Returns
    -------
    (x_fraction, y_fraction) or None
        None if no threshold is that precise.
    """
    x_side = sorted((_share(row), row.label == "X") for row in hand)
    y_side = sorted(
        (
            (_share(row), row.label == "Y")
            for row in hand
            if (row.largest_blob or 0) >= options.y_blob
        ),
        reverse=True,
    )
    ends = _last_precise(x_side), _last_precise(y_side)
    if ends[0] is None or ends[1] is None:
        return None
    low, high = sorted(end for end in ends if end is not None)
    return (low, high) if low < high else (low, math.nextafter(low, 1.0))


def _last_precise(ordered: Sequence[tuple[float, bool]]) -> float | None:
    """The farthest share up to which, in this order, enough are right; equal ones stay together."""
    right, found = 0, None
    for at, (share, is_right) in enumerate(ordered, start=1):
        right += is_right
        together = at < len(ordered) and ordered[at][0] == share
        if is_right and not together and right >= WANTED_PRECISION * at:
            found = share
    return found


def score(hand: Sequence[LabelRow], options: LabelOptions) -> dict[str, Score]:
    """Precision and recall of X and Y by thresholds against hand labels; empty without any."""
    found = {}
    for domain in ("X", "Y") if hand else ():
        judged = [
            row.statistics and label_by_thresholds(row.statistics, options) == domain
            for row in hand
        ]
        wanted = [row.label == domain for row in hand]
        both = sum(bool(one and other) for one, other in zip(judged, wanted, strict=True))
        called, there = sum(map(bool, judged)), sum(wanted)
        found[domain] = Score(both / called if called else None, both / there if there else 0.0)
    return found


def _layers(rows: Sequence[LabelRow]) -> dict[str, list[float]]:
    """Clipped shares by what a person said of the frame."""
    layers: dict[str, list[float]] = {"X by hand": [], "Y by hand": [], "others": []}
    for row in rows:
        by_hand = row.source in BY_HAND and row.label in ("X", "Y")
        layers[f"{row.label} by hand" if by_hand else "others"].append(_share(row))
    return layers
