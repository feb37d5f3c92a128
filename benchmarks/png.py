"""Lossless PNG settings on 1920x1080 frames: frames a second on one core, and bytes a frame.

Example: PYTHONPATH=. python benchmarks/png.py [FOLDER OF SCREENSHOTS]
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from dataset.images import FAST_PNG, READABLE, Image, decode, read_image, resize_area

SIZE = (1920, 1080)  # width, height
LEVEL, FILTER, STRATEGY = (
    cv2.IMWRITE_PNG_COMPRESSION,
    cv2.IMWRITE_PNG_FILTER,
    cv2.IMWRITE_PNG_STRATEGY,
)
SETTINGS: dict[str, Sequence[int]] = {
    "OpenCV's default": (),
    "FAST_PNG": FAST_PNG,
    "level 0": (LEVEL, 0),
    "level 1, no filter": (LEVEL, 1, FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
    "level 1, Sub": (LEVEL, 1, FILTER, cv2.IMWRITE_PNG_FILTER_SUB),
    "level 1, Up": (LEVEL, 1, FILTER, cv2.IMWRITE_PNG_FILTER_UP),
    "level 1, Paeth": (LEVEL, 1, FILTER, cv2.IMWRITE_PNG_FILTER_PAETH),
    "level 2, Sub": (LEVEL, 2, FILTER, cv2.IMWRITE_PNG_FILTER_SUB),
}
for _name, _strategy in {
    "RLE": cv2.IMWRITE_PNG_STRATEGY_RLE,
    "Huffman": cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
}.items():
    for _filter, _number in {
        "Sub": cv2.IMWRITE_PNG_FILTER_SUB,
        "Up": cv2.IMWRITE_PNG_FILTER_UP,
        "Paeth": cv2.IMWRITE_PNG_FILTER_PAETH,
    }.items():
        SETTINGS[f"{_name}, {_filter}"] = (
            LEVEL, 1, STRATEGY, _strategy, FILTER, _number,
        )  # fmt: skip


def made_frame(seed: int) -> Image:
    """A frame as a flying game shows it, RGB: sky with a clipped sun, noisy ground, a hull."""
    width, height = SIZE
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    frame = np.stack([90 + y / 12, 130 + y / 14, 200 + y / 40], axis=-1)
    sun = np.exp(-(((x - 300 - 200 * seed) / 260) ** 2) - ((y - 250) / 260) ** 2)
    frame += 400 * sun[..., None]
    coarse = random.normal(0, 30, (height // 8, width // 8, 3)).astype(np.float32)
    ground = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC) + random.normal(
        0, 6, frame.shape
    )
    soil = np.array([95, 110, 70], np.float32)
    frame = np.where((y > 0.62 * height)[..., None], soil + ground, frame)
    cv2.ellipse(frame, (1000, 560), (420, 70), 8, 0, 360, (170, 175, 180), -1, cv2.LINE_AA)
    return np.clip(frame, 0, 255).astype(np.uint8)


def frames_to_encode(folders: Sequence[str]) -> list[Image]:
    """Up to 8 pictures of the folders at 1920x1080, or made ones."""
    files = [each for name in folders for each in sorted(Path(name).rglob("*"))]
    files = [each for each in files if each.suffix.lower() in READABLE]
    if not files:
        return [made_frame(seed) for seed in range(4)]
    chosen = files[:: max(1, len(files) // 8)][:8]
    return [resize_area(read_image(each), SIZE) for each in chosen]


def measure(frames: list[Image], settings: Sequence[int]) -> tuple[float, float]:
    """Frames a second of this thread's CPU time, and mean bytes; checks that nothing is lost."""
    encoded = []
    begin = time.thread_time()
    for frame in frames:
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        encoded.append(cv2.imencode(".png", bgr, settings)[1].tobytes())
    seconds = time.thread_time() - begin
    assert np.array_equal(decode(encoded[0], "frame"), frames[0])
    return len(frames) / seconds, sum(map(len, encoded)) / len(encoded)


def main() -> None:
    """Print one row a setting."""
    cv2.setNumThreads(1)
    frames = frames_to_encode(sys.argv[1:])
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, OpenCV {cv2.__version__}, {len(frames)} frames"
    )
    print(f"{'setting':22}{'frames/s':>10}{'KB/frame':>10}")
    for name, settings in SETTINGS.items():
        rate, size = max(measure(frames, settings) for _ in range(2))
        print(f"{name:22}{rate:10.1f}{size / 1000:10.0f}")


if __name__ == "__main__":
    main()
