"""Videos: opened, decoded from the first packet to the last, and turned into upright RGB.

``recordings.py`` makes frames of a data set of them, and ``video_reading.py`` the pictures that
are restored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dataset.errors import UserError
from dataset.gate import is_regular
from dataset.pictures.dynamic_range import CURVES, hdr_fault
from dataset.pictures.formats import VIDEOS
from dataset.pictures.limits import MOST_FILM_PIXELS, TooLarge
from dataset.pictures.video_times import ShownTimes

Matrix = NDArray[np.int32]  # a display matrix, (9,)

DEMUXERS = "mov,matroska,avi,flv,mpegts"  # FFmpeg's names of what `VIDEOS` stand for
# Metadata may not be UTF-8. PyAV 19 accepts it as it is, and has no such argument.
TEXT: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
NS = 1_000_000_000  # nanoseconds in a second
CUT_S = 1.0  # a video that ends this much before its stated length was cut off

# Code points of ITU-T H.273; those of matrices are swscale's as well.
BT709, BT601 = 1, 5
MATRICES = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: 9, 10: 9}  # 7: SMPTE 240M, 9: BT.2020
HD_HEIGHT, HD_WIDTH = 577, 1280  # from either on, untagged colours are those of BT.709
ACCURATE = 0x4 | 0x2000 | 0x40000  # swscale's BICUBIC, FULL_CHR_H_INT and ACCURATE_RND
NEAREST = 0x10  # swscale's POINT
UPRIGHT = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], np.int32)  # of ISO/IEC 14496-12


@dataclass(frozen=True)
class Recording:
    """What a video states before a frame is decoded."""

    path: Path
    codec: str
    container: str
    length_s: float | None  # as stated; None: it states none
    begin_s: float  # its first time
    created_ns: int | None  # time.time_ns() at its beginning, if stated

    def intervals(self, fps: float) -> int:
        """The most frames to expect of it; 0 where it states no length."""
        return math.ceil((self.length_s or 0) * fps)


def describe(path: Path) -> Recording:
    """What a video states.

    Raises
    ------
    UserError
        The file cannot be read, has no video stream, or is HDR.
    """
    with open_recording(path) as container:
        stream = _video_stream(container, path)
        return Recording(
            path,
            stream.codec_context.name,
            container.format.name,
            container.duration / av.time_base if container.duration else None,
            (container.start_time or 0) / av.time_base,
            _created_ns(container, stream),
        )


def open_recording(path: Path) -> InputContainer:
    """Open a file of one of the containers that `VIDEOS` stand for, and nothing else.

    FFmpeg reads playlists, file lists and other texts by which it would open further files,
    whatever they are called.

    Raises
    ------
    UserError
        It is empty, no regular file, or of no such container.
    """
    try:
        if not path.stat().st_size and is_regular(path):
            raise UserError(f"{path} is empty (0 bytes). Leave it out or record it again.", 1)
        if not is_regular(path):
            raise UserError(f"{path} is not a regular file. Name a recording.", 1)
        only = {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}
        # "file:" keeps a name like "a:b.mkv" from being an address.
        return av.open(f"file:{path}", container_options=only, **TEXT)
    except av.error.ArgumentError as error:  # what FFmpeg says of a format that is not on the list
        readable = " ".join(VIDEOS)
        raise UserError(
            f"{path} is not a readable recording: it is damaged, or is none of {readable}.", 1
        ) from error
    except FileNotFoundError as error:
        raise UserError(f"No such file: {path}. Check the name.", 1) from error
    except (av.error.FFmpegError, OSError) as error:
        why = ""
        if path.suffix.lower() in (".mp4", ".mov", ".m4v"):
            why = " One whose recorder was killed has lost its index: let OBS record to MKV."
        raise UserError(f"{path} is not a readable recording: {error.strerror}.{why}", 1) from error


class Decoder:
    """Decodes a video, and keeps what was wrong with it.

    Parameters
    ----------
    recording : Recording
    strict : bool
        Skip what follows damage up to the next keyframe; else it shows, as in a player.
    """

    def __init__(self, recording: Recording, strict: bool) -> None:
        self.recording, self.path = recording, recording.path
        self.damaged = 0  # packets that could not be decoded
        self.broken = ""  # why the container could not be read to its end
        self.end_ns = self.picture_end_ns = 0  # of the packets so far: with sound, without
        self._strict = strict
        self._reformatter = VideoReformatter()
        self._matrix: Matrix | None = None  # of the first frame, and so of all

    @property
    def end_s(self) -> float:
        """Length of what could be read."""
        return self.end_ns / NS - self.recording.begin_s

    @property
    def is_cut(self) -> bool:
        """Whether it ended before its stated length."""
        length_s = self.recording.length_s
        return bool(self.broken) or (length_s is not None and self.end_s < length_s - CUT_S)

    def start(self) -> tuple[InputContainer, VideoStream]:
        """Open the video: its container, which the caller closes, and its video stream."""
        container = open_recording(self.path)
        try:
            return container, _video_stream(container, self.path)
        except BaseException:
            container.close()
            raise

    def frames(
        self,
        container: InputContainer,
        stream: VideoStream,
    ) -> Iterator[VideoFrame]:
        """All frames that can be decoded, in order of presentation.

        Raises
        ------
        UserError
            The video is encrypted, or its frames say that it is HDR.
        """
        self._times = ShownTimes(stream, container.format.name)
        whole = True  # False: what is decoded would be built on a damaged frame
        for packet in self.packets(container):
            if packet.stream.index != stream.index:
                continue
            if packet.has_sidedata("encryption_info"):
                raise UserError(f"{self.path} is protected against copying.", 1)
            whole = whole or packet.is_keyframe or not packet.size  # the last one has no data
            if not whole and self._strict:
                continue
            damaged = self.damaged
            yield from self._decode(stream, packet)
            whole = whole and damaged == self.damaged
        if self.broken:  # frames are still on the decoder's threads
            yield from self._decode(stream, None)

    def image_of(self, frame: VideoFrame, deep: bool = False, step: int = 1) -> NDArray[Any]:
        """A frame as it is shown, upright; see `rgb`."""
        if self._matrix is None:
            self._matrix = display_matrix(frame)
        try:
            return turn(rgb(frame, self._reformatter, deep, step), self._matrix)
        except av.error.FFmpegError as error:
            name = frame.format.name
            raise UserError(f"{self.path}: cannot convert {name} to RGB.", 1) from error

    def _decode(self, stream: VideoStream, packet: Packet | None) -> list[VideoFrame]:
        if packet is not None:
            self._times.sends(packet)
        try:
            frames = stream.decode(packet)
        except av.error.FFmpegError:
            self.damaged += 1
            self._times.lost()
            return []
        if frames:
            _refuse_hdr(stream, self.path)  # some say so in their frames only
        for frame in frames:
            self._times.correct(frame)
        return frames

    def packets(self, container: InputContainer) -> Iterator[Packet]:
        """All packets of all tracks that can be read."""
        packets = container.demux()
        while (packet := self._next(packets)) is not None:
            if packet.pts is not None and packet.time_base is not None:
                end_ns = round((packet.pts + (packet.duration or 0)) * packet.time_base * NS)
                if packet.stream.type in ("video", "audio"):
                    self.end_ns = max(self.end_ns, end_ns)
                if packet.stream.type == "video":
                    self.picture_end_ns = max(self.picture_end_ns, end_ns)
            yield packet

    def _next(self, packets: Iterator[Packet]) -> Packet | None:
        try:
            return next(packets, None)
        except av.error.FFmpegError as error:
            self.broken = str(error.strerror)
            return None


def is_hd(frame: VideoFrame) -> bool:
    """Whether untagged colours of this size are those of BT.709."""
    return frame.width >= HD_WIDTH or frame.height >= HD_HEIGHT


def is_full(frame: VideoFrame) -> bool:
    """Whether the levels of a frame that is no RGB use the full range."""
    return frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG


def rgb(
    frame: VideoFrame, reformatter: VideoReformatter, deep: bool = False, step: int = 1
) -> NDArray[Any]:
    """A decoded frame as RGB uint8 (H, W, 3) by the colour matrix and range that it states.

    If deep, it is uint16, for frames of more than 8 bits. With a step, every so many of its rows
    and columns, which is quicker than all of them.

    Without one: BT.709 from HD sizes on and BT.601 below, limited range. The transfer curve stays,
    as screens show BT.709 video and sRGB pictures alike.
    """
    full = frame.format.is_rgb or is_full(frame)
    untagged = BT709 if is_hd(frame) else BT601
    plain = reformatter.reformat(
        frame,
        width=frame.width // step,
        height=frame.height // step,
        format="rgb48le" if deep else "rgb24",
        src_colorspace=MATRICES.get(frame.colorspace, untagged),
        # PyAV 16 ignores the source matrix where range and matrix are those of the result.
        dst_colorspace=BT601,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=ACCURATE if step == 1 else NEAREST,
    )
    return plain.to_ndarray()


def display_matrix(frame: VideoFrame) -> Matrix:
    """How a frame is turned for display. Keeps the frame in memory until collected."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    return UPRIGHT if data is None else np.frombuffer(bytes(data), np.int32)


def turn(image: NDArray[Any], matrix: Matrix) -> NDArray[Any]:
    """Turn and mirror a picture by a display matrix, in quarter turns.

    Parameters
    ----------
    image : uint8 or uint16 array, (H, W, 3)
    matrix : int32 array, (9,)
        Row by row, as in a ``tkhd`` box of ISO/IEC 14496-12: ``(x', y') = (x, y) M``.
    """
    a, b, c, d = (int(matrix[at]) for at in (0, 1, 3, 4))
    if abs(b) > abs(a):  # x and y change places
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The video stream of a container; ``UserError`` where none can be decoded."""
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        raise UserError(f"{path} has no video stream. Leave it out.", 1)
    if stream.codec_context is None:
        raise UserError(f"No decoder for {path}. Convert it to H.264 first.", 1)
    _refuse_hdr(stream, path)
    _limit_size(stream, path)
    return stream


def _refuse_hdr(stream: VideoStream, path: Path) -> None:
    curve = CURVES.get(stream.codec_context.color_trc)
    if curve is not None:
        raise hdr_fault(path, "recording", curve)


def _limit_size(stream: VideoStream, path: Path) -> None:
    """Refuse too many pixels a frame, by the header and while frames are decoded."""
    context = stream.codec_context
    if context.width * context.height > MOST_FILM_PIXELS:
        raise TooLarge(
            f"{path} has {context.width}x{context.height} pixels a frame, over "
            f"{MOST_FILM_PIXELS // 10**6} million. Make it smaller first.",
            1,
        )
    context.options = {**context.options, "max_pixels": str(MOST_FILM_PIXELS)}


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
