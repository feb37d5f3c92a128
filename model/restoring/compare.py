"""Input | output | reference side by side under their labels, at full size, as one picture.

Arrays only: what is compared, and where the picture goes, is the affair of ``restore``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataset.pictures.images import Image
from dataset.pictures.montage import GAP, LABEL_SIZE, add_caption, blank, join_row

LINES = 36  # lines of text that would fill a picture's height: labels grow with pictures


def compare(panels: Sequence[tuple[str, Image]]) -> Image:
    """Put pictures side by side, each under its label.

    Parameters
    ----------
    panels : sequence of (str, (H, W, 3) uint8)
        Label, in any script, and picture, RGB. Sizes may differ: nothing is resized, and lower
        pictures are filled up at the bottom.

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
        raise ValueError("nothing to compare")
    height = max(image.shape[0] for _, image in panels)
    size = max(LABEL_SIZE, height // LINES)
    captioned = [add_caption(fill_below(image, height), label, size) for label, image in panels]
    return join_row(captioned, round(GAP * size / LABEL_SIZE))


def fill_below(image: Image, height: int) -> Image:
    """A picture with blank rows below, up to a height."""
    if image.shape[0] == height:
        return image
    rows = blank(height - image.shape[0], image.shape[1])
    return np.concatenate([image, rows], axis=0)
