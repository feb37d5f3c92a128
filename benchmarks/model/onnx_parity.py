"""How near onnxruntime comes to torch on the CPU, and how quick each is, with as many threads.

Networks of full size with drawn weights: the paper's, the one that corrects its input and resizes,
and that of preset physical, whose gains and content are applied to every pixel. A picture of each
size goes through both; the largest difference is in steps of 8 bits, the time is the median over
pictures after one to warm up. Exporting is timed as well.

(It is not called onnx.py: scripts see their own folder first, and torch would import it as onnx.)

Example: python benchmarks/model/onnx_parity.py --threads 2
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np
import torch

from dataset.pictures.pixels import Pixels, pad_reflected
from model import physical_networks
from model.networks import Generator, initialize
from model.options import NetworkOptions, physical_preset
from model.restoring.export import write_onnx
from model.restoring.methods import Restore
from model.restoring.onnx import open_onnx
from model.restoring.physical import small_copy_restorer

SIZES = {"256x256": (256, 256), "1280x720": (720, 1280)}  # height, width
SPREAD = 0.3  # of the weights that propose gains: those of a new network hardly vary
NETWORKS = {
    "paper": NetworkOptions(),
    "residual, resize": NetworkOptions(residual=True, resize=True),
    "physical": physical_preset().network,
}


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    print(f"{platform.processor() or platform.machine()}, {arguments.threads} threads, "
          f"torch {torch.__version__}, onnxruntime {version('onnxruntime')}")  # fmt: skip
    print("| network | picture | torch fp32, s | onnxruntime, s | ratio | largest difference |")
    print("|---|---|---:|---:|---:|---:|")
    for name, options in NETWORKS.items():
        compare(name, options, arguments.threads, arguments.pictures)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--pictures", type=int, default=3, help="of each size")
    return parser.parse_args()


def make_network(options: NetworkOptions) -> Generator | physical_networks.PhysicalRestorer:
    random = torch.Generator().manual_seed(0)
    if not options.physical:
        network = Generator(residual=options.residual, resize=options.resize).eval()
        initialize(network, random)
        return network
    restorer = physical_networks.build_restorer(options).eval()
    physical_networks.initialize(restorer, random)
    torch.nn.init.normal_(restorer.head.get_parameter("proposal.2.weight"), 0, SPREAD, random)
    return restorer


def restoring(network: Generator | physical_networks.PhysicalRestorer) -> Restore:
    """By torch."""
    if isinstance(network, Generator):
        return lambda pixels: by_torch(network, pixels)
    return small_copy_restorer(network)


def compare(name: str, options: NetworkOptions, threads: int, count: int) -> None:
    network = make_network(options)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        began = time.perf_counter()
        write_onnx(path, network, {"options": json.dumps(asdict(options))})
        exporting, size = time.perf_counter() - began, path.stat().st_size
        by_onnx = open_onnx(path, "cpu", threads)
    for label, sides in SIZES.items():
        pictures = [make_picture(seed, *sides) for seed in range(count + 1)]
        torch_s, expected = timed(restoring(network), pictures)
        onnx_s, found = timed(by_onnx, pictures)
        difference = max(np.abs(a - b).max() for a, b in zip(expected, found, strict=True)) * 255
        print(f"| {name} | {label} | {torch_s:.2f} | {onnx_s:.2f} | {torch_s / onnx_s:.2f} | "
              f"{difference:.4f} / 255 |", flush=True)  # fmt: skip
    print(f"{name}: exported in {exporting:.1f} s, {size / 1e6:.1f} MB", file=sys.stderr)


def make_picture(seed: int, height: int, width: int) -> Pixels:
    """Noise of all scales, clipped where it is bright."""
    random, picture = np.random.default_rng(seed), np.zeros((height, width, 3), np.float32)
    for side in (4, 16, 64, 256):
        noise = random.random((side, side, 3), dtype=np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return (picture / 2.5).clip(0, 1)


def by_torch(network: Generator, pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    picture = torch.from_numpy(pad_reflected(pixels, 4)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        restored = (network(picture * 2 - 1)[0].permute(1, 2, 0) + 1) / 2
    return restored[:height, :width].clamp(0, 1).numpy()


def timed(
    restore: Callable[[Pixels], Pixels], pictures: list[Pixels]
) -> tuple[float, list[Pixels]]:
    """Median seconds a picture without the first, and all results."""
    times, results = [], []
    for pixels in pictures:
        began = time.perf_counter()
        results.append(restore(pixels))
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:] or times), results


if __name__ == "__main__":
    main()
