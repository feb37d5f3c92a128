"""The spool: frames that come too fast for PNG, as a lossless video and a journal of its frames.

H.264 in RGB with a quantizer of 0 preserves every bit, at a tenth of PNG's work. A segment
``spool/NNNN.h264`` is a plain H.264 stream; ``spool/journal.jsonl`` has each frame's line, with its
place in the segment, once its bytes are with the operating system. ``spool_to_png.py`` converts
them to the PNG files and the manifest that everything else reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import av
import cv2
import msgspec
import numpy as np

from capture.recording.workers import MOST_VIDEO_PIXELS, GrabbedFrame, Workers
from capture.screens.source import BgrxImage
from dataset import gate
from dataset.errors import UserError
from dataset.files import open_to_append
from dataset.pictures.images import resize_area, rgb_of
from dataset.pictures.png import encode_png
from dataset.sessions.manifest import SPOOL, SPOOL_JOURNAL, Frame, ManifestWriter, read_lines

SEGMENT_FRAMES = 600  # the most that a damaged segment can cost
SEGMENT_BYTES = 256 << 20  # a segment is closed beyond this: what the conversion frees at a time
MOST_PACKET = 512 << 20  # bytes of one frame: 1.5 times noise of `MOST_VIDEO_PIXELS`
CODEC = "libx264rgb"
THREADS = 2  # slices of a frame: one thread is too slow for zooming pictures
# The cheapest of benchmarks/capture/lossless.py. Zero latency: one packet per frame, so that none
# is lost inside the encoder when the power fails. Only a segment's first frame is a key frame.
X264_OPTIONS = {"preset": "ultrafast", "tune": "zerolatency", "qp": "0", "g": str(SEGMENT_FRAMES)}


SEGMENT_NAME = re.compile(r"([0-9]{4,9})\.h264")


class Damaged(UserError):
    """A segment that cannot be read to its end."""


class Packet(msgspec.Struct):
    """A frame's place in the spool: further fields of its line in the journal."""

    segment: str  # a `SEGMENT_NAME`
    offset: gate.Count
    bytes: Annotated[int, msgspec.Meta(ge=1, le=MOST_PACKET)]


class Spool:
    """The lossless video of one session. Frames are encoded in order, on one thread.

    Parameters
    ----------
    session : Path
        The session's folder.
    waiting : int
        How many frames may wait for the encoder.
    size : (int, int) or None
        Width and height to resize to.

    Raises
    ------
    UserError
        This PyAV has no such encoder.
    """

    note = "h264 in RGB, quantizer 0, then png"

    def __init__(self, session: Path, waiting: int, size: tuple[int, int] | None = None) -> None:
        if CODEC not in av.codecs_available:
            raise UserError(f"This PyAV has no {CODEC} encoder: record with --codec png.")
        self.written = 0  # lines in the journal
        self._size = size
        self._folder = session / SPOOL
        self._folder.mkdir()
        ManifestWriter(session).close()  # empty until the frames are converted
        self._journal = ManifestWriter(self._folder, SPOOL_JOURNAL)
        self._segment: _Segment | None = None
        self._segments = 0
        self._png_bytes = 0
        self._failed: Exception | None = None
        self._workers = Workers(self._write, 1, waiting, "spool")
        self.full = self._workers.full
        self._handed = 0  # frames, including those that wait

    @property
    def error(self) -> Exception | None:
        """Why nothing more is written, or None."""
        return self._workers.error or self._failed

    def put(self, grabbed: GrabbedFrame) -> None:
        """Hand over a frame; blocks while the queue is full. For one thread."""
        self._handed += 1
        self._workers.put(grabbed)

    def reserve_bytes(self) -> int:
        """The size of the PNG files to come, and of the waiting frames' video, which for noise is
        1.5 times its PNG. One more frame is taken before this is called again.
        """
        waiting = self._handed + 1 - self.written
        return (self._handed + 1 + 2 * waiting) * self._png_bytes

    def close(self) -> None:
        """Write what was handed over. May be called twice."""
        self._workers.close()
        try:
            if self._segment is not None:
                self._segment.close()
            self._journal.close()
        except OSError as error:
            self._failed = UserError(f"Cannot write in {self._folder}: {error}", 1)
        self._segment = None

    def _write(self, grabbed: GrabbedFrame) -> None:
        image = grabbed.image if self._size is None else resize_area(grabbed.image, self._size)
        try:
            segment = self._segment_for(image)
            offset, length = segment.append(image)
            place = {"segment": segment.path.name, "offset": offset, "bytes": length}
            height, width = image.shape[:2]
            self._journal.append(replace(grabbed.frame, width=width, height=height, extra=place))
        except OSError as error:
            raise UserError(f"Cannot write in {self._folder}: {error.strerror}.", 1) from error
        self.written += 1

    def _segment_for(self, image: BgrxImage) -> _Segment:
        """The segment for this frame: a new one when the last is full or the size differs."""
        now = self._segment
        if now is None or now.full() or now.shape != image.shape:
            if now is not None:
                now.close()
            now = _Segment(self._folder / f"{self._segments:04d}.h264", image.shape)
            self._segments += 1
            self._segment = now
            size = len(encode_png(rgb_of(image)))
            self._png_bytes = max(self._png_bytes, round(1.05 * size))  # whole blocks of the disk
        return now


class _Segment:
    """One H.264 stream of frames of one size, beginning with a key frame."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        if shape[0] * shape[1] > MOST_VIDEO_PIXELS:
            raise UserError(
                f"{shape[1]}x{shape[0]} pixels are too many for the lossless video: record with "
                "--codec png, or make frames smaller with --size."
            )
        self.path, self.shape, self.frames = path, shape, 0
        self._file: FileIO = open_to_append(path, new=True).detach()  # type: ignore[attr-defined]
        self._offset = 0
        codec: Any = av.CodecContext.create(CODEC, "w")
        codec.height, codec.width = shape[:2]
        codec.pix_fmt = "bgr0"
        codec.time_base = Fraction(1, 1000)  # unused: times are in the journal
        codec.thread_count = THREADS
        codec.options = X264_OPTIONS
        self._codec = codec
        # Reused: allocating one per frame would cost half as much as encoding it.
        self._picture: Any = av.VideoFrame(codec.width, codec.height, "bgr0")
        plane: Any = self._picture.planes[0]  # its rows may be longer than the picture's
        self._lines = np.frombuffer(plane, np.uint8).reshape(codec.height, plane.line_size)

    def full(self) -> bool:
        """Whether the next frame needs another segment."""
        return self.frames >= SEGMENT_FRAMES or self._offset > SEGMENT_BYTES

    def append(self, image: BgrxImage) -> tuple[int, int]:
        """Encode BGRX (H, W, 4) and write its packet; its offset and length in the file, bytes."""
        height, width = image.shape[:2]
        self._lines[:, : 4 * width] = image.reshape(height, 4 * width)
        self._picture.pts = self.frames
        data = b"".join(bytes(packet) for packet in self._codec.encode(self._picture))
        if not data:
            raise RuntimeError("the encoder holds frames back: it ignores zero latency")
        self.frames += 1
        offset = self._offset
        _write_all(self._file, data)
        self._offset += len(data)
        return offset, len(data)

    def close(self) -> None:
        self._file.close()


def journal_of(session: Path) -> list[Frame]:
    """Frames of the spool, in order; none if there is no spool.

    Raises
    ------
    UserError
        A line cannot be parsed, names no segment, or is out of order.
    """
    path = session / SPOOL / SPOOL_JOURNAL
    frames = list(read_lines(path.parent, SPOOL_JOURNAL)) if gate.is_regular(path) else []
    before = (-1, -1)
    for frame in frames:
        try:
            here = int(packet_of(frame).segment.partition(".")[0]), frame.index
        except ValueError as error:
            raise _damaged(path, frame, str(error)) from error
        if here[0] < before[0] or here[1] <= before[1]:
            raise _damaged(path, frame, "it comes after a later one")
        before = here
    return frames


def _damaged(path: Path, frame: Frame, why: str) -> UserError:
    return UserError(f"{path}: the line of frame {frame.index} is damaged ({why}). Remove it.")


def packet_of(frame: Frame) -> Packet:
    """The place of a frame in the spool; ``ValueError`` if its line makes no sense."""
    packet = gate.to_typed(frame.extra, Packet)
    if not SEGMENT_NAME.fullmatch(packet.segment):
        raise ValueError(f"{gate.plain(packet.segment[:80])!r} is no segment of a video")
    return packet


def read_segment(path: Path, frames: list[Frame]) -> Iterator[tuple[Frame, BgrxImage]]:
    """Decode the frames of one segment, from its first on, BGRX (H, W, 4) each.

    Raises
    ------
    Damaged
        The file is no video of ours, is shorter than the journal says, or cannot be decoded; or
        the journal lacks a frame that later ones depend on.
    """
    codec: Any = av.CodecContext.create("h264", "r")
    codec.thread_count = 1  # one packet in, one picture out
    size, end = (frames[0].width, frames[0].height), 0
    try:
        codec.options = {"max_pixels": str(_coded_pixels(*size))}
        if path.is_symlink():
            raise ValueError("it is a link to another place")
        with gate.open_regular(path, gate.MOST_TABLE) as file:
            for frame in frames:
                packet = packet_of(frame)
                if packet.offset != end:
                    raise ValueError(f"the journal lacks what stands before frame {frame.index}")
                (picture,) = codec.decode(av.Packet(_read(file, packet, frame.index)))
                if (picture.format.name, picture.width, picture.height) != ("gbrp", *size):
                    raise ValueError(f"frame {frame.index} is another one than the journal says")
                end += packet.bytes
                extra = {key: value for key, value in frame.extra.items() if key not in _PLACE}
                yield replace(frame, extra=extra), _bgrx_of(picture)
    except (av.FFmpegError, OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Damaged(f"{path} cannot be read to its end: {why}", 1) from error


def _coded_pixels(width: int, height: int) -> int:
    """Pixels that the decoder may allocate for this size, in whole blocks of 16x16."""
    if not 0 < width * height <= MOST_VIDEO_PIXELS:
        raise ValueError(f"{width}x{height} pixels are no picture of a screen")
    return (width + 31) * (height + 31)


def _read(file: BinaryIO, packet: Packet, index: int) -> bytes:
    """The bytes of one frame; ``ValueError`` if the file ends first."""
    file.seek(packet.offset)
    data = file.read(packet.bytes)
    if len(data) < packet.bytes:
        raise ValueError(f"it ends before frame {index}")
    return data


_PLACE = ("segment", "offset", "bytes")


def _bgrx_of(picture: Any) -> BgrxImage:
    """The planes G, B, R of a decoded picture as BGRX, without any conversion."""
    green, blue, red = (
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in picture.planes
    )
    return np.asarray(cv2.merge([blue, green, red, red]), dtype=np.uint8)


def _write_all(file: FileIO, data: bytes) -> None:
    """Write every byte; a full disk may take a part before it fails."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) or 0 :]
