"""Restored frames -> a video, with the sound, the subtitles and the chapters of its source.

What is copied stays as it is; sound that the new container cannot hold becomes AAC.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from operator import le
from typing import Any

import av
from av.container import Flags, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from dataset.errors import UserError
from dataset.pictures.pixels import Pixels, to_image
from dataset.pictures.video_decoding import ACCURATE, MATRICES
from dataset.pictures.video_reading import Form, Source

Track = Callable[[Packet], list[Packet]]  # a packet of the source -> those of the target

ENCODERS = {  # best first, each at a visually lossless quality
    # Half the time of preset medium, and nearer to what is encoded. With mbtree, veryfast does not
    # always make the same file of the same frames.
    "libx264": {"crf": "18", "preset": "veryfast", "x264-params": "mbtree=0"},
    "libx265": {"crf": "17", "preset": "medium"},
    "libvpx-vp9": {"crf": "18", "b": "0", "row-mt": "1"},
}
PLAYED = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")  # what players support in MP4
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
AAC_BITS_S = 96_000  # of a channel
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
FORMATS = {  # FFmpeg's names
    Form(depth, sampling): f"yuv{name}p" + (f"{depth}le" if depth > 8 else "")
    for depth in (8, 10, 12)
    for name, sampling in (("420", (2, 2)), ("422", (2, 1)), ("444", (1, 1)))
}
PLAYED_FORM = Form(8, (2, 2))  # what every player can show
OWN = (  # metadata of the file itself
    *("major_brand", "minor_version", "compatible_brands", "encoder", "duration"),
    *("bps", "number_of_frames", "number_of_bytes"),
)


class Target:
    """The video that is written."""

    def __init__(self, container: OutputContainer, source: Source) -> None:
        self.notes: list[str] = []
        self.written = 0  # frames
        self._container = container
        self._reformatter = VideoReformatter()
        self._shape = source.height, source.width, 3
        self._matrix = MATRICES[source.colours[2]]
        self._range = ColorRange.JPEG if source.full_range else ColorRange.MPEG
        self._stream = self._add_video(source)
        self._tracks = dict(self._add_others(source))
        # No random identifiers: the same video and network give the same bytes.
        exact: Any = Flags.bitexact
        container.flags |= exact.value
        container.metadata.update(_lasting(source.container.metadata))
        container.set_chapters(source.container.chapters())

    def write(self, frame: VideoFrame, pixels: Pixels) -> None:
        """Encode a restored picture at the time of its frame."""
        assert pixels.shape == self._shape, (pixels.shape, self._shape)
        made = self._reformatter.reformat(
            VideoFrame.from_ndarray(
                to_image(pixels, 16 if self._deep else 8), "rgb48le" if self._deep else "rgb24"
            ),
            format=self._stream.codec_context.pix_fmt,
            dst_colorspace=self._matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=self._range,
            interpolation=ACCURATE,
        )
        made.pts, made.time_base, made.duration = frame.pts, frame.time_base, frame.duration
        self._container.mux(self._stream.encode(made))
        self.written += 1

    def take(self, packet: Packet) -> None:
        """Copy a packet of another track."""
        track = self._tracks.get(packet.stream.index)
        if track is not None:
            self._container.mux(track(packet))

    def finish(self) -> None:
        """Flush the encoder."""
        self._container.mux(self._stream.encode(None))

    def _add_video(self, source: Source) -> VideoStream:
        name = next((each for each in ENCODERS if each in av.codecs_available), None)
        if name is None:
            raise UserError(f"This PyAV has none of the encoders {', '.join(ENCODERS)}.")
        rate = source.stream.average_rate or source.stream.guessed_rate
        stream: Any = self._container.add_stream(name, rate=rate, options=dict(ENCODERS[name]))
        context = stream.codec_context
        context.width, context.height = source.width, source.height
        context.pix_fmt = self._format_of(source, name)
        self._deep = context.pix_fmt.endswith("le")
        context.time_base = source.stream.time_base
        context.color_primaries, context.color_trc, context.colorspace = source.colours
        context.color_range = self._range
        if source.aspect:
            context.sample_aspect_ratio = source.aspect
        _describe(stream, source.stream)
        return stream

    def _format_of(self, source: Source, encoder: str) -> str:
        """The encoder's pixel format that keeps what the source resolves, or the nearest to it."""
        form = source.form
        if source.width % 2 or source.height % 2:  # other samplings need even sides
            form = Form(form.depth, (1, 1))
            self.notes.append("an odd size needs 4:4:4 colour, which some players cannot show")
        known = {each.name for each in av.Codec(encoder, "w").video_formats or ()}
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

    def _add_others(self, source: Source) -> Iterator[tuple[int, Track]]:
        """Every other track unchanged; sound that the container cannot hold becomes AAC."""
        for stream in source.container.streams:
            if stream.index == source.stream.index:
                continue
            track = self._copied(stream)
            if track is None and stream.type == "audio" and stream.codec_context:
                track = self._recoded(stream)
            if track is None:
                self.notes.append(f"track {stream.index} ({stream.type}) left out")
            else:
                yield stream.index, track

    def _copied(self, stream: Stream) -> Track | None:
        name = self._container.format.name
        if stream.type not in ("audio", "subtitle", *(("attachment",) * (name == "matroska"))):
            return None
        if stream.type == "audio" and name == "mp4" and _codec_of(stream) not in PLAYED:
            return None
        try:
            made = self._container.add_stream_from_template(stream)
        except ValueError:
            return None
        _describe(made, stream)

        def copy(packet: Packet) -> list[Packet]:
            packet.stream = made
            return [packet] if packet.dts is not None else []

        return copy

    def _recoded(self, incoming: Any) -> Track:
        name = _codec_of(incoming)
        context = incoming.codec_context
        fitting = [rate for rate in AAC_RATES if rate <= context.sample_rate] or AAC_RATES[-1:]
        made: Any = self._container.add_stream("aac", rate=fitting[0])
        made.codec_context.layout = LAYOUTS.get(context.layout.nb_channels, "stereo")
        made.codec_context.bit_rate = AAC_BITS_S * made.codec_context.layout.nb_channels
        _describe(made, incoming)
        self.notes.append(f"sound converted from {name} to AAC, which this kind of file can hold")

        def recode(packet: Packet) -> list[Packet]:
            try:
                frames: Any = packet.decode()
            except av.error.FFmpegError:
                return []
            found = [each for frame in frames for each in made.encode(frame)]
            return found if packet.size else found + made.encode(None)

        return recode


def _lasting(metadata: dict[str, str]) -> dict[str, str]:
    """The metadata that holds for the restored video too."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in OWN and not key.startswith("_STATISTICS")
    }


def _codec_of(stream: Stream) -> str:
    return stream.codec_context.codec.canonical_name if stream.codec_context else ""


def _describe(made: Any, stream: Stream) -> None:
    made.metadata.update(_lasting(stream.metadata))
    made.disposition = stream.disposition.value


def _resolves(form: Form, wanted: Form) -> bool:
    return form.depth >= wanted.depth and all(map(le, form.sampling, wanted.sampling))
