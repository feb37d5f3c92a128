"""The pictures of a data set's report: contact sheets, histogram, test beside training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from dataset.errors import UserError
from dataset.pictures.images import Image, read_image
from dataset.splitting.report import contact_sheet

CELL_SIZE = (160, 120)  # of a contact sheet, width and height in pixels
PAIR = (240, 180)  # of a picture in the leak report
LINE = 22  # height of a line of text, pixels
COLOURS = ((52, 110, 190), (235, 140, 30))  # of X and Y
LEAST = 1e-4  # clipped shares are drawn on a logarithmic axis from here to 1
BINS = 32


def sheet_of(paths: Sequence[Path], columns: int = 8) -> Image:
    """Contact sheet of picture files; one that cannot be read is grey."""
    return contact_sheet([_read(path) for path in paths], columns, CELL_SIZE)


def leak_sheet(pairs: Sequence[tuple[Path, Path, str]]) -> Image:
    """Test and training pictures side by side, two pairs in a row.

    Parameters
    ----------
    pairs : sequence of (test file, training file, text)

    Returns
    -------
    uint8 array, (H, W, 3)
        RGB.
    """
    width, height = 2 * PAIR[0], PAIR[1] + 2 * LINE
    rows = max(-(-len(pairs) // 2), 1)
    sheet = Pillow.new("RGB", (2 * width + 24, rows * height + LINE + 8), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    nothing = "" if pairs else ": no hash to compare"
    draw.text(
        (4, 4), f"left: test, right: the training frame most like it{nothing}", "black", font=font
    )
    for at, (test, train, text) in enumerate(pairs):
        left, top = at % 2 * (width + 24), LINE + 8 + at // 2 * height
        both = contact_sheet([_read(test), _read(train)], 2, PAIR)
        sheet.paste(Pillow.fromarray(both), (left, top))
        draw.text((left + 4, top + PAIR[1] + 4), text, "black", font=font)
    return np.asarray(sheet, np.uint8)


def clipped_histogram(fraction: NDArray[np.float32], domain: NDArray[np.int64]) -> Image:
    """Histogram of the clipped share of frames for X and Y, on a logarithmic axis.

    Parameters
    ----------
    fraction : float array, (N,)
        0..1; NaN where nothing was measured, which is left out.
    domain : int array, (N,)
        0 for X, 1 for Y.
    """
    edges = np.linspace(np.log10(LEAST), 0, BINS + 1)
    places = np.log10(np.clip(fraction, LEAST, 1))
    counts = [np.histogram(places[(domain == at) & ~np.isnan(fraction)], edges)[0] for at in (0, 1)]
    image = Pillow.new("RGB", (720, 360), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(14)
    left, top, width, height = 60, 40, 640, 260
    most = max(int(max(each.max() for each in counts)), 1)
    for at, each in enumerate(counts):
        draw.text(
            (left + at * 160, 10), f"{'XY'[at]}: {each.sum():,} frames", COLOURS[at], font=font
        )
        for place, count in enumerate(each.tolist()):
            x = left + place * width / BINS + at * width / BINS / 2
            y = top + height * (1 - count / most)
            if count:
                draw.rectangle((x, y, x + width / BINS / 2 - 1, top + height), COLOURS[at])
    draw.line((left, top + height, left + width, top + height), "black")
    draw.text((4, top), f"{most:,}", "black", font=font)
    for power in range(round(np.log10(LEAST)), 1):
        x = left + width * (1 - power / np.log10(LEAST))
        text = f"<={10.0**power:g}" if 10.0**power <= LEAST else f"{10.0**power:g}"
        draw.text((x, top + height + 6), text, "black", font=font, anchor="ma")
    draw.text((left, 335), "clipped share of the frame", "black", font=font)
    return np.asarray(image, np.uint8)


def _read(path: Path) -> Image:
    try:
        return read_image(path)
    except UserError:
        return np.full((3, 4, 3), 128, np.uint8)
