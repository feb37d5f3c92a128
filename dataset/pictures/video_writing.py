"""Encoded parts of a video -> its file, with sound, subtitles and chapters of its source.

What is copied stays as it is; sound that the new container cannot hold becomes AAC.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from typing import Any

import av
from av.container import Flags, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from dataset.pictures.video_coding import Coded, Coding
from dataset.pictures.video_reading import Source

Track = Callable[[Packet], list[Packet]]  # a packet of the source -> those of the target

PLAYED = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")  # what players support in MP4
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
AAC_BITS_S = 96_000  # of a channel
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
OWN = (  # metadata of the file itself
    *("major_brand", "minor_version", "compatible_brands", "encoder", "duration"),
    *("bps", "number_of_frames", "number_of_bytes"),
)


class Target:
    """The video that is written.

    Parameters
    ----------
    container : OutputContainer
    source : Source
        Opened for this: its packets are read, and its frames are not decoded.
    coding : Coding
        How the parts were encoded.

    Attributes
    ----------
    notes : list of str
        For the user: what could not be kept.
    """

    def __init__(self, container: OutputContainer, source: Source, coding: Coding) -> None:
        self.notes: list[str] = []
        self._container, self._source = container, source
        self._time_base = coding.time_base
        self._stream = self._add_video(source, coding)
        self._tracks = dict(self._add_others(source))
        # No random identifiers: the same video and network give the same bytes.
        exact: Any = Flags.bitexact
        container.flags |= exact.value
        container.metadata.update(_lasting(source.container.metadata))
        container.set_chapters(source.container.chapters())

    def write(self, parts: Iterable[list[Coded]]) -> None:
        """Write all parts in order, and every other track between them."""
        for packet in merge(self._packets(parts), self._source.others(), key=_decoded_at):
            self._container.mux(packet if packet.stream is self._stream else self._track(packet))

    def _packets(self, parts: Iterable[list[Coded]]) -> Iterator[Packet]:
        for each in in_one_order(parts):
            packet = each.packet(self._time_base)
            packet.stream = self._stream
            yield packet

    def _track(self, packet: Packet) -> list[Packet]:
        """What becomes of a packet of another track."""
        track = self._tracks.get(packet.stream.index)
        return [] if track is None else track(packet)

    def _add_video(self, source: Source, coding: Coding) -> VideoStream:
        """The track of the video; its encoder tells the container what decoders need, no more."""
        made: Any = self._container.add_stream(
            coding.encoder, rate=coding.rate, options=dict(coding.options)
        )
        coding.set_up(made.codec_context)
        _describe(made, source.stream)
        return made

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


def _decoded_at(packet: Packet) -> float:
    """Seconds; what has no time comes at once."""
    time, base = packet.pts if packet.dts is None else packet.dts, packet.time_base
    return -math.inf if time is None or base is None else float(time * base)


def in_one_order(parts: Iterable[list[Coded]]) -> Iterator[Coded]:
    """Frames of all parts with rising times of decoding.

    Each part begins some frames before it is shown, where the one before has not ended if frames
    are not evenly spaced. So a frame is decoded when the one that is shown so many before it is.
    """
    lag, before = -1, deque[int]()
    for part in parts:
        shown = sorted(each.pts for each in part)
        if lag < 0:  # the encoder's reordering: the same in every part
            lag = sum(each.dts < shown[0] for each in part)
            before.extend(each.dts for each in part[:lag])
        for each, pts in zip(part, shown, strict=True):
            before.append(pts)
            each.dts = before.popleft()
            yield each
