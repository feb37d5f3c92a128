"""Networks, settings and frames of preset physical, small enough for a second's training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from dataset.pictures.images import Image, write_png
from helpers.tiny_runs import tiny_options
from model.options import NetworkOptions, TrainOptions
from model.physical_networks import PhysicalRestorer, initialize

PHYSICAL = NetworkOptions(4, 0, physical=True)
# Options of the command line for networks as small as those of `tiny_physical`.
SMALL_PHYSICAL = ["--preset", "physical", "--size", "32", "--load-size", "40", "--filters", "4"]
SMALL_PHYSICAL += ["--batch-size", "2", "--epochs", "2", "--device", "cpu", "--precision", "fp32"]


def tiny_physical(root: Path, **changed: Any) -> TrainOptions:
    """Two epochs of three steps of preset physical."""
    settings: dict[str, Any] = {"network": PHYSICAL, "pool_size": 0, "learning_rate": 1e-3}
    return tiny_options(root, **(settings | changed))


def restorer(log_gain: float, linear: bool = True) -> PhysicalRestorer:
    """An F that finds this gain in every picture, in evaluation mode."""
    network = PhysicalRestorer(4, linear)
    initialize(network, torch.Generator().manual_seed(0))
    proposal = network.head.proposal[-1]
    assert isinstance(proposal, torch.nn.Conv2d)
    assert proposal.bias is not None
    proposal.weight.data.zero_()
    proposal.bias.data[:] = torch.tensor([log_gain] * 3 + [0.0])
    return network.eval()


def scene(seed: int, height: int = 48, width: int = 48) -> Image:
    """Smooth colours from black to white with a dark and a bright area: RGB uint8."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [
        np.sin(random.uniform(2, 7) * rows + random.uniform(2, 7) * columns + random.uniform(0, 6))
        for _ in range(3)
    ]
    light = random.uniform(0.35, 0.6)
    picture = light * (1 + 0.35 * np.stack(waves, 2)) + random.uniform(-0.05, 0.05, 3)
    picture[rows + columns < random.uniform(0.3, 0.6)] *= 0.3
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)


def over_expose(image: Image, gain: float, linear: bool = True) -> Image:
    """The same under `gain` times the light, written out for one picture."""
    value = image / 255
    if linear:
        light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4) * gain
        value = np.where(
            light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055
        )
    else:
        value = value * gain
    return (np.clip(value, 0, 1) * 255).round().astype(np.uint8)


def make_scenes(root: Path, count: int = 6, gain: float = 3.0) -> Path:
    """``data`` of scenes: X, Y of other scenes under more light, and true test pairs."""
    data = root / "data"
    for folder, factor, first in (
        ("trainA", 1.0, 0),
        ("trainB", gain, 100),
        ("testA", 1.0, 200),
        ("testB", gain, 200),
    ):
        (data / folder).mkdir(parents=True)
        for n in range(count):
            write_png(data / folder / f"{n:03d}.png", over_expose(scene(first + n), factor))
    rows = [f"testB/{n:03d}.png,testA/{n:03d}.png" for n in range(count)]
    (data / "pairs.csv").write_text("\n".join(["over_exposed,reference", *rows]) + "\n", "utf-8")
    return data
