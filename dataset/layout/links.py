"""Ways to put a frame into a data set: hard link, reflink, symbolic link, copy."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from dataset.errors import UserError
from dataset.files import written_aside
from dataset.gate import MOST_PICTURE, open_regular

WAYS = ("hard", "reflink", "symlink", "copy")
FICLONE = 0x40049409  # Linux, ioctl_ficlone(2): _IOW(0x94, 9, int)


def place_file(source: Path, target: Path, way: str) -> bool:
    """Link `target` to `source`; copy it where the file system has no such link.

    Parameters
    ----------
    source : Path
        Absolute.
    target : Path
        Must not exist.
    way : str
        One of `WAYS`. A reflink shares the data until one of the files is changed.

    Returns
    -------
    bool
        Whether it was copied.

    Raises
    ------
    UserError
        Symbolic links are not allowed here.
    FileExistsError, OSError
    """
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    if way == "symlink":
        _symlink(source, target)
        return False
    if way == "hard":
        with suppress(OSError):  # another device, or a file system without links
            os.link(source, target)
            return False
    if way == "reflink" and _reflink(source, target):
        return False
    with open_regular(source, MOST_PICTURE) as whole, written_aside(target, False) as copy:
        shutil.copyfileobj(whole, copy)
    return True


def _symlink(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source)
    except OSError as error:
        raise UserError(
            f"Cannot make the symbolic link {target} ({error.strerror}). Use --link hard, or "
            "--link copy; Windows allows symbolic links in developer mode only.",
            1,
        ) from error


def _reflink(source: Path, target: Path) -> bool:
    """Whether it worked; if not, the target does not exist."""
    if sys.platform == "darwin":
        # clonefile(2) of Apple's libSystem: 0 if it worked.
        clone = ctypes.CDLL(None, use_errno=True).clonefile
        return int(clone(os.fsencode(source), os.fsencode(target), 0)) == 0
    if not sys.platform.startswith("linux"):
        return False
    import fcntl  # not there on Windows

    try:
        with open_regular(source, MOST_PICTURE) as whole, written_aside(target, False) as empty:
            fcntl.ioctl(empty.fileno(), FICLONE, whole.fileno())
    except FileExistsError:
        raise
    except OSError:  # btrfs, XFS and a few others can do it, and only within themselves
        return False
    return True
