"""A bounded queue of work, mostly frames, and the threads that do it; what is decided elsewhere."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from capture.screens.source import BgrxImage
from dataset.sessions.manifest import Frame

MOST_VIDEO_PIXELS = 36_000_000  # per frame of the lossless video: 8K; a decoder may hold 17 frames
NICE = 5  # priority of workers, 0 to 19: a frame can wait in the queue, an interval cannot
WAIT_S = 0.1  # how soon a blocked `put` notices that a worker has failed

_T = TypeVar("_T")


@dataclass(frozen=True)
class GrabbedFrame:
    """A grabbed frame on its way to the disk."""

    frame: Frame  # complete except for its size and hashes
    image: BgrxImage  # as grabbed


class Store(Protocol):
    """Where a recorder puts its frames."""

    written: int  # frames that a crash can no longer lose
    note: str  # how frames are stored, for session.json

    @property
    def error(self) -> Exception | None:
        """Why nothing more is written, or None."""

    def full(self) -> bool:
        """Whether `put` would have to wait now."""

    def put(self, grabbed: GrabbedFrame) -> None:
        """Hand over a frame; blocks while the queue is full. Indices are 0, 1, 2 and so on."""

    def reserve_bytes(self) -> int:
        """Disk space that the frames handed over will still need."""

    def close(self) -> None:
        """Write what was handed over. May be called twice."""


class Workers(Generic[_T]):
    """Threads that process frames, or other items, until one fails.

    Parameters
    ----------
    work : callable
        Called with each item, on one of the threads.
    threads : int
        How many items are processed at once.
    waiting : int
        How many more may wait.
    name : str
        Name of the threads.
    """

    def __init__(self, work: Callable[[_T], None], threads: int, waiting: int, name: str) -> None:
        self.error: Exception | None = None
        self._do = work
        self._queue: queue.Queue[_T | None] = queue.Queue(max(1, waiting))
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True)
            for n in range(max(1, threads))
        ]
        for thread in self._threads:
            thread.start()

    def full(self) -> bool:
        """Whether `put` would have to wait now."""
        return self._queue.full()

    def put(self, item: _T) -> None:
        """Hand over an item; blocks while the queue is full, raises what a worker failed with."""
        while True:
            if self.error is not None:
                raise self.error
            try:
                return self._queue.put(item, timeout=WAIT_S)
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
        _lower_priority()
        while True:
            item = self._queue.get()
            if item is None:
                return
            if self.error is not None:
                continue  # drained, so that nobody waits forever
            try:
                self._do(item)
            except Exception as error:  # raised in the recording thread
                self.error = self.error or error


def _lower_priority() -> None:
    """Give way, with all threads started from here, to the game and the grabbing thread."""
    if sys.platform == "linux":  # elsewhere it would apply to the whole process
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
