"""The curves of a run: lines of its log in, one picture out. No files here.

Drawn on Matplotlib's Agg canvas without ``pyplot``, so there is no window and no global state. User
text is never drawn, because the font has Latin letters only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dataset.pictures.images import Image

# Okabe and Ito's palette, safe for colour blindness. Blue is X and what produces X.
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#8a8a8a", "#222222"
DPI = 110
PANEL = (7.2, 3.0)  # inches
BLIND = {  # loss of a discriminator that guesses, by the setting `gan`
    "log": (2 * np.log(2), r"guessing: $2 \log 2$"),
    "least-squares": (0.25, "guessing: 1/4"),
}

Series = np.ndarray  # float64


@dataclass(frozen=True)
class Curve:
    """One value of the log, drawn in a panel."""

    key: str
    label: str
    colour: str
    style: str = "-"
    scale: float = 1.0


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis."""

    title: str
    unit: str
    curves: tuple[Curve, ...]
    level: tuple[float, str] | None = None  # a horizontal line and what it means


PANELS = (
    Panel(
        "Discriminators",
        "loss, equations (2) and (3)",
        (
            Curve("D_X", r"$D_X$: $x$ or $F(y)$?", BLUE),
            Curve("D_Y", r"$D_Y$: $y$ or $G(x)$?", ORANGE, "--"),
        ),
    ),
    Panel(
        "Generators",
        "adversarial loss",
        (
            Curve("F", r"$F: Y \to X$, restores", BLUE),
            Curve("G", r"$G: X \to Y$, over-exposes", ORANGE, "--"),
        ),
    ),
    Panel(
        "Cycle",
        "L1 loss, equation (4)",
        (
            Curve("cycle_X", r"$\Vert F(G(x)) - x \Vert_1$", BLUE),
            Curve("cycle_Y", r"$\Vert G(F(y)) - y \Vert_1$", ORANGE, "--"),
        ),
    ),
    Panel(
        "How often D is right",
        "% of patches",
        (
            Curve("accuracy_X", "$D_X$", BLUE, scale=100),
            Curve("accuracy_Y", "$D_Y$", ORANGE, "--", scale=100),
        ),
        (50.0, "guessing"),
    ),
    Panel(  # from here on of preset physical
        "Frames of X, over-exposed",
        "loss",
        (
            Curve("gain", r"their $\log k$", BLUE),
            Curve("content", "what clipped", ORANGE, "--"),
        ),
    ),
    Panel(
        "Frames of Y",
        "loss",
        (
            Curve("order", "more light, larger $k$", BLUE),
            Curve("match", "colours as of $x$", ORANGE, "--"),
            Curve("pairs", "true pairs, supervised", GREEN, ":"),
        ),
    ),
    Panel(
        "How far off the gain is",
        r"mean error of $\log k$",
        (Curve("gain_error", "frames of X, over-exposed", BLUE),),
    ),
    Panel(  # of all
        "Fixed test frames",
        "% of pixels; % of white",
        (
            Curve("clipped_before", "clipped in $y$", GREY, ":", scale=100),
            Curve("clipped_after", "clipped in $F(y)$", BLUE, scale=100),
            Curve("identity", r"change $|F(x) - x|$", GREEN, "--", scale=100),
        ),
    ),
    Panel(
        "True pairs, against the reference",
        "PSNR, dB",
        (
            Curve("psnr_input", "over-exposed input", GREY, ":"),
            Curve("psnr_pairs", "restored", BLUE),
        ),
    ),
    Panel(
        "Held-out frames of X, over-exposed, against themselves",
        "PSNR, dB",
        (Curve("psnr_held_out", "restored", BLUE),),
    ),
)
LOOKED = "clipped_before"  # only in lines about fixed frames, which also have `identity`


def plot_curves(lines: Sequence[Mapping[str, Any]], gan: str = "log") -> Image:
    """Draw all values of the log, in panels: faint as logged, thick as a moving average.

    Parameters
    ----------
    lines : sequence of mapping
        As of ``read_log``: ``epoch``, ``step`` and values; None for a value that was not finite.
    gan : str
        ``log`` or ``least-squares``: sets the level of a discriminator that guesses.

    Returns
    -------
    uint8 array, (H, W, 3)
        RGB.
    """
    per_epoch = logged_steps_per_epoch(lines)
    several = max(int(line["epoch"]) for line in lines) > 1
    panels = [panel for panel in PANELS if any(len(_series(lines, c)[0]) for c in panel.curves)]
    rows = max(1, -(-len(panels) // 2))
    figure = new_figure(2 * PANEL[0], rows * PANEL[1] + 0.3)
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(rows, 2, place + 1)
        level = BLIND.get(gan) if panel.title == "Discriminators" else panel.level
        _draw_panel(axes, panel, lines, per_epoch if several else 1.0)
        if level is not None:
            _draw_level(axes, *level)
        axes.set_xlim(0, int(lines[-1]["step"]) / (per_epoch if several else 1.0))
        axes.set_xlabel("epochs" if several else "steps", fontsize=9)
        _legend(axes)
    figure.tight_layout(pad=1.2)
    return render(figure)


def logged_steps_per_epoch(lines: Sequence[Mapping[str, Any]]) -> float:
    """Steps per epoch: exact once an epoch has finished.

    Examples
    --------
    >>> logged_steps_per_epoch([{"epoch": 1, "step": 46}, {"epoch": 2, "step": 66}])
    46.0
    """
    return max(1.0, max(float(line["step"]) / max(1, int(line["epoch"])) for line in lines))


def smoothing_width(count: int) -> int:
    """Odd width of the moving average for a number of values; 1 (none) for few."""
    return 2 * round(np.sqrt(count) / 2) + 1 if count >= 40 else 1


def moving_average(values: Series, width: int) -> Series:
    """Centred moving average over ``width`` (odd) values; fewer at the ends and next to gaps.

    Parameters
    ----------
    values : float array, (N,)
        NaN marks a gap and is kept.

    Examples
    --------
    >>> moving_average(np.array([1.0, 2.0, 6.0]), 3)
    array([1.5, 3. , 4. ])
    """
    there = np.isfinite(values)
    window = np.ones(min(width, 2 * len(values) - 1))
    half = len(window) // 2
    total, count = (
        np.convolve(each, window)[half : half + len(values)]
        for each in (np.where(there, values, 0.0), there.astype(np.float64))
    )
    return np.where(there, total / np.maximum(count, 1), np.nan)


def new_figure(width: float, height: float) -> Figure:
    """A white figure, size in inches, drawn by Agg."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def render(figure: Figure) -> Image:
    """A figure as RGB uint8 (H, W, 3)."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[:, :, :3])


def _series(lines: Sequence[Mapping[str, Any]], curve: Curve) -> tuple[Series, Series]:
    """(steps, values) of a curve; empty if it has no finite value."""
    found = [
        (line["step"], np.nan if line[curve.key] is None else line[curve.key] * curve.scale)
        for line in lines
        if curve.key in line and (curve.key != "identity" or LOOKED in line)
    ]
    pairs = np.array(found, np.float64).reshape(-1, 2)
    return (pairs[:, 0], pairs[:, 1]) if np.isfinite(pairs[:, 1]).any() else (pairs[:0, 0],) * 2


def _draw_panel(
    axes: Axes, panel: Panel, lines: Sequence[Mapping[str, Any]], unit_steps: float
) -> None:
    heights = []
    for curve in panel.curves:
        steps, values = _series(lines, curve)
        if not len(steps):
            continue
        x, width = steps / unit_steps, smoothing_width(len(steps))
        axes.plot(x, values, color=curve.colour, alpha=0.22, linewidth=0.8)
        line = axes.plot(
            x, moving_average(values, width), curve.style, color=curve.colour, linewidth=2
        )[0]
        line.set(label=curve.label, zorder=3, marker="o" if len(steps) < 3 else "")
        heights.append(values[np.isfinite(values)])
    _style(axes, panel)
    _limit(axes, np.concatenate(heights))


def _style(axes: Axes, panel: Panel) -> None:
    axes.set_title(panel.title, loc="left", fontsize=12, color=INK)
    axes.set_ylabel(panel.unit, fontsize=9)
    axes.tick_params(labelsize=9, color=GREY)
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.locator_params("x", nbins=9, integer=True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _limit(axes: Axes, values: Series) -> None:
    """Clip a few spikes, so that the rest of the curves is readable."""
    low, high = np.percentile(values, [0, 99])
    if values.max() > 1.5 * high > 0:
        axes.set_ylim(min(0.0, low), 1.2 * high)


def _draw_level(axes: Axes, level: float, meaning: str) -> None:
    axes.axhline(level, color=INK, linewidth=1, linestyle=(0, (1, 2)), label=meaning)


def _legend(axes: Axes) -> None:
    """Place the legend above the panel, next to the title."""
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.01, 0.985),
        ncols=3,
        fontsize=9,
        frameon=False,
        columnspacing=1.2,
        handlelength=2.4,
    )
