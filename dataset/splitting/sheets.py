"""The pictures of a data set's report: contact sheets, histogram, test beside training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from dataset.errors import UserError
from dataset.labelling.histogram import draw_histogram
from dataset.pictures.images import Image, read_image, resize_area

CELL_SIZE = (160, 120)  # of a contact sheet, width and height in pixels
PAIR = (240, 180)  # of a picture in the leak report
LINE = 22  # height of a line of text, pixels


def contact_sheet(images: Sequence[Image], columns: int, cell: tuple[int, int]) -> Image:
    """Put pictures side by side, row by row, each shrunk into a cell of its own.

    Parameters
    ----------
    images : sequence of uint8 arrays, (H, W, 3)
        RGB, of any sizes.
    columns : int
        Cells in a row, 1 at least.
    cell : tuple of int
        Width and height of a cell in pixels. A picture of another shape is centred on black.

    Returns
    -------
    uint8 array, (rows * height, columns * width, 3)
        RGB. One black row if there is no picture.

    Examples
    --------
    >>> contact_sheet([np.full((4, 4, 3), 9, np.uint8)] * 3, columns=2, cell=(2, 2)).shape
    (4, 4, 3)
    """
    width, height = cell
    rows = max(-(-len(images) // columns), 1)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for place, image in enumerate(images):
        scale = min(width / image.shape[1], height / image.shape[0])
        size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
        left = place % columns * width + (width - size[0]) // 2
        top = place // columns * height + (height - size[1]) // 2
        sheet[top : top + size[1], left : left + size[0]] = resize_area(image, size)
    return sheet


def sheet_of(paths: Sequence[Path], columns: int = 8) -> Image:
    """Contact sheet of picture files; unreadable ones are grey."""
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
    """Histogram of the clipped shares of X and Y.

    Parameters
    ----------
    fraction : float array, (N,)
        0..1; NaN, where nothing was measured, is left out.
    domain : int array, (N,)
        0 for X, 1 for Y.
    """
    measured = ~np.isnan(fraction)
    return draw_histogram(
        {name: fraction[measured & (domain == at)] for at, name in enumerate("XY")}
    )


def _read(path: Path) -> Image:
    try:
        return read_image(path)
    except UserError:
        return np.full((3, 4, 3), 128, np.uint8)
