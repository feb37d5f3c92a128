"""Writing, moving and deleting files: one way for each, used by everything.

A file's name only ever stands for the whole of it. Nothing is written or deleted through a link,
and nothing takes the place of a file that it was not meant for. Whole folders are deleted by
``parts``, locks are in ``locks``. What the files hold is not known here.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from dataset.errors import UserError
from dataset.gate import refuse_links

PART = ".part"  # the last suffix of files and folders that are not whole yet
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
CLOSED = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
NOREPLACE, EXCLUSIVE, HERE = 1, 4, -100  # renameat2(2), renamex_np(2), AT_FDCWD


def part_of(path: Path) -> Path:
    """Where a file or folder is made before it takes its name: beside it, hidden."""
    return path.with_name(f".{path.name}.{os.getpid()}{PART}")


@contextmanager
def written_aside(
    path: str | Path, replaces: bool = True, sync: bool = False, mode: int = 0o666
) -> Iterator[BinaryIO]:
    """A file that takes its name when it is whole, and leaves nothing behind when it is not.

    Parameters
    ----------
    path : str or Path
        Where a link stands, the link is replaced, not what it leads to.
    replaces : bool
        Whether it takes the place of a file that is there; else ``FileExistsError``.
    sync : bool
        Whether it is on the disk, so that it outlasts a loss of power, before it has its name.
    mode : int
        Who may read and write it, less what the umask takes away; 0o600: this user alone.

    Yields
    ------
    binary file
        Open for writing and reading.

    Raises
    ------
    OSError
    """
    path = Path(path)
    part = part_of(path)
    with suppress(FileNotFoundError):  # of a process of this number that was killed
        os.unlink(part)
    try:
        with open(
            os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_LINK | CLOSED, mode), "w+b"
        ) as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        if replaces:
            os.replace(part, path)
        else:
            move_new(part, path)
        if sync:
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise


def write_whole(
    path: str | Path,
    data: bytes,
    replaces: bool = True,
    sync: bool = False,
    mode: int = 0o666,
) -> None:
    """Write a file so that its name only ever stands for the whole of it.

    Raises
    ------
    UserError
        The disk is full or cannot be written, or ``replaces`` is off and the file exists.
    """
    try:
        with written_aside(path, replaces, sync, mode) as file:
            file.write(data)
    except FileExistsError as error:
        raise UserError(f"{path} exists. Move it away, or choose another name.") from error
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.", 1) from error


@contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """Say in words what cannot be written in a folder: ``UserError`` for any ``OSError``."""
    try:
        yield
    except OSError as error:
        raise UserError(f"Cannot write in {folder}: {error.strerror or error}.", 1) from error


def open_to_append(
    path: str | Path, new: bool = False, raw: bool = False, text: bool = False
) -> IO[Any]:
    """Open a file for appending and reading.

    Parameters
    ----------
    path : str or Path
    new : bool
        Whether it must not be there yet.
    raw : bool
        Whether each write goes to the operating system by itself, and so stays in one piece where
        others append to the file too.
    text : bool
        UTF-8 with line ends as they are given, instead of bytes.

    Raises
    ------
    OSError
        It is a link (ELOOP) or no regular file; ``FileExistsError`` where it must be new.
    """
    path = Path(path)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | NO_LINK | CLOSED | getattr(os, "O_NONBLOCK", 0)
    if path.is_symlink():
        raise OSError(errno.ELOOP, "it is a link to another place", str(path))
    number = os.open(path, flags | (os.O_EXCL if new else 0), 0o666)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if text:
            return open(number, "a+", encoding="utf-8", newline="")
        return open(number, "a+b", buffering=0) if raw else open(number, "a+b")
    except BaseException:
        os.close(number)
        raise


class WholeLines:
    """A file of lines that are appended whole or not at all, by one writer. Not thread-safe.

    What a full disk took of a line is cut off again, at once or before the next line.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError
        As of `open_to_append`.
    """

    def __init__(self, path: Path) -> None:
        self._file = open_to_append(path, raw=True)
        self._size = os.fstat(self._file.fileno()).st_size

    def append(self, lines: bytes) -> None:
        """Hand all of it to the operating system; after an ``OSError`` nothing of it is there."""
        self._cut()
        try:
            left = memoryview(lines)
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError:
            with suppress(OSError):
                self._cut()
            raise
        self._size += len(lines)

    def sync(self) -> None:
        """Bring it to the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _cut(self) -> None:
        if os.fstat(self._file.fileno()).st_size > self._size:
            self._file.truncate(self._size)


def ends_with_line(path: str | Path) -> bool:
    """Whether the last byte of a file is a line's end; an empty file has nothing cut off."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        return file.read() in (b"", b"\n")


def cut_file(path: str | Path, size: int) -> None:
    """Shorten a file to so many bytes, if it is a regular file and no link; else ``OSError``."""
    with open_to_append(path) as file:
        file.truncate(size)


def move_over(source: Path, target: Path) -> None:
    """Give a file of ours its name, in place of an older one of ours; ``OSError``."""
    os.replace(source, target)


def move_new(source: Path, target: Path) -> None:
    """Rename a file or folder, but never onto something that is there.

    Raises
    ------
    FileExistsError
        The target exists; the source stays where it is.
    OSError
    """
    if sys.platform == "win32":
        os.rename(source, target)  # refuses by itself
        return
    if _rename_exclusively(source, target):
        return
    if os.path.lexists(target):  # a file system that cannot do it at once
        raise FileExistsError(
            errno.EEXIST, os.strerror(errno.EEXIST), str(source), None, str(target)
        )
    os.rename(source, target)


def _rename_exclusively(source: Path, target: Path) -> bool:
    """Whether the system could; `FileExistsError` and the like where it could and refused."""
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(source), os.fsencode(target)
    if sys.platform == "darwin":
        failed = library.renamex_np(*names, EXCLUSIVE)
    elif hasattr(library, "renameat2"):
        failed = library.renameat2(HERE, names[0], HERE, names[1], NOREPLACE)
    else:
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(source), None, str(target))


def move_aside(source: Path, folder: Path, name: str | None = None) -> Path:
    """Put a file into a folder under its name, with a number where that is taken; its new place."""
    folder.mkdir(exist_ok=True)
    refuse_links(folder, "where damaged files are set aside")
    stem, suffix = Path(name or source.name).stem, Path(name or source.name).suffix
    number = 1
    while True:
        target = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
        try:
            move_new(source, target)
            return target
        except FileExistsError:
            number += 1


def remove_file(path: Path) -> None:
    """Remove a file of ours, or a link in its place; nothing where it is gone. ``OSError``."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def remove_empty(folder: Path) -> None:
    """Remove a folder if nothing is in it."""
    with suppress(OSError):  # missing, a link, or holds something
        os.rmdir(folder)


def sync_folder(folder: Path) -> None:
    """Bring renamings to the disk, so that they outlast a loss of power. Nothing on Windows."""
    if os.name == "posix":
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
