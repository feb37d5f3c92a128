"""Which recorders of this user are running, and where each can be reached.

A recorder holds a lock in its folder of sessions, which the system lets go of when the process
ends in whatever way: who can take the lock knows that all else lying there is stale. Beside it, in
a folder that only this user can enter, stands a note on how to reach it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from dataset.errors import UserError

LOCK = ".recorder.lock"  # in the folder of sessions, and in a session


@dataclass(frozen=True)
class Place:
    """Where a running recorder can be reached."""

    out: str  # its folder of sessions, absolute
    pid: int
    socket: str | None = None  # path of a Unix socket
    port: int | None = None  # else a port of the loopback interface
    token: str | None = None  # which the port's clients must show


def runtime_folder() -> Path:
    """A folder of this user for the notes and sockets; nobody else can enter it.

    Raises
    ------
    UserError
        It belongs to somebody else, or others can enter it.
    """
    folder = _runtime_path()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.lstat()
    except OSError as error:
        raise UserError(f"Cannot make {folder}: {error.strerror}.", 1) from error
    if hasattr(os, "getuid"):
        ours = about.st_uid == os.getuid() and stat.S_ISDIR(about.st_mode)
        if not ours or stat.S_IMODE(about.st_mode) & 0o077:
            raise UserError(
                f"{folder} must be a folder that only you can enter. Remove it, or set "
                "XDG_RUNTIME_DIR to another folder.",
                1,
            )
    return folder


def _runtime_path() -> Path:
    """Where sockets belong on this system. Short: a socket's path may have about 100 bytes."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or tempfile.gettempdir()) / "unclip"
    for folder in (os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}"):
        if folder and os.access(folder, os.W_OK):
            return Path(folder) / "unclip"
    return Path(tempfile.gettempdir()) / f"unclip-{os.getuid()}"


def place_file(out: Path) -> Path:
    """The note of the recorder of a folder of sessions."""
    name = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
    return runtime_folder() / f"{name}.json"


@contextmanager
def only_recorder(out: Path) -> Iterator[None]:
    """Hold the lock of a folder of sessions; ``UserError`` where another recorder has it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _held(out / LOCK):
            yield
    except Timeout:
        place = read_place(out)
        who = f" (process {place.pid})" if place else ""
        raise UserError(
            f"Another recorder{who} is recording to {out}. Stop it with `cli capture stop "
            f"--out {out}`, or record to another folder with --out."
        ) from None


@contextmanager
def only_writer(session: Path) -> Iterator[None]:
    """Hold the lock of a session; ``UserError`` where a recorder or a repair is at work on it."""
    try:
        with _held(session / LOCK):
            yield
    except Timeout:
        raise UserError(
            f"Somebody is at work on {session}: wait until it is done, or stop the recorder with "
            f"`cli capture stop --out {session.parent}`.",
            1,
        ) from None


@contextmanager
def _held(path: Path) -> Iterator[None]:
    lock = FileLock(path, timeout=0.5)  # somebody may just be asking who is at work
    try:
        lock.acquire()
    except Timeout:
        raise  # an OSError, too
    except OSError as error:
        raise UserError(f"Cannot write in {path.parent}: {error.strerror}.", 1) from error
    try:
        yield
    finally:
        lock.release()


def is_recording(out: Path) -> bool:
    """Whether a recorder is at work on a folder of sessions."""
    if not (out / LOCK).exists():
        return False
    try:
        with FileLock(out / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # not ours to open
        return False


def write_place(place: Place) -> Path:
    """Leave the note on a recorder, readable by this user only."""
    path = place_file(Path(place.out))
    aside = path.with_suffix(f".{os.getpid()}.part")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(place), file)
    os.replace(aside, path)
    return path


def read_place(out: Path) -> Place | None:
    """The note on the recorder of a folder; None where there is none, or it makes no sense."""
    return _read(place_file(out))


def running_places() -> list[Place]:
    """All recorders of this user that are at work; notes of dead ones are cleared away."""
    found = []
    for path in runtime_folder().glob("*.json"):
        place = _read(path)
        if place is not None and is_recording(Path(place.out)):
            found.append(place)
        else:
            path.unlink(missing_ok=True)
            path.with_suffix(".sock").unlink(missing_ok=True)
    return sorted(found, key=lambda place: place.out)


def _read(path: Path) -> Place | None:
    try:
        return Place(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
