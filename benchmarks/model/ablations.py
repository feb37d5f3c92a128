"""What each part of preset physical is worth: trained without it, everything else as it is.

The same frames, the same minutes, one machine; PSNR and more on true pairs, which no training sees.
The supervised row learns from other true pairs (``train_pairs.csv``), which the others do not have.
Unless ``--data`` names a data set, one of the embedded game is rendered.

    python benchmarks/model/ablations.py --data data --minutes 5 --seeds 0 1 2 --rows averaging
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from made_pairs import TRAIN_PAIRS, make_pairs
from race import METRICS, judge

from model import belief, physical, physical_networks, synthetic
from model.options import NEW_WEIGHTS, TrainOptions, physical_preset
from model.training.train import train

# Name -> what is different: constants of modules, or settings.
CONSTANTS: dict[str, dict[ModuleType, dict[str, Any]]] = {
    "as it is": {},
    "no pairs made of X": {physical: {"GAIN_WEIGHT": 0.0, "CONTENT_WEIGHT": 0.0}},
    "gains far beyond those of Y": {physical: {"BEYOND": 3.0}},
    "no frames left unchanged": {physical: {"UNCHANGED": 0.0}},
    "no frames of other saturation": {synthetic: {"SATURATION": 0.0}},
    "no relighting, no glare": {
        synthetic: {"RELIT": 0.0, "TINTED": 0.0, "BY_COLOUR": 0.0, "GLARE": 0.0}
    },
    "one gain for a picture": {physical_networks: {"DEVIATION": 0.0}, belief: {"DEVIATION": 0.0}},
    "no order in Y": {physical: {"ORDER_WEIGHT": 0.0}},
    "no colours of X in restored Y": {physical: {"MATCH_WEIGHT": 0.0}},
    "content does not go on from rims": {physical_networks: {"NEAR": 0.0}},
    "content untrained": {physical: {"CONTENT_WEIGHT": 0.0}},
}
SETTINGS: dict[str, dict[str, Any]] = {"no averaging of weights": {"ema": 0.0}}
SUPERVISED = "supervised: true pairs"


def main() -> None:
    arguments = parse_arguments()
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {arguments}")
    print(f"{'':44}" + "".join(f"{name:>13}" for name in METRICS))
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or make_pairs(Path(folder) / "data", 400, 100, 256)
        changed = dict(SETTINGS)
        if (data / TRAIN_PAIRS).is_file():
            changed[SUPERVISED] = {"pairs": data / TRAIN_PAIRS}
        parts = arguments.rows or [""]
        rows = [row for row in (*CONSTANTS, *changed) if any(part in row for part in parts)]
        for number, name in enumerate(rows):
            for seed in arguments.seeds:
                options = replace(
                    settings(arguments),
                    data=data,
                    runs=Path(folder) / "runs",
                    run=f"{number}-{seed}",
                    seed=seed,
                    **changed.get(name, {}),
                )
                with without(name):  # of a network that is judged, too
                    train(options)
                    show(f"{name}, seed {seed}", options, arguments.frames)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="data set with pairs.csv; one is rendered")
    parser.add_argument("--rows", nargs="+", default=[], help="parts of names of rows; all")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--encoded", action="store_true", help="gains act on encoded values")
    parser.add_argument("--frames", type=int, default=0, help="pairs that are judged; 0: all")
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def settings(arguments: argparse.Namespace) -> TrainOptions:
    options = physical_preset()
    return replace(
        options,
        minutes=arguments.minutes,
        init=NEW_WEIGHTS,
        device=arguments.device,
        network=replace(options.network, linear=not arguments.encoded),
    )


@contextmanager
def without(name: str) -> Iterator[None]:
    """The constants that are different, until it ends."""
    with ExitStack() as changed:
        for module, constants in CONSTANTS.get(name, {}).items():
            changed.enter_context(patch.multiple(module, **constants))
        yield


def show(title: str, options: TrainOptions, frames: int) -> None:
    """Judge a run, each picture by itself and all together."""
    for together in (False, True):
        found = judge(options.data, options.runs / options.run, frames, together)
        cells = "".join(f"{found[metric]:13.3f}" for metric in METRICS)
        print(f"{title + (', together' if together else ''):44}{cells}", flush=True)


if __name__ == "__main__":
    main()
