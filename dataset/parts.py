"""Unfinished files and folders, and cleaning up after killed processes.

A folder is deleted only if it holds this program's marker.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from dataset.errors import UserError
from dataset.files import (
    FOLDER_HELD_S,
    PART,
    is_held,
    move_new,
    part_of,
    patiently,
    remove_empty,
    remove_file,
    write_whole,
)
from dataset.gate import is_link

OWN_MARKER = ".made-by-unclip"  # in folders that may be deleted with all they hold
PART_NAME = re.compile(r"\..+\.[0-9]+\.part", re.DOTALL)  # as `part_of` names them


def remove_parts(folder: Path, name: str = "", alive: bool = True) -> int:
    """Remove the temporary files of killed processes from a folder; returns their number.

    Only regular files called ``.NAME.NUMBER.part`` count, as `part_of` names them.

    Parameters
    ----------
    folder : Path
    name : str
        Prefix of NAME.
    alive : bool
        Whether files of running processes are kept. False under a lock that every writer holds:
        a running process of that number is another program.
    """
    removed = 0
    for each in folder.iterdir():
        if not PART_NAME.fullmatch(each.name) or not each.name.startswith(f".{name}"):
            continue
        if each.is_file() and not each.is_symlink() and not (alive and _is_alive(each)):
            removed += _removed(each)
    return removed


def _removed(part: Path) -> bool:
    """Remove a file; False if another program has it open. It harms nobody until the next time."""
    try:
        remove_file(part)
    except OSError as error:
        if not is_held(error):
            raise
        return False
    return True


def is_being_written(path: Path) -> bool:
    """Whether another running process is writing this file with `written_aside`."""
    start, own = f".{path.name}.", part_of(path).name
    try:
        names = [each for each in os.listdir(path.parent) if each.startswith(start)]
    except OSError:  # no folder yet
        return False
    ours = (each for each in names if PART_NAME.fullmatch(each) and each != own)
    return any(_is_alive(path.with_name(each)) for each in ours)


def _is_alive(part: Path) -> bool:
    """Whether the writing process may still be running."""
    number = int(part.name.removesuffix(PART).rpartition(".")[2])
    try:
        return number == os.getpid() or _runs(number)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True


def _runs(number: int) -> bool:
    """Whether there is a process of this number; may raise what says so instead."""
    if os.name == "posix":
        os.kill(number, 0)
        return True
    import psutil  # on Windows, any signal ends a process

    return bool(psutil.pid_exists(number))


def make_marked(folder: Path, note: str) -> None:
    """Make a new folder that `remove_marked` may delete; ``OSError`` if it exists.

    Parameters
    ----------
    folder : Path
    note : str
        Explains the folder to whoever finds it.
    """
    folder.mkdir(parents=True)
    try:
        write_whole(folder / OWN_MARKER, f"{note}\n".encode())
    except BaseException:
        remove_empty(folder)
        raise


def remove_marked(folder: Path) -> None:
    """Delete a folder made by `make_marked`, with everything in it.

    Links are removed, not followed.

    Raises
    ------
    UserError
        It is a link or has no marker; nothing was touched.
    OSError
        Something in it cannot be deleted.
    """
    if not os.path.lexists(folder):
        return
    mark = folder / OWN_MARKER
    if is_link(folder) or not folder.is_dir() or mark.is_symlink() or not mark.is_file():
        raise UserError(f"{folder} was not made by this program, and was left as it is.")
    # The marker goes last, so that an interrupted deletion can be resumed.
    with os.scandir(folder) as entries:
        others = [each for each in entries if each.name != OWN_MARKER]
    for each in others:
        if each.is_dir(follow_symlinks=False):
            patiently(shutil.rmtree, each.path, lingers=True)
        else:
            patiently(os.unlink, each.path)
    patiently(os.unlink, mark)
    patiently(os.rmdir, folder, lingers=True)


def move_finished(folder: Path, target: Path) -> None:
    """Rename a folder made by `make_marked` and remove its marker; errors as for `move_new`."""
    move_new(folder, target, FOLDER_HELD_S)
    patiently(os.unlink, target / OWN_MARKER)


def remove_part_folders(folder: Path) -> int:
    """Remove the unfinished folders of killed processes; returns their number.

    Only folders named by `part_of` that hold the marker of `make_marked` count.
    """
    removed = 0
    for each in folder.glob(f".*{PART}"):
        ours = PART_NAME.fullmatch(each.name) and each.is_dir() and not is_link(each)
        if ours and not _is_alive(each):
            with suppress(UserError, OSError):  # not ours to delete
                remove_parts(each, OWN_MARKER)
                remove_empty(each)  # killed before it had its mark
                remove_marked(each)
                removed += 1
    return removed
