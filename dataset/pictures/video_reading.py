"""A video -> its frames as they are shown, in order, each with its time. Writes nothing.

Damage shows as in a player, and is told. How colours become RGB is in
``dataset/pictures/recordings.py``, which makes data of videos and is therefore stricter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from dataset.errors import UserError
from dataset.pictures.containers import limit_size, open_recording
from dataset.pictures.pixels import Pixels
from dataset.pictures.recordings import (
    BT709,
    CUT_S,
    HDR,
    MATRICES,
    Recording,
    display_matrix,
    packets_of,
    rgb,
    turn,
)

UNSTATED = (0, 2)  # of ITU-T H.273's code points
SD = 6  # its code point of SMPTE 170M, for primaries, curve and matrix
HD_HEIGHT, HD_WIDTH = 577, 1280  # from either on, untagged colours are those of BT.709


class Source:
    """A video that is decoded once, from its first packet to its last."""

    def __init__(self, recording: Recording) -> None:
        self.recording, self.path = recording, recording.path
        self._reformatter = VideoReformatter()
        with open_recording(self.path) as container:  # of its own, as a frame cannot be given back
            self._begin()
            stream = _moving(container, self.path)
            first = next(self._decoded(container, stream, _ignore), None)
            if first is None:
                raise UserError(f"No frame of {self.path} can be decoded: it is damaged.", 1)
            self._size = first.width, first.height
            self._matrix = display_matrix(first)
            self.height, self.width = self.pixels_of(first).shape[:2]
            self.colours = _colours(stream, first, self.path)
            self.has_alpha = any(part.is_alpha for part in first.format.components)
        self._begin()
        self.container = open_recording(self.path)
        self.stream = _moving(self.container, self.path)
        self.stream.thread_type = "AUTO"

    def _begin(self) -> None:
        self._damaged = self._backwards = 0
        self._broken = ""  # why reading stopped before the end
        self._end_s = 0.0  # of the packets so far

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    @property
    def aspect(self) -> Fraction | None:
        """Width of a pixel by its height, upright; None: square, or not stated."""
        aspect = self.stream.sample_aspect_ratio
        if not aspect:
            return None
        sideways = abs(self._matrix[1]) > abs(self._matrix[0])
        return 1 / aspect if sideways else aspect

    def frames(self, others: Callable[[Packet], None]) -> Iterator[VideoFrame]:
        """All frames that can be decoded, with times that rise; other packets as they come."""
        last, step = None, self._step()
        for frame in self._decoded(self.container, self.stream, others):
            if frame.pts is None:
                frame.pts = frame.dts if frame.dts is not None else (last or -step) + step
            if (frame.width, frame.height) != self._size:
                raise UserError(f"The frames of {self.path} change their size. Cut it there.", 1)
            if last is not None and frame.pts <= last:
                self._backwards += 1
                continue
            last = frame.pts
            yield frame

    def pixels_of(self, frame: VideoFrame) -> Pixels:
        """A frame as it is shown: (H, W, 3) float32."""
        try:
            upright = turn(rgb(frame, self._reformatter), self._matrix)
        except av.error.FFmpegError as error:
            name = frame.format.name
            raise UserError(f"{self.path}: cannot convert {name} to RGB.", 1) from error
        return np.divide(upright, np.float32(255), dtype=np.float32)

    def notes(self) -> tuple[str, ...]:
        """What was wrong with it."""
        found = {
            f"the video is cut off after {self._end_s:.1f} s, and so is the result": self._is_cut(),
            f"the video is damaged (frames: {self._damaged}), and so is the result": self._damaged,
            f"{self._backwards} frames left out whose times go back": self._backwards,
            "transparency left out": self.has_alpha,
        }
        return tuple(note for note, is_so in found.items() if is_so)

    def _is_cut(self) -> bool:
        length_s = self.recording.length_s
        early = length_s is not None and self._end_s - self.recording.begin_s < length_s - CUT_S
        return bool(self._broken) or early

    def _step(self) -> int:
        """Ticks from a frame to the next, where they do not say themselves."""
        rate, base = self.stream.average_rate, self.stream.time_base
        return max(1, round(1 / (rate * base))) if rate and base else 1

    def _decoded(
        self, container: InputContainer, stream: VideoStream, others: Callable[[Packet], None]
    ) -> Iterator[VideoFrame]:
        """Frames in order of presentation, damaged ones as the decoder mends them."""
        for packet in self._packets(container):
            if packet.stream.index != stream.index:
                others(packet)
                continue
            if packet.has_sidedata("encryption_info"):
                raise UserError(f"{self.path} is protected against copying.", 1)
            yield from self._decode(stream, packet)
        if self._broken:  # frames are still on the decoder's threads
            yield from self._decode(stream, None)

    def _decode(self, stream: VideoStream, packet: Packet | None) -> list[VideoFrame]:
        try:
            frames = stream.decode(packet)
        except av.error.FFmpegError:
            self._damaged += 1
            return []
        self._damaged += sum(frame.is_corrupt for frame in frames)
        return frames

    def _break(self, why: str) -> None:
        self._broken = why

    def _packets(self, container: InputContainer) -> Iterator[Packet]:
        for packet in packets_of(container, [], self._break):
            if packet.pts is not None and packet.time_base is not None:
                end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                self._end_s = max(self._end_s, end_s)
            yield packet


def _ignore(packet: Packet) -> None:
    """Do nothing."""


def _colours(stream: VideoStream, frame: VideoFrame, path: Path) -> tuple[int, int, int]:
    """Code points of primaries, curve and matrix, as stated, or as `rgb` takes them."""
    context, curve = stream.codec_context, stream.codec_context.color_trc
    if curve in HDR:
        raise UserError(f"{path} is an HDR video ({HDR[curve]}). Convert it to SDR first.", 1)
    usual = BT709 if frame.width >= HD_WIDTH or frame.height >= HD_HEIGHT else SD
    primaries = context.color_primaries
    return (
        usual if primaries in UNSTATED else primaries,
        usual if curve in UNSTATED else curve,
        frame.colorspace if frame.colorspace in MATRICES else usual,
    )


def _moving(container: InputContainer, path: Path) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        raise UserError(f"{path} has no moving picture. Leave it out.", 1)
    limit_size(stream, path)
    return stream
