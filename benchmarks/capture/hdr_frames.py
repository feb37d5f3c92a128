"""Frames of Windows' HDR desktop: light -> a picture, beside plain arithmetic, and a shot of it.

`capture/screens/hdr.py` looks each half float up in a table; the arithmetic does the same with
32-bit floats. Both take turns, and the best turn counts. Neither reads a screen, so it runs
anywhere. Exit code 1 where they are more than one level apart.

    python benchmarks/capture/hdr_frames.py --size 3840x2160
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from numpy.typing import NDArray

from capture.screens.hdr import picture_of
from dataset.pictures.hdr_writing import encode_scrgb
from dataset.pictures.light import SCRGB_NITS
from dataset.pictures.tone import encoded

WHITE_NITS = 240.0  # of the display


def main() -> int:
    arguments = parse_arguments()
    width, height = (int(each) for each in arguments.size.split("x"))
    light = np.random.default_rng(0).gamma(1.0, 2.0, (height, width, 4)).astype(np.float16)
    ways: dict[str, Callable[[], Any]] = {
        "picture, by the table": lambda: picture_of(light, WHITE_NITS),
        "picture, by arithmetic": lambda: by_arithmetic(light),
        "shot, JPEG XR": lambda: encode_scrgb(light[..., :3]),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(arguments.turns):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - began)
    for name, seconds in best.items():
        print(f"{arguments.size}  {name:24}{1000 * seconds:8.1f} ms")
    apart = np.abs(picture_of(light, WHITE_NITS)[..., :3].astype(int) - by_arithmetic(light)).max()
    print(f"{apart} levels apart at most")
    return int(apart > 1)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--turns", type=int, default=5)
    return parser.parse_args()


def by_arithmetic(light: NDArray[np.float16]) -> NDArray[np.uint8]:
    """BGR."""
    share = np.clip(light[..., 2::-1].astype(np.float32) * (SCRGB_NITS / WHITE_NITS), 0, 1)
    return np.asarray(np.rint(255 * encoded(share)), np.uint8)


if __name__ == "__main__":
    sys.exit(main())
