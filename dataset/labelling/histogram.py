"""The histogram of clipped shares, as a picture. Counts and draws; proposes and labels nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataset.pictures.images import Image

LEAST_SHARE = 1e-4  # smaller shares, and 0, are in the first bin
BINS = 48  # of log10(share), from LEAST_SHARE to 1
COLOURS = {"X": "#0072B2", "Y": "#D55E00"}  # Okabe and Ito's blue and orange; others are grey


def histogram(shares: ArrayLike) -> NDArray[np.int64]:
    """Frames per bin of log10(share).

    Examples
    --------
    >>> np.flatnonzero(histogram([0, 0.01, 1]))
    array([ 0, 24, 47])
    """
    places = np.log10(np.clip(np.asarray(shares, np.float64), LEAST_SHARE, 1))
    return np.histogram(places, BINS, (np.log10(LEAST_SHARE), 0))[0]


def draw_histogram(
    layers: Mapping[str, Sequence[float] | NDArray[np.floating]],
    thresholds: Mapping[str, float] | None = None,
) -> Image:
    """Stacked histograms of clipped shares, on a logarithmic axis.

    Parameters
    ----------
    layers : mapping
        Name -> shares, 0..1. The name's first letter chooses the colour: X, Y or another.
    thresholds : mapping, optional
        X and Y -> the share at or under which a frame is X, and from which it may be Y.

    Returns
    -------
    uint8 array, (480, 960, 3)
        RGB.
    """
    # Deferred: loading Matplotlib takes longer than labelling a hundred frames.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, NullLocator

    figure = Figure((9.6, 4.8), dpi=100)
    canvas, axes = FigureCanvasAgg(figure), figure.add_axes((0.08, 0.12, 0.88, 0.84))
    edges = np.geomspace(LEAST_SHARE, 1, BINS + 1)
    below = np.zeros(BINS)
    for name, shares in layers.items():
        counts = histogram(shares)
        colour, label = COLOURS.get(name[:1], "#8a8a8a"), f"{name}: {len(shares):,}"
        axes.stairs(below + counts, edges, baseline=below, fill=True, color=colour, label=label)
        below = below + counts
    for name, share in (thresholds or {}).items():
        label = f"{name} {'<=' if name == 'X' else '>='} {share:.3g}"
        axes.axvline(max(share, LEAST_SHARE), color=COLOURS[name], linestyle="--", label=label)
    # Heights are square roots, so that few frames beside many can be seen.
    axes.set(xscale="log", xlim=(LEAST_SHARE, 1), ylim=(0, 1.05 * max(below.max(), 1)))
    axes.set_yscale("function", functions=(np.sqrt, np.square))
    axes.set(xlabel="clipped share of the frame", ylabel="frames (square root)")
    axes.xaxis.set_major_formatter(_percent)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    # Between the peaks of X and Y. The best place takes Matplotlib long, and it warns of that.
    axes.legend(loc="upper center")
    canvas.draw()
    return np.array(canvas.buffer_rgba(), np.uint8)[..., :3].copy()


def _percent(share: float, _: float) -> str:
    return ("<=" if share <= LEAST_SHARE else "") + f"{100 * share:g}%"
