"""A session that is made in one go but may be stopped: its folder until it is whole.

A hidden folder beside the session to be: manifest and frames as they will be, and how they are
made. A process may be killed at any moment; every line of the manifest points to a whole file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset import gate, parts
from dataset.errors import UserError
from dataset.files import remove_file, write_whole
from dataset.locks import hold_lock
from dataset.sessions.manifest import (
    FRAMES_FILE,
    Frame,
    ManifestWriter,
    cut_tail,
    files_exist,
    read_lines,
    write_session,
)

SUFFIX = ".unfinished"
KEY = "made_by.json"
LOCK = ".expose.lock"  # in the folder of sessions
NOTE = "A session that is being made. The same command with --resume goes on; it may be deleted."


@dataclass
class UnfinishedSession:
    """The groups of frames that are done, ``size`` frames each."""

    folder: Path
    size: int
    frames: list[Frame]

    def add(self, group: Sequence[Frame]) -> None:
        """Note frames whose files are there."""
        with ManifestWriter(self.folder, resume=True) as manifest:
            for each in group:
                manifest.append(each)
        self.frames += group

    @property
    def groups(self) -> int:
        """How many groups are done."""
        return len(self.frames) // self.size


def folder_of(target: Path) -> Path:
    """Where a session is until it is whole."""
    return target.with_name(f".{target.name}{SUFFIX}")


@contextmanager
def unfinished_session(
    target: Path, way: dict[str, Any], size: int, resume: bool
) -> Iterator[UnfinishedSession]:
    """The frames that are done, while the others are made; kept if the block fails.

    Parameters
    ----------
    target : Path
        The session's folder.
    way : dict
        How frames are made, as JSON has it; of another way, nothing is gone on with.
    size : int
        Frames of a group; of half a group, nothing is.
    resume : bool
        Whether to go on with what is there.

    Raises
    ------
    UserError
        The session exists; something is there and going on was not asked for, or it was made in
        another way; another process is at it; the folder cannot be written.
    """
    if os.path.lexists(target):
        raise _exists(target)
    folder = folder_of(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        busy = f"Another process makes a session in {target.parent}. Wait for it."
        with hold_lock(target.parent / LOCK, busy):
            yield from _held(folder, target, way, size, resume)
    except FileExistsError as error:
        raise _exists(target) from error
    except OSError as error:
        raise UserError(f"Cannot write {target}: {error.strerror}.", 1) from error


def _exists(target: Path) -> UserError:
    return UserError(f"{target} exists already. Choose another --session, or remove it first.")


def _held(
    folder: Path, target: Path, way: dict[str, Any], size: int, resume: bool
) -> Iterator[UnfinishedSession]:
    kept = UnfinishedSession(folder, size, _begin(folder, target, way, size, resume))
    try:
        yield kept
    except BaseException:
        if not kept.frames:
            parts.remove_marked(folder)
        raise
    if not kept.frames:
        parts.remove_marked(folder)


def finish(kept: UnfinishedSession, target: Path, facts: dict[str, Any]) -> None:
    """Give the session its name; all its frames are done."""
    write_session(kept.folder, facts)
    remove_file(kept.folder / KEY)
    parts.move_finished(kept.folder, target)


def _begin(folder: Path, target: Path, way: dict[str, Any], size: int, resume: bool) -> list[Frame]:
    """Make the folder, or find it: the frames of whole groups."""
    if not os.path.lexists(folder):
        parts.make_marked(folder, NOTE)
    if gate.is_link(folder) or not gate.is_regular(folder / parts.OWN_MARKER):
        raise UserError(f"{folder} was not made by this program. Move it away.")
    done = _done(folder, size)
    if done and not resume:
        raise UserError(
            f"{target} was stopped after {len(done) // size} shots. Go on with --resume, or remove "
            f"{folder} to start over."
        )
    if done and _key(folder) != gate.parse_json(json.dumps(way)):
        raise UserError(
            f"{target} was stopped, and the options changed since. Go on with those of before, or "
            f"remove {folder} to start over."
        )
    gate.refuse_links(folder / "frames", "the folder of its frames")
    (folder / "frames").mkdir(exist_ok=True)
    write_whole(folder / KEY, json.dumps(way).encode())
    lines = "".join(f"{each.to_json()}\n" for each in done)
    if gate.is_regular(folder / FRAMES_FILE):
        write_whole(folder / FRAMES_FILE, lines.encode(errors="replace"))
    return done


def _done(folder: Path, size: int) -> list[Frame]:
    if not gate.is_regular(folder / FRAMES_FILE):
        return []
    cut_tail(folder)
    lines = list(read_lines(folder))
    there = files_exist(folder, [each.file for each in lines])
    whole = there.index(False) if False in there else len(there)
    return lines[: whole // size * size]


def _key(folder: Path) -> Any:
    try:
        return gate.read_json(folder / KEY)
    except (OSError, ValueError):
        return None
