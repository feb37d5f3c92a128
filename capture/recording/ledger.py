"""The account of a recording: every interval is a frame, a duplicate or a miss.

Pure counting. With `missed_before` and `duplicates_before` in each line, and what is left at the
end, the manifest gives the same account as ``session.json``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from dataset.gate import Count
from dataset.sessions.manifest import Frame


@dataclass(frozen=True)
class FrameCounts:
    """frames + duplicates + missed = intervals; snaps come on top, between the intervals."""

    lines: Count = 0  # in the manifest: frames + snaps + marked duplicates
    frames: Count = 0  # intervals that gave a new picture
    duplicates: Count = 0  # intervals whose picture was unchanged: marked or skipped
    missed: Count = 0  # intervals without a picture
    intervals: Count = 0
    snaps: Count = 0  # single frames, asked for by key or command
    skipped_at_end: Count = 0  # duplicates without a line after the last line
    missed_at_end: Count = 0  # misses after the last line

    def as_dict(self) -> dict[str, int]:
        """For ``session.json``."""
        return asdict(self)


class Ledger:
    """Counts frames, duplicates and misses, and what the next line must carry."""

    def __init__(self) -> None:
        self._lines = self._frames = self._duplicates = self._missed = self._snaps = 0
        self.missed_before = 0  # for the next line
        self.duplicates_before = 0  # for the next line: duplicates without a line of their own

    @property
    def lines(self) -> int:
        """Lines so far; the next frame's index."""
        return self._lines

    def frame(self, duplicate: bool = False) -> None:
        """An interval got a line: a new picture, or a marked duplicate."""
        self._frames += not duplicate
        self._duplicates += duplicate
        self._line()

    def snap(self) -> None:
        """A line between the intervals."""
        self._snaps += 1
        self._line()

    def miss(self, intervals: int) -> None:
        """Intervals that have no picture."""
        self._missed += intervals
        self.missed_before += intervals

    def skip(self, intervals: int = 1) -> None:
        """Intervals whose picture was unchanged and not written again."""
        self._duplicates += intervals
        self.duplicates_before += intervals

    def counts(self) -> FrameCounts:
        """The account so far."""
        return FrameCounts(
            self._lines,
            self._frames,
            self._duplicates,
            self._missed,
            self._frames + self._duplicates + self._missed,
            self._snaps,
            self.duplicates_before,
            self.missed_before,
        )

    def _line(self) -> None:
        self._lines += 1
        self.missed_before = self.duplicates_before = 0


def count_lines(frames: Iterable[Frame]) -> FrameCounts:
    """The account that a manifest gives, up to its last line."""
    ledger = Ledger()
    for frame in frames:
        ledger.miss(frame.missed_before)
        ledger.skip(frame.duplicates_before)
        if frame.snap:
            ledger.snap()
        else:
            ledger.frame(frame.duplicate_of is not None)
    return ledger.counts()


def settle(asked: FrameCounts, written: FrameCounts) -> FrameCounts:
    """The account after a failure: every interval without a line counts as missed."""
    lost = max(0, asked.intervals - written.intervals)  # frames may have been added since
    return replace(
        written,
        missed=written.missed + lost,
        missed_at_end=lost,
        intervals=written.intervals + lost,
    )
