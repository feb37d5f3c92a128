"""The paper's figures, of one's own run: pictures in, one labelled picture out. No files here.

Figure 2: over-exposed inputs over what F made of them (and the references, where there are any).
Figure 3: F's output for one input after several epochs, left to right.
"""

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


def figure2(
    inputs: Sequence[Image],
    outputs: Sequence[Image],
    references: Sequence[Image] = (),
    cell: int = 256,
) -> Image:
    """Rows of inputs, restored outputs and references, one column a picture.

    Parameters
    ----------
    inputs, outputs, references : sequence of (H, W, 3) uint8
        As many of each; references may be left out.
    cell : int
        Height of one picture in the figure, pixels.

    Returns
    -------
    (H', W', 3) uint8
        The figure.
    """
    rows = [("over-exposed input (Y)", inputs), ("restored output F(y)", outputs)]
    if references:
        rows.append(("reference, same view under a weak sun", references))
    strips = [add_caption(join_row(fit_height(images, cell)), caption) for caption, images in rows]
    return stack_rows(strips)


def figure3(source: Image, outputs: Sequence[tuple[str, Image]], cell: int = 256) -> Image:
    """One input and its outputs under their captions (``epoch 1`` ...), left to right."""
    columns = [("input", source), *outputs]
    return join_row(
        [add_caption(fit_height([image], cell)[0], caption) for caption, image in columns]
    )


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
    """A line of text above a picture."""
    strip = Pillow.new("RGB", (image.shape[1], LABEL_HEIGHT), (BACKGROUND,) * 3)
    font = ImageFont.load_default(size=14)
    ImageDraw.Draw(strip).text((3, 2), caption, fill=INK, font=font)
    return np.concatenate([np.asarray(strip, dtype=np.uint8), image], axis=0)


def blank(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), BACKGROUND, np.uint8)
