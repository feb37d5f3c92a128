"""Batches a second of the trainer's data, beside a torch DataLoader with the usual transforms.

Makes two domains of PNGs in a temporary folder, at 512x512 and 256x256. Ours decodes them once
into the cache; the first opening and a second one are timed apart from the batches, which are cut
when asked for, by a thread, and, on a GPU, from frames that lie there. The rival decodes each
frame with Pillow for each batch: RandomCrop, RandomHorizontalFlip, ToTensor, Normalize, with 0 and
2 worker processes, which stay alive between its passes. Both end with fp32 in [-1, 1] on the
device. All take turns, and the best turn counts, because others use this machine too.

Example: python benchmarks/model/data.py --frames 200 --device cuda
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np
import PIL
import PIL.Image
import torch
import torchvision
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dataset.layout.readers import find_frames
from dataset.pictures.images import Image, write_png
from model.training.batches import Domains, to_range
from model.training.frame_cache import Frames, open_frames

Pair = tuple[Tensor, Tensor]
READY = 9  # batches that a rival's workers may have ready, and the one being made
WAYS: dict[str, dict[str, Any]] = {
    "ours, cut when asked for": {"resident": False, "ahead": 0},
    "ours, cut by a thread": {"resident": False, "ahead": 3},
    "ours, all on the device": {"resident": True},
}


def main() -> int:
    asked = parse_arguments()
    torch.set_num_threads(asked.threads)
    print(f"{platform.platform()}, {processor()}, Python {platform.python_version()}")
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"Pillow {PIL.__version__}, OpenCV {cv2.__version__}; device {device_name(asked.device)}"
    )
    print(
        f"{asked.frames} frames a domain, batches of {asked.batch_size}, squares of {asked.size}, "
        f"{asked.threads} threads"
    )
    for side in (512, 256):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            make_domains(Path(folder), asked.frames, side)
            report(Path(folder), side, asked)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60, help="of each domain")
    parser.add_argument("--size", type=int, default=256, help="side of a square, pixels")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a turn, at least")
    parser.add_argument("--threads", type=int, default=1, help="of torch; pools suffer from others")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    return parser.parse_args()


def processor() -> str:
    """The processor's name and the number of its cores that we see."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def made_picture(random: np.random.Generator, side: int) -> Image:
    """Soft shapes under a little noise: a PNG of it is about as long as that of a game's frame."""
    coarse = random.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    soft = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    noise = random.integers(-3, 4, (side, side, 1), dtype=np.int16)
    return np.clip(soft + noise, 0, 255).astype(np.uint8)


def make_domains(data: Path, frames: int, side: int) -> None:
    random = np.random.default_rng(0)
    for folder in ("trainA", "trainB"):
        (data / folder).mkdir()
        for number in range(frames):
            write_png(data / folder / f"{number:06d}.png", made_picture(random, side))


def open_both(data: Path, size: int) -> tuple[Frames, Frames]:
    return open_frames(data, "trainA", size, 0), open_frames(data, "trainB", size, 0)


class Pictures(Dataset[Tensor]):
    """A domain as it is usually read: a file is decoded whenever a batch asks for it."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths = paths
        transforms = torchvision.transforms
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(size),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with PIL.Image.open(self.paths[index]) as picture:
            return self.transform(picture.convert("RGB"))


def rival(data: Path, workers: int, asked: argparse.Namespace) -> Iterator[Pair]:
    """Pairs of batches without end."""
    loaders = [
        DataLoader(
            Pictures(find_frames(data, folder), asked.size),
            asked.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=asked.device.type == "cuda",
        )
        for folder in ("trainA", "trainB")
    ]
    while True:
        for x, y in zip(*loaders, strict=True):
            yield tuple(half.to(asked.device, non_blocking=True) for half in (x, y))


def ours(domains: Domains) -> Iterator[Pair]:
    """Pairs of batches without end, as the trainer asks for them."""
    for epoch in itertools.count(1):
        for step in range(domains.steps_per_epoch):
            x, y = domains.batch(epoch, step)
            yield to_range(x), to_range(y)


def batches_per_s(batches: Iterator[Pair], seconds: float, device: torch.device) -> float:
    """The rate of a turn, once what was prepared between the turns is used up."""
    finish: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for _ in range(READY):
        next(batches)
    finish()
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        next(batches)
        count += 1
    finish()
    return count / (time.perf_counter() - begin)


def report(data: Path, side: int, asked: argparse.Namespace) -> None:
    size_bytes = sum(path.stat().st_size for path in data.glob("*/*.png"))
    print(f"\n{side}x{side} PNG, {size_bytes / 2 / asked.frames / 1e3:.0f} kB each")
    for name in ("first opening (decodes)", "second opening (maps)"):
        begin = time.perf_counter()
        x, y = open_both(data, asked.size)
        print(f"{name:<28} {(time.perf_counter() - begin) * 1e3:9.1f} ms")
    domains = {
        name: Domains(x, y, asked.size, asked.batch_size, 0, True, asked.device, **way)
        for name, way in WAYS.items()
        if asked.device.type != "cpu" or not way["resident"]  # on a CPU both lie in its memory
    }
    running = {name: ours(each) for name, each in domains.items()}
    for workers in (0, 2):
        running[f"DataLoader, {workers} workers"] = rival(data, workers, asked)
    best = dict.fromkeys(running, 0.0)
    for _ in range(asked.turns):
        for name, batches in running.items():
            best[name] = max(best[name], batches_per_s(batches, asked.seconds, asked.device))
    for each in domains.values():
        each.close()
    for name, rate in best.items():
        print(f"{name:<28} {rate:9.1f} batches/s")


if __name__ == "__main__":
    sys.exit(main())
