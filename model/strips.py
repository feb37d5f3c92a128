"""Pictures side by side and under each other, with a line of text above them. No files here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from dataset.images import Image, resize_area

GAP = 4  # pixels between pictures
LABEL_HEIGHT = 22  # pixels of a line of text
BACKGROUND = 255
INK = (40, 40, 40)


def fit_height(images: Sequence[Image], height: int) -> list[Image]:
    """Scale pictures to one height, keeping their proportions."""
    return [
        resize_area(image, (max(1, round(image.shape[1] * height / image.shape[0])), height))
        for image in images
    ]


def join_row(images: Sequence[Image]) -> Image:
    """Pictures of one height side by side."""
    gap = blank(images[0].shape[0], GAP)
    parts = [part for image in images for part in (image, gap)][:-1]
    return np.concatenate(parts, axis=1)


def stack_rows(rows: Sequence[Image]) -> Image:
    """Rows under each other, narrow ones filled up at the right."""
    width = max(row.shape[1] for row in rows)
    filled = [
        np.concatenate([row, blank(row.shape[0], width - row.shape[1])], axis=1) for row in rows
    ]
    return np.concatenate(filled, axis=0)


def add_caption(image: Image, caption: str) -> Image:
    """A line of text above a picture; as much of it as the picture is wide."""
    strip = Pillow.new("RGB", (image.shape[1], LABEL_HEIGHT), (BACKGROUND,) * 3)
    font = ImageFont.load_default(size=14)
    ImageDraw.Draw(strip).text((3, 2), caption, fill=INK, font=font)
    return np.concatenate([np.asarray(strip, dtype=np.uint8), image], axis=0)


def middle_square(image: Image) -> Image:
    """The largest centred square of a picture."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def blank(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), BACKGROUND, np.uint8)
