"""A video -> the frames that are restored, in order, each with its time. Writes nothing.

Damage shows as in a player, and is reported. Interlaced frames are deinterlaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from dataset.errors import UserError
from dataset.pictures.pixels import Pixels, to_pixels
from dataset.pictures.video_decoding import (
    BT709,
    MATRICES,
    Decoder,
    Recording,
    display_matrix,
    is_full,
    is_hd,
)
from dataset.pictures.video_deinterlacing import Deinterlacer

UNSTATED = (0, 2)  # of ITU-T H.273's code points
SD = 6  # its code point of SMPTE 170M, for primaries, curve and matrix


class Form(NamedTuple):
    """How finely the numbers of a frame are resolved."""

    depth: int  # bits of a channel
    sampling: tuple[int, int]  # pixels in a row and in a column that share a colour


class Source:
    """A video that is decoded once, from its first packet to its last."""

    def __init__(self, recording: Recording) -> None:
        self.path = recording.path
        self._decoder = Decoder(recording, strict=False)
        self._corrupt = self._backwards = self._interlaced = 0  # frames
        self._read_first(Decoder(recording, strict=False))
        self.container, self.stream = self._decoder.start()
        self.stream.thread_type = "AUTO"

    def _read_first(self, decoder: Decoder) -> None:
        """What the first frame says. Opens the video by itself: no frame can be given back."""
        container, stream = decoder.start()
        with container:
            first = next(decoder.frames(container, stream), None)
            if first is None:
                raise UserError(f"No frame of {self.path} can be decoded: it is damaged.", 1)
            self._size = first.width, first.height
            self._matrix = display_matrix(first)
            self.height, self.width = decoder.image_of(first).shape[:2]
            self.colours = _colours(stream, first)
            self.has_alpha = has_alpha(first)
            self.form = form_of(first)
            self.full_range = is_full(first) and not first.format.is_rgb

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

    def frames(self) -> Iterator[VideoFrame]:
        """All frames that can be decoded, with rising times."""
        last, step, whole = None, self._step(), Deinterlacer()
        for frame in self._decoder.frames(self.container, self.stream):
            self._corrupt += frame.is_corrupt
            self._interlaced += frame.interlaced_frame
            if frame.pts is None:
                frame.pts = frame.dts if frame.dts is not None else (last or -step) + step
            if (frame.width, frame.height) != self._size:
                raise UserError(f"The frames of {self.path} change their size. Cut it there.", 1)
            if last is not None and frame.pts <= last:
                self._backwards += 1
                continue
            last = frame.pts
            yield from whole.take(frame)
        yield from whole.finish()

    def others(self) -> Iterator[Packet]:
        """The packets of all other tracks, without decoding a frame."""
        return (
            packet
            for packet in self._decoder.packets(self.container)
            if packet.stream.index != self.stream.index
        )

    def pixels_of(self, frame: VideoFrame, step: int = 1) -> Pixels:
        """A frame as it is shown, or every so many of its rows and columns: (H, W, 3) float32."""
        return to_pixels(self._decoder.image_of(frame, self.form.depth > 8, step))

    def notes(self) -> tuple[str, ...]:
        """What was wrong with it."""
        decoder, damaged = self._decoder, self._decoder.damaged + self._corrupt
        found = {
            f"the video is cut off after {decoder.end_s:.1f} s, and so is the result": (
                decoder.is_cut
            ),
            f"the video is damaged (frames: {damaged}), and so is the result": damaged,
            f"{self._backwards} frames left out whose times go back": self._backwards,
            "transparency left out": self.has_alpha,
            "the video is interlaced; the result is not, at one frame for two fields": (
                self._interlaced
            ),
        }
        return tuple(note for note, is_so in found.items() if is_so)

    def _step(self) -> int:
        """Ticks from a frame to the next, for frames without a time."""
        rate, base = self.stream.average_rate, self.stream.time_base
        return max(1, round(1 / (rate * base))) if rate and base else 1


def has_alpha(frame: VideoFrame) -> bool:
    """Whether a frame's format has transparency."""
    return any(part.is_alpha for part in frame.format.components)


def form_of(frame: VideoFrame) -> Form:
    """Depth and chroma sampling of a frame's format."""
    kind = frame.format
    sampling = 1, 1
    if len(kind.components) > 2:
        sampling = 64 // kind.chroma_width(64), 64 // kind.chroma_height(64)
    elif not kind.has_palette:  # grey
        sampling = 2, 2
    return Form(max(each.bits for each in kind.components), sampling)


def _colours(stream: VideoStream, frame: VideoFrame) -> tuple[int, int, int]:
    """Code points of primaries, curve and matrix, as stated, or as `rgb` takes them."""
    context, usual = stream.codec_context, BT709 if is_hd(frame) else SD
    primaries, curve = context.color_primaries, context.color_trc
    return (
        usual if primaries in UNSTATED else primaries,
        usual if curve in UNSTATED else curve,
        frame.colorspace if frame.colorspace in MATRICES else usual,
    )
