"""Grabbed frames become whole PNG files and lines of the manifest, on threads of their own.

A bounded queue keeps memory flat. Encoders finish in any order; lines are written in the order
of the indices, each after its file was renamed into place. When to grab is decided elsewhere.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from dataset.errors import UserError
from dataset.hashing import phash, sha256
from dataset.images import Image, encode_png, resize_area, write_whole
from dataset.manifest import Frame, ManifestWriter

WAIT_S = 0.1  # how soon a blocked `put` notices that the encoders gave up


def frame_file(index: int) -> str:
    """Where frame ``index`` lies in its session."""
    return f"frames/{index:06d}.png"


@dataclass(frozen=True)
class Job:
    """A grabbed frame on its way to the disk."""

    frame: Frame  # complete but for its width, height and fingerprints
    image: Image  # RGB uint8 (H, W, 3), as grabbed


class Encoders:
    """Encoder threads of one session.

    Parameters
    ----------
    session : Path
        The session's folder, with ``frames/`` in it and no manifest yet.
    threads : int
        How many frames are encoded at once.
    waiting : int
        How many more may wait for a thread.
    size : (int, int) or None
        Width and height to resize to.
    """

    def __init__(
        self, session: Path, threads: int, waiting: int, size: tuple[int, int] | None
    ) -> None:
        self.error: Exception | None = None  # why nothing more is written
        self.written = 0  # lines in the manifest
        self._session = session
        self._size = size
        self._queue: queue.Queue[Job | None] = queue.Queue(max(1, waiting))
        self._manifest = ManifestWriter(session)
        self._lock = threading.Lock()
        self._finished: dict[int, Frame] = {}  # on disk, before their turn in the manifest
        self._threads = [
            threading.Thread(target=self._work, name=f"encoder-{n}", daemon=True)
            for n in range(max(1, threads))
        ]
        for thread in self._threads:
            thread.start()

    def full(self) -> bool:
        """Whether a frame handed over now would have to wait."""
        return self._queue.full()

    def put(self, job: Job) -> None:
        """Hand over a frame; blocks while the queue is full. Indices are 0, 1, 2 and so on.

        Raises
        ------
        Exception
            What made an encoder give up.
        """
        while True:
            if self.error is not None:
                raise self.error
            try:
                return self._queue.put(job, timeout=WAIT_S)
            except queue.Full:
                continue

    def close(self) -> None:
        """Write what was handed over, end the threads. May be called twice."""
        threads, self._threads = self._threads, []
        for _ in threads:
            self._queue.put(None)
        for thread in threads:
            thread.join()
        try:
            self._manifest.close()
        except OSError as error:
            self.error = self.error or UserError(f"Cannot write {self._manifest.path}: {error}", 1)
        # After a failed frame there are no lines. The frame whose own line failed stays: part of
        # that line may be in the manifest.
        for index in self._finished.keys() - {self.written}:
            (self._session / frame_file(index)).unlink(missing_ok=True)
        self._finished.clear()

    def _work(self) -> None:
        while True:
            job = self._queue.get()
            if job is None:
                return
            if self.error is not None:
                continue  # drained, so that nobody waits for ever
            try:
                self._write(job)
            except Exception as error:  # carried to the thread that records
                self.error = self.error or error

    def _write(self, job: Job) -> None:
        image = job.image if self._size is None else resize_area(job.image, self._size)
        data = encode_png(image, fast=True)
        write_whole(self._session / job.frame.file, data)
        height, width = image.shape[:2]
        self._enter(
            replace(job.frame, width=width, height=height, sha256=sha256(data), phash=phash(image))
        )

    def _enter(self, frame: Frame) -> None:
        """Write the lines whose turn has come."""
        with self._lock:
            self._finished[frame.index] = frame
            while self.error is None and self.written in self._finished:
                try:
                    self._manifest.append(self._finished[self.written])
                except OSError as error:
                    raise UserError(
                        f"Cannot write {self._manifest.path}: {error.strerror}.", 1
                    ) from error
                del self._finished[self.written]
                self.written += 1
