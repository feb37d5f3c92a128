"""A video -> the frames that are restored, in order, each with its time. Writes nothing.

Damage shows as in a player, and is reported. Interlaced frames are deinterlaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import av
from av.filter import Graph
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
    is_hd,
)

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
            self.has_alpha = any(part.is_alpha for part in first.format.components)
            self.form = form_of(first)

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


class Deinterlacer:
    """Makes whole frames of interlaced ones, from the first of them on, and passes on others.

    FFmpeg's bwdif: where things move, rows of the later field are drawn from those beside them.
    """

    def __init__(self) -> None:
        self._graph: Graph | None = None  # costs nothing before there is something to do
        self._base: Any = None  # seconds in a tick of its times

    def take(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """The frames that are ready once this one is known; each waits for the one after it."""
        if self._graph is None and not frame.interlaced_frame:
            yield frame
            return
        if self._graph is None:
            self._graph, self._base = _bwdif(frame), frame.time_base
        self._graph.vpush(frame)
        yield from self._ready()

    def finish(self) -> Iterator[VideoFrame]:
        """Those that are left."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._ready()

    def _ready(self) -> Iterator[VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                frame: Any = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            scale = frame.time_base / self._base  # bwdif counts fields
            frame.pts, frame.duration = round(frame.pts * scale), round(frame.duration * scale)
            frame.time_base = self._base
            yield frame


def _bwdif(frame: VideoFrame) -> Graph:
    graph, base = Graph(), frame.time_base or Fraction(1)
    buffer = graph.add(
        "buffer",
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:"
        f"time_base={base.numerator}/{base.denominator}:"
        f"colorspace={int(frame.colorspace)}:range={int(frame.color_range)}",
    )
    graph.link_nodes(
        buffer, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
    )
    graph.configure()
    return graph


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
