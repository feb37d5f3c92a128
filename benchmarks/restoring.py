"""How much a short training restores, against simple rivals that may look at the reference.

Renders true pairs of the embedded game offscreen, trains the CPU preset on the viewpoints of one
part (unpaired), and compares on the other part: the input, the best single brightness factor of
each picture chosen with its reference in hand, the best single gamma likewise, and the network.

    python benchmarks/restoring.py --minutes 5
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from capture.game.pairs import Renderer
from capture.game.viewpoints import over_exposed_light, reference_light
from dataset.images import Image, write_png
from model.checkpoint import load_restorer
from model.evaluate import Quality, measure_quality
from model.options import PRESETS
from model.restore import restore
from model.train import train

FACTORS = np.geomspace(0.1, 1.5, 40)
GAMMAS = np.geomspace(0.5, 6.0, 40)

Pairs = list[tuple[Image, Image]]  # (over-exposed, reference)


def main() -> None:
    arguments = parse_arguments()
    pairs = render_pairs(arguments.seed, arguments.train + arguments.test)
    learned, held_out = pairs[: arguments.train], pairs[arguments.train :]
    with tempfile.TemporaryDirectory() as folder:
        run = train_on(learned, Path(folder), arguments.minutes, arguments.seed)
        network = load_restorer(run, torch.device("cpu"))
        methods: dict[str, Callable[[Image, Image], Image]] = {
            "input": lambda over, reference: over,
            "best factor, reference in hand": lambda over, reference: best_of(
                over, reference, FACTORS, scaled
            ),
            "best gamma, reference in hand": lambda over, reference: best_of(
                over, reference, GAMMAS, bent
            ),
            f"network after {arguments.minutes:g} min": lambda over, _: restore(network, over),
        }
        print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, "
              f"{len(held_out)} held-out pairs")  # fmt: skip
        for name, method in methods.items():
            print_row(name, [measure_quality(method(*pair), pair[1]) for pair in held_out])


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


def best_of(
    over: Image,
    reference: Image,
    values: NDArray[np.float64],
    change: Callable[[Image, float], Image],
) -> Image:
    """The changed picture that is nearest to the reference."""
    tried = [change(over, float(value)) for value in values]
    errors = [np.mean((each.astype(np.float32) - reference) ** 2) for each in tried]
    return tried[int(np.argmin(errors))]


def scaled(image: Image, factor: float) -> Image:
    return (image * np.float32(factor)).clip(0, 255).round().astype(np.uint8)


def bent(image: Image, gamma: float) -> Image:
    return (255 * (image / np.float32(255)) ** np.float32(gamma)).round().astype(np.uint8)


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
