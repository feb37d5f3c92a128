"""Makes a session that was cut off whole again: files and manifest say the same afterwards.

Nothing is thrown away: what does not fit is set aside in the session's ``damaged`` folder.
"""

from __future__ import annotations

import errno
import os
import queue
import re
import time
from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Any

from capture.commands import CommandQueue
from capture.locks import session_lock
from capture.recording.encoders import DAMAGED_FOLDER
from capture.recording.ledger import FrameCounts, count_lines, settle
from capture.recording.spool_to_png import SpoolToPng, is_own_file, refuse_linked_folders
from capture.signals import signals_into
from capture.status import while_heard
from dataset import gate
from dataset.errors import UserError
from dataset.files import move_aside, open_to_append, remove_file, written_aside
from dataset.parts import remove_parts
from dataset.paths import inside, regular_names
from dataset.pictures.hashing import phash, sha256
from dataset.pictures.images import Image, decode
from dataset.pictures.limits import TooLarge
from dataset.sessions.manifest import (
    FRAMES_FILE,
    SESSION_FILE,
    SHOTS,
    SPOOL,
    SPOOL_JOURNAL,
    Frame,
    ManifestWriter,
    cut_tail,
    read_lines,
    read_session,
    write_session,
)

ORPHAN = re.compile(r"([0-9]+)\.png")  # in frames/: as recorders name them
MOST = 2**53  # an index or a count that can be read again
MOST_NS = 2**62  # a time in nanoseconds
STOPPED = 130  # the exit code of a program ended by Ctrl-C


@dataclass(frozen=True)
class Repaired:
    """What was found and done."""

    session: Path
    frames: int  # in the manifest now
    developed: int = 0  # frames converted from the lossless video
    undeveloped: int = 0  # frames still to be converted: it was interrupted
    cut_lines: int = 0  # lines that a crash had cut off: removed
    partial_files: int = 0  # files that a crash had cut off: removed
    missing: tuple[str, ...] = ()  # in the manifest, but gone: their lines were set aside
    damaged: tuple[str, ...] = ()  # differ from what was written: set aside with their lines
    adopted: tuple[str, ...] = ()  # whole frames without a line: they got one
    problems: tuple[str, ...] = ()  # parts of the video that cannot be read

    def __str__(self) -> str:
        found = [
            (self.developed, "frames of the lossless video turned into PNG"),
            (self.undeveloped, "frames still to become PNG: run it again"),
            (self.cut_lines, "cut-off lines removed"),
            (self.partial_files, "cut-off files removed"),
            (len(self.missing), f"lines without their file set aside in {DAMAGED_FOLDER}"),
            (len(self.damaged), f"damaged files set aside in {DAMAGED_FOLDER}"),
            (len(self.adopted), "whole frames without a line added"),
        ]
        lines = [f"{count} {what}" for count, what in found if count] + list(self.problems)
        return "\n".join(
            [*(lines or ["nothing to repair"]), f"{self.frames} frames: {self.session}"]
        )


def repair_session(
    session: Path,
    disk_floor_bytes: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Repaired:
    """Reconcile the files and the manifest of a session. Ctrl-C leaves the rest for later.

    Parameters
    ----------
    session : Path
        Its folder; no recorder may be working on it.
    disk_floor_bytes : int
        The video is converted only while more than this is free.
    on_progress : callable
        Called with (done, total) frames checked or converted.

    Raises
    ------
    UserError
        It is no session, a recorder is working on it, or the disk is full.
    """
    if not (session / "frames").is_dir():
        raise UserError(
            f"{session} is no capture session: it has no folder `frames`. Name one session, such "
            "as captures/NAME."
        )
    _refuse_links(session)
    asked: CommandQueue = queue.SimpleQueue()
    with session_lock(session), signals_into(asked):
        try:
            return _Repair(session, while_heard(on_progress), lambda: not asked.empty()).run(
                disk_floor_bytes
            )
        except OSError as error:
            raise UserError(f"Cannot mend {session}: {error.strerror}.", 1) from error


def _refuse_links(session: Path) -> None:
    """``UserError``, before anything is written, if a part of the session is a link."""
    refuse_linked_folders(session)
    for name, what in ((FRAMES_FILE, "the manifest"), (SESSION_FILE, "the facts of the session")):
        gate.refuse_links(session / name, what)
        if os.path.lexists(session / name) and not gate.is_regular(session / name):
            raise UserError(f"{session / name}, {what}, is no regular file. Move it away.")
    gate.refuse_links(session / DAMAGED_FOLDER / FRAMES_FILE, "the lines that were set aside")


class _Repair:
    """One repair of one session, whose lock is held."""

    def __init__(
        self, session: Path, on_progress: Callable[[int, int], None], stop: Callable[[], bool]
    ) -> None:
        self._session, self._aside = session, session / DAMAGED_FOLDER
        self._on_progress, self._stop = on_progress, stop
        self._problems: list[str] = []

    def run(self, disk_floor_bytes: int) -> Repaired:
        session = self._session
        facts = _facts_of(session)  # before anything is changed: the file may be damaged
        if not (session / FRAMES_FILE).is_file():
            ManifestWriter(session).close()
        cut = _mend_tail(session, FRAMES_FILE)
        # Nobody else is working here, even if a process with the number in the name is running.
        partial = sum(remove_parts(each, alive=False) for each in _written_folders(session))
        partial += _remove_old_parts(session)
        before, left = sum(1 for _ in read_lines(session)), 0
        if (session / SPOOL).is_dir():
            if (session / SPOOL / SPOOL_JOURNAL).is_file():
                cut += _mend_tail(session / SPOOL, SPOOL_JOURNAL)
            left = self._convert_spool(disk_floor_bytes)
        frames = list(read_lines(session))
        whole, missing, damaged = self._sort_out(frames)
        adopted = [] if left else self._adopt(frames, whole)
        if missing or damaged:
            self._set_aside([*missing, *damaged], [frame.file for frame in damaged])
        if missing or damaged or adopted:
            whole = _merged(whole, adopted)
            _rewrite(session, whole)
        _finish(session, facts, whole)
        return Repaired(
            session,
            len(whole),
            len(frames) - before,
            left,
            cut,
            partial,
            tuple(frame.file for frame in missing),
            tuple(frame.file for frame in damaged),
            tuple(frame.file for frame in adopted),
            tuple(self._problems),
        )

    def _convert_spool(self, disk_floor_bytes: int) -> int:
        """Convert the lossless video; the number of frames left for later."""
        return SpoolToPng(
            self._session, disk_floor_bytes, self._on_progress, self._stop, self._problems.append
        ).run()

    def _sort_out(self, frames: list[Frame]) -> tuple[list[Frame], list[Frame], list[Frame]]:
        """Frames whose files are as written, whose files are gone, and whose files differ."""
        sorted_out: tuple[list[Frame], list[Frame], list[Frame]] = ([], [], [])
        names = regular_names(self._session / "frames", self._session)
        for done, frame in enumerate(frames, start=1):
            self._check_stop()
            sorted_out[self._state(frame, names)].append(frame)
            self._on_progress(done, len(frames))
        whole, missing, differing = sorted_out
        # A file of another line, or that no recorder wrote, is not moved.
        kept = {frame.file for frame in whole}
        damaged: list[Frame] = []
        for each in differing:
            ours = each.file not in kept and self._is_frame(each)
            (damaged if ours else missing).append(each)
        return whole, missing, damaged

    def _is_frame(self, frame: Frame) -> bool:
        path = self._session / frame.file
        return path.parent == self._session / "frames" and is_own_file(path)

    def _state(self, frame: Frame, names: set[str]) -> int:
        """0: the file is as written, 1: there is none, 2: it differs."""
        path = self._session / frame.file
        if not (path.name in names if frame.file == f"frames/{path.name}" else self._is_in(frame)):
            return 1
        try:
            data = gate.read_regular(path, gate.MOST_PICTURE)
        except OSError as error:
            if error.errno in (errno.EFBIG, errno.EIO):
                return 2
            raise UserError(f"Cannot read {path}: {error.strerror}.", 1) from error
        return 0 if frame.sha256 in (None, sha256(data)) else 2

    def _is_in(self, frame: Frame) -> bool:
        """Whether a file with a name that no recorder gives is in the session."""
        try:
            return gate.is_regular(inside(self._session, frame.file))
        except ValueError:  # a link leads out of it
            return False

    def _adopt(self, frames: list[Frame], whole: list[Frame]) -> list[Frame]:
        """Lines for whole frames that have none: a crash came between file and line.

        No file is renamed. A frame gets the number of its file, unless it is taken.
        """
        named = {frame.file for frame in frames}
        found = [
            path
            for path in sorted((self._session / "frames").iterdir())
            if f"frames/{path.name}" not in named
            and ORPHAN.fullmatch(path.name)
            and is_own_file(path)
        ]
        numbers = _numbers((int(path.stem) for path in found), {frame.index for frame in whole})
        adopted = []
        for path, number in zip(found, numbers, strict=True):
            self._check_stop()
            try:
                data = gate.read_regular(path, gate.MOST_PICTURE)
                image = decode(data, path)
            except OSError as error:
                self._problems.append(f"{path} was left as it is: {error.strerror}")
            except TooLarge as error:
                self._problems.append(f"{path} was left as it is: {error}")
            except UserError:
                move_aside(path, self._aside)
                self._problems.append(f"{path} is no whole picture: set aside in {DAMAGED_FOLDER}")
            else:
                adopted.append(_line_of(path, number, data, image, whole))
        return adopted

    def _set_aside(self, lines: list[Frame], files: list[str]) -> None:
        """Keep what is removed from the manifest: the lines, and the damaged files."""
        self._aside.mkdir(exist_ok=True)
        with open_to_append(self._aside / FRAMES_FILE) as file:
            file.writelines(frame.to_json().encode() + b"\n" for frame in lines)
        for name in sorted({*files}):
            move_aside(self._session / name, self._aside)

    def _check_stop(self) -> None:
        if self._stop():
            raise UserError("Stopped. Run the same command again.", STOPPED)


def _facts_of(session: Path) -> dict[str, Any]:
    """``session.json``; ``UserError`` if it could not be written again."""
    facts = read_session(session)
    try:
        gate.check_depth(facts)
    except ValueError as error:
        raise UserError(f"{session / SESSION_FILE}: {error}. Mend it, or remove it.") from error
    return facts


def _written_folders(session: Path) -> list[Path]:
    """The folders that a recorder writes files to."""
    shots = session / SHOTS
    return [session, session / "frames", *([shots] if shots.is_dir() else [])]


def _remove_old_parts(session: Path) -> int:
    """Remove what a recorder of an earlier version was writing when it was killed."""
    found = [session / f".{name}.part" for name in (SESSION_FILE, FRAMES_FILE)]
    found = [each for each in found if is_own_file(each)]
    for each in found:
        remove_file(each)
    return len(found)


def _mend_tail(folder: Path, name: str) -> int:
    """Complete the last line, or remove it if it was cut off; how many were removed."""
    try:
        (tail,) = deque(gate.lines_of(folder / name), maxlen=1) or [b"\n"]
        if not tail.endswith(b"\n"):
            Frame.from_json(tail, name)  # whole except for its end, as editors leave it
            with open_to_append(folder / name) as file:
                file.write(b"\n")
        return 0
    except ValueError:
        return int(cut_tail(folder, name) > 0)


def _numbers(wanted: Iterable[int], used: set[int]) -> list[int]:
    """An index for each frame: the wanted one if it is free, else a new one."""
    wishes, taken = list(wanted), set(used)
    taken.update(wish for wish in wishes if wish < MOST)
    last = max(taken, default=-1)
    others = (each for each in count(last + 1 if last < MOST // 2 else 0) if each not in taken)
    given: set[int] = set()
    numbers = []
    for wish in wishes:
        own = wish < MOST and wish not in used and wish not in given
        numbers.append(wish if own else next(others))
        given.add(numbers[-1])
    return numbers


def _line_of(path: Path, number: int, data: bytes, image: Image, whole: list[Frame]) -> Frame:
    """A line for a frame that lost its own, with label and light of the frame before it."""
    written_ns = _clamped(path.stat().st_mtime_ns, MOST_NS)
    at = bisect(whole, number, key=attrgetter("index"))
    before = whole[at - 1] if at else None
    near = before or (whole[0] if whole else None)
    return Frame(
        index=number,
        file=f"frames/{path.name}",
        width=image.shape[1],
        height=image.shape[0],
        wall_ns=written_ns,
        monotonic_ns=_clamped(near.monotonic_ns + written_ns - near.wall_ns, MOST_NS)
        if near
        else 0,
        label=before.label if before else None,
        light=before.light if before else None,
        sha256=sha256(data),
        phash=phash(image),
        extra={"adopted": True},
    )


def _merged(whole: list[Frame], adopted: list[Frame]) -> list[Frame]:
    """All frames in order, including the adopted ones."""
    return sorted([*whole, *adopted], key=attrgetter("index")) if adopted else whole


def _rewrite(session: Path, frames: list[Frame]) -> None:
    """Replace the manifest, whole or not at all."""
    with written_aside(session / FRAMES_FILE, sync=True) as file:
        file.writelines(frame.to_json().encode() + b"\n" for frame in frames)


def _finish(session: Path, facts: dict[str, Any], frames: list[Frame]) -> None:
    """Make ``session.json`` agree with the manifest, if no recorder did."""
    counts, said = count_lines(frames), facts.get("counts")
    if facts.get("state") == "recording":
        facts["reason"] = "cut off"
    elif said is not None:  # it ended: what it lost since then counts as missed
        try:
            counts = settle(gate.to_typed(said, FrameCounts), counts)
        except ValueError:  # not our format
            said = None
    kept = said if isinstance(said, dict) else {}
    mended = {name: _clamped(value, MOST) for name, value in counts.as_dict().items()}
    facts.setdefault("session", session.name)
    facts.update(counts={**kept, **mended}, state="ended")
    write_session(session, {**facts, "repaired": time.strftime("%Y-%m-%dT%H:%M:%S%z")})


def _clamped(value: int, most: int) -> int:
    """A number that can be read again, even if a file's time or a count makes no sense."""
    return max(-most, min(most, value))
