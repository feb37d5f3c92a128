"""Converts the lossless video of a session to PNG files and lines of its manifest.

It may be interrupted anywhere and called again: frames in the manifest are not converted twice, and
a segment is deleted once all its frames are in the manifest. Anything else in the spool is set
aside.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from capture.recording.encoders import DAMAGED_FOLDER, Encoders
from capture.recording.spool import SEGMENT_NAME, Damaged, journal_of, packet_of, read_segment
from capture.recording.workers import GrabbedFrame
from dataset.errors import UserError
from dataset.files import move_aside, remove_empty, remove_file
from dataset.gate import plain, refuse_links
from dataset.sessions.manifest import (
    SHOTS,
    SPOOL,
    SPOOL_JOURNAL,
    Frame,
    cut_tail,
    read_lines,
)

WAITING = 4  # decoded frames that may wait for an encoder


@dataclass
class SpoolToPng:
    """One conversion of a session that nobody is recording into."""

    session: Path
    disk_floor_bytes: int = 0  # stop before less than this is free
    on_progress: Callable[[int, int], None] = lambda done, total: None
    stop: Callable[[], bool] = lambda: False  # whether to leave the rest for later
    on_damage: Callable[[str], None] | None = None  # called with what is lost; None: raise instead

    def run(self) -> int:
        """Convert everything; the number of frames that ``stop`` left in the spool.

        Raises
        ------
        UserError
            The disk is full, or a segment is damaged: everything before it is PNG, and nothing is
            lost. Or a folder of the session is a link: nothing was touched.
        """
        refuse_linked_folders(self.session)
        try:
            return self._run()
        except OSError as error:
            raise UserError(f"Cannot write in {self.session}: {error.strerror}.", 1) from error

    def _run(self) -> int:
        journal = journal_of(self.session)
        cut_tail(self.session)
        done = self._done()
        for name, group in groupby(journal, key=lambda frame: packet_of(frame).segment):
            frames = list(group)
            missing = not done.issuperset(frame.index for frame in frames)
            if missing and not self._segment(name, frames, done, len(journal)):
                done = self._done()
                return sum(frame.index not in done for frame in journal)
            if is_own_file(self.session / SPOOL / name):
                remove_file(self.session / SPOOL / name)
        self._clear()
        return 0

    def _done(self) -> set[int]:
        """Indices of the frames that are in the manifest."""
        return {frame.index for frame in read_lines(self.session)}

    def _segment(self, name: str, frames: list[Frame], done: set[int], total: int) -> bool:
        """Convert what is left of one segment; whether it reached the end."""
        encoders = Encoders(self.session, os.cpu_count() or 1, WAITING, resume=True)
        path = self.session / SPOOL / name
        try:
            for frame, image in read_segment(path, frames):
                if self.stop():
                    return False
                if frame.index not in done:
                    self._check_disk()
                    encoders.put(GrabbedFrame(frame, image))
                    self.on_progress(frame.index, total)
        except Damaged as error:
            if self.on_damage is None:
                raise
            self.on_damage(str(error))
            if os.path.lexists(path):
                move_aside(path, self.session / DAMAGED_FOLDER)
        finally:
            encoders.close()
        if encoders.error is not None:
            raise encoders.error
        self.on_progress(frames[-1].index + 1, total)
        return True

    def _clear(self) -> None:
        """Remove the spool, after setting aside what no line of the journal names."""
        spool = self.session / SPOOL
        for each in sorted(spool.iterdir()) if spool.is_dir() else []:
            if not is_own_file(each):
                self._set_aside(each)
            elif SEGMENT_NAME.fullmatch(each.name) and each.stat().st_size == 0:
                remove_file(each)  # left by a recorder that was killed before its first frame
            elif each.name != SPOOL_JOURNAL:
                self._set_aside(each)
        remove_file(spool / SPOOL_JOURNAL)  # last: it describes the segments
        remove_empty(spool)
        if spool.is_dir():  # readers would believe that frames are still a video
            raise UserError(f"{spool} is empty but cannot be removed. Remove it.", 1)

    def _set_aside(self, path: Path) -> None:
        move_aside(path, self.session / DAMAGED_FOLDER)
        if self.on_damage is not None:
            name = plain(path.name)
            self.on_damage(f"{name} in {SPOOL} has no line: it was set aside in {DAMAGED_FOLDER}")

    def _check_disk(self) -> None:
        if shutil.disk_usage(self.session).free < self.disk_floor_bytes:
            raise UserError(
                f"Less than {self.disk_floor_bytes / 1e9:.1f} GB are free on the disk of "
                f"{self.session}: its frames cannot all become PNG. Make room, then run: "
                f"cli capture repair {self.session}",
                1,
            )


def refuse_linked_folders(session: Path) -> None:
    """``UserError`` if a part of a session that is written to is a link."""
    for name, what in (
        ("frames", "the folder of its frames"),
        (SHOTS, "the folder of its HDR shots"),
        (SPOOL, "the folder of its video"),
        (f"{SPOOL}/{SPOOL_JOURNAL}", "the journal of its video"),
        (DAMAGED_FOLDER, "where damaged files are set aside"),
    ):
        refuse_links(session / name, what)
    for name in ("frames", SHOTS, SPOOL, DAMAGED_FOLDER):
        if os.path.lexists(session / name) and not (session / name).is_dir():
            raise UserError(f"{session / name} is not a folder. Move it away.")


def is_own_file(path: Path) -> bool:
    """Whether a recorder may have written this file: it is no link and no device."""
    return path.is_file() and not path.is_symlink()
