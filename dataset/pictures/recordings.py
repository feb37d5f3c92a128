"""A recording's frames with their own times. Writes nothing.

A recording is decoded from its first packet to its last without seeking, and one frame of each
interval of an absolute grid is turned into RGB. Nothing is made up: where the recording has no
frame, there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dataset.errors import UserError
from dataset.gate import plain
from dataset.pictures.containers import limit_size, open_recording
from dataset.pictures.images import Image

Matrix = NDArray[np.int32]  # a display matrix, (9,)

NS = 1_000_000_000  # nanoseconds in a second
ROUNDING_NS = 1_000_000  # Matroska and FLV round times to a millisecond
CUT_S = 1.0  # a recording that ends so much before its stated length was cut off

# Code points of ITU-T H.273; those of matrices are swscale's as well.
HDR = {16: "PQ", 18: "HLG"}
BT709, BT601 = 1, 5
MATRICES = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: 9, 10: 9}  # 7: SMPTE 240M, 9: BT.2020
ACCURATE = 0x4 | 0x2000 | 0x40000  # swscale's BICUBIC, FULL_CHR_H_INT and ACCURATE_RND
UPRIGHT = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], np.int32)  # of ISO/IEC 14496-12


@dataclass(frozen=True)
class Recording:
    """What a recording says of itself before a frame is decoded."""

    path: Path
    codec: str
    container: str
    length_s: float | None  # as stated; None: it states none
    begin_s: float  # where its times begin
    created_ns: int | None  # time.time_ns() at its beginning, if it says so

    def intervals(self, fps: float) -> int:
        """How many frames to expect of it at most; 0 where it states no length."""
        return math.ceil((self.length_s or 0) * fps)


@dataclass(frozen=True)
class Shot:
    """A frame that was kept."""

    image: Image  # RGB uint8 (H, W, 3), upright
    time_ns: int  # presentation time since the recording's first frame
    source_s: float  # presentation time as the recording counts it
    missed_before: int  # whole intervals without a frame between the shot before and this one


class Grid:
    """Which frames to keep: the first at or after each deadline ``k / fps`` since the first frame.

    Parameters
    ----------
    fps : float
        Intervals a second, over 0.

    Notes
    -----
    A time that lies before a deadline by no more than the rounding of containers is on it: else
    a recording of 60 frames a second, its times rounded to milliseconds, would lose frames when
    it is thinned to 60.

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
        self._last = -1  # interval of the frame kept last

    def take(self, time_ns: int) -> int | None:
        """Whole intervals missed since the last frame kept; None: this one is not wanted.

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


def describe(path: Path) -> Recording:
    """What a recording says of itself.

    Raises
    ------
    UserError
        The file cannot be read, has no moving picture, or is HDR.
    """
    with open_recording(path) as container:
        stream = _video(container, path)
        return Recording(
            path,
            stream.codec_context.name,
            container.format.name,
            container.duration / av.time_base if container.duration else None,
            (container.start_time or 0) / av.time_base,
            _created_ns(container, stream),
        )


class Reader:
    """Decodes one recording once; its counters say afterwards what there was.

    Memory holds what the decoder needs and one shot, however long the recording is.

    Parameters
    ----------
    recording : Recording
    fps : float
        Frames a second to keep, at most.
    """

    def __init__(self, recording: Recording, fps: float) -> None:
        self.recording = recording
        self.decoded = 0  # frames with a time
        self.size: tuple[int, int] | None = None  # width and height of the last shot
        self._grid = Grid(fps)
        self._reformatter = VideoReformatter()
        self._matrix: Matrix | None = None  # of the first frame, and so of all
        self._first_ns = self._last_ns = 0  # presentation times of the frames so far
        self._video_end_ns = self._end_ns = 0  # of the packets so far: of the picture, of all
        self._damaged = self._backwards = 0
        self._broken = ""  # why reading stopped before the end

    @property
    def duration_ns(self) -> int:
        """From the first frame to the end of the last one."""
        return max(self._video_end_ns, self._last_ns) - self._first_ns

    @property
    def average_fps(self) -> float | None:
        """Of the recording itself, over all its frames."""
        span = self._last_ns - self._first_ns
        return (self.decoded - 1) * NS / span if span > 0 else None

    def shots(self) -> Iterator[Shot]:
        """The kept frames in order of their times.

        Raises
        ------
        UserError
            Not one frame can be decoded, it is encrypted, or it turns out to be HDR.
        """
        with open_recording(self.recording.path) as container:
            stream = _video(container, self.recording.path)
            stream.thread_type = "AUTO"
            for frame in self._frames(container, stream):
                _refuse_hdr(stream, self.recording.path)  # some say so in their frames only
                shot = self._shot(frame)
                if shot is not None:
                    yield shot
        if not self.decoded:
            raise UserError(f"No frame of {self.recording.path} can be decoded: it is damaged.", 1)

    def note(self) -> str | None:
        """What was wrong with the recording, once it has been read; None: nothing."""
        faults = []
        recording, end_s = self.recording, self._end_ns / NS - self.recording.begin_s
        length_s = recording.length_s
        if self._broken or (length_s is not None and end_s < length_s - CUT_S):
            stated = f" of {length_s:.1f} s" if length_s else ""
            faults.append(f"cut off after {end_s:.1f} s{stated} ({self._broken or 'no more data'})")
        elif length_s is None and "matroska" in recording.container:
            faults.append(f"never ended by its recorder; it goes to {end_s:.1f} s")
        if self._damaged:
            faults.append(f"damaged in {self._damaged} places, passed over to the next whole frame")
        if self._backwards:
            faults.append(f"{self._backwards} frames left out whose times go back")
        text = "; ".join(faults)
        return f"{recording.path}: {text}. The other frames were taken." if faults else None

    def facts(self) -> dict[str, Any]:
        """What is known of the recording once it has been read, for ``session.json``."""
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
        ticks = frame.pts if frame.pts is not None else frame.dts
        if ticks is None or frame.time_base is None or frame.is_corrupt:
            return None
        seconds = ticks * frame.time_base
        time_ns = round(seconds * NS)
        if not self.decoded:
            self._first_ns = self._last_ns = time_ns
        self.decoded += 1
        self._backwards += time_ns < self._last_ns
        self._last_ns = max(self._last_ns, time_ns)
        missed = self._grid.take(time_ns - self._first_ns)
        if missed is None:
            return None
        if self._matrix is None:
            self._matrix = display_matrix(frame)
        try:
            image = turn(rgb(frame, self._reformatter), self._matrix)
        except av.error.FFmpegError as error:
            name = frame.format.name
            raise UserError(f"{self.recording.path}: cannot convert {name} to RGB.", 1) from error
        self.size = image.shape[1], image.shape[0]
        return Shot(image, time_ns - self._first_ns, float(seconds), missed)

    def _frames(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """All frames that can be decoded, in order of presentation."""
        whole = True  # False: what is decoded would be built on a damaged frame
        for packet in self._packets(container):
            if packet.stream.index != stream.index:
                continue
            if packet.has_sidedata("encryption_info"):
                raise UserError(f"{self.recording.path} is protected against copying.", 1)
            whole = whole or packet.is_keyframe or not packet.size  # the last one has no data
            if not whole:
                continue
            try:
                frames = stream.decode(packet)
            except av.error.FFmpegError:
                self._damaged += 1
                whole = False
                continue
            yield from frames
        try:  # after a fault of the container, frames are still on the decoder's threads
            yield from stream.decode(None) if self._broken else ()
        except av.error.FFmpegError:
            self._damaged += 1

    def _break(self, why: str) -> None:
        self._broken = why

    def _packets(self, container: InputContainer) -> Iterator[Packet]:
        """Packets of picture and sound; the sound too tells how far the recording goes."""
        streams = [each for each in container.streams if each.type in ("video", "audio")]
        for packet in packets_of(container, streams, self._break):
            if packet.pts is not None and packet.time_base is not None:
                end_ns = round((packet.pts + (packet.duration or 0)) * packet.time_base * NS)
                self._end_ns = max(self._end_ns, end_ns)
                if packet.stream.type == "video":
                    self._video_end_ns = max(self._video_end_ns, end_ns)
            yield packet


def rgb(frame: VideoFrame, reformatter: VideoReformatter) -> Image:
    """A decoded frame as RGB uint8 (H, W, 3) by the colour matrix and range that it states.

    Where it states none: BT.709 from HD sizes on and BT.601 under them, limited range. The
    transfer curve stays as it is, since screens show BT.709 video and sRGB pictures alike.
    """
    full = frame.format.is_rgb or frame.format.name.startswith("yuvj")
    full = full or frame.color_range == ColorRange.JPEG
    hd = frame.width >= 1280 or frame.height > 576
    untagged = BT709 if hd else BT601
    plain = reformatter.reformat(
        frame,
        format="rgb24",
        src_colorspace=MATRICES.get(frame.colorspace, untagged),
        # PyAV 16 ignores the source matrix where range and matrix are those of the result.
        dst_colorspace=BT601,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=ACCURATE,
    )
    return np.asarray(plain.to_ndarray(), np.uint8)


def display_matrix(frame: VideoFrame) -> Matrix:
    """How a frame is to be turned for display. Keeps the frame in memory until collected."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    return UPRIGHT if data is None else np.frombuffer(bytes(data), np.int32)


def turn(image: Image, matrix: Matrix) -> Image:
    """Turn and mirror a picture by a display matrix, in quarter turns.

    Parameters
    ----------
    image : uint8 array, (H, W, 3)
    matrix : int32 array, (9,)
        Row by row, as in a ``tkhd`` box of ISO/IEC 14496-12: ``(x', y') = (x, y) M``.
    """
    a, b, c, d = (int(matrix[at]) for at in (0, 1, 3, 4))
    if abs(b) > abs(a):  # x and y change places
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def packets_of(
    container: InputContainer, streams: Sequence[Stream], on_fault: Callable[[str], None]
) -> Iterator[Packet]:
    """All packets of some streams (of none: of all), up to a fault of the container, if any."""
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            on_fault(str(error.strerror))
            return
        if packet is None:
            return
        yield packet


def _video(container: InputContainer, path: Path) -> VideoStream:
    """The moving picture of a recording; ``UserError`` where there is none to decode."""
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        raise UserError(f"{path} has no moving picture. Leave it out.", 1)
    if stream.codec_context is None:
        raise UserError(f"No decoder for {path}. Convert it to H.264 first.", 1)
    _refuse_hdr(stream, path)
    limit_size(stream, path)
    return stream


def _refuse_hdr(stream: VideoStream, path: Path) -> None:
    curve = HDR.get(stream.codec_context.color_trc)
    if curve is not None:
        raise UserError(
            f"{path} is an HDR recording ({curve}), in which nothing is over-exposed as on an SDR "
            "screen. Record with HDR off, or convert it to SDR first."
        )


def _created_ns(container: InputContainer, stream: VideoStream) -> int | None:
    """When the recording began by its own metadata; None where they do not say."""
    text = container.metadata.get("creation_time") or stream.metadata.get("creation_time") or ""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    if moment.year < 1990:  # a clock that was never set
        return None
    since = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86_400 + since.seconds) * NS + since.microseconds * 1000
