"""The pictures that a review shows: thumbnails, whole frames, masks of clipped pixels.

Arrays in, encoded pictures out. `store` decides which files may be shown.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

import cv2
import numpy as np

from dataset import gate
from dataset.errors import UserError
from dataset.labelling.clipping import Mask, clipped_mask
from dataset.labelling.hud_mask import ignored, read_session_mask
from dataset.options import LabelOptions
from dataset.pictures.images import Image, decode, resize_area
from dataset.pictures.png import SIGNATURE, encode_png

CLIPPED = (255, 0, 200)  # RGB of what is clipped: no sky, sun or aircraft looks like it
JPEG_START = b"\xff\xd8\xff"
REVIEW_JPEG_QUALITY = 82


class PictureCache:
    """The newest pictures, up to a number of bytes in total. Thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self._size = limit_bytes, 0
        self._pictures: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> bytes | None:
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)

    def put(self, key: Hashable, picture: bytes) -> None:
        with self._lock:
            self._size += len(picture) - len(self._pictures.pop(key, b""))
            self._pictures[key] = picture
            while self._size > self._limit and self._pictures:
                self._size -= len(self._pictures.popitem(last=False)[1])


def find_clipped(image: Image, folder: Path, options: LabelOptions) -> Mask:
    """Clipped pixels as the statistics count them, bool (H, W): by their method, without HUD.

    Parameters
    ----------
    image : uint8 array, (H, W, 3)
        A frame, RGB.
    folder : Path
        Its session's, which may hold a HUD mask.
    options : LabelOptions
        Limit and method.

    Raises
    ------
    UserError
        The HUD mask is not a picture, hides nearly all, or is a link out of the session.
    """
    mask = read_session_mask(folder)
    ignore = ignored(mask[0], (image.shape[1], image.shape[0])) if mask else None
    return clipped_mask(image, options.limit, options.method, ignore)


def make_thumbnail(image: Image, longer_px: int, clipped: Mask | None = None) -> bytes:
    """A JPEG of RGB uint8 (H, W, 3), scaled down to ``longer_px``, with a mask painted over it."""
    if clipped is not None:
        image = image.copy()
        image[clipped] = CLIPPED
    height, width = image.shape[:2]
    scale = min(1.0, longer_px / max(height, width))
    small = resize_area(image, (max(1, round(width * scale)), max(1, round(height * scale))))
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, REVIEW_JPEG_QUALITY])[1].tobytes()


def make_overlay(clipped: Mask) -> bytes:
    """A PNG with alpha of a mask, bool (H, W): opaque where it is set."""
    rgba = np.zeros((*clipped.shape, 4), np.uint8)
    rgba[clipped] = (*CLIPPED, 255)
    bgra = cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA)
    return cv2.imencode(".png", bgra, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def whole_picture(path: Path) -> tuple[bytes, str]:
    """A frame as a browser can show it, and its media type.

    PNG and JPEG are sent unchanged after a trial decoding, so only pictures are sent.

    Raises
    ------
    UserError
        The file cannot be read as a picture.
    """
    try:
        data = gate.read_regular(path, gate.MOST_PICTURE)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    image = decode(data, path)
    if data.startswith(SIGNATURE):
        return data, "image/png"
    if data.startswith(JPEG_START):
        return data, "image/jpeg"
    return encode_png(image), "image/png"
