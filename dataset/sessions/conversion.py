"""An imported picture -> the PNG of a frame, and its line of the manifest."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from dataset.errors import UserError
from dataset.gate import MOST_PICTURE, read_regular
from dataset.pictures.accepted import check_picture, frame_losses
from dataset.pictures.hashing import phash, sha256
from dataset.pictures.images import Image, decode, resize_area
from dataset.pictures.limits import InFlight
from dataset.pictures.png import encode_png
from dataset.pictures.taken import taken_ns
from dataset.sessions.manifest import Frame

PNG_HEADER = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
TIME_FROM, FILE = "time_from", "file"  # in the manifest: exif, name or file
RGB8 = b"\x08\x02"  # the bit depth and colour type of plain 8-bit RGB in a PNG header


def import_picture(
    path: Path, target: Path, size: tuple[int, int] | None, in_flight: InFlight
) -> tuple[Frame, tuple[str, ...]]:
    """Write a picture as PNG.

    Parameters
    ----------
    path, target : Path
        The picture, and where its PNG goes: linked where it is one already.
    size : (int, int) or None
        Width and height to resize to.
    in_flight : InFlight
        Bounds the memory of all conversions at a time.

    Returns
    -------
    Frame, tuple of str
        The frame without index and file, with `TIME_FROM` among its extras; and what it does not
        keep of the picture.

    Raises
    ------
    UserError
        It cannot be read, or is not taken: see ``dataset/pictures/accepted.py``.
    OSError
        The PNG cannot be written.
    """
    try:
        data = read_regular(path, MOST_PICTURE)
        modified_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    time_ns, time_from = taken_ns(data, path.name) or (modified_ns, FILE)
    header = check_picture(data, path)
    width, height = header.size if header else (0, 0)
    losses = frame_losses(data, header)
    with in_flight.room(width * height):
        image = decode(data, path)
        if size is None and _is_plain_png(data):
            _link(path, target, data)
        else:
            image = image if size is None else resize_area(image, size)
            data = encode_png(image)
            target.write_bytes(data)
        frame = frame_of(image, data, time_ns)
        return replace(frame, extra={TIME_FROM: time_from}), losses


def frame_of(image: Image, data: bytes, time_ns: int) -> Frame:
    """The frame of a picture and its PNG, without index and file."""
    height, width = image.shape[:2]
    return Frame(
        index=0,
        file="",
        width=width,
        height=height,
        wall_ns=time_ns,
        monotonic_ns=time_ns,
        sha256=sha256(data),
        phash=phash(image),
    )


def _is_plain_png(data: bytes) -> bool:
    return data.startswith(PNG_HEADER) and data[24:26] == RGB8 and b"tRNS" not in data[:4096]


def _link(source: Path, target: Path, data: bytes) -> None:
    try:
        os.link(source.resolve(), target)
    except (OSError, RuntimeError):  # another disk, or a file system without links
        target.write_bytes(data)
