"""The clock of a recording: deadlines on an absolute grid, and a count of the missed ones.

Pure arithmetic on nanoseconds: nothing here reads a clock or sleeps.
"""

from __future__ import annotations

NS_PER_S = 1_000_000_000  # nanoseconds in a second


class PacingClock:
    """Deadline ``k`` of a run is at ``start + k / fps``, however late earlier frames were.

    A late caller serves the newest interval and skips those before it, so served plus skipped
    intervals always equal the deadlines that have passed.

    Parameters
    ----------
    fps : float
        Intervals per second, more than 0.
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
        """Serve the newest interval that is due; the number of intervals skipped before it.

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
        """Skip every interval that is due; how many there were."""
        if now_ns < self.deadline_ns():
            return 0
        return self.take(now_ns) + 1

    def _at(self, number: int) -> int:
        return self._start_ns + round(number * NS_PER_S / self.fps)

    def _newest(self, now_ns: int) -> int:
        number = int((now_ns - self._start_ns) * self.fps / NS_PER_S)
        # The division may be off by one from the grid that `_at` rounds to.
        while self._at(number + 1) <= now_ns:
            number += 1
        while self._at(number) > now_ns:
            number -= 1
        return number


class Stopwatch:
    """How long a recording has run, without pauses."""

    def __init__(self) -> None:
        self.running = False
        self._began_ns = 0
        self._before_ns = 0  # total of the runs that ended

    @property
    def used(self) -> bool:
        """Whether it ever ran."""
        return self.running or self._before_ns > 0

    def start(self, now_ns: int) -> None:
        """Begin a run."""
        self.running, self._began_ns = True, now_ns

    def stop(self, at_ns: int) -> None:
        """End the run, at a moment that may be in the past."""
        self._before_ns += max(1, at_ns - self._began_ns)
        self.running = False

    def elapsed_ns(self, now_ns: int) -> int:
        """Of all runs."""
        return self._before_ns + (now_ns - self._began_ns if self.running else 0)

    def when_ns(self, elapsed_ns: int) -> int:
        """The moment in the current run at which ``elapsed_ns`` had elapsed."""
        return self._began_ns + elapsed_ns - self._before_ns
