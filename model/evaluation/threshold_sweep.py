"""How much the threshold methods depend on their threshold, next to a method that has none.

Tests the paper's argument against them: mean quality on true pairs over a range of thresholds, and
its plot. The methods are in ``baselines``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes

from dataset.layout.pairs import Pair
from dataset.pictures.images import Image
from dataset.pictures.pixels import Pixels, to_image, to_pixels
from dataset.terminal import ProgressCallback
from model.evaluation.paired import INPUT_METHOD, Evaluation, read_pair
from model.figures.curves import BLUE, GREEN, GREY, INK, ORANGE, PANEL, new_figure, render
from model.metrics import colour_difference, masked_psnr, regions
from model.restoring.baselines import CIELAB_THRESHOLD, THRESHOLD_METHODS, YCBCR_THRESHOLD

CURVE_COLOURS = (ORANGE, GREEN)
LEVEL_STYLES = {INPUT_METHOD: (GREY, ":")}  # others are BLUE
SWEEP_METRICS = {"psnr": "PSNR, dB", "delta_e_inside": "CIEDE2000, clipped pixels"}


@dataclass(frozen=True)
class Range:
    """The thresholds to try for a method, and their unit."""

    unit: str
    default: float
    thresholds: tuple[float, ...]


RANGES = {
    "cielab": Range("L*, 0 to 100", CIELAB_THRESHOLD, (50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 99)),
    "ycbcr": Range("Y', 0 to 255", YCBCR_THRESHOLD, (155, 165, 175, 185, 195, 205, 215, 225, 235,
                                                     245, 255)),
}  # fmt: skip


@dataclass(frozen=True)
class Sweep:
    """Mean metrics of one method at each of its thresholds."""

    method: str
    pairs: int  # restored at each threshold
    thresholds: list[float]
    psnr: list[float] = field(default_factory=list)  # dB
    delta_e_inside: list[float] = field(default_factory=list)  # CIEDE2000, where the input clipped


def sweep_thresholds(
    pairs: Sequence[Pair], on_progress: ProgressCallback | None = None
) -> list[Sweep]:
    """Restore pairs with both threshold methods at all thresholds of `RANGES`.

    Parameters
    ----------
    pairs : sequence of Pair
        The readable ones, as of ``Evaluation.pairs``.
    on_progress : callable, optional
        Called with (pairs done, pairs in total).

    Returns
    -------
    list of Sweep
        Means over the pairs; NaN for clipped pixels if no input has any.
    """
    found: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in RANGES}
    for done, pair in enumerate(pairs, start=1):
        source, reference = read_pair(pair)
        for name, method in THRESHOLD_METHODS.items():
            found[name].append(_measure(method, RANGES[name].thresholds, source, reference))
        if on_progress:
            on_progress(done, len(pairs))
    return [_means(name, rows) for name, rows in found.items()]


def levels(found: Evaluation, pairs: Sequence[Pair]) -> dict[str, dict[str, float]]:
    """Mean metrics of the input and the judged method on just these pairs, by name."""
    chosen = np.array([pair in pairs for pair in found.pairs])
    names = dict.fromkeys((INPUT_METHOD, found.restored))
    return {
        name: {measure: _mean(found.values(name, measure)[chosen]) for measure in SWEEP_METRICS}
        for name in names
        if name not in RANGES
    }


def plot_thresholds(sweeps: Sequence[Sweep], across: Mapping[str, Mapping[str, float]]) -> Image:
    """Each method's metrics over its threshold; horizontal lines for methods without one.

    Parameters
    ----------
    sweeps : sequence of Sweep
    across : mapping
        As of `levels`.

    Returns
    -------
    uint8 array, (H, W, 3)
        RGB.
    """
    figure = new_figure(len(sweeps) * PANEL[0], len(SWEEP_METRICS) * PANEL[1] + 0.2)
    for row, (measure, title) in enumerate(SWEEP_METRICS.items()):
        axes = None
        for column, sweep in enumerate(sweeps):
            place = row * len(sweeps) + column + 1
            axes = figure.add_subplot(len(SWEEP_METRICS), len(sweeps), place, sharey=axes)
            _draw(axes, sweep, measure, CURVE_COLOURS[column % len(CURVE_COLOURS)])
            for name, reached in across.items():
                colour, style = LEVEL_STYLES.get(name, (BLUE, "--"))
                axes.axhline(reached[measure], color=colour, linestyle=style, label=name)
            axes.set_ylabel(title, fontsize=9)
            _style(axes)
    figure.tight_layout(pad=1.2)
    return render(figure)


def _measure(
    method: Callable[[Pixels, float], Pixels],
    thresholds: Sequence[float],
    source: Image,
    reference: Image,
) -> list[tuple[float, float]]:
    """(PSNR, mean CIEDE2000 of clipped pixels) at each threshold."""
    pixels, (inside, _) = to_pixels(source), regions(source)
    everywhere = np.ones_like(inside)
    rows = []
    for threshold in thresholds:
        restored = to_image(method(pixels, threshold))
        error = math.nan
        if inside.any():
            error = float(colour_difference(restored[inside][None], reference[inside][None]).mean())
        rows.append((masked_psnr(restored, reference, everywhere), error))
    return rows


def _means(name: str, rows: list[list[tuple[float, float]]]) -> Sweep:
    table = np.array(rows)  # (pairs, thresholds, measures)
    psnr, errors = ([_mean(column) for column in table[:, :, at].T] for at in (0, 1))
    return Sweep(name, len(rows), list(RANGES[name].thresholds), psnr, errors)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else math.nan


def _draw(axes: Axes, sweep: Sweep, measure: str, colour: str) -> None:
    """The curve; its default setting as a filled dot."""
    values, default = getattr(sweep, measure), RANGES[sweep.method].default
    axes.plot(sweep.thresholds, values, "-", color=colour, linewidth=2, label=sweep.method)
    if default in sweep.thresholds:
        at = sweep.thresholds.index(default)
        axes.plot(default, values[at], "o", color=colour, label=f"its default, {default:g}")
    axes.set_xlabel(f"threshold of {sweep.method}: {RANGES[sweep.method].unit}", fontsize=9)


def _style(axes: Axes) -> None:
    axes.tick_params(labelsize=9, color=GREY)
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.margins(y=0.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.01, 0.985), ncols=4, fontsize=9, frameon=False,
        columnspacing=1.2, handlelength=2.4, labelcolor=INK,
    )  # fmt: skip
