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
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from dataset import gate
from dataset.errors import UserError
from dataset.files import remove_file, write_whole
from dataset.gate import Count, Text
from dataset.locks import hold_lock, is_held
from dataset.parts import remove_parts

LOCK = ".recorder.lock"  # in the folder of sessions, and in a session
MOST_NOTE = 64 << 10  # bytes of a note
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


@dataclass(frozen=True)
class Place:
    """Where a running recorder can be reached."""

    out: Text  # its folder of sessions, absolute
    pid: Count
    socket: Text | None = None  # path of a Unix socket
    port: Port | None = None  # else a port of the loopback interface
    token: Text | None = None  # which the port's clients must show


def runtime_folder() -> Path:
    """A folder of this user for the notes and sockets; nobody else can enter it.

    Raises
    ------
    UserError
        It belongs to somebody else, is a link, or others can enter it.
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
    name = hashlib.sha256(os.fsencode(os.path.realpath(out))).hexdigest()[:16]
    return runtime_folder() / f"{name}.json"


@contextmanager
def only_recorder(out: Path) -> Iterator[None]:
    """Hold the lock of a folder of sessions, which is made; ``UserError`` where that cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make {out}: {error.strerror}.") from error
    place = read_place(out)
    who = f" (process {place.pid})" if place else ""
    busy = (
        f"Another recorder{who} is recording to {out}. Stop it with `cli capture stop "
        f"--out {out}`, or record to another folder with --out."
    )
    with hold_lock(out / LOCK, busy):
        yield


@contextmanager
def only_writer(session: Path) -> Iterator[None]:
    """Hold the lock of a session; ``UserError`` where a recorder or a repair is at work on it."""
    busy = (
        f"Somebody is at work on {session}: wait until it is done, or stop the recorder with "
        f"`cli capture stop --out {session.parent}`."
    )
    with hold_lock(session / LOCK, busy):
        yield


def is_recording(out: Path) -> bool:
    """Whether a recorder is at work on a folder of sessions."""
    return is_held(out / LOCK)


def write_place(place: Place) -> Path:
    """Leave the note on a recorder, readable by this user only."""
    path = place_file(Path(place.out))
    values: dict[str, Any] = asdict(place)
    out = place.out.encode(errors="replace").decode()
    if out != place.out:  # a folder's name need not be UTF-8, but JSON is
        values.update(out=out, out_bytes=os.fsencode(place.out).hex())
    with suppress(OSError):  # of a recorder that was killed; we hold the lock of its folder
        remove_parts(path.parent, f"{path.name}.", alive=False)
    write_whole(path, json.dumps(values).encode(), mode=0o600)
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
            continue
        for stale in (path, path.with_suffix(".sock")):
            with suppress(OSError):  # no file, and so none of ours
                remove_file(stale)
    return sorted(found, key=lambda place: place.out)


def _read(path: Path) -> Place | None:
    try:
        values = gate.read_json(path, dict[str, Any], MOST_NOTE)
        if "out_bytes" in values:
            values["out"] = os.fsdecode(bytes.fromhex(gate.to_typed(values["out_bytes"], str)))
        return gate.to_typed(values, Place)
    except (OSError, ValueError):
        return None
