"""How much a folder's disk takes, and how quickly. The folder need not be there yet."""

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


def free_bytes(folder: Path) -> int:
    """What is free on the disk of a folder."""
    return shutil.disk_usage(_there(folder)).free


def write_speed(folder: Path) -> float:
    """Bytes a second that reach the disk, measured on a file without a name.

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
            f"Cannot write in {folder}: {error.strerror}. Choose another folder with --out.", 1
        ) from error
    return written / (time.perf_counter() - began)


def _there(folder: Path) -> Path:
    """The folder, or the nearest one above it that there is."""
    folder = folder.absolute()
    return next(each for each in (folder, *folder.parents) if os.path.exists(each))
