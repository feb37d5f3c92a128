"""How much a short training restores, against what came before and rivals that see the reference.

Renders true pairs of the embedded game offscreen, trains the CPU preset on the viewpoints of one
part (unpaired), and compares on the other part: the input, the methods of ``model.baselines``, the
network, and the best single brightness factor and gamma of each picture, chosen with its reference
in hand.

    python benchmarks/restoring.py --minutes 5
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from capture.game.pairs import Renderer
from capture.game.viewpoints import over_exposed_light, reference_light
from dataset.images import Image, write_png
from model.baselines import METHODS, ORACLES
from model.checkpoint import load_restorer
from model.evaluate import restore_all, unchanged
from model.measures import Quality, measure_quality
from model.options import PRESETS
from model.pixels import Restore
from model.train import train
from model.whole import Restorer

Pairs = list[tuple[Image, Image]]  # (over-exposed, reference)


def main() -> None:
    arguments = parse_arguments()
    pairs = render_pairs(arguments.seed, arguments.train + arguments.test)
    learned, held_out = pairs[: arguments.train], pairs[arguments.train :]
    with tempfile.TemporaryDirectory() as folder:
        run = train_on(learned, Path(folder), arguments.minutes, arguments.seed)
        network = load_restorer(run, torch.device("cpu"))
        learned_method = {f"network after {arguments.minutes:g} min": Restorer(network)}
        methods: dict[str, Restore] = {"input": unchanged, **METHODS, **learned_method}
        print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, "
              f"{len(held_out)} held-out pairs")  # fmt: skip
        found: dict[str, list[Quality]] = {}
        for over, reference in held_out:
            for name, image in restore_all(over, reference, methods, ORACLES).items():
                found.setdefault(name, []).append(measure_quality(image, reference))
        for name, qualities in found.items():
            print_row(name, qualities)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=5.0, help="of training")
    parser.add_argument("--train", type=int, default=250, help="viewpoints to learn from")
    parser.add_argument("--test", type=int, default=50, help="held-out viewpoints")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def render_pairs(seed: int, count: int) -> Pairs:
    pairs = []
    with Renderer(size=(256, 256)) as renderer:
        for viewpoint in range(count):
            light = over_exposed_light(seed, viewpoint)
            pictures = (light, reference_light(light))
            over, reference = (renderer.render(seed, viewpoint, each) for each in pictures)
            pairs.append((over, reference))
    return pairs


def train_on(pairs: Pairs, folder: Path, minutes: float, seed: int) -> Path:
    for number, pair in enumerate(pairs):
        for domain, image in zip(("trainB", "trainA"), pair, strict=True):
            (folder / "data" / domain).mkdir(parents=True, exist_ok=True)
            write_png(folder / "data" / domain / f"{number:05d}.png", image)
    options = replace(
        PRESETS["cpu"](), data=folder / "data", runs=folder / "runs", minutes=minutes, seed=seed
    )
    return train(options, on_message=print).run


def print_row(name: str, found: list[Quality]) -> None:
    psnr, ssim, edges = (
        np.array([getattr(each, measure) for each in found])
        for measure in ("psnr", "ssim", "edges")
    )
    print(
        f"{name:34} PSNR {psnr.mean():6.2f} dB (sd {psnr.std(ddof=1):.2f})  "
        f"SSIM {ssim.mean():.3f}  edges {edges.mean():.3f}"
    )


if __name__ == "__main__":
    main()
