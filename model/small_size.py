"""How large the copy is that preset physical looks at. Loads nothing: ONNX files need it, too."""

from __future__ import annotations

SMALL_SIDE = 128  # pixels, shorter side of the copy on which content is drawn
MOST_SMALL_SIDE = 1024  # longer one: a strip of pixels would make a copy larger than itself
SMALL_STRIDE = 32  # its sides are multiples of this
THUMBNAIL = 2  # times smaller still is the copy on which the gain is found
CHANNELS = 9  # of the copy: means, clipped shares, means of what is not clipped


def small_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the small copy of a picture: multiples of 32, the shorter one 128.

    Examples
    --------
    >>> small_size(1080, 1920)
    (128, 224)
    """
    scale = SMALL_SIDE / min(height, width)
    sides = (
        round(min(side * scale, MOST_SMALL_SIDE) / SMALL_STRIDE) * SMALL_STRIDE
        for side in (height, width)
    )
    first, second = sides
    return first, second
