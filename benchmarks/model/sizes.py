"""Restoring large pictures: equal to the whole at once, seconds, and peak memory.

First the difference of bands from one forward pass of everything, fp32, on pictures of odd sizes.
Then, each in a process of its own: the paper's generator in a plain forward pass of the whole
picture (naive), in bands (native), and on a small copy whose correction is applied at full size
(guided); and the network of preset physical (physical). Random weights: numbers, not pictures,
matter here. Exit code 1 where a difference reaches 1/255 or a picture takes more than 4 GiB, 2 GiB
by physical.

    python benchmarks/model/sizes.py --sizes 1280x720 1920x1080
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from dataset.pictures.pixels import Pixels, pad_reflected
from model.networks import STRIDE, Generator, initialize
from model.physical_networks import PhysicalRestorer
from model.restoring.bands import BandedGenerator, Budget
from model.restoring.guided import ScaledRestorer
from model.restoring.network import NetworkRestorer
from model.restoring.physical import small_copy_restorer

ODD = ((389, 517), (771, 1023), (719, 1283))  # height, width
LARGE = ("1280x720", "1920x1080", "3840x2160", "7680x4320")
NAIVE_UP_TO = 1920 * 1080  # pixels: more takes more memory than most machines have
LIMITS_GIB = {"native": 4.0, "guided": 4.0, "physical": 2.0}
SIDE = 256  # of the training frames, pixels
GIB = 2**30


def main() -> int:
    arguments = parse_arguments()
    if arguments.one:
        size, way = arguments.one.split()
        print(json.dumps(measure(size, way, arguments.filters)))
        return 0
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
          f"Python {platform.python_version()}, {arguments.filters} filters")  # fmt: skip
    network = make(arguments.filters)
    differences = [compare(network, height, width) for height, width in ODD]
    print(f"\n{'picture':12}{'way':>10}{'s':>9}{'peak GiB':>10}{'loaded GiB':>12}")
    met = max(differences) < 1 / 255
    for size in arguments.sizes:
        width, height = map(int, size.split("x"))
        for way in ("naive", *LIMITS_GIB)[width * height > NAIVE_UP_TO :]:
            met &= report(size, way, arguments.filters)
    return 0 if met else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", nargs="+", default=LARGE)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def make(filters: int) -> Generator:
    network = Generator(filters).eval()
    initialize(network, torch.Generator().manual_seed(0))
    return network


def pictured(height: int, width: int) -> Pixels:
    """Noise on several scales, so that statistics differ from part to part."""
    random = np.random.default_rng(0)
    shades = np.linspace(0.2, 1, width, dtype=np.float32)[None, :, None]
    return shades * random.random((height, width, 3), dtype=np.float32)


def compare(network: Generator, height: int, width: int) -> float:
    """Largest difference of bands from the whole at once, in [0, 1]."""
    pixels = pad_reflected(pictured(height, width), STRIDE)
    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None] * 2 - 1
    found = []
    with torch.inference_mode():
        whole = network(picture)
        for kept in (2**40, 0):
            rows: list[torch.Tensor] = []
            banded = BandedGenerator(network, Budget(2**15, kept))
            banded(picture, partial(keep, rows))
            found.append(float((torch.cat(rows, 2) - whole).abs().max()) / 2)
    print(f"{width}x{height}: largest difference fp32 {found[0]:.2e}, half precision kept "
          f"{found[1]:.2e} (1/255 = {1 / 255:.2e})", flush=True)  # fmt: skip
    return max(found)


def keep(rows: list[torch.Tensor], first: int, band: torch.Tensor) -> None:
    rows.append(band)


def report(size: str, way: str, filters: int) -> bool:
    command = [sys.executable, __file__, "--one", f"{size} {way}", "--filters", str(filters)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{size:12}{way:>10}  failed: {(done.stderr.strip() or 'killed').splitlines()[-1]}")
        return way == "naive"
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{size:12}{way:>10}{found['s']:9.2f}{found['peak']:10.2f}{found['loaded']:12.2f}",
        flush=True,
    )
    return way == "naive" or found["peak"] < LIMITS_GIB[way]


def measure(size: str, way: str, filters: int) -> dict[str, float]:
    """Seconds and peak memory of one picture in this process."""
    width, height = map(int, size.split("x"))
    restore, pixels = restorer(way, filters), pictured(height, width)
    loaded = peak_gib()
    begin = time.perf_counter()
    restore(pixels)
    return {"s": time.perf_counter() - begin, "peak": peak_gib(), "loaded": loaded}


def restorer(way: str, filters: int) -> Callable[[Pixels], Pixels]:
    """What is measured, warm: the first run of a network sets up its kernels."""
    if way == "physical":
        found = small_copy_restorer(PhysicalRestorer().eval())
        found(pictured(SIDE, SIDE))
        return found
    network = make(filters)
    if way == "naive":
        return partial(run_naively, network)
    native = NetworkRestorer(network)
    return ScaledRestorer(native, SIDE) if way == "guided" else native


@torch.inference_mode()
def run_naively(network: Generator, pixels: Pixels) -> Pixels:
    made = network(torch.from_numpy(pixels).permute(2, 0, 1)[None] * 2 - 1)
    return made[0].permute(1, 2, 0).numpy()


def peak_gib() -> float:
    """Most memory that this process ever had."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux the other figure begins with that of the parent process
        return int(status.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) * 1024 / GIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / GIB


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUTF8", "1")
    sys.exit(main())
