"""A data set and settings small enough that a real training run takes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dataset.pictures.images import Image, write_png
from model.options import NetworkOptions, TrainOptions

SIDE = 40  # pixels
# Options of the command line for networks as small as those of `tiny_options`.
SMALL = ["--size", "32", "--filters", "4", "--blocks", "1", "--discriminator-filters", "4"]
SMALL += ["--precision", "fp32", "--compile", "off", "--memory-format", "contiguous"]


def picture(seed: int, light: float) -> Image:
    """A dark disc before a sky whose brightness clips for ``light`` over 1."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    sky = np.stack([0.4 + rows / SIDE * each for each in (0.2, 0.3, 0.5)], axis=2)
    centre = random.integers(10, 30, 2)
    sky[np.hypot(rows - centre[0], columns - centre[1]) < 8] = (0.3, 0.2, 0.2)
    return (np.clip(sky * light, 0, 1) * 255).round().astype(np.uint8)


def make_data(root: Path, count: int = 6) -> Path:
    """``data`` with X (light 0.9), Y (light 2.5) and a list of true test pairs."""
    data = root / "data"
    rows = ["over_exposed,reference"]
    for folder, light, first in (
        ("trainA", 0.9, 0),
        ("trainB", 2.5, 100),
        ("testA", 0.9, 200),
        ("testB", 2.5, 200),
    ):
        (data / folder).mkdir(parents=True)
        for n in range(count):
            write_png(data / folder / f"{n:03d}.png", picture(first + n, light))
    rows += [f"testB/{n:03d}.png,testA/{n:03d}.png" for n in range(count)]
    (data / "pairs.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return data


def tiny_options(root: Path, **changed: Any) -> TrainOptions:
    """Two epochs of three steps with two-layer networks."""
    settings: dict[str, Any] = {
        "data": root / "data",
        "runs": root / "runs",
        "run": "tiny",
        "epochs": 2,
        "batch_size": 2,
        "size": 32,
        "load_size": SIDE,
        "device": "cpu",
        "precision": "fp32",
        "pool_size": 4,
        "network": NetworkOptions(4, 1, 4, residual=True),
    }
    return TrainOptions(**(settings | changed))
