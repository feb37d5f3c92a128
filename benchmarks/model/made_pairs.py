"""A small data set of the embedded game with true pairs, for benchmarks of training.

Measures nothing itself.
The same viewpoints stand in both domains, as a light sweep records them; training draws X and Y
apart from each other, so it is not told which belong together, unless it is given `TRAIN_PAIRS`.
"""

from __future__ import annotations

from pathlib import Path

from capture.game.pairs import Renderer
from capture.game.viewpoints import over_exposed_light, reference_light
from dataset.pictures.images import write_png

TRAIN_PAIRS = "train_pairs.csv"  # in the data set: for supervised training


def make_pairs(data: Path, train: int, test: int, side: int, seed: int = 0) -> Path:
    """``data`` with four folders and two lists of pairs; side: of the frames, pixels."""
    rows: dict[str, list[str]] = {"train": [], "test": []}
    for folder in ("trainA", "trainB", "testA", "testB"):
        (data / folder).mkdir(parents=True)
    with Renderer(size=(side, side)) as renderer:
        for viewpoint in range(train + test):
            part, name = ("train" if viewpoint < train else "test"), f"{viewpoint:05d}.png"
            light = over_exposed_light(seed, viewpoint)
            for letter, each in (("A", reference_light(light)), ("B", light)):
                picture = renderer.render(seed, viewpoint, each)
                write_png(data / f"{part}{letter}" / name, picture)
            rows[part].append(f"{part}B/{name},{part}A/{name}")
    for part, name in (("train", TRAIN_PAIRS), ("test", "pairs.csv")):
        lines = ["over_exposed,reference", *rows[part]]
        (data / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return data
