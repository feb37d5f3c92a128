"""Makes a session that was cut off whole again: files and manifest say the same afterwards.

Nothing is thrown away: what does not fit is set aside in the session's ``damaged`` folder.
"""

from __future__ import annotations

import os
import queue
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from capture.commands import Commands
from capture.develop import DAMAGED, Development
from capture.encoders import frame_file
from capture.ledger import Counts, count_lines, settle
from capture.places import only_writer
from capture.signals import signals_into
from dataset.errors import UserError
from dataset.hashing import phash, sha256
from dataset.images import Image, decode
from dataset.manifest import (
    FRAMES_FILE,
    JOURNAL,
    SPOOL,
    Frame,
    ManifestWriter,
    cut_tail,
    read_lines,
    read_session,
    write_session,
)

PARTIAL = re.compile(r"\..*\.part$")  # a file that was being written


@dataclass(frozen=True)
class Repaired:
    """What was found, and done."""

    session: Path
    frames: int  # in the manifest now
    developed: int = 0  # frames of a lossless video that became PNG
    undeveloped: int = 0  # that are still to become PNG, because it was interrupted
    cut_lines: int = 0  # lines that a crash had cut off
    partial_files: int = 0  # files that a crash had cut off, removed
    missing: tuple[str, ...] = ()  # named in the manifest, but gone: their lines were set aside
    damaged: tuple[str, ...] = ()  # not as they were written: set aside with their lines
    adopted: tuple[str, ...] = ()  # whole frames without a line: they got one
    problems: tuple[str, ...] = ()  # parts of the video that cannot be read

    def __str__(self) -> str:
        found = [
            (self.developed, "frames of the lossless video turned into PNG"),
            (self.undeveloped, "frames still to become PNG: run it again"),
            (self.cut_lines, "cut-off lines removed"),
            (self.partial_files, "cut-off files removed"),
            (len(self.missing), f"lines without their file set aside in {DAMAGED}"),
            (len(self.damaged), f"damaged files set aside in {DAMAGED}"),
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
        Its folder; no recorder may be at work on it.
    disk_floor_bytes : int
        A lossless video becomes PNG only as long as more than this is free.
    on_progress : callable
        Called with (done, total) frames that were looked at or turned into PNG.

    Raises
    ------
    UserError
        It is no session, a recorder is at work on it, or its disk is full.
    """
    if not (session / "frames").is_dir():
        raise UserError(
            f"{session} is no capture session: it has no folder `frames`. Name one session, such "
            "as captures/NAME."
        )
    with only_writer(session):
        return _repair(session, disk_floor_bytes, on_progress)


def _repair(
    session: Path, disk_floor_bytes: int, on_progress: Callable[[int, int], None]
) -> Repaired:
    if not (session / FRAMES_FILE).is_file():
        ManifestWriter(session).close()
    cut = int(cut_tail(session) > 0)
    partial = _remove_partial(session)
    problems: list[str] = []
    before, left = sum(1 for _ in read_lines(session)), 0
    if (session / SPOOL).is_dir():
        if (session / SPOOL / JOURNAL).is_file():
            cut += int(cut_tail(session / SPOOL, JOURNAL) > 0)
        asked: Commands = queue.SimpleQueue()
        with signals_into(asked):
            left = Development(
                session, disk_floor_bytes, on_progress, lambda: not asked.empty(), problems.append
            ).run()
    frames = list(read_lines(session))
    developed = len(frames) - before
    whole, missing, damaged = _sort_out(session, frames, on_progress)
    if missing or damaged:
        _set_aside(session, frames, missing, damaged)
    adopted = [] if left else _adopt(session, whole)
    if missing or damaged or adopted:
        _rewrite(session, whole + adopted)
    _finish(session, whole + adopted)
    return Repaired(
        session,
        len(whole + adopted),
        developed,
        left,
        cut,
        partial,
        tuple(missing),
        tuple(damaged),
        tuple(each.file for each in adopted),
        tuple(problems),
    )


def _remove_partial(session: Path) -> int:
    found = [each for folder in (session, session / "frames") for each in folder.iterdir()]
    found = [each for each in found if PARTIAL.fullmatch(each.name)]
    for each in found:
        each.unlink()
    return len(found)


def _sort_out(
    session: Path, frames: list[Frame], on_progress: Callable[[int, int], None]
) -> tuple[list[Frame], list[str], list[str]]:
    """Frames whose files are as they were written; files that are gone, and that differ."""
    whole: list[Frame] = []
    missing: list[str] = []
    damaged: list[str] = []
    for done, frame in enumerate(frames, start=1):
        try:
            data = (session / frame.file).read_bytes()
        except OSError:
            missing.append(frame.file)
        else:
            if frame.sha256 in (None, sha256(data)):
                whole.append(frame)
            else:
                damaged.append(frame.file)
        on_progress(done, len(frames))
    return whole, missing, damaged


def _adopt(session: Path, frames: list[Frame]) -> list[Frame]:
    """Lines for whole frames that have none: renamed into place, but not yet entered."""
    named = {frame.file for frame in frames}
    found = sorted((session / "frames").glob("*.png"))
    next_index = max((frame.index for frame in frames), default=-1) + 1
    adopted: list[Frame] = []
    for path in found:
        if f"frames/{path.name}" in named or not path.stem.isdecimal():
            continue
        data = path.read_bytes()
        try:
            image = decode(data, path)
        except UserError:
            os.replace(path, _aside(session) / path.name)
            continue
        index = next_index + len(adopted)
        os.replace(path, session / frame_file(index))
        adopted.append(_line_of(session, index, data, image, frames[-1] if frames else None))
    return adopted


def _line_of(session: Path, index: int, data: bytes, image: Image, newest: Frame | None) -> Frame:
    """A line for a frame whose own was lost: label and light as of the newest, times of writing."""
    written_ns = (session / frame_file(index)).stat().st_mtime_ns
    return Frame(
        index=index,
        file=frame_file(index),
        width=image.shape[1],
        height=image.shape[0],
        wall_ns=written_ns,
        monotonic_ns=newest.monotonic_ns + written_ns - newest.wall_ns if newest else 0,
        label=newest.label if newest else None,
        light=newest.light if newest else None,
        sha256=sha256(data),
        phash=phash(image),
        extra={"adopted": True},
    )


def _set_aside(session: Path, frames: list[Frame], missing: list[str], damaged: list[str]) -> None:
    """Keep what leaves the manifest: its lines, and the damaged files."""
    gone = {*missing, *damaged}
    with open(_aside(session) / FRAMES_FILE, "ab") as file:
        for frame in frames:
            if frame.file in gone:
                file.write(frame.to_json().encode() + b"\n")
    for name in damaged:
        os.replace(session / name, _aside(session) / Path(name).name)


def _rewrite(session: Path, frames: list[Frame]) -> None:
    """Put a new manifest in the place of the old one, whole or not at all."""
    aside = session / f".{FRAMES_FILE}.part"
    aside.unlink(missing_ok=True)
    with ManifestWriter(session, aside.name) as manifest:
        for frame in frames:
            manifest.append(frame)
    os.replace(aside, session / FRAMES_FILE)


def _finish(session: Path, frames: list[Frame]) -> None:
    """Let ``session.json`` say what the manifest says, where no recorder did."""
    facts = read_session(session)
    counts = count_lines(frames)
    if facts.get("state") == "recording":
        facts["reason"] = "cut off"
    elif "counts" in facts:  # of a recording that ended: what it lost since then is missed
        names = {field.name for field in fields(Counts)}
        asked = {key: each for key, each in facts["counts"].items() if key in names}
        counts = settle(Counts(**asked), counts)
    facts.setdefault("session", session.name)
    facts.update(counts={**facts.get("counts", {}), **counts.as_dict()}, state="ended")
    write_session(session, {**facts, "repaired": time.strftime("%Y-%m-%dT%H:%M:%S%z")})


def _aside(session: Path) -> Path:
    folder = session / DAMAGED
    folder.mkdir(exist_ok=True)
    return folder
