"""Videos: how much they flicker, and how many frames of 1920x1080 are restored in a second.

Flicker (``flicker``) of a video that is named, or of one that is made: a camera that moves over
clouds while the exposure rises evenly. As it is, restored frame by frame, and restored with the
other frames in view. Then frames per second of `restore_video`, decoding and encoding included, by
the built-in network and by that of preset best (random weights: the time is the same) in turn, and
without one. Exit code 1 where following a video makes it flicker more. Wanted of the built-in
network are 5 frames in a second on two idle cores.

    python benchmarks/model/video.py
    python benchmarks/model/video.py flight.mp4
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import av
import cv2
import numpy as np
import torch

from dataset.pictures.images import Image
from dataset.pictures.pixels import Pixels
from model.evaluation.flicker import measure_flicker
from model.networks import Generator, initialize
from model.options import RestoreOptions, best_preset
from model.restoring.methods import Restore, open_method
from model.restoring.network import scaled_restorer_of
from model.restoring.video import restore_video

SIZE = 1920, 1080
MADE = 48  # frames of the video whose flicker is measured
SIDE = 256  # of preset best's training frames, pixels


def main() -> int:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    print(f"{platform.machine()}, {arguments.threads} threads, Python {platform.python_version()}, "
          f"PyAV {av.__version__}, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    builtin = open_method(RestoreOptions(run=arguments.run, device="cpu"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calm = arguments.no_flicker or compare(builtin, arguments.video, folder)
        if not arguments.no_speed:
            race(builtin, folder, arguments.frames)
    return 0 if calm else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("video", type=Path, nargs="?", help="video to measure (default: one is made)")
    add("--run", default="builtin", help="weights file or run instead of the built-in network")
    add("--frames", type=int, default=24, help="frames of 1920x1080 that are restored")
    add("--threads", type=int, default=os.cpu_count() or 1, help="of torch")
    add("--no-flicker", action="store_true", help="measure speed only")
    add("--no-speed", action="store_true", help="measure flicker only")
    return parser.parse_args()


def compare(restore: Restore, video: Path | None, folder: Path) -> bool:
    """Flicker frame by frame and with all frames in view; whether the latter is less."""
    source = video or make(folder / "made.mp4", MADE, (480, 270))
    ways = {"frame by frame": lambda pixels: restore(pixels), "followed": restore}
    found = measure_flicker(source, ways)
    print(f"\n{found}")
    return found.found["followed"].rms <= found.found["frame by frame"].rms


def race(builtin: Restore, folder: Path, frames: int) -> None:
    """Frames per second by both networks in turn, and by none."""
    source = make(folder / "large.mp4", frames, SIZE)
    few = make(folder / "few.mp4", 3, SIZE)
    best = best_network()
    print(f"\n{SIZE[0]}x{SIZE[1]}: frames/s, of the wall clock and of a core's time")
    for _ in range(2):
        told("built-in", source, builtin, folder / "a.mp4")
        told("preset best", few, best, folder / "b.mp4")
    told("no network", source, lambda pixels: pixels, folder / "c.mp4")


def told(name: str, source: Path, restore: Callable[[Pixels], Pixels], target: Path) -> None:
    """Restore a video and print how quickly that went."""
    begin, used = time.perf_counter(), time.process_time()
    done = restore_video(source, target, restore)
    seconds, core = time.perf_counter() - begin, time.process_time() - used
    print(f"{name:14}{done.frames / seconds:8.2f}{done.frames / core:8.2f}", flush=True)


def best_network() -> Restore:
    options = best_preset().network
    network = Generator(
        options.generator_filters, options.generator_blocks, options.residual, options.resize
    )
    initialize(network, torch.Generator().manual_seed(0))
    return scaled_restorer_of(network.eval(), SIDE, "auto", None)


def make(path: Path, frames: int, size: tuple[int, int]) -> Path:
    """A camera over clouds above a dark land, whose exposure rises evenly by a factor of 6."""
    world = clouds(2 * size[0], 2 * size[1])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            right, down = number * size[0] // 200, number * size[1] // 400
            light = world[down : down + size[1], right : right + size[0]]
            shown = encoded(light * np.float32(6 ** (number / max(1, frames - 1))))
            frame = av.VideoFrame.from_ndarray(shown, "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def clouds(width: int, height: int) -> Pixels:
    """Light of a picture, (height, width, 3): noise of several sizes, darker below."""
    random = np.random.default_rng(0)
    noise = np.zeros((height, width), np.float32)
    for octave in range(2, 8):
        grid = random.normal(0, 1, (2**octave, 2 ** (octave + 1))).astype(np.float32)
        noise += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / octave
    sky = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    light = 0.16 * np.exp(0.5 * noise - 2.0 * (sky > 0.6 + 0.05 * noise))
    return (light[..., None] * np.array([0.9, 1.0, 1.15])).astype(np.float32)


def encoded(light: Pixels) -> Image:
    """Light -> sRGB, clipped."""
    light = np.clip(light, 0, 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(curve * 255), np.uint8)


if __name__ == "__main__":
    sys.exit(main())
