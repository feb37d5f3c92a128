"""Locks: one recorder at a time on a folder of sessions, one writer at a time on a session.

The system releases a lock when its process ends, however it ends: who can take the lock knows that
everything else found there is stale.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset.errors import UserError
from dataset.locks import hold_lock, is_held

RECORDER_LOCK = ".recorder.lock"  # in the folder of sessions, and in a session


@contextmanager
def recorder_lock(out: Path, holder: int | None = None) -> Iterator[None]:
    """Hold the lock of a folder of sessions, which is created if it is missing.

    Parameters
    ----------
    out : Path
    holder : int or None
        The process of the recorder that may hold it, for the error.

    Raises
    ------
    UserError
        Another recorder holds it, or the folder cannot be created.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make {out}: {error.strerror}.") from error
    who = f" (process {holder})" if holder else ""
    busy = (
        f"Another recorder{who} is recording to {out}. Stop it with `cli capture stop "
        f"--out {out}`, or record to another folder with --out."
    )
    with hold_lock(out / RECORDER_LOCK, busy):
        yield


@contextmanager
def session_lock(session: Path) -> Iterator[None]:
    """Hold the lock of a session; ``UserError`` while a recorder or a repair is working on it."""
    busy = (
        f"Somebody is at work on {session}: wait until it is done, or stop the recorder with "
        f"`cli capture stop --out {session.parent}`."
    )
    with hold_lock(session / RECORDER_LOCK, busy):
        yield


def is_recorder_running(out: Path) -> bool:
    """Whether a recorder is working on a folder of sessions."""
    return is_held(out / RECORDER_LOCK)
