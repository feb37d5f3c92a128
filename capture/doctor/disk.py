"""How much fits on the disk of a folder, and how fast it is. The folder need not exist yet."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from dataset.errors import UserError

CHUNK = 4 << 20  # bytes
MOST_BYTES = 64 << 20  # written at most
MOST_S = 0.5  # no new chunk after this


def free_disk_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder."""
    return shutil.disk_usage(_there(folder)).free


def write_speed(folder: Path) -> float:
    """Bytes per second that reach the disk, measured on an unnamed file.

    Raises
    ------
    UserError
        Nothing can be written there.
    """
    chunk = os.urandom(CHUNK)  # some disks compress
    written, began = 0, time.perf_counter()
    try:
        with tempfile.TemporaryFile(dir=_there(folder), buffering=0) as file:
            while written < MOST_BYTES and time.perf_counter() - began < MOST_S:
                written += file.write(chunk) or 0
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(
            f"Cannot write in {folder}: {error.strerror}.",
            1,
            remedy="Choose another folder with --out.",
        ) from error
    return written / (time.perf_counter() - began)


def _there(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    folder = folder.absolute()
    return next(each for each in (folder, *folder.parents) if os.path.exists(each))
