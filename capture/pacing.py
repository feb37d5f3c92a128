"""The clock of a recording: deadlines on an absolute grid, and a count of those nobody served.

Pure arithmetic on nanoseconds: nothing here reads a clock or sleeps.
"""

from __future__ import annotations

NS = 1_000_000_000  # nanoseconds in a second


class PacingClock:
    """Deadline ``k`` of a run lies at ``start + k / fps``, wherever the frames before it fell.

    A late caller serves the newest interval and skips the whole ones before it, so the number of
    served plus skipped intervals is always that of the deadlines which have passed.

    Parameters
    ----------
    fps : float
        Intervals a second, over 0.
    """

    def __init__(self, fps: float) -> None:
        if not 0 < fps < float("inf"):
            raise ValueError(f"fps must be over 0, not {fps}")
        self.fps = fps
        self._start_ns = 0
        self._next = 0  # number of the next interval to be served

    def start(self, now_ns: int) -> None:
        """Begin a run whose first deadline is now."""
        self._start_ns = now_ns
        self._next = 0

    def deadline_ns(self) -> int:
        """When the next interval is due."""
        return self._at(self._next)

    def take(self, now_ns: int) -> int:
        """Serve the newest interval that is due; the number of whole intervals skipped for it.

        Raises
        ------
        ValueError
            None is due yet.
        """
        if now_ns < self.deadline_ns():
            raise ValueError("no interval is due yet")
        newest = self._newest(now_ns)
        skipped = newest - self._next
        self._next = newest + 1
        return skipped

    def skip(self, now_ns: int) -> int:
        """Give up every interval that is due; how many those were."""
        if now_ns < self.deadline_ns():
            return 0
        return self.take(now_ns) + 1

    def _at(self, number: int) -> int:
        return self._start_ns + round(number * NS / self.fps)

    def _newest(self, now_ns: int) -> int:
        number = int((now_ns - self._start_ns) * self.fps / NS)
        # The division may land one beside the grid that `_at` rounds to.
        while self._at(number + 1) <= now_ns:
            number += 1
        while self._at(number) > now_ns:
            number -= 1
        return number
