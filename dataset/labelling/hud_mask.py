"""The HUD mask of a session: white where statistics ignore pixels. Reads it, and says what is odd.

A mask is stretched over frames of any size. One that hides nearly all of them is refused, as it is
most likely inverted: nothing would be left to measure, and every frame would be X.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from dataset import gate
from dataset.errors import UserError
from dataset.labelling.clipping import Mask
from dataset.paths import inside
from dataset.pictures.images import Image, decode
from dataset.sessions.manifest import HUD_MASK, Frame, read_session

WHITE = 128  # least level that counts as white
MOST_HIDDEN, MUCH_HIDDEN = 0.95, 0.5  # shares of the frame: refused from, and told from
SAME_SHAPE = 0.02  # by how much ratios of width to height may differ, relatively

Size = tuple[int, int]  # width and height, pixels


def read_mask(path: Path) -> tuple[Image, bytes]:
    """A mask and its file.

    Raises
    ------
    UserError
        It cannot be read, is no picture, or hides nearly all of a frame.
    """
    try:
        data = gate.read_regular(path, gate.MOST_PICTURE)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    mask = decode(data, path)
    hidden = _hidden(mask)
    if hidden >= MOST_HIDDEN:
        raise UserError(
            f"The mask {path} hides {hidden:.0%} of the picture, and nothing is left to measure. "
            "White means 'ignore': invert it if it is the other way round, or leave it out."
        )
    return mask, data


def read_session_mask(session: Path) -> tuple[Image, bytes] | None:
    """A session's mask and its file; None if it has none. Raises as `read_mask`, and for links."""
    path = session / HUD_MASK
    if not os.path.lexists(path):
        return None
    try:
        return read_mask(inside(session, HUD_MASK))
    except ValueError as error:
        raise UserError(f"The mask {path} cannot be used: {error}.") from error


def digest_of(data: bytes) -> str:
    """The first 8 hexadecimal digits of the SHA-256 of a mask's file."""
    return hashlib.sha256(data).hexdigest()[:8]


def ignored(mask: Image, size: Size) -> Mask:
    """Where a mask is white, at a frame's size: bool (H, W)."""
    stretched = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(stretched.max(axis=2) >= WHITE)


def doubts(mask: Image, path: Path, shapes: Iterable[Size]) -> list[str]:
    """What is odd about a mask, in sentences.

    Parameters
    ----------
    mask : Image
    path : Path
        What it is called.
    shapes : iterable of (int, int)
        Sizes of what it may have been drawn on: of frames, and of the screen they were taken from.

    Examples
    --------
    >>> half = np.repeat(np.uint8([[[0], [255], [255]]]), 3, axis=2)
    >>> for each in doubts(half, Path("mask.png"), [(6, 4)]):
    ...     print(each.partition(". ")[0])
    The mask mask.png hides 67% of the picture
    The mask mask.png (3x1) has another shape than the frames (6x4)
    """
    hidden, (height, width), known = _hidden(mask), mask.shape[:2], list(dict.fromkeys(shapes))
    found = []
    if hidden >= MUCH_HIDDEN:
        found.append(
            f"The mask {path} hides {hidden:.0%} of the picture. "
            "White means 'ignore': invert it if it is the other way round."
        )
    if not hidden:
        found.append(f"The mask {path} has nothing white. Paint white what it is to hide.")
    if known and not any(_alike((width, height), each) for each in known):
        found.append(
            f"The mask {path} ({width}x{height}) has another shape than the frames "
            f"({known[0][0]}x{known[0][1]}). Draw it on one of them."
        )
    return found


def session_doubts(session: Path, frames: Iterable[Frame]) -> list[str]:
    """`doubts` of a session's mask; none where it has no mask. Raises as `read_session_mask`."""
    found = read_session_mask(session)
    if found is None:
        return []
    shapes = [(each.width, each.height) for each in frames]
    return doubts(found[0], session / HUD_MASK, [*shapes, *_screen(session)])


def _screen(session: Path) -> list[Size]:
    """The size of what was recorded, of which frames may be another size and shape."""
    screen = read_session(session).get("screen")
    place = screen.get("rectangle") if isinstance(screen, dict) else None
    if not (isinstance(place, list) and len(place) == 4):
        return []
    width, height = place[2:]
    return [(width, height)] if isinstance(width, int) and isinstance(height, int) else []


def _hidden(mask: Image) -> float:
    return float((mask.max(axis=2) >= WHITE).mean())


def _alike(one: Size, other: Size) -> bool:
    across, down = one[0] * other[1], one[1] * other[0]
    return abs(across - down) <= SAME_SHAPE * max(across, down)
