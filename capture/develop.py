"""Turns the lossless video of a session into PNG files and lines of its manifest.

Can be cut off anywhere and called again: what the manifest has is not done twice, and a segment
is deleted only when all of its frames are in the manifest.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from capture.encoders import Encoders
from capture.spool import Damaged, journal_of, read_segment
from capture.workers import Job
from dataset.errors import UserError
from dataset.manifest import SPOOL, Frame, cut_tail, read_lines

WAITING = 4  # decoded frames that may wait for an encoder
DAMAGED = "damaged"  # folder of a session for segments that could not be read to their end


@dataclass
class Development:
    """How the frames of a spool become PNG.

    Nobody may be recording into the session meanwhile.
    """

    session: Path
    disk_floor_bytes: int = 0  # stop before less than this is free
    on_progress: Callable[[int, int], None] = lambda done, total: None
    stop: Callable[[], bool] = lambda: False  # whether to leave the rest for another time
    on_damage: Callable[[str], None] | None = None  # told what is lost; None: raise instead

    def run(self) -> int:
        """Develop everything; frames that ``stop`` left in the spool.

        Raises
        ------
        UserError
            The disk is full, or a segment is damaged; all before it is PNG, and nothing is lost.
        """
        journal = journal_of(self.session)
        cut_tail(self.session)
        for name, group in groupby(journal, key=lambda frame: str(frame.extra["segment"])):
            frames = list(group)
            first = _next_index(self.session)
            if first <= frames[-1].index and not self._segment(name, frames, first, len(journal)):
                return sum(1 for frame in journal if frame.index >= _next_index(self.session))
            (self.session / SPOOL / name).unlink(missing_ok=True)
        shutil.rmtree(self.session / SPOOL, ignore_errors=True)
        return 0

    def _segment(self, name: str, frames: list[Frame], first: int, total: int) -> bool:
        """Develop what is left of one segment; whether it was done to the end."""
        encoders = Encoders(self.session, os.cpu_count() or 1, WAITING, resume=True)
        path = self.session / SPOOL / name
        try:
            for frame, image in read_segment(path, frames):
                if self.stop():
                    return False
                if frame.index >= first:
                    self._check_disk()
                    encoders.put(Job(frame, image))
                    self.on_progress(frame.index, total)
        except Damaged as error:
            if self.on_damage is None:
                raise
            self.on_damage(str(error))
            _set_aside(path, self.session / DAMAGED)
        finally:
            encoders.close()
        if encoders.error is not None:
            raise encoders.error
        self.on_progress(frames[-1].index + 1, total)
        return True

    def _check_disk(self) -> None:
        if shutil.disk_usage(self.session).free < self.disk_floor_bytes:
            raise UserError(
                f"Less than {self.disk_floor_bytes / 1e9:.1f} GB are free on the disk of "
                f"{self.session}: its frames cannot all become PNG. Make room, then run: "
                f"cli capture repair {self.session}",
                1,
            )


def _next_index(session: Path) -> int:
    """The index after the last one in the manifest."""
    return max((frame.index for frame in read_lines(session)), default=-1) + 1


def _set_aside(path: Path, folder: Path) -> None:
    if path.exists():
        folder.mkdir(exist_ok=True)
        os.replace(path, folder / path.name)
