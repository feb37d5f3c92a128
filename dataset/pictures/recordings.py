"""A recording -> frames of a data set, each with its own time. Writes nothing.

One frame of each interval of an absolute grid is taken. Nothing is made up: where the recording
has no frame, there is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.video.frame import VideoFrame

from dataset.errors import UserError
from dataset.gate import plain
from dataset.pictures.images import Image
from dataset.pictures.video_decoding import NS, Decoder, Recording
from dataset.pictures.video_deinterlacing import Deinterlacer
from dataset.pictures.video_reading import form_of, has_alpha

ROUNDING_NS = 1_000_000  # Matroska and FLV round times to a millisecond


@dataclass(frozen=True)
class Shot:
    """A frame that was kept."""

    image: Image  # RGB uint8 (H, W, 3), upright
    time_ns: int  # presentation time since the recording's first frame
    source_s: float  # presentation time as the recording counts it
    missed_before: int  # whole intervals without a frame since the previous shot


class Grid:
    """Which frames to keep: the first at or after each deadline ``k / fps`` since the first frame.

    Parameters
    ----------
    fps : float
        Intervals per second, over 0.

    Notes
    -----
    A time that precedes a deadline by no more than the rounding of containers counts as on it: a
    recording of 60 frames per second with times in milliseconds would lose frames at 60 otherwise.

    Examples
    --------
    >>> grid = Grid(5)
    >>> [grid.take(ms * 1_000_000) for ms in (0, 100, 200, 399, 450, 1000)]
    [0, None, 0, 0, None, 2]
    """

    def __init__(self, fps: float) -> None:
        if not 0 < fps < float("inf"):
            raise ValueError(f"fps must be over 0, not {fps}")
        self._per_ns = Fraction(fps) / NS
        self.slack_ns = min(ROUNDING_NS, int(NS / fps / 4))
        self._last = -1  # interval of the last kept frame

    def take(self, time_ns: int) -> int | None:
        """Whole intervals missed since the last kept frame; None: skip this one.

        Parameters
        ----------
        time_ns : int
            Since the first frame.
        """
        interval = math.floor((time_ns + self.slack_ns) * self._per_ns)
        if interval <= self._last:
            return None
        missed, self._last = interval - self._last - 1, interval
        return missed


class Reader:
    """Decodes one recording once, and knows afterwards what was in it.

    Memory holds what the decoder needs and one shot, however long the recording is.

    Parameters
    ----------
    recording : Recording
    fps : float
        Frames per second to keep, at most.
    """

    def __init__(self, recording: Recording, fps: float) -> None:
        self.recording = recording
        self._decoder = Decoder(recording, strict=True)
        self.decoded = 0  # frames with a time
        self.size: tuple[int, int] | None = None  # width and height of the last shot
        self._grid = Grid(fps)
        self._first_ns = self._last_ns = 0  # presentation times of the frames so far
        self._backwards = 0
        self._depth, self._interlaced, self._alpha = 8, False, False

    @property
    def duration_ns(self) -> int:
        """From the first frame to the end of the last one."""
        return max(self._decoder.picture_end_ns, self._last_ns) - self._first_ns

    @property
    def average_fps(self) -> float | None:
        """Of the recording itself, over all its frames."""
        span = self._last_ns - self._first_ns
        return (self.decoded - 1) * NS / span if span > 0 else None

    def shots(self) -> Iterator[Shot]:
        """The frames to keep, in order of time.

        Raises
        ------
        UserError
            No frame can be decoded, it is encrypted, or its frames say that it is HDR.
        """
        container, stream = self._decoder.start()
        with container:
            stream.thread_type = "AUTO"
            for frame in self._whole(self._decoder.frames(container, stream)):
                shot = self._shot(frame)
                if shot is not None:
                    yield shot
        if not self.decoded:
            raise UserError(f"No frame of {self.recording.path} can be decoded: it is damaged.", 1)

    def note(self) -> str | None:
        """What was wrong with the recording, after reading; None: nothing."""
        faults, decoder, length_s = [], self._decoder, self.recording.length_s
        if decoder.is_cut:
            stated = f" of {length_s:.1f} s" if length_s else ""
            why = decoder.broken or "no more data"
            faults.append(f"cut off after {decoder.end_s:.1f} s{stated} ({why})")
        elif length_s is None and "matroska" in self.recording.container:
            faults.append(f"never ended by its recorder; it goes to {decoder.end_s:.1f} s")
        if decoder.damaged:
            faults.append(f"damaged in {decoder.damaged} places, skipped to the next whole frame")
        if self._backwards:
            faults.append(f"{self._backwards} frames left out whose times go back")
        text = "; ".join(faults)
        return f"{self.recording.path}: {text}. The other frames were taken." if faults else None

    def changes(self) -> tuple[str, ...]:
        """What the shots do not keep of the recording, after reading, in words."""
        found = {
            f"{self._depth} bits a channel became 8": self._depth > 8,
            "interlaced; deinterlaced to one frame for two fields": self._interlaced,
            "transparency left out": self._alpha,
        }
        return tuple(what for what, is_so in found.items() if is_so)

    def _whole(self, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        """Frames that are not interlaced, nor damaged; and notes how they are stored."""
        deinterlacer = Deinterlacer()
        for frame in frames:
            self._interlaced = self._interlaced or frame.interlaced_frame
            self._depth = max(self._depth, form_of(frame).depth)
            self._alpha = self._alpha or has_alpha(frame)
            if frame.is_corrupt or self._time_of(frame) is None:
                continue
            frame.pts = frame.pts if frame.pts is not None else frame.dts
            yield from deinterlacer.take(frame)
        yield from deinterlacer.finish()

    @staticmethod
    def _time_of(frame: VideoFrame) -> Fraction | None:
        """Seconds as the recording counts them; None: it does not say."""
        ticks = frame.pts if frame.pts is not None else frame.dts
        return None if ticks is None or frame.time_base is None else ticks * frame.time_base

    def facts(self) -> dict[str, Any]:
        """What is known of the recording after reading, for ``session.json``."""
        fps = self.average_fps
        return {
            "path": plain(self.recording.path.absolute()),
            "container": self.recording.container,
            "codec": self.recording.codec,
            "size": self.size,
            "average_fps": None if fps is None else round(fps, 3),
            "duration_s": round(self.duration_ns / NS, 3),
        }

    def _shot(self, frame: VideoFrame) -> Shot | None:
        """The frame, if its interval has none yet."""
        seconds = self._time_of(frame)
        if seconds is None:
            return None
        time_ns = round(seconds * NS)
        if not self.decoded:
            self._first_ns = self._last_ns = time_ns
        self.decoded += 1
        self._backwards += time_ns < self._last_ns
        self._last_ns = max(self._last_ns, time_ns)
        missed = self._grid.take(time_ns - self._first_ns)
        if missed is None:
            return None
        image = self._decoder.image_of(frame)
        self.size = image.shape[1], image.shape[0]
        return Shot(image, time_ns - self._first_ns, float(seconds), missed)
