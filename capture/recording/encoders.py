"""Writes grabbed frames as PNG files and lines of the manifest, on threads of its own.

Encoders finish in any order; lines are written in the order of the frames, each after its file was
renamed into place. When to grab is decided elsewhere.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from capture.recording.workers import GrabbedFrame, Workers
from dataset.errors import UserError
from dataset.files import move_aside, remove_file, write_whole
from dataset.gate import MOST_PICTURE, is_regular, read_regular
from dataset.pictures.hashing import phash, sha256
from dataset.pictures.images import resize_area, rgb_of
from dataset.pictures.png import encode_png
from dataset.sessions.manifest import Frame, ManifestWriter

DAMAGED_FOLDER = "damaged"  # in a session: what differs from what was written, or is not ours


def frame_file(index: int) -> str:
    """Path of frame ``index`` in its session."""
    return f"frames/{index:06d}.png"


class Encoders:
    """PNG encoders of one session.

    Parameters
    ----------
    session : Path
        The session's folder, with ``frames/`` in it.
    threads : int
        How many frames are encoded at once.
    waiting : int
        How many more may wait for a thread.
    size : (int, int) or None
        Width and height to resize to.
    resume : bool
        Continue the manifest; files of frames without a line may exist.
    """

    note = "png"

    def __init__(
        self,
        session: Path,
        threads: int,
        waiting: int,
        size: tuple[int, int] | None = None,
        resume: bool = False,
    ) -> None:
        self.written = 0  # lines of the manifest
        self._failed: Exception | None = None  # apart from the workers' error
        self._session = session
        self._size = size
        self._resume = resume
        self._manifest = ManifestWriter(session, resume=resume)
        self._lock = threading.Lock()
        self._turns: deque[int] = deque()  # indices without a line, in order
        self._finished: dict[int, Frame] = {}  # on disk, before their turn in the manifest
        self._workers = Workers(self._write, threads, waiting, "encoder")
        self.full = self._workers.full

    @property
    def error(self) -> Exception | None:
        """Why nothing more is written, or None."""
        return self._workers.error or self._failed

    def put(self, grabbed: GrabbedFrame) -> None:
        """Hand over a frame; blocks while the queue is full. For one thread."""
        self._turns.append(grabbed.frame.index)
        self._workers.put(grabbed)

    def reserve_bytes(self) -> int:
        """Nothing: only a few frames wait."""
        return 0

    def close(self) -> None:
        """Write what was handed over, end the threads. May be called twice."""
        self._workers.close()
        try:
            self._manifest.close()
        except OSError as error:
            self._failed = UserError(f"Cannot write {self._manifest.path}: {error}", 1)
        # After a failed frame no lines are written. The frame whose line failed stays: part of
        # that line may be in the manifest.
        for index in self._finished.keys() - set(islice(self._turns, 1)):
            with suppress(OSError):  # another program has it open; a repair enters it
                remove_file(self._session / frame_file(index))
        self._finished.clear()

    def _write(self, grabbed: GrabbedFrame) -> None:
        image = rgb_of(grabbed.image)
        if self._size is not None:
            image = resize_area(image, self._size)
        data = encode_png(image)
        self._keep(self._session / frame_file(grabbed.frame.index), data)
        height, width = image.shape[:2]
        self._enter(
            replace(
                grabbed.frame,
                file=frame_file(grabbed.frame.index),
                width=width,
                height=height,
                sha256=sha256(data),
                phash=phash(image),
            )
        )

    def _keep(self, path: Path, data: bytes) -> None:
        """Write a frame's file; another file of that name is set aside first."""
        if self._resume and os.path.lexists(path):
            if _holds(path, data):
                return
            move_aside(path, self._session / DAMAGED_FOLDER)
        write_whole(path, data, replaces=False)

    def _enter(self, frame: Frame) -> None:
        """Write the lines whose turn it is."""
        with self._lock:
            self._finished[frame.index] = frame
            while self.error is None and self._turns and self._turns[0] in self._finished:
                try:
                    self._manifest.append(self._finished[self._turns[0]])
                except OSError as error:
                    raise UserError(
                        f"Cannot write {self._manifest.path}: {error.strerror}.", 1
                    ) from error
                del self._finished[self._turns.popleft()]
                self.written += 1


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file of this session already is the frame."""
    if path.is_symlink() or not is_regular(path):
        return False
    return read_regular(path, MOST_PICTURE) == data
