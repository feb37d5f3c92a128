"""Writes scene-linear light as OpenEXR or JPEG XR, in 16-bit floats. Reads nothing.

References
----------
.. [1] Academy Software Foundation: The structure of OpenEXR files; single part, scan lines.
.. [2] ITU-T T.832: JPEG XR. Its light is scRGB, IEC 61966-2-2: 1.0 is 80 nits.
.. [3] ITU-R BT.2408: diffuse white is at 203 nits.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from dataset.pictures.light import SCRGB_NITS, WHITE_NITS, Light

HALF, NO_COMPRESSION = 1, 0  # of OpenEXR


def encode_exr(light: Light) -> bytes:
    """An OpenEXR file, not compressed: what is 1.0 here is 1.0 there."""
    height, width = light.shape[:2]
    head = _header(width, height)
    rows = _half(light)[..., ::-1].transpose(0, 2, 1)  # channels by name: B, G, R
    row_bytes = 3 * width * 2
    first = len(head) + 8 * height
    places = first + np.arange(height, dtype="<u8") * (8 + row_bytes)
    lines = np.zeros(height, np.dtype([("y", "<i4"), ("bytes", "<i4"), ("row", "<f2", (3, width))]))
    lines["y"], lines["bytes"], lines["row"] = np.arange(height), row_bytes, rows
    return head + places.tobytes() + lines.tobytes()


def encode_jpeg_xr(light: Light) -> bytes:
    """A JPEG XR file, lossless: diffuse white at 203 nits, as Windows' HDR screenshots have it."""
    from imagecodecs import jpegxr_encode  # of the extra hdr

    return bytes(jpegxr_encode(_half(light * np.float32(WHITE_NITS / SCRGB_NITS))))


def _half(light: Light) -> NDArray[np.float16]:
    most = np.finfo(np.float16).max
    return np.ascontiguousarray(np.clip(light, -most, most).astype("<f2"))


def _header(width: int, height: int) -> bytes:
    channel = struct.pack("<iB3xii", HALF, 0, 1, 1)
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = {
        "channels chlist": b"".join(name + b"\0" + channel for name in (b"B", b"G", b"R")) + b"\0",
        "compression compression": bytes([NO_COMPRESSION]),
        "dataWindow box2i": window,
        "displayWindow box2i": window,
        "lineOrder lineOrder": bytes(1),  # from the top
        "pixelAspectRatio float": struct.pack("<f", 1),
        "screenWindowCenter v2f": bytes(8),
        "screenWindowWidth float": struct.pack("<f", 1),
    }
    parts = [
        name.replace(" ", "\0").encode() + b"\0" + struct.pack("<i", len(value)) + value
        for name, value in attributes.items()
    ]
    return b"v/1\x01\x02\0\0\0" + b"".join(parts) + b"\0"
