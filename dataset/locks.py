"""Locks: one process at a time, even in a folder that does not exist yet.

The system releases a lock however its process ends.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dataset.errors import UserError
from dataset.files import open_to_append, remove_empty, remove_file
from dataset.gate import refuse_links

POLL_S = 0.05
PATIENCE_S = 0.5  # for what is held for long by whoever holds it
LOCK_MODE = 0o600  # whoever can read a lock file can hold the lock


@contextmanager
def hold_lock(
    path: Path, busy: str, patience_s: float = PATIENCE_S, poll_s: float = POLL_S
) -> Iterator[None]:
    """Hold a lock; the system releases it however this process ends.

    Parameters
    ----------
    path : Path
        The lock's file; its folder must be there.
    busy : str
        Error message if it is taken: who may hold it, and what to do.
    patience_s : float
        How long to wait for it.
    poll_s : float
        Between two looks whether it is free.

    Raises
    ------
    UserError
        It is taken, it is a link, or the folder is not writable.
    """
    lock = _lock_of(path, patience_s)
    try:
        lock.acquire(poll_interval=poll_s)
    except Timeout:
        raise UserError(busy, 1) from None
    except OSError as error:
        raise UserError(f"Cannot write in {path.parent}: {error.strerror}.", 1) from error
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether another process holds a lock; False if that cannot be found out."""
    if not path.exists() or path.is_symlink():
        return False
    try:
        with FileLock(path, timeout=0, mode=LOCK_MODE):
            return False
    except Timeout:
        return True
    except OSError:  # not ours to open
        return False


def _lock_of(path: Path, patience_s: float) -> FileLock:
    refuse_links(path, "the file of a lock")
    with suppress(FileNotFoundError):  # Windows: its holder removes it, perhaps just now
        if not stat.S_ISREG(path.lstat().st_mode):
            raise UserError(f"{path}, the file of a lock, is no regular file. Remove it.")
    return FileLock(path, timeout=patience_s, mode=LOCK_MODE)


@contextmanager
def hold_folder(
    folder: Path, lock: str, busy: str, patience_s: float = PATIENCE_S
) -> Iterator[None]:
    """Hold a lock in a folder, creating the folder if needed.

    A folder that was created here and holds nothing but the lock is removed again.

    Parameters
    ----------
    folder : Path
    lock : str
        Name of the lock's file.
    busy : str
        Error message if it is taken.
    patience_s : float
        How long to wait for it.

    Raises
    ------
    UserError
        As for `hold_lock`; or the folder cannot be created.
    """
    path = folder / lock
    made = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    try:
        number = _make(folder, path)
        with hold_lock(path, busy, patience_s):
            # Its last holder may have removed the file, and another process made a new one.
            if not path.exists() or path.stat().st_ino != number:
                raise UserError(busy, 1)
            try:
                yield
            finally:
                if made and [each.name for each in folder.iterdir()] == [lock]:
                    with suppress(OSError):  # Windows removes it when it is let go
                        remove_file(path)
    finally:
        for each in made:
            remove_empty(each)


def _make(folder: Path, path: Path) -> int:
    """Create the folder and the lock file if missing; returns the file's inode number."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(path):
            open_to_append(path).close()
        return path.lstat().st_ino
    except OSError as error:
        raise UserError(f"Cannot write in {folder}: {error.strerror}.", 1) from error
