"""Locks: one process at a time, in a folder that may not be there yet.

The system lets go of a lock when its process ends in whatever way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dataset.errors import UserError
from dataset.files import open_to_append, remove_empty, remove_file
from dataset.gate import refuse_links

LOCK_MODE = 0o600  # who could read the file of a lock could hold it


@contextmanager
def hold_lock(path: Path, busy: str, patience_s: float = 0.5) -> Iterator[None]:
    """Hold a lock, which the system lets go of when this process ends in whatever way.

    Parameters
    ----------
    path : Path
        The lock's file; its folder must be there.
    busy : str
        What to say where somebody else holds it: who that may be, and what to do.
    patience_s : float
        How long to wait for somebody else.

    Raises
    ------
    UserError
        Somebody else holds it, it is a link, or the folder cannot be written in.
    """
    lock = _lock_of(path, patience_s)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(busy, 1) from None
    except OSError as error:
        raise UserError(f"Cannot write in {path.parent}: {error.strerror}.", 1) from error
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether somebody else holds a lock; False where nobody can be asked."""
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
    if os.path.lexists(path) and not path.is_file():
        raise UserError(f"{path}, the file of a lock, is no regular file. Remove it.")
    return FileLock(path, timeout=patience_s, mode=LOCK_MODE)


@contextmanager
def hold_folder(folder: Path, lock: str, busy: str) -> Iterator[None]:
    """Hold a lock in a folder, which is made where it is missing.

    Where the folder was made and nothing but the lock came into it, both go again.

    Parameters
    ----------
    folder : Path
    lock : str
        Name of the lock's file.
    busy : str
        What to say where somebody else holds it.

    Raises
    ------
    UserError
        As of `hold_lock`; or the folder cannot be made.
    """
    path = folder / lock
    made = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    try:
        number = _make(folder, path)
        with hold_lock(path, busy):
            # Whoever held it before may have removed it, and another have made a new one.
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
    """Make the folder and the lock's file, where they are missing; the number of the file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(path):
            open_to_append(path).close()
        return path.lstat().st_ino
    except OSError as error:
        raise UserError(f"Cannot write in {folder}: {error.strerror}.", 1) from error
