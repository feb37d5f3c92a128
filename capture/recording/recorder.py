"""The recorder: a clock, a screen and a store become one session on disk.

Every interval of the clock becomes a frame, a duplicate or a counted miss. `capture.screens` reads
pixels, ``encoders.py`` or ``spool.py`` writes files, ``loop.py`` waits for deadlines and commands.
"""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from capture.clock import now_ns
from capture.locks import session_lock
from capture.options import CaptureOptions
from capture.recording.freeze import FreezeDetector, Thumbnail, differs, frame_thumbnail
from capture.recording.label_state import LabelState
from capture.recording.ledger import FrameCounts, Ledger, count_lines, settle
from capture.recording.notify import notify
from capture.recording.pacing import NS_PER_S, PacingClock, Stopwatch
from capture.recording.session import Session, check_options, low_disk
from capture.recording.shots import Shots
from capture.recording.store import open_store, written_lines
from capture.recording.workers import GrabbedFrame
from capture.screens.source import (
    BgrxImage,
    FrameSource,
    picture_light,
    picture_rate,
    picture_time_ns,
)
from capture.screens.target import NotVisible
from capture.status import LOG, Status, Summary
from dataset.errors import UserError
from dataset.files import writing_in
from dataset.labelling.clipping import clipped_mask
from dataset.pictures.images import rgb_of
from dataset.sessions.manifest import Frame, amend_labels

IDLE_S = 0.1  # until the next look, if no deadline is near


class Recorder:
    """One session, from its first frame until it is closed. For one thread.

    Parameters
    ----------
    options : CaptureOptions
    screen : FrameSource
        Usually a `Screen`; stays open when the recorder is closed.
    held : ExitStack or None
        Holds the session's lock, beyond the recorder's end; None: the recorder itself holds it.

    Raises
    ------
    UserError
        An option makes no sense, the session's name is taken, or the disk is full already.
    """

    def __init__(
        self, options: CaptureOptions, screen: FrameSource, held: ExitStack | None = None
    ) -> None:
        check_options(options)
        self.reason: str | None = None  # why it ended; None: it has not
        self.notice = _hint(options)  # what the player should know
        self._options = options
        self._screen = screen
        self._clock = PacingClock(options.fps)
        self._ledger = Ledger()
        self._labels = LabelState(options.label)
        self._freeze = FreezeDetector()
        self._stopwatch = Stopwatch()
        self._runs_ns: list[int] = []  # start of each run, and of its grid of deadlines
        self._newest_ns = 0  # when the newest frame was grabbed
        self._newest: BgrxImage | None = None
        self._kept: tuple[int, Thumbnail] | None = None  # the next are compared with it
        self._clipped: float | None = None
        about = screen.describe()
        with ExitStack() as own:
            stack = own if held is None else held
            self._session = Session(
                options, about, lambda path: stack.enter_context(session_lock(path))
            )
            self.path = self._session.path
            with writing_in(self.path):
                self._store = open_store(options, self.path, about)
            self._shots = Shots(self.path)
            self.note(encoding=self._store.note)
            self._own = own.pop_all()  # released in `close`
        self._closed = False

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Record from now on, the first frame at once."""
        if self._stopwatch.running or self.reason is not None:
            return
        began_ns = now_ns()
        self._stopwatch.start(began_ns)
        self._clock.start(began_ns)
        self._runs_ns.append(began_ns)
        self._freeze = FreezeDetector()
        self._announce("recording")

    def pause(self) -> None:
        """Take no intervals until started again; those overdue count as missed."""
        if self._stopwatch.running:
            self._end_run(now_ns())
            self.notice = None
            self._announce("paused")

    def toggle(self) -> None:
        """Start, pause, resume."""
        if self._stopwatch.running:
            self.pause()
        else:
            self.start()

    def mark(self, label: str) -> None:
        """Label frames from now on X or Y; the same label again removes it."""
        if label not in ("X", "Y"):
            raise ValueError(f"a label is X or Y, not {label!r}")
        self._labels.mark(label, self._ledger.lines)
        self._kept = None  # with another label even an unchanged picture is no duplicate

    def undo(self) -> None:
        """Take back the last label, also from the frames that got it."""
        undone = self._labels.undo(self._ledger.lines)
        if undone is None:
            raise UserError("There is no label to take back.", 1)
        if undone.first < undone.end:
            amend_labels(self.path, undone.first, undone.end, undone.label)
        self._kept = None

    def light(self, text: str | None) -> None:
        """The light of the frames from now on; None: one step further."""
        if text is None:
            self._labels.step_light()
        else:
            self._labels.light = text.strip() or None
        self._kept = None

    def snap(
        self,
        label: str | None = None,
        light: str | None = None,
        viewpoint: str | None = None,
        shot: bool = False,
    ) -> int:
        """Take one frame now, in any state; waits for the store rather than miss it.

        Parameters
        ----------
        label, light, viewpoint : str or None
            As in the manifest; None: the label and the light that frames get now.
        shot : bool
            Whether to keep its light, too, with the back end that has it; `notice` says why not.

        Returns
        -------
        int
            The frame's index.

        Raises
        ------
        NotVisible
            The window is minimised or covered.
        UserError
            The window was closed, the disk is full, or frames cannot be written.
        """
        self._check_limits()
        if self.reason is not None:
            raise UserError(f"The recording has ended: {self.reason}", 1)
        image, wall_ns, monotonic_ns = self._grab()
        index = self._ledger.lines
        frame = self._line(image, wall_ns, monotonic_ns, snap=True)
        frame = replace(
            frame,
            label=label or frame.label,
            light=light or frame.light,
            viewpoint=viewpoint,
        )
        self._store.put(GrabbedFrame(frame, image))
        self._ledger.snap()
        if shot and self._options.backend == "hdr":
            self.notice = self._shots.take(index, picture_light(self._screen))
        self._kept = (index, frame_thumbnail(image))
        return index

    def step(self) -> float:
        """Take the frame that is due, if any; seconds until the next deadline, 0 if overdue.

        Raises
        ------
        UserError
            Frames can no longer be written.
        """
        if self._error is not None:
            self.end(str(self._error))
            raise self._error
        self._check_limits()
        if not self._stopwatch.running:
            return IDLE_S
        now = now_ns()
        if now >= self._clock.deadline_ns():
            self._serve(now)
            self._check_limits()
        return max(0, self._clock.deadline_ns() - now_ns()) / NS_PER_S

    def status(self) -> Status:
        """State, counts, the newest frame's clipped share, free disk."""
        if self._newest is not None:
            sample = rgb_of(np.ascontiguousarray(self._newest[::4, ::4]))
            self._clipped = float(clipped_mask(sample).mean())
            self._newest = None  # measured once; no frame is kept longer than needed
        counts = self._ledger.counts()
        return Status(
            self._state(),
            counts.lines,
            counts.missed,
            self._clipped,
            self._disk_free(),
            self.path,
            self._labels.label,
            self.seconds(),
            self.notice,
            counts.duplicates,
            self._labels.light,
            picture_rate(self._screen),
        )

    def note(self, **facts: Any) -> None:
        """Add facts to ``session.json``."""
        self._session.note(**facts)

    def end(self, reason: str, at_ns: int | None = None) -> None:
        """Take nothing more; ``at_ns``: when it ended, if in the past."""
        self._end_run(now_ns() if at_ns is None else at_ns)
        self.reason = self.reason or reason

    def seconds(self) -> float:
        """Seconds recorded, without pauses."""
        return round(self._stopwatch.elapsed_ns(now_ns()) / NS_PER_S, 6)

    def close(self) -> Summary:
        """Write the frames that still wait, and the final ``session.json``. May be called twice.

        Raises
        ------
        UserError
            A frame could not be written. All frames before it in the manifest are whole.
        """
        self.end("closed")
        counts = self._ledger.counts()
        if not self._closed:
            self._closed = True
            with self._own:
                counts = self._finish(counts)
        return Summary(
            self.path,
            self._store.written,
            counts.missed,
            self.seconds(),
            str(self.reason),
            counts.duplicates,
            shots=self._shots.written,
        )

    @property
    def _error(self) -> Exception | None:
        """Why files can no longer be written, or None."""
        return self._store.error or self._shots.error

    def _finish(self, counts: FrameCounts) -> FrameCounts:
        """Write out the store and the account; raises what either failed with, the store first."""
        self._store.close()
        self._shots.close()
        error = self._error
        self.reason = str(error or self.reason)
        if error is not None:
            counts = settle(counts, count_lines(written_lines(self.path)))
        account = {**counts.as_dict(), "seconds": round(self.seconds(), 3)}
        try:
            self._session.finish(self.reason, account, runs_monotonic_ns=self._runs_ns)
        finally:
            self._announce(f"ended: {self.reason}")
            if error is not None:
                raise error
        return counts

    def _serve(self, now_ns: int) -> None:
        """Turn the newest interval that is due into a frame, a duplicate or a miss."""
        self._ledger.miss(self._clock.take(now_ns))
        if self._store.full():
            self._ledger.miss(1)
            self.notice = "the encoders cannot keep up"
            return
        try:
            self._take()
        except NotVisible as error:
            self._ledger.miss(1)
            self.notice = str(error)
        except UserError as error:
            self._ledger.miss(1)
            self.end(str(error))
            if self._ledger.lines == 0 or self._store.error is not None:
                raise

    def _take(self) -> None:
        """Grab the interval's picture, and store it unless it is to be skipped."""
        image, wall_ns, monotonic_ns = self._grab()
        small = frame_thumbnail(image)
        self.notice = self._freeze.look(small, monotonic_ns)
        kept = None if self._options.dedupe == "off" else self._kept
        duplicate = kept is not None and not differs(small, kept[1])
        if duplicate and self._options.dedupe == "skip":
            self._ledger.skip()
            return
        frame = self._line(image, wall_ns, monotonic_ns)
        if duplicate and kept is not None:
            frame = replace(frame, duplicate_of=kept[0])
        else:
            self._kept = (frame.index, small)
        self._store.put(GrabbedFrame(frame, image))
        self._ledger.frame(duplicate)

    def _grab(self) -> tuple[BgrxImage, int, int]:
        """The picture, with its wall and monotonic time in nanoseconds."""
        wall_ns, monotonic_ns = time.time_ns(), now_ns()
        image = self._screen.grab()
        self._newest, self._newest_ns = image, monotonic_ns
        return image, wall_ns, monotonic_ns

    def _line(self, image: BgrxImage, wall_ns: int, monotonic_ns: int, snap: bool = False) -> Frame:
        """The next line of the manifest, without hashes."""
        return Frame(
            index=self._ledger.lines,
            file="",
            width=image.shape[1],
            height=image.shape[0],
            wall_ns=wall_ns,
            monotonic_ns=monotonic_ns,
            missed_before=self._ledger.missed_before,
            duplicates_before=self._ledger.duplicates_before,
            snap=snap,
            label=self._labels.label,
            light=self._labels.light,
            picture_ns=picture_time_ns(self._screen),
        )

    def _check_limits(self) -> None:
        """End the recording where a limit is reached."""
        limit, most = self._options.duration_s, self._options.max_frames
        if most is not None and self._ledger.lines >= most:
            self.end(f"{most} frames taken", self._newest_ns)
        elif limit is not None and self.seconds() >= limit:
            # The interval that begins when the time is up no longer counts.
            self.end(f"{limit:g} s recorded", self._stopwatch.when_ns(round(limit * NS_PER_S)) - 1)
        else:
            reserve = self._store.reserve_bytes()
            if self._disk_free() - reserve < self._options.disk_floor_bytes:
                self.end(low_disk(self._options, reserve))

    def _end_run(self, at_ns: int) -> None:
        """End the current run; intervals overdue by then are missed."""
        if self._stopwatch.running:
            self._ledger.miss(self._clock.skip(at_ns))
            self._stopwatch.stop(at_ns)
            self._kept = None

    def _announce(self, text: str) -> None:
        LOG.info("%s: %s", self.path.name, text)
        if self._options.notify or self._options.sound:
            notify("unclip", text, self._options.notify, self._options.sound)

    def _state(self) -> str:
        if self.reason is not None:
            return "stopped"
        if self._stopwatch.running:
            return "recording"
        return "paused" if self._stopwatch.used else "ready"

    def _disk_free(self) -> int:
        return shutil.disk_usage(self.path).free


def _hint(options: CaptureOptions) -> str | None:
    if not options.hotkey:
        return None
    return f"{options.key_record} records and pauses, {options.key_stop} ends"
