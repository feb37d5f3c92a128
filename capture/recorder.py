"""The recorder: a clock, a screen and encoders become one session on disk.

Every interval of the clock becomes a frame or a counted miss. Pixels are read by ``screen.py``,
keys by ``hotkeys.py``, files written by ``encoders.py``.
"""

from __future__ import annotations

import math
import queue
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Protocol

from capture.encoders import Encoders, Job, frame_file
from capture.hotkeys import Hotkeys, keys_of
from capture.options import CaptureOptions
from capture.pacing import NS, PacingClock
from capture.screen import open_screen
from capture.session import Session, check_options, low_disk
from capture.signals import INTERRUPT, signals_into
from capture.status import Status, Summary, format_status
from capture.target import NothingToSee
from dataset.clipping import clipped_mask
from dataset.errors import UserError
from dataset.images import Image
from dataset.manifest import Frame

IDLE_S = 0.1  # how long the loop waits for a command when no deadline is near
STATUS_S = 0.25  # between two reports of the status

__all__ = ["Recorder", "Source", "Status", "Summary", "format_status", "run_capture"]


class Source(Protocol):
    """What a recorder asks of its screen: `capture.screen.Screen` has it."""

    def grab(self) -> Image: ...

    def describe(self) -> dict[str, Any]: ...


class Recorder:
    """One session, from its first frame until it is closed. For one thread.

    Parameters
    ----------
    options : CaptureOptions
    screen : Source
        Usually a `Screen`. Grabbed from, and left open when the recorder is closed.

    Raises
    ------
    UserError
        An option makes no sense, the session's name is taken, or the disk is full already.
    """

    def __init__(self, options: CaptureOptions, screen: Source) -> None:
        check_options(options)
        self.reason: str | None = None  # why it ended; None while it goes on
        self.label = options.label
        self._options = options
        self._screen = screen
        self._clock = PacingClock(options.fps)
        self._recording = False
        self._began_ns = 0  # of the run that goes on
        self._recorded_ns = 0  # of the runs before it
        self._newest_ns = 0  # when the newest frame was grabbed
        self._frames = 0
        self._snaps = 0
        self._missed = 0
        self._pending = 0  # misses that the next frame's line will carry
        self._newest: Image | None = None
        self._clipped: float | None = None
        self._notice = _hint(options)
        self._session = Session(options, screen.describe())
        self.path = self._session.path
        self._encoders = Encoders(self.path, options.encoders, options.queue_frames, options.size)
        self._closed = False

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Record from now on, the first frame at once."""
        if self._recording or self.reason is not None:
            return
        self._recording = True
        self._began_ns = time.monotonic_ns()
        self._clock.start(self._began_ns)

    def pause(self) -> None:
        """Stop taking intervals until started again; those overdue count as missed."""
        self._end_run(time.monotonic_ns())

    def toggle(self) -> None:
        """Start, pause, go on."""
        if self._recording:
            self.pause()
        else:
            self.start()

    def mark(self, label: str | None) -> None:
        """Give frames from now on the label X or Y; the same label again takes it away."""
        if label not in (None, "X", "Y"):
            raise ValueError(f"a mark is X or Y, not {label!r}")
        self.label = None if label == self.label else label

    def snap(
        self, label: str | None = None, light: str | None = None, viewpoint: str | None = None
    ) -> int:
        """Take one frame now, in any state; waits for the encoders rather than missing it.

        Parameters
        ----------
        label : str or None
            X or Y; None: the mark that frames get now.
        light, viewpoint : str or None
            As in the manifest.

        Returns
        -------
        int
            The frame's index.

        Raises
        ------
        UserError
            The window is minimised or closed, or the frames cannot be written.
        """
        if self.reason is not None:
            raise UserError(f"The recording has ended: {self.reason}", 1)
        try:
            index = self._take(label, light, viewpoint)
        except NothingToSee as error:
            raise UserError(str(error), 1) from error
        self._snaps += 1
        return index

    def step(self) -> float:
        """Take the frame that is due, if any; seconds until the next deadline (0: already due).

        Raises
        ------
        UserError
            The frames cannot be written any more.
        """
        if self._encoders.error is not None:
            raise self._fail(self._encoders.error)
        self._guard()
        if not self._recording:
            return IDLE_S
        now = time.monotonic_ns()
        if now >= self._clock.deadline_ns():
            self._serve(now)
            self._guard()
        return max(0, self._clock.deadline_ns() - time.monotonic_ns()) / NS

    def run(
        self,
        commands: queue.SimpleQueue[str],
        on_status: Callable[[Status], None] | None = None,
        watch: Callable[[], None] | None = None,
    ) -> None:
        """Record and obey until something ends it; ``reason`` then says what.

        Parameters
        ----------
        commands : queue of str
            record (start or pause), snap, x, y, stop.
        on_status : callable
            Told the status a few times a second and after each command.
        watch : callable
            Called as often, to look after other things.
        """
        told_s = -math.inf
        while self.reason is None:
            wait_s = self.step()
            if time.monotonic() - told_s >= STATUS_S:
                told_s = time.monotonic()
                if watch is not None:
                    watch()
                if on_status is not None:
                    on_status(self.status())
            try:
                command = commands.get(timeout=min(wait_s, IDLE_S))
            except queue.Empty:
                continue
            self.obey(command)
            told_s = -math.inf
        if on_status is not None:
            on_status(self.status())

    def obey(self, command: str) -> None:
        """Carry out one command of the queue; a faulty snap becomes a notice."""
        if command == "record":
            self.toggle()
        elif command in ("x", "y"):
            self.mark(command.upper())
        elif command == "snap":
            try:
                self.snap()
            except UserError as error:
                if self._encoders.error is None:
                    self._notice = str(error)
        elif command in ("stop", INTERRUPT):
            self._stop("stopped by key" if command == "stop" else "interrupted")
        else:
            raise ValueError(f"unknown command {command!r}")

    def status(self) -> Status:
        """State, counts, the newest frame's clipped share, free disk."""
        if self._newest is not None:
            self._clipped = float(clipped_mask(self._newest).mean())
            self._newest = None  # measured once, and no frame kept longer than needed
        return Status(
            self._state(),
            self._frames,
            self._missed,
            self._clipped,
            self._disk_free(),
            self.path,
            self.label,
            self.seconds(),
            self._notice,
        )

    def seconds(self) -> float:
        """How long it has recorded, pauses left out."""
        running = time.monotonic_ns() - self._began_ns if self._recording else 0
        return round((self._recorded_ns + running) / NS, 6)

    def close(self) -> Summary:
        """Write what is still on its way, and the final ``session.json``. May be called twice.

        Raises
        ------
        UserError
            A frame could not be written. What stands before it in the manifest is whole.
        """
        self._stop("closed")
        if not self._closed:
            self._closed = True
            self._encoders.close()
            error = self._encoders.error
            if error is not None:
                self.reason = str(error)
            self._session.finish(str(self.reason), self._counts())
            if error is not None:
                raise error
        return Summary(
            self.path, self._encoders.written, self._missed, self.seconds(), str(self.reason)
        )

    def _serve(self, now_ns: int) -> None:
        """Turn the newest interval that is due into a frame or a miss."""
        self._miss(self._clock.take(now_ns))
        if self._encoders.full():
            self._miss(1)
            self._notice = "the encoders cannot keep up"
            return
        try:
            self._take()
            self._notice = None
        except NothingToSee as error:
            self._miss(1)
            self._notice = str(error)
        except UserError as error:
            self._miss(1)
            self._fail(error)
            if self._frames == 0 or self._encoders.error is not None:
                raise

    def _take(
        self, label: str | None = None, light: str | None = None, viewpoint: str | None = None
    ) -> int:
        """Grab and hand over one frame; its index."""
        wall_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
        image = self._screen.grab()
        index = self._frames
        frame = Frame(
            index=index,
            file=frame_file(index),
            width=image.shape[1],
            height=image.shape[0],
            wall_ns=wall_ns,
            monotonic_ns=monotonic_ns,
            missed_before=self._pending,
            label=label or self.label,
            light=light,
            viewpoint=viewpoint,
        )
        self._encoders.put(Job(frame, image))
        self._frames += 1
        self._pending = 0
        self._newest, self._newest_ns = image, monotonic_ns
        return index

    def _guard(self) -> None:
        """End the recording where a limit is reached."""
        limit, most = self._options.duration_s, self._options.max_frames
        if most is not None and self._frames >= most:
            self._stop(f"{most} frames taken", self._newest_ns)
        elif limit is not None and self.seconds() >= limit:
            # The interval that begins when the time is up is no longer asked for.
            end_ns = self._began_ns + round(limit * NS) - self._recorded_ns
            self._stop(f"{limit:g} s recorded", end_ns - 1)
        elif self._disk_free() < self._options.disk_floor_bytes:
            self._stop(low_disk(self._options))

    def _fail(self, error: Exception) -> Exception:
        self._stop(str(error))
        return error

    def _stop(self, reason: str, at_ns: int | None = None) -> None:
        self._end_run(time.monotonic_ns() if at_ns is None else at_ns)
        self.reason = self.reason or reason

    def _end_run(self, at_ns: int) -> None:
        """No interval after this moment is asked for; those overdue by then are missed."""
        if self._recording:
            self._miss(self._clock.skip(at_ns))
            self._recorded_ns += max(0, at_ns - self._began_ns)
            self._recording = False

    def _miss(self, intervals: int) -> None:
        self._missed += intervals
        self._pending += intervals

    def _state(self) -> str:
        if self.reason is not None:
            return "stopped"
        if self._recording:
            return "recording"
        return "paused" if self._recorded_ns else "ready"

    def _disk_free(self) -> int:
        return shutil.disk_usage(self.path).free

    def _counts(self) -> dict[str, Any]:
        """frames = paced + snaps; paced + missed = intervals."""
        paced = self._frames - self._snaps
        return {
            "frames": self._encoders.written,
            "snaps": self._snaps,
            "missed": self._missed,
            "missed_at_end": self._pending,
            "intervals": paced + self._missed,
            "seconds": round(self.seconds(), 3),
        }


def run_capture(
    options: CaptureOptions, on_status: Callable[[Status], None] | None = None
) -> Summary:
    """Record one session until a key, a limit, Ctrl-C or SIGTERM ends it.

    Raises
    ------
    UserError
        Neither ``hotkey`` nor ``start`` was asked for, there is nothing to record, or frames
        cannot be written; whatever was recorded before is whole.
    """
    if not (options.hotkey or options.start):
        raise UserError(
            "Say how recording begins: `cli capture --hotkey` waits for a key "
            f"({options.key_record}), `cli capture --start` begins at once."
        )
    commands: queue.SimpleQueue[str] = queue.SimpleQueue()
    with ExitStack() as stack:
        screen = stack.enter_context(open_screen(options))
        watch = None
        if options.hotkey:
            hotkeys = stack.enter_context(Hotkeys(commands, keys_of(options)))
            watch = hotkeys.watch
        recorder = stack.enter_context(Recorder(options, screen))
        stack.enter_context(signals_into(commands))
        if options.start:
            recorder.start()
        try:
            recorder.run(commands, on_status, watch)
        except KeyboardInterrupt:  # where no handler can be set, as outside the main thread
            recorder.obey(INTERRUPT)
        return recorder.close()


def _hint(options: CaptureOptions) -> str | None:
    if not options.hotkey:
        return None
    return f"{options.key_record} records and pauses, {options.key_stop} ends"
