"""Lossless ways to keep 1920x1080 frames: CPU of one thread a frame, and bytes a frame.

A frame comes as a screen gives it, BGRX; turning it into what a codec wants is part of the cost.
Pictures of the embedded game (or screenshots of a folder) move by a few pixels a frame. Every
frame is decoded again and compared; a way that changes a bit is an error. Ways whose package is
absent say so: av, imagecodecs, fpng_py.

Example: python benchmarks/capture/lossless.py --motion zoom --only x264
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np
from numpy.typing import NDArray
from scrolling import game_pictures

from dataset.pictures.formats import PICTURES
from dataset.pictures.images import read_image, resize_area, rgb_of
from dataset.pictures.png import encode_png

Pixels = NDArray[np.uint8]
Encode = Callable[[Pixels], bytes]  # BGRX (H, W, 4) -> what is kept
Decode = Callable[[list[bytes]], Iterator[Pixels]]  # what was kept -> BGR (H, W, 3)

WIDTH, HEIGHT = 1920, 1080
STEP = (7, 3)  # pixels a frame, right and down
GROWTH = 0.004  # of a zooming picture, a frame
INTRA_STRIDE = 8  # ways without memory are measured on every 8th frame
PASSES = 2  # the cheaper one counts: others use this machine too
REALTIME_MS = 1000 / 60


@dataclass(frozen=True)
class Way:
    """One way to keep frames; ``open`` raises ImportError where it is not installed."""

    name: str
    open: Callable[[], tuple[Encode, Decode]]
    intra: bool = True  # each frame stands for itself


@dataclass(frozen=True)
class Cost:
    """Means over the frames."""

    encode_ms: float
    decode_ms: float
    kilobytes: float


def pictures_of(folder: Path, count: int, width: int, height: int) -> list[Pixels]:
    """Pictures of a folder, RGB, evenly chosen."""
    files = [each for each in sorted(folder.rglob("*")) if each.suffix.lower() in PICTURES]
    if not files:
        raise SystemExit(f"No pictures in {folder}.")
    chosen = files[:: max(1, len(files) // count)][:count]
    return [resize_area(read_image(each), (width, height)) for each in chosen]


def scrolled(pictures: list[Pixels], shots: int) -> Iterator[Pixels]:
    """Frames BGRX (1080, 1920, 4): each picture moves by `STEP` for a number of frames."""
    for picture in pictures:
        bgrx = cv2.cvtColor(picture, cv2.COLOR_RGB2BGRA)
        for shot in range(shots):
            x, y = (shot * step for step in STEP)
            yield np.ascontiguousarray(bgrx[y : y + HEIGHT, x : x + WIDTH], np.uint8)


def zoomed(pictures: list[Pixels], shots: int) -> Iterator[Pixels]:
    """The same for flying on: no block of a frame stands anywhere in the frame before."""
    centre = np.array([WIDTH, HEIGHT]) / 2
    for picture in pictures:
        bgrx = cv2.cvtColor(picture, cv2.COLOR_RGB2BGRA)
        for shot in range(shots):
            scale = 1 + GROWTH * shot
            matrix = np.hstack([np.eye(2) * scale, (centre - centre * scale)[:, None]])
            yield np.asarray(cv2.warpAffine(bgrx, matrix, (WIDTH, HEIGHT)), np.uint8)


def opencv_png(settings: Sequence[int]) -> Callable[[], tuple[Encode, Decode]]:
    """OpenCV's PNG encoder with these settings."""

    def encode(frame: Pixels) -> bytes:
        bgr = cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR)
        return cv2.imencode(".png", bgr, settings)[1].tobytes()

    return lambda: (encode, decode_pictures)


def decode_pictures(kept: list[bytes]) -> Iterator[Pixels]:
    """PNG files -> BGR."""
    for each in kept:
        picture = cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        yield np.asarray(picture, np.uint8)


def fpng() -> tuple[Encode, Decode]:
    """The fpng encoder: valid PNG, few settings."""
    package = import_module("fpng_py")

    def encode(frame: Pixels) -> bytes:
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGRA2RGB)
        return bytes(package.fpng_encode_image_to_memory(rgb.tobytes(), WIDTH, HEIGHT, 3, 0))

    return encode, decode_pictures


def of_imagecodecs(codec: str, **settings: Any) -> Callable[[], tuple[Encode, Decode]]:
    """A picture format of the package imagecodecs, from RGB."""

    def ready() -> tuple[Encode, Decode]:
        package: Any = import_module("imagecodecs")
        into, back = getattr(package, f"{codec}_encode"), getattr(package, f"{codec}_decode")

        def encode(frame: Pixels) -> bytes:
            return bytes(into(cv2.cvtColor(frame, cv2.COLOR_BGRA2RGB), **settings))

        return encode, lambda kept: (back(each)[..., ::-1] for each in kept)

    return ready


def sub_filtered(codec: str, **settings: Any) -> Callable[[], tuple[Encode, Decode]]:
    """A byte compressor of the package imagecodecs, on differences to the left neighbour."""

    def ready() -> tuple[Encode, Decode]:
        package: Any = import_module("imagecodecs")
        into, back = getattr(package, f"{codec}_encode"), getattr(package, f"{codec}_decode")

        def encode(frame: Pixels) -> bytes:
            bgr = cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR)
            left = bgr.copy()
            np.subtract(bgr[:, 1:], bgr[:, :-1], out=left[:, 1:])  # modulo 256
            return bytes(into(left, **settings))

        def decode(kept: list[bytes]) -> Iterator[Pixels]:
            size = WIDTH * HEIGHT * 3
            for each in kept:
                raw = np.frombuffer(back(each, out=size), np.uint8).reshape(HEIGHT, WIDTH, 3)
                yield np.cumsum(raw, axis=1, dtype=np.uint8)

        return encode, decode

    return ready


def of_ffmpeg(codec: str, pixels: str, **settings: str) -> Callable[[], tuple[Encode, Decode]]:
    """A codec of FFmpeg through PyAV, without a container: one packet out for each frame in."""

    def ready() -> tuple[Encode, Decode]:
        av: Any = import_module("av")
        av.logging.set_level(av.logging.PANIC)
        writer = av.CodecContext.create(codec, "w")
        writer.width, writer.height, writer.pix_fmt = WIDTH, HEIGHT, pixels
        writer.time_base, writer.thread_count = Fraction(1, 60), 1
        writer.options = settings
        number = 0

        def encode(frame: Pixels) -> bytes:
            nonlocal number
            picture = picture_of(av, frame, pixels)
            picture.pts, number = number, number + 1
            (packet,) = writer.encode(picture)
            return bytes(packet)

        if codec == "png":  # FFmpeg's decoder, fed so, is wrong from its second picture on
            return encode, decode_pictures
        return encode, lambda kept: decode_packets(av, writer, kept)

    return ready


def picture_of(av: Any, frame: Pixels, pixels: str) -> Any:
    """BGRX as a picture of PyAV, with as few copies as each format allows."""
    if pixels == "bgr0":  # from_numpy_buffer refuses it, so this is one copy of 8 MB
        picture = av.VideoFrame(WIDTH, HEIGHT, pixels)
        picture.planes[0].update(frame)
        return picture
    if pixels == "bgra":
        return av.VideoFrame.from_numpy_buffer(frame, pixels)
    if pixels == "rgb24":
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGRA2RGB)
        return av.VideoFrame.from_numpy_buffer(rgb, pixels)
    if pixels == "bgr24":
        bgr = cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR)
        return av.VideoFrame.from_numpy_buffer(bgr, pixels)
    if pixels == "gbrp":
        picture = av.VideoFrame(WIDTH, HEIGHT, pixels)  # WIDTH is a multiple of 32: no padding
        planes = [np.frombuffer(each, np.uint8).reshape(HEIGHT, WIDTH) for each in picture.planes]
        cv2.mixChannels([frame], planes, [1, 0, 0, 1, 2, 2])
        return picture
    raise ValueError(f"no conversion to {pixels}")


def decode_packets(av: Any, writer: Any, kept: list[bytes]) -> Iterator[Pixels]:
    """Packets of an encoder -> BGR, by FFmpeg's decoder of the same stream."""
    name = "h264" if writer.name.startswith("libx264") else writer.name
    reader = av.CodecContext.create(name, "r")
    reader.thread_count = 1  # one packet in, one picture out
    if name != "h264":  # an H.264 stream says all of it itself
        reader.width, reader.height, reader.pix_fmt = WIDTH, HEIGHT, writer.pix_fmt
        reader.extradata, reader.codec_tag = writer.extradata, writer.codec_tag
    for each in kept:
        (picture,) = reader.decode(av.Packet(each))
        yield bgr_of(picture)


def bgr_of(picture: Any) -> Pixels:
    """A decoded picture as BGR (H, W, 3); planes are merged rather than converted."""
    if picture.format.name != "gbrp":
        return np.asarray(picture.to_ndarray(format="bgr24"), np.uint8)
    green, blue, red = (
        np.frombuffer(each, np.uint8).reshape(each.height, each.line_size)[:, : each.width]
        for each in picture.planes
    )
    return np.asarray(cv2.merge([blue, green, red]), np.uint8)


def x264(label: str, pixels: str = "bgr0", params: str = "", **settings: str) -> Way:
    """H.264 in RGB with a quantizer of 0, ultrafast and without delay unless told otherwise."""
    asked = {"preset": "ultrafast", "tune": "zerolatency", "qp": "0"} | settings
    if params:
        asked["x264-params"] = params
    return Way(f"x264 {label}", of_ffmpeg("libx264rgb", pixels, **asked), intra=False)


def png_ways() -> list[Way]:
    """PNG by OpenCV in many settings, and by others."""
    level, strategy, choice = (
        cv2.IMWRITE_PNG_COMPRESSION,
        cv2.IMWRITE_PNG_STRATEGY,
        cv2.IMWRITE_PNG_FILTER,
    )
    none, sub, up, paeth = (
        cv2.IMWRITE_PNG_FILTER_NONE,
        cv2.IMWRITE_PNG_FILTER_SUB,
        cv2.IMWRITE_PNG_FILTER_UP,
        cv2.IMWRITE_PNG_FILTER_PAETH,
    )
    rle, huffman = cv2.IMWRITE_PNG_STRATEGY_RLE, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY
    settings: dict[str, Sequence[int]] = {
        "default": (),
        "level 0": (level, 0),
        "level 1, no filter": (level, 1, choice, none),
        "level 1, Sub": (level, 1, choice, sub),
        "level 1, Up": (level, 1, choice, up),
        "level 1, Paeth": (level, 1, choice, paeth),
        "level 2, Sub": (level, 2, choice, sub),
        "RLE, Sub": (level, 1, strategy, rle, choice, sub),
        "RLE, Up": (level, 1, strategy, rle, choice, up),
        "RLE, Paeth": (level, 1, strategy, rle, choice, paeth),
        "Huffman, Sub": (level, 1, strategy, huffman, choice, sub),
        "Huffman, Up": (level, 1, strategy, huffman, choice, up),
        "Huffman, Paeth": (level, 1, strategy, huffman, choice, paeth),
    }
    return [
        Way("png ours", lambda: (lambda frame: encode_png(rgb_of(frame)), decode_pictures)),
        *(Way(f"png OpenCV {name}", opencv_png(each)) for name, each in settings.items()),
        Way("png fpng", fpng),
        Way("png spng level 1", of_imagecodecs("spng", level=1)),
        Way("png FFmpeg level 1, Sub", of_ffmpeg("png", "rgb24", compression_level="1", pred="1")),
    ]


def picture_ways() -> list[Way]:
    """Formats for single frames other than PNG."""
    return [
        Way("qoi imagecodecs", of_imagecodecs("qoi")),
        Way("qoi FFmpeg", of_ffmpeg("qoi", "rgb24")),
        Way("jpeg xl effort 1", of_imagecodecs("jpegxl", lossless=True, effort=1, numthreads=1)),
        Way("lz4, Sub", sub_filtered("lz4")),
        Way("zstd -5, Sub", sub_filtered("zstd", level=-5)),
        Way("zstd 1, Sub", sub_filtered("zstd", level=1)),
    ]


def video_ways() -> list[Way]:
    """Video codecs of FFmpeg; of these only x264 looks at the frame before."""
    bare = "no-deblock=1:me=dia:merange=4:subme=0:aq-mode=0:weightp=0:scenecut=0:partitions=none"
    return [
        x264("ultrafast"),
        x264("ultrafast from bgr24", pixels="bgr24"),
        x264("no parts of blocks", params="partitions=none"),
        x264("nearest search", params="me=dia:merange=4:subme=0"),
        x264("all that can be off", params=bare),
        x264("keyint 60", params="keyint=60"),
        x264("key frames only", params="keyint=1"),
        x264("superfast", preset="superfast"),
        Way("ffv1 context 0", of_ffmpeg("ffv1", "bgr0", level="3", context="0", slicecrc="0")),
        Way("utvideo left", of_ffmpeg("utvideo", "gbrp", pred="left")),
        Way("utvideo median", of_ffmpeg("utvideo", "gbrp", pred="median")),
        Way("magicyuv", of_ffmpeg("magicyuv", "gbrp")),
        Way("huffyuv", of_ffmpeg("huffyuv", "rgb24")),
        Way("huffyuv from bgra, X kept", of_ffmpeg("huffyuv", "bgra")),
        Way("ffvhuff", of_ffmpeg("ffvhuff", "rgb24", context="0")),
    ]


def measure(way: Way, frames: Callable[[], Iterator[Pixels]]) -> Cost:
    """Encode and decode the frames once; ``AssertionError`` where a bit is lost."""
    encode, decode = way.open()
    stride = INTRA_STRIDE if way.intra else 1
    kept: list[bytes] = []
    spent = 0.0
    for number, frame in enumerate(frames()):
        if number % stride == 0:
            begin = time.process_time()
            kept.append(encode(frame))
            spent += time.process_time() - begin
    begin, back = time.process_time(), decode(kept)
    unpacked = 0.0
    for number, frame in enumerate(frames()):
        if number % stride == 0:
            begin = time.process_time()
            decoded = next(back)
            unpacked += time.process_time() - begin
            assert np.array_equal(decoded, frame[..., :3]), f"{way.name} changes frame {number}"
    count = len(kept)
    return Cost(1e3 * spent / count, 1e3 * unpacked / count, sum(map(len, kept)) / count / 1e3)


def print_row(way: Way, frames: Callable[[], Iterator[Pixels]]) -> None:
    """One line of the table."""
    try:
        cost = min((measure(way, frames) for _ in range(PASSES)), key=lambda each: each.encode_ms)
    except ImportError as error:
        print(f"{way.name:30}  not installed: {error.name}")
        return
    except ValueError as error:  # FFmpeg's errors too: this build may lack the codec
        print(f"{way.name:30}  not possible: {error}")
        return
    fits = "yes" if cost.encode_ms < REALTIME_MS else ""
    row = f"{cost.encode_ms:11.2f}{cost.decode_ms:11.2f}{cost.kilobytes:11.0f}"
    print(f"{way.name:30}{row}{fits:>10}", flush=True)


def versions() -> str:
    """What was measured with."""
    names = ("av", "imagecodecs")
    found = []
    for name in names:
        try:
            found.append(f"{name} {import_module(name).__version__}")
        except ImportError:
            found.append(f"no {name}")
    return f"Python {platform.python_version()}, OpenCV {cv2.__version__}, {', '.join(found)}"


def main() -> None:
    """Print one row a way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="pictures; none: the game's")
    parser.add_argument("--motion", choices=["scroll", "zoom"], default="scroll")
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--shots", type=int, default=30, help="frames of each picture")
    parser.add_argument("--only", default="", help="ways whose name contains this")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    width, height = (
        least + step * asked.shots for least, step in zip((WIDTH, HEIGHT), STEP, strict=True)
    )
    size = (asked.pictures, width, height)
    pictures = pictures_of(asked.folder, *size) if asked.folder else game_pictures(*size)
    moved = scrolled if asked.motion == "scroll" else zoomed
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {versions()}")
    print(f"{len(pictures)} pictures, {asked.shots} frames of each, {asked.motion}")
    print(f"{'way':30}{'encode ms':>11}{'decode ms':>11}{'KB/frame':>11}{'60 fps':>10}")
    for way in [*video_ways(), *picture_ways(), *png_ways()]:
        if asked.only in way.name:
            print_row(way, lambda: moved(pictures, asked.shots))


if __name__ == "__main__":
    main()
