"""Pictures side by side and under each other, with a line of text above them. No files here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from dataset.pictures.fonts import pick_font
from dataset.pictures.images import Image, resize_area

GAP = 4  # pixels between pictures
LABEL_SIZE = 14  # pixels of an em in a line of text
LABEL_HEIGHT = 22  # pixels of a line of that size
BACKGROUND = 255
INK = (40, 40, 40)


def fit_height(images: Sequence[Image], height: int) -> list[Image]:
    """Scale pictures to one height, keeping their proportions."""
    return [
        resize_area(image, (max(1, round(image.shape[1] * height / image.shape[0])), height))
        for image in images
    ]


def join_row(images: Sequence[Image], gap: int = GAP) -> Image:
    """Pictures of one height side by side, so many pixels apart."""
    between = blank(images[0].shape[0], gap)
    parts = [part for image in images for part in (image, between)][:-1]
    return np.concatenate(parts, axis=1)


def stack_rows(rows: Sequence[Image]) -> Image:
    """Rows under each other, narrow ones filled up at the right."""
    width = max(row.shape[1] for row in rows)
    filled = [
        np.concatenate([row, blank(row.shape[0], width - row.shape[1])], axis=1) for row in rows
    ]
    return np.concatenate(filled, axis=0)


def add_caption(image: Image, caption: str, size: int = LABEL_SIZE) -> Image:
    """A line of text above a picture, its em so many pixels; shortened to fit."""
    width, height = image.shape[1], round(LABEL_HEIGHT * size / LABEL_SIZE)
    strip = Pillow.new("RGB", (width, height), (BACKGROUND,) * 3)
    caption = " ".join(caption.split())
    font, left = pick_font(caption, size), round(3 * size / LABEL_SIZE)
    shown = shorten(caption, lambda text: left + font.getlength(text) <= width)
    place = (left, round(2 * size / LABEL_SIZE))
    ImageDraw.Draw(strip).text(place, shown, fill=INK, font=font)
    return np.concatenate([np.asarray(strip, dtype=np.uint8), image], axis=0)


def shorten(text: str, fits: Callable[[str], bool]) -> str:
    """A text, or as much of its beginning as fits, with dots behind."""
    if fits(text):
        return text
    return next(
        (
            f"{text[:n].rstrip()}..."
            for n in range(len(text), 0, -1)
            if fits(f"{text[:n].rstrip()}...")
        ),
        "",
    )


def middle_square(image: Image) -> Image:
    """The largest centred square of a picture."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def blank(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), BACKGROUND, np.uint8)
