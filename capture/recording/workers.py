"""A bounded queue and the threads that empty it. What they do with a job is decided elsewhere."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from capture.screens.source import BgrxImage
from dataset.sessions.manifest import Frame

MOST_VIDEO_PIXELS = 36_000_000  # of a frame of the lossless video: 8K; a decoder may keep 17
NICE = 5  # of workers, 0 to 19: a frame can wait in the queue, an interval cannot
WAIT_S = 0.1  # how soon a blocked `put` notices that the workers gave up


@dataclass(frozen=True)
class GrabbedFrame:
    """A grabbed frame on its way to the disk."""

    frame: Frame  # complete but for its width, height and fingerprints
    image: BgrxImage  # as grabbed


class Store(Protocol):
    """Where a recorder puts its frames."""

    written: int  # frames that a crash cannot take away any more
    note: str  # how frames are kept, for session.json

    @property
    def error(self) -> Exception | None:
        """Why nothing more is written."""

    def full(self) -> bool:
        """Whether a frame handed over now would have to wait."""

    def put(self, job: GrabbedFrame) -> None:
        """Hand over a frame; blocks while the queue is full. Indices are 0, 1, 2 and so on."""

    def reserve_bytes(self) -> int:
        """Disk space that what was handed over still needs."""

    def close(self) -> None:
        """Write what was handed over. May be called twice."""


class Workers:
    """Threads that carry out jobs until one fails.

    Parameters
    ----------
    work : callable
        Called with each job, on one of the threads.
    threads : int
        How many jobs are worked on at once.
    waiting : int
        How many more may wait.
    name : str
        Of the threads.
    """

    def __init__(
        self, work: Callable[[GrabbedFrame], None], threads: int, waiting: int, name: str
    ) -> None:
        self.error: Exception | None = None
        self._do = work
        self._queue: queue.Queue[GrabbedFrame | None] = queue.Queue(max(1, waiting))
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True)
            for n in range(max(1, threads))
        ]
        for thread in self._threads:
            thread.start()

    def full(self) -> bool:
        """Whether a job put now would have to wait."""
        return self._queue.full()

    def put(self, job: GrabbedFrame) -> None:
        """Hand over a job; blocks while the queue is full, raises what made a worker give up."""
        while True:
            if self.error is not None:
                raise self.error
            try:
                return self._queue.put(job, timeout=WAIT_S)
            except queue.Full:
                continue

    def close(self) -> None:
        """Finish what was handed over, end the threads. May be called twice."""
        threads, self._threads = self._threads, []
        for _ in threads:
            self._queue.put(None)
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        _step_back()
        while True:
            job = self._queue.get()
            if job is None:
                return
            if self.error is not None:
                continue  # drained, so that nobody waits for ever
            try:
                self._do(job)
            except Exception as error:  # carried to the thread that records
                self.error = self.error or error


def _step_back() -> None:
    """Let this thread, and those that it starts, wait for the game and for the one that grabs."""
    if sys.platform == "linux":  # elsewhere the priority would be the whole process's
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
