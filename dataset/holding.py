"""A folder that one process works in at a time: made for it, held, and gone if it stays empty."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dataset.errors import UserError
from dataset.files import hold_lock, open_to_append, remove_empty, remove_file


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
