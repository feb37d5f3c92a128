"""BMP files with alpha, which Pillow reads and does not write. Those without are left to Pillow."""

from __future__ import annotations

import struct
from typing import Any

from numpy.typing import NDArray

INCH = 0.0254  # metres
FILE, HEADER = 14, 108  # bytes of the file's header, and of BITMAPV4HEADER
BITFIELDS = 3  # the masks say which bits are which colour
MASKS = 0xFF0000, 0xFF00, 0xFF, 0xFF000000  # red, green, blue, alpha
SRGB = 0x73524742


def encode(samples: NDArray[Any], dpi: tuple[float, float] | None = None) -> bytes:
    """Encode RGB and alpha.

    Parameters
    ----------
    samples : (H, W, 4) uint8
    dpi : (float, float), optional
        Dots an inch, across and down.

    References
    ----------
    .. [1] Microsoft: Windows GDI, structure BITMAPV4HEADER.
    """
    height, width = samples.shape[:2]
    across, down = (round(value / INCH) for value in dpi or (0, 0))
    head = struct.pack("<2sIIIIiiHH", b"BM", FILE + HEADER + samples.nbytes, 0, FILE + HEADER,
                       HEADER, width, height, 1, 32)  # fmt: skip
    head += struct.pack("<IIiiII", BITFIELDS, samples.nbytes, across, down, 0, 0)
    head += struct.pack("<4II", *MASKS, SRGB) + bytes(48)
    return head + samples[::-1, :, [2, 1, 0, 3]].tobytes()  # from the lowest row up
