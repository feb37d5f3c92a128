"""Quality is not bought with speed: the same training in plain fp32 and in the quick way.

Several seeds each, the same steps on the same frames of the embedded game; PSNR, SSIM and edges on
held-out true pairs. Exit code 1 where the means differ by more than the seeds do among themselves.

    python benchmarks/model/precision.py --steps 240 --seeds 3
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_pairs import make_pairs
from variants import MEASURES, judge, learn

from model.options import TrainOptions, cpu_preset

WAYS: dict[str, dict[str, Any]] = {
    "fp32 eager": {"precision": "fp32", "compile": "off"},
    "bf16 compiled": {"precision": "bf16", "compile": "on"},
}


def main() -> int:
    arguments = parse_arguments()
    print(f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
          f"{arguments}")  # fmt: skip
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_pairs(root / "data", arguments.train, arguments.test, arguments.side)
        for seed in range(arguments.seeds):
            for way, settings in WAYS.items():
                begin = time.perf_counter()
                options = replace(plan(arguments, root, seed), run=f"{way}-{seed}", **settings)
                row = judge(learn(options), root / "data")
                found[way].append(row)
                print(f"{way:16} seed {seed}" + "".join(f"{row[each]:9.3f}" for each in MEASURES)
                      + f"   {time.perf_counter() - begin:6.1f} s", flush=True)  # fmt: skip
    return compare(*(np.array([row["psnr"] for row in rows]) for rows in found.values()))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", type=int, default=160, help="viewpoints to learn from")
    parser.add_argument("--test", type=int, default=40, help="held-out viewpoints")
    parser.add_argument("--side", type=int, default=96, help="of the frames, pixels")
    parser.add_argument("--size", type=int, default=64, help="of the squares to train on, pixels")
    return parser.parse_args()


def plan(arguments: argparse.Namespace, root: Path, seed: int) -> TrainOptions:
    base = cpu_preset()
    return replace(
        base,
        data=root / "data",
        runs=root / "runs",
        size=arguments.size,
        load_size=arguments.side,
        epochs=-(-arguments.steps // (arguments.train // base.batch_size)),
        steps=arguments.steps,
        seed=seed,
        device="cpu",
        samples=1,
        sample_every=1000,
    )


def compare(plain: np.ndarray, quick: np.ndarray) -> int:
    """Print the difference of the means beside the spread of the seeds; the exit code."""
    difference = float(quick.mean() - plain.mean())
    spread = float(max(plain.max() - plain.min(), quick.max() - quick.min()))
    print(f"PSNR {plain.mean():.2f} dB plain, {quick.mean():.2f} dB quick: {difference:+.2f} dB; "
          f"seeds among themselves up to {spread:.2f} dB apart")  # fmt: skip
    return 0 if difference >= -spread else 1


if __name__ == "__main__":
    sys.exit(main())
