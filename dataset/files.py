"""Writing, moving and deleting files: one way for each, used everywhere.

A file appears under its name only when it is complete. Nothing is written or deleted through a
link, and no file replaces one that it was not meant to replace. Where Windows refuses because
another program has a file open, each way waits a moment for that program. `parts` deletes whole
folders, `locks` has the locks.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

from dataset.errors import UserError
from dataset.gate import refuse_links

PART = ".part"  # suffix of files and folders that are not complete yet
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
CLOSED = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
NOREPLACE, EXCLUSIVE, HERE = 1, 4, -100  # renameat2(2), renamex_np(2), AT_FDCWD
# Of Windows, for a file that another program has open: access denied, sharing and lock violation.
HELD = frozenset({5, 32, 33})
LINGERS = 145  # of Windows: the folder is not empty, because a deleted file in it is still open
HELD_S, HELD_CHECK_S = 1.0, 0.02  # how long such a file is waited for, and how often
FOLDER_HELD_S = 10.0  # and a folder, in which every file may be held for a moment

_T = TypeVar("_T")


class Held(UserError):
    """A file could not be written because another program has it open."""


def is_held(error: OSError) -> bool:
    """Whether another program may have the file open; Windows only.

    Windows says the same of a file that this user may not write.
    """
    code = getattr(error, "winerror", None)
    if code is None:  # from `open`, which knows the error of C only
        return sys.platform == "win32" and error.errno == errno.EACCES
    return code in HELD


def patiently(
    act: Callable[..., _T], *arguments: Any, wait_s: float = HELD_S, lingers: bool = False
) -> _T:
    """Call ``act``; on Windows again and again while a file is held.

    Virus scanners and indexers open each new file for a moment.

    Parameters
    ----------
    act : callable
        Changes nothing if it fails, or can go on where it failed.
    *arguments
        Of ``act``.
    wait_s : float
        How long.
    lingers : bool
        Whether to wait for deleted files that are still open in a folder, too.

    Raises
    ------
    OSError
        Of ``act``; its ``strerror`` says what to do if the file is held.
    """
    end = time.monotonic() + wait_s
    while True:
        try:
            return act(*arguments)
        except OSError as error:
            pending = lingers and getattr(error, "winerror", None) == LINGERS
            if not (pending or is_held(error)):
                raise
            if time.monotonic() >= end:
                error.strerror = _remedy(error)
                raise
        time.sleep(HELD_CHECK_S)


def part_of(path: Path) -> Path:
    """The hidden temporary path, in the same folder, at which a file or folder is made."""
    return path.with_name(f".{path.name}.{os.getpid()}{PART}")


def _remedy(error: OSError) -> str:
    """What is wrong with a held file, and what to do."""
    names = [os.fsdecode(each) for each in (error.filename2, error.filename) if each]
    name = next((each for each in names if os.path.lexists(each)), "a file")
    return (
        f"access to {os.path.basename(name)} was denied ({error.strerror}); a player, an editor, a "
        "virus scanner or a backup may have it open. Close that, and try again"
    )


@contextmanager
def written_aside(
    path: str | Path, replaces: bool = True, sync: bool = False, mode: int = 0o666
) -> Iterator[BinaryIO]:
    """A temporary file that gets its name on success and is removed on failure.

    Parameters
    ----------
    path : str or Path
        A link here is replaced; what it leads to is not touched.
    replaces : bool
        Whether an existing file is replaced; otherwise ``FileExistsError``.
    sync : bool
        Whether to flush it to disk before renaming, so that it survives a power loss.
    mode : int
        Permission bits before the umask; 0o600: this user only.

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
        patiently(os.unlink, part)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_LINK | CLOSED
        with open(patiently(os.open, part, flags, mode), "w+b") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        if replaces:
            patiently(os.replace, part, path)
        else:
            move_new(part, path)
        if sync:
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            patiently(os.unlink, part)
        raise


def write_whole(
    path: str | Path,
    data: bytes,
    replaces: bool = True,
    sync: bool = False,
    mode: int = 0o666,
) -> None:
    """Write a file atomically: a reader sees all of it or none.

    Raises
    ------
    UserError
        The disk is full or cannot be written, or ``replaces`` is off and the file exists; `Held`:
        another program has it open.
    """
    try:
        with written_aside(path, replaces, sync, mode) as file:
            file.write(data)
    except FileExistsError as error:
        raise UserError(f"{path} exists. Move it away, or choose another name.") from error
    except OSError as error:
        kind = Held if is_held(error) else UserError
        raise kind(f"Cannot write {path}: {error.strerror}.", 1) from error


@contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """Turn any ``OSError`` into a ``UserError`` that names the folder."""
    try:
        yield
    except OSError as error:
        kind = Held if is_held(error) else UserError
        raise kind(f"Cannot write in {folder}: {error.strerror or error}.", 1) from error


def open_to_append(
    path: str | Path,
    new: bool = False,
    raw: bool = False,
    text: bool = False,
    movable: bool = False,
) -> IO[Any]:
    """Open a file for appending and reading.

    Parameters
    ----------
    path : str or Path
    new : bool
        Whether it must not exist yet.
    raw : bool
        Unbuffered: each write is one system call. Those of two processes need a lock: not every
        system appends in one step.
    text : bool
        UTF-8 text with untranslated line ends, instead of bytes.
    movable : bool
        Whether it may be renamed meanwhile, also on Windows; it is not read there.

    Raises
    ------
    OSError
        It is a link (ELOOP) or no regular file; ``FileExistsError`` where it must be new.
    """
    path = Path(path)
    if path.is_symlink():
        raise OSError(errno.ELOOP, "it is a link to another place", str(path))
    number = patiently(_open_shared if movable else _open, path, new)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if text:
            return open(number, "a+", encoding="utf-8", newline="")
        return open(number, "a+b", buffering=0) if raw else open(number, "a+b")
    except BaseException:
        os.close(number)
        raise


def _open(path: Path, new: bool) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | NO_LINK | CLOSED | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags | (os.O_EXCL if new else 0), 0o666)


def _open_shared(path: Path, new: bool) -> int:
    if sys.platform != "win32":  # where any open file may be renamed
        return _open(path, new)
    from dataset import shared_win32

    return shared_win32.open_to_append(path, new)


class WholeLines:
    """Appends lines whole or not at all, for a single writer. Not thread-safe.

    What a full disk left of a line is cut off at once, or before the next line.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError
        As for `open_to_append`.
    """

    def __init__(self, path: Path) -> None:
        self._file = open_to_append(path, raw=True)
        self._size = os.fstat(self._file.fileno()).st_size

    def append(self, lines: bytes) -> None:
        """Write all of it; after an ``OSError`` none of it remains."""
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
        """Flush to disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _cut(self) -> None:
        if os.fstat(self._file.fileno()).st_size > self._size:
            self._file.truncate(self._size)


def ends_with_line(path: str | Path) -> bool:
    """Whether a file ends with a complete line; an empty file does."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        return file.read() in (b"", b"\n")


def cut_file(path: str | Path, size: int) -> None:
    """Truncate a regular file to ``size`` bytes; ``OSError`` for a link."""
    with open_to_append(path) as file:
        file.truncate(size)


def move_over(source: Path, target: Path, wait_s: float = HELD_S) -> None:
    """Rename a file of ours, replacing an older one of ours; ``OSError``.

    Parameters
    ----------
    source, target : Path
    wait_s : float
        How long to wait for a program that has one of them open.
    """
    patiently(os.replace, source, target, wait_s=wait_s)


def move_new(source: Path, target: Path, wait_s: float = HELD_S) -> None:
    """Rename a file or folder without ever replacing anything.

    Parameters
    ----------
    source, target : Path
    wait_s : float
        How long to wait for a program that has it, or a file in it, open.

    Raises
    ------
    FileExistsError
        The target exists; the source stays where it is.
    OSError
    """
    if sys.platform == "win32":
        patiently(os.rename, source, target, wait_s=wait_s)  # refuses by itself
        return
    if _rename_exclusively(source, target):
        return
    if os.path.lexists(target):  # a file system that cannot do it at once
        raise FileExistsError(
            errno.EEXIST, os.strerror(errno.EEXIST), str(source), None, str(target)
        )
    patiently(os.rename, source, target, wait_s=wait_s)


def _rename_exclusively(source: Path, target: Path) -> bool:
    """Rename by the system's no-replace call; False where it has none. ``OSError``."""
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
    """Move a file into a folder, numbered if its name is taken; returns its new path."""
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
    """Remove a file of ours, or a link in its place, if it exists. ``OSError``."""
    with suppress(FileNotFoundError):
        patiently(os.unlink, path)


def remove_empty(folder: Path) -> None:
    """Remove a folder if it is empty."""
    with suppress(OSError):  # missing, a link, or holds something
        patiently(os.rmdir, folder)


def sync_folder(folder: Path) -> None:
    """Flush renames to disk, so that they survive a power loss. No-op on Windows."""
    if os.name == "posix":
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
