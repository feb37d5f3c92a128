"""What is not whole yet: folders that are being made, and what killed processes left of them.

A folder is deleted only where this program left its mark in it.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from dataset.errors import UserError
from dataset.files import PART, move_new, part_of, remove_empty, remove_file, write_whole

OWN_MARKER = ".made-by-unclip"  # in a folder that may be deleted with all that is in it
PART_NAME = re.compile(r"\..+\.[0-9]+\.part", re.DOTALL)  # as `part_of` names them


def remove_parts(folder: Path, name: str = "", alive: bool = True) -> int:
    """Remove what killed processes were still writing in a folder; how many files.

    Only regular files called ``.NAME.NUMBER.part`` count, as `part_of` names them.

    Parameters
    ----------
    folder : Path
    name : str
        How NAME begins.
    alive : bool
        Whether those of processes that are alive stay. Where a lock is held that every writer
        holds, a process of that number is another one.
    """
    removed = 0
    for each in folder.iterdir():
        if not PART_NAME.fullmatch(each.name) or not each.name.startswith(f".{name}"):
            continue
        if each.is_file() and not each.is_symlink() and not (alive and _is_alive(each)):
            remove_file(each)
            removed += 1
    return removed


def is_being_written(path: Path) -> bool:
    """Whether another process that is alive is making this file aside, as `written_aside` does."""
    start, own = f".{path.name}.", part_of(path).name
    try:
        names = [each for each in os.listdir(path.parent) if each.startswith(start)]
    except OSError:  # no folder yet
        return False
    ours = (each for each in names if PART_NAME.fullmatch(each) and each != own)
    return any(_is_alive(path.with_name(each)) for each in ours)


def _is_alive(part: Path) -> bool:
    """Whether the process that writes it may still be at work."""
    number = part.name.removesuffix(PART).rpartition(".")[2]
    if int(number) == os.getpid() or os.name != "posix":
        return int(number) == os.getpid()
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def make_marked(folder: Path, note: str) -> None:
    """Make a new folder that `remove_marked` may delete; ``OSError`` where it exists.

    Parameters
    ----------
    folder : Path
    note : str
        What it is, for somebody who finds it.
    """
    folder.mkdir(parents=True)
    try:
        write_whole(folder / OWN_MARKER, f"{note}\n".encode())
    except BaseException:
        remove_empty(folder)
        raise


def remove_marked(folder: Path) -> None:
    """Delete a folder with all that is in it, if it is one that `make_marked` made.

    Links in it are removed, and what they lead to stays.

    Raises
    ------
    UserError
        It is a link or bears no mark; nothing was touched.
    OSError
        A part of it cannot be deleted.
    """
    if not os.path.lexists(folder):
        return
    mark = folder / OWN_MARKER
    if folder.is_symlink() or not folder.is_dir() or mark.is_symlink() or not mark.is_file():
        raise UserError(f"{folder} was not made by this program, and was left as it is.")
    # The mark goes last: what is interrupted can be taken up again.
    with os.scandir(folder) as entries:
        others = [each for each in entries if each.name != OWN_MARKER]
    for each in others:
        if each.is_dir(follow_symlinks=False):
            shutil.rmtree(each.path)
        else:
            os.unlink(each.path)
    os.unlink(mark)
    os.rmdir(folder)


def move_finished(folder: Path, target: Path) -> None:
    """Give a folder of `make_marked` its name, and take the mark off; errors as of `move_new`."""
    move_new(folder, target)
    os.unlink(target / OWN_MARKER)


def remove_part_folders(folder: Path) -> int:
    """Remove folders that killed processes were still filling; how many.

    Only those called as `part_of` names them that bear the mark of `make_marked` count, and none
    of a process that is alive.
    """
    removed = 0
    for each in folder.glob(f".*{PART}"):
        ours = PART_NAME.fullmatch(each.name) and each.is_dir() and not each.is_symlink()
        if ours and not _is_alive(each):
            with suppress(UserError, OSError):  # not ours to delete
                remove_parts(each, OWN_MARKER)
                remove_empty(each)  # killed before it had its mark
                remove_marked(each)
                removed += 1
    return removed
