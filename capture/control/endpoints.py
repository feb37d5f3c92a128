"""Endpoints: how clients reach the running recorders of this user.

A recorder writes its endpoint to a note in a folder that only this user can enter. Whether that
recorder still runs shows in its lock (`capture.locks`), not in the note.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import tempfile
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from capture.locks import is_recorder_running, recorder_lock
from dataset import gate
from dataset.errors import UserError
from dataset.files import remove_file, write_whole
from dataset.gate import Count, Text
from dataset.parts import remove_parts

MOST_NOTE = 64 << 10  # bytes of a note
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


@dataclass(frozen=True)
class Endpoint:
    """Where a running recorder can be reached."""

    out: Text  # its folder of sessions, absolute
    pid: Count
    socket: Text | None = None  # path of a Unix socket
    port: Port | None = None  # else a port of the loopback interface
    token: Text | None = None  # which clients of the port must send


def runtime_folder() -> Path:
    """This user's folder for notes and sockets; nobody else can enter it.

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


def endpoint_file(out: Path) -> Path:
    """The note of the recorder of a folder of sessions."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(out))).hexdigest()[:16]
    return runtime_folder() / f"{name}.json"


def write_endpoint(endpoint: Endpoint) -> Path:
    """Write the note of a recorder, readable by this user only."""
    path = endpoint_file(Path(endpoint.out))
    values: dict[str, Any] = asdict(endpoint)
    out = endpoint.out.encode(errors="replace").decode()
    if out != endpoint.out:  # a folder's name need not be UTF-8, but JSON is
        values.update(out=out, out_bytes=os.fsencode(endpoint.out).hex())
    with suppress(OSError):  # of a recorder that was killed; we hold the lock of its folder
        remove_parts(path.parent, f"{path.name}.", alive=False)
    write_whole(path, json.dumps(values).encode(), mode=0o600)
    return path


def read_endpoint(out: Path) -> Endpoint | None:
    """The note of the recorder of a folder; None if it is missing or makes no sense."""
    return _read(endpoint_file(out))


def lock_recordings(out: Path) -> AbstractContextManager[None]:
    """`recorder_lock` of a folder of sessions, whose error names the process that holds it."""
    endpoint = read_endpoint(out)
    return recorder_lock(out, endpoint.pid if endpoint else None)


def running_endpoints() -> list[Endpoint]:
    """All running recorders of this user; notes of dead ones are removed."""
    found = []
    for path in runtime_folder().glob("*.json"):
        endpoint = _read(path)
        if endpoint is not None and is_recorder_running(Path(endpoint.out)):
            found.append(endpoint)
            continue
        for stale in (path, path.with_suffix(".sock")):
            with suppress(OSError):  # no file, and so none of ours
                remove_file(stale)
    return sorted(found, key=lambda endpoint: endpoint.out)


def _read(path: Path) -> Endpoint | None:
    try:
        values = gate.read_json(path, dict[str, Any], MOST_NOTE)
        if "out_bytes" in values:
            values["out"] = os.fsdecode(bytes.fromhex(gate.to_typed(values["out_bytes"], str)))
        return gate.to_typed(values, Endpoint)
    except (OSError, ValueError):
        return None
