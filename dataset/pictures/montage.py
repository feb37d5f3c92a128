"""Pictures side by side and stacked, with captions above them. Arrays only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from dataset.pictures.images import Image, resize_area

GAP = 4  # pixels between pictures
CAPTION_SIZE = 14  # pixels of an em
CAPTION_HEIGHT = 22  # pixels of a line of that size
LINES = 36  # lines of text that would fill a picture's height: labels grow with pictures
BACKGROUND = 255
INK = (40, 40, 40)


def side_by_side(panels: Sequence[tuple[str, Image]]) -> Image:
    """Pictures side by side at full size, each under its label.

    Parameters
    ----------
    panels : sequence of (str, (H, W, 3) uint8)
        Label and picture, RGB. Nothing is resized: lower pictures are padded below.

    Returns
    -------
    (H', W', 3) uint8
        RGB: all pictures, to the pixel.

    Raises
    ------
    ValueError
        No panels.
    """
    if not panels:
        raise ValueError("nothing to show")
    height = max(image.shape[0] for _, image in panels)
    size = max(CAPTION_SIZE, height // LINES)
    captioned = [add_caption(_pad(image, height=height), label, size) for label, image in panels]
    return join_row(captioned, round(GAP * size / CAPTION_SIZE))


def fit_height(images: Sequence[Image], height: int) -> list[Image]:
    """Scale pictures to one height, keeping their proportions."""
    return [
        resize_area(image, (max(1, round(image.shape[1] * height / image.shape[0])), height))
        for image in images
    ]


def join_row(images: Sequence[Image], gap: int = GAP) -> Image:
    """Pictures of one height side by side, with a gap in pixels."""
    padded = [_pad(image, width=image.shape[1] + gap) for image in images[:-1]]
    return np.concatenate([*padded, images[-1]], axis=1)


def stack_rows(rows: Sequence[Image]) -> Image:
    """Rows below each other, narrow ones padded on the right."""
    width = max(row.shape[1] for row in rows)
    return np.concatenate([_pad(row, width=width) for row in rows], axis=0)


def add_caption(image: Image, caption: str, size: int = CAPTION_SIZE) -> Image:
    """A line of ASCII text above a picture, shortened to fit; ``size``: its em in pixels."""
    width, height = image.shape[1], round(CAPTION_HEIGHT * size / CAPTION_SIZE)
    line = Pillow.new("RGB", (width, height), (BACKGROUND,) * 3)
    font, left = ImageFont.load_default(size=size), round(3 * size / CAPTION_SIZE)
    shown = _shorten(" ".join(caption.split()), lambda text: left + font.getlength(text) <= width)
    place = (left, round(2 * size / CAPTION_SIZE))
    ImageDraw.Draw(line).text(place, shown, fill=INK, font=font)
    return np.concatenate([np.asarray(line, dtype=np.uint8), image], axis=0)


def middle_square(image: Image) -> Image:
    """The largest centred square of a picture."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def _shorten(text: str, fits: Callable[[str], bool]) -> str:
    """A text, or as much of its beginning as fits, followed by dots."""
    shorter = (f"{text[:length].rstrip()}..." for length in range(len(text), 0, -1))
    return text if fits(text) else next(filter(fits, shorter), "")


def _pad(image: Image, height: int = 0, width: int = 0) -> Image:
    """A picture padded below and on the right up to a size."""
    below, right = max(0, height - image.shape[0]), max(0, width - image.shape[1])
    return np.pad(image, ((0, below), (0, right), (0, 0)), constant_values=BACKGROUND)
