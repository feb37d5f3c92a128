"""Restored frames -> encoded parts of a video, each by an encoder of its own.

A part can be decoded without the others, so what was encoded before a video was stopped stays, and
the rest is encoded as it would have been. ``video_writing`` joins them to a file. Writes no file
itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from operator import le
from typing import Any

import av
import msgspec
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter

from dataset.errors import UserError
from dataset.pictures.pixels import Pixels, to_image
from dataset.pictures.video_decoding import ACCURATE, MATRICES
from dataset.pictures.video_reading import Form, Source

ENCODERS = {  # best first, each at a visually lossless quality
    # Half the time of preset medium, and nearer to what is encoded. With mbtree, veryfast does not
    # always make the same file of the same frames.
    "libx264": {"crf": "18", "preset": "veryfast", "x264-params": "mbtree=0"},
    "libx265": {"crf": "17", "preset": "medium"},
    "libvpx-vp9": {"crf": "18", "b": "0", "row-mt": "1"},
}
FORMATS = {  # FFmpeg's names
    Form(depth, sampling): f"yuv{name}p" + (f"{depth}le" if depth > 8 else "")
    for depth in (8, 10, 12)
    for name, sampling in (("420", (2, 2)), ("422", (2, 1)), ("444", (1, 1)))
}
# MP4, MOV and Matroska keep what decoders need apart from the frames.
HEADER: Any = av.codec.context.Flags.global_header.value
ENCODED_BY = f"PyAV {av.__version__}"  # another one may make other bytes of the same frames
PLAYED_FORM = Form(8, (2, 2))  # what every player can show


class Coded(msgspec.Struct, array_like=True):
    """One encoded frame; times in ticks of the source's video track."""

    data: bytes
    pts: int  # when it is shown
    dts: int  # when it is decoded
    duration: int
    is_keyframe: bool

    def packet(self, time_base: Fraction) -> Packet:
        made = Packet(self.data)
        made.pts, made.dts, made.duration = self.pts, self.dts, self.duration
        made.time_base, made.is_keyframe = time_base, self.is_keyframe
        return made


class Coding:
    """How the frames of a video are encoded, so that what its source resolves is kept.

    Parameters
    ----------
    source : Source

    Attributes
    ----------
    encoder : str
        FFmpeg's name.
    notes : list of str
        For the user: what could not be kept.

    Raises
    ------
    UserError
        PyAV has no encoder.
    """

    def __init__(self, source: Source) -> None:
        self.notes: list[str] = []
        name = next((each for each in ENCODERS if each in av.codecs_available), None)
        if name is None:
            raise UserError(f"This PyAV has none of the encoders {', '.join(ENCODERS)}.")
        self.encoder, self.options = name, dict(ENCODERS[name])
        self.rate = source.stream.average_rate or source.stream.guessed_rate or Fraction(25)
        self.time_base = source.stream.time_base or 1 / Fraction(self.rate)
        self._aspect, self._colours, self._format = (
            source.aspect,
            source.colours,
            self._format_of(source),
        )
        self._deep = self._format.endswith("le")
        self._shape, self._matrix = (source.height, source.width, 3), MATRICES[source.colours[2]]
        self._range = ColorRange.JPEG if source.full_range else ColorRange.MPEG
        self._reformatter = VideoReformatter()

    def set_up(self, context: Any) -> None:
        """Give an encoder size, form and colours."""
        context.height, context.width = self._shape[:2]
        context.pix_fmt = self._format
        context.time_base = self.time_base
        context.color_primaries, context.color_trc, context.colorspace = self._colours
        context.color_range = self._range
        if self._aspect:
            context.sample_aspect_ratio = self._aspect

    def encode(self, frames: Iterable[tuple[VideoFrame, Pixels]]) -> list[Coded]:
        """Encode one part.

        Parameters
        ----------
        frames : iterable of (VideoFrame, (H, W, 3) float32 in [0, 1])
            Frames, whose times count, and what is shown of each.

        Returns
        -------
        list of Coded
            In the order of decoding.
        """
        context: Any = av.CodecContext.create(self.encoder, "w")
        context.framerate, context.bit_rate = self.rate, 0
        self.set_up(context)
        context.options = dict(self.options)
        context.flags |= HEADER
        packets = [each for shown in frames for each in context.encode(self._made(*shown))]
        return [_coded(each) for each in (*packets, *context.encode(None))]

    def _made(self, frame: VideoFrame, pixels: Pixels) -> VideoFrame:
        """A restored picture as its encoder takes it, at the time of its frame."""
        assert pixels.shape == self._shape, (pixels.shape, self._shape)
        made = self._reformatter.reformat(
            VideoFrame.from_ndarray(
                to_image(pixels, 16 if self._deep else 8), "rgb48le" if self._deep else "rgb24"
            ),
            format=self._format,
            dst_colorspace=self._matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=self._range,
            interpolation=ACCURATE,
        )
        made.pts, made.time_base, made.duration = frame.pts, frame.time_base, frame.duration
        return made

    def _format_of(self, source: Source) -> str:
        """The encoder's pixel format that keeps what the source resolves, or the nearest to it."""
        form = source.form
        if source.width % 2 or source.height % 2:  # other samplings need even sides
            form = Form(form.depth, (1, 1))
            self.notes.append("an odd size needs 4:4:4 colour, which some players cannot show")
        known = {each.name for each in av.Codec(self.encoder, "w").video_formats or ()}
        usable = [each for each, name in FORMATS.items() if name in known]
        depth = min(form.depth, max(each.depth for each in usable))
        fine = [each for each in usable if _resolves(each, Form(depth, form.sampling))]
        found = min(fine, key=lambda each: (each.depth, -math.prod(each.sampling)))
        self._note_form(form, found, source.stream.codec_context.name)
        return FORMATS[found]

    def _note_form(self, form: Form, found: Form, codec: str) -> None:
        if form.depth > found.depth:
            self.notes.append(f"{form.depth} bits a channel became {found.depth}")
        if found != PLAYED_FORM and codec != "h264" and not self.notes:
            name = ":".join(FORMATS[found][3:6])
            self.notes.append(
                f"{found.depth} bits and {name} are kept in H.264, which some players cannot show"
            )


def _coded(packet: Packet) -> Coded:
    assert packet.pts is not None
    dts = packet.pts if packet.dts is None else packet.dts
    return Coded(bytes(packet), packet.pts, dts, packet.duration or 0, packet.is_keyframe)


def _resolves(form: Form, wanted: Form) -> bool:
    return form.depth >= wanted.depth and all(map(le, form.sampling, wanted.sampling))
