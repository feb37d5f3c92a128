"""Videos made on the spot for the tests of restoring them, and what is in a video."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.packet import Packet

from dataset.pictures.pixels import Pixels

BT709, BT601, UNTAGGED = 1, 6, 2
EVEN = [40 * number for number in range(12)]
UNEVEN = [0, 10, 75, 80, 400, 410, 1333]
TONE = {".mp4": "aac", ".mkv": "flac", ".mov": "pcm_s16le", ".avi": "mp3", ".webm": "libopus"}
PICTURE = {".avi": "mpeg4", ".webm": "libvpx"}


def scene(number: int, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """A slope that moves, and a block of each colour: (H, W, 3) uint8."""
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width]
    picture = np.stack([rows * 2, columns * 2, (rows + columns + 8 * number) % 256], axis=2)
    for at, colour in enumerate(((200, 30, 30), (30, 200, 30), (30, 30, 200))):
        picture[8:24, 8 + 20 * at : 24 + 20 * at] = colour
    return picture.clip(0, 255).astype(np.uint8)


def film(
    path: Path,
    times_ms: Sequence[int] = EVEN,
    size: tuple[int, int] = (96, 64),
    codec: str = "",
    sound: str = "",
    matrix: int = UNTAGGED,
    turned: int = 0,
    aspect: Fraction | None = None,
    pixels: str = "yuv420p",
    curve: int = UNTAGGED,
) -> Path:
    """Write a video of moving slopes, with a tone if it is wanted."""
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "a title"
        stream: Any = container.add_stream(codec or PICTURE.get(path.suffix, "libx264"), rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.bit_rate = 4_000_000
        stream.metadata["language"] = "deu"
        if turned and not hasattr(type(stream), "set_display_rotation"):
            pytest.skip("this PyAV writes no rotation")
        if turned:
            stream.set_display_rotation(turned)
        context = stream.codec_context
        context.time_base = Fraction(1, 25 if path.suffix == ".avi" else 1000)
        context.colorspace, context.color_trc = matrix, curve
        if aspect:
            context.sample_aspect_ratio = aspect
        tone: Any = container.add_stream(sound, rate=48_000) if sound else None
        for number, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(scene(number, size), "rgb24")
            matrices = {BT709: 1, BT601: 5}
            frame = frame.reformat(
                format=pixels,
                dst_colorspace=matrices.get(matrix, 5),
                src_color_range=2,
                dst_color_range=1,
            )
            frame.pts = number if path.suffix == ".avi" else time_ms
            frame.time_base = context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone:
            add_tone(container, tone, max(times_ms) / 1000 + 0.04)
    return path


def add_tone(container: Any, stream: Any, length_s: float) -> None:
    samples = np.sin(np.arange(round(48_000 * length_s)) * 0.05).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([samples, samples]), "fltp", "stereo")
    frame.sample_rate, frame.pts = 48_000, 0
    frame.time_base = Fraction(1, 48_000)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def unchanged(pixels: Pixels) -> Pixels:
    return pixels


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def frames_of(path: Path) -> list[Any]:
    """Frames as RGB, by the matrix that the file states, not turned."""
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            matrix = {BT709: 1, BT601: 5, 5: 5}.get(frame.colorspace, 5)
            plain = frame.reformat(
                format="rgb24",
                src_colorspace=matrix,
                dst_colorspace=5,
                src_color_range=1,
                dst_color_range=2,
            )
            found.append(plain.to_ndarray())
    return found


def packets_of(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        stream = next(each for each in container.streams if each.type == kind)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def codecs_of(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [stream.codec_context.name for stream in container.streams]


def muxed(target: Path, *sources: Path, chapter: str = "") -> Path:
    """The first track of each file in one, as they are."""
    inputs = [av.open(str(source)) for source in sources]
    with av.open(str(target), "w") as container:
        made = [container.add_stream_from_template(each.streams[0], opaque=True) for each in inputs]
        if chapter:
            named = {"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000)}
            chapters: Any = [{**named, "metadata": {"title": chapter}}]
            container.set_chapters(chapters)
        for each, stream in zip(inputs, made, strict=True):
            for packet in each.demux(each.streams[0]):
                if packet.size:
                    packet.stream = stream
                    container.mux(packet)
    for each in inputs:
        each.close()
    return target


def film_of(
    path: Path,
    images: Sequence[Any],
    pixels: str = "yuv420p",
    codec: str = "libx264",
    **options: str,
) -> Path:
    """Write pictures, RGB uint8 or uint16 (H, W, 3), as a video of 25 frames in a second."""
    height, width = images[0].shape[:2]
    with av.open(str(path), "w") as container:
        given = {"crf": "8", **options} if codec == "libx264" else options
        stream: Any = container.add_stream(codec, rate=25, options=given)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for number, image in enumerate(images):
            kind = "rgb48le" if image.dtype == np.uint16 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), kind)
            limited = 1 if pixels.startswith("yuv") else 2
            frame = frame.reformat(
                format=pixels, dst_colorspace=5, src_color_range=2, dst_color_range=limited
            )
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def out_of_order(path: Path, sound: bool = False, count: int = 24, bad: int | None = None) -> Path:
    """A video with B-frames whose file has only the order in which its frames are decoded.

    Frame ``n`` is as bright as `BRIGHTNESS` says and belongs to time ``n / 12`` s; frame 12 is
    white, and a tone begins with it. AVI counts like that by itself; of other containers, the
    packets get such times. Packet ``bad`` is made of noise.
    """
    packets, parts = [], []
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=12, options={"bf": "2", "b_adapt": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 12)
        tone: Any = container.add_stream("pcm_s16le", rate=48_000) if sound else None
        for number in range(count):
            grey = np.full((48, 64, 3), BRIGHTNESS[number], np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 12)
            packets += stream.encode(frame)
        for number, packet in enumerate([*packets, *stream.encode(None)]):
            packet.pts = packet.dts = number
            if number == bad:
                packet = _noise_like(packet)
            parts.append(packet)
        container.mux(parts)
        if tone:
            samples = np.zeros((1, 2 * 48_000 * count // 12), np.int16)
            samples[0, 2 * 48_000 :] = 20_000
            heard = av.AudioFrame.from_ndarray(samples, "s16", "stereo")
            heard.sample_rate, heard.pts = 48_000, 0
            container.mux(tone.encode(heard))
            container.mux(tone.encode(None))
    return path


BRIGHTNESS = [255 if number == 12 else 10 * number for number in range(24)]


def _noise_like(packet: Packet) -> Packet:
    made = Packet(bytes(7) + np.random.default_rng(0).bytes(packet.size))
    made.stream, made.time_base = packet.stream, packet.time_base
    made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
    return made


def tone_begins(path: Path) -> float:
    """When the sound of a video begins to be loud, in seconds."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        heard = [each.to_ndarray() for each in container.decode(audio=0)]
    loud = np.concatenate([np.abs(each.astype(np.float64)).max(axis=0) for each in heard])
    return float(
        np.flatnonzero(loud > loud.max() / 2)[0] / rate / (2 if heard[0].shape[0] == 1 else 1)
    )
