"""All ways to restore, side by side on true pairs: presets of `cli train` and what came before.

PSNR, SSIM, CIEDE2000 and edges, overall and inside what the input had clipped, with 95 % bootstrap
intervals; the change of frames of X, which should be none. Without ``--run`` a set of the embedded
game is made and the presets ``paper`` and ``best`` are trained on it, with small networks, so that
it ends on a machine without a GPU. ``--flightgear`` makes a set of FlightGear frames first.

    python benchmarks/model/methods.py --steps 600
    python benchmarks/model/methods.py --data data --run paper=runs/a --run best=runs/b \\
        --pictures looked
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from made_pairs import make_pairs

from dataset.layout.pairs import read_pairs
from dataset.layout.readers import evenly_spaced
from dataset.pictures.images import read_image, write_png
from dataset.pictures.montage import side_by_side
from dataset.pictures.pixels import to_image, to_pixels
from model.evaluation.paired import INPUT_METHOD, Evaluation, evaluate_pairs
from model.metrics import well_exposed_change
from model.options import NEW_WEIGHTS, PRESETS, RestoreOptions
from model.restoring.baselines import BASELINES, ORACLES
from model.restoring.methods import Restore, open_method
from model.training.train import train

TRAINED = ("paper", "best")
SIDE = 256  # of the frames, pixels: those of a step together are as many as one frame has
MEASURES = ("psnr", "psnr_inside", "ssim", "delta_e", "delta_e_inside", "edges")


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or prepare(Path(folder) / "data", arguments)
        runs = dict(each.split("=", 1) for each in arguments.run)
        runs = runs or train_presets(data, Path(folder) / "runs", arguments.steps)
        networks = {name: open_run(Path(run)) for name, run in runs.items()}
        networks |= {f"{name}, in full": open_run(Path(run), 1.0) for name, run in runs.items()}
        pairs = evenly_spaced(read_pairs(data / "pairs.csv"), arguments.frames)
        found = evaluate_pairs(pairs, {**networks, **BASELINES}, ORACLES)
        print_table(found)
        print_change(data, {**networks, **BASELINES}, arguments.frames)
        if arguments.pictures:
            show(found, networks, arguments.pictures)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="a data set with pairs.csv")
    parser.add_argument("--run", action="append", default=[], help="NAME=FOLDER or file of weights")
    parser.add_argument(
        "--flightgear", type=Path, help="folder with frames.csv, frames, references"
    )
    parser.add_argument("--train", type=int, default=300, help="viewpoints of a made set")
    parser.add_argument("--frames", type=int, default=220, help="pairs that are measured")
    parser.add_argument("--steps", type=int, default=600, help="of each training")
    parser.add_argument("--pictures", type=Path, help="folder for the best, median and worst")
    return parser.parse_args()


def prepare(data: Path, arguments: argparse.Namespace) -> Path:
    if arguments.flightgear:
        return flightgear_set(data, arguments.flightgear)
    return make_pairs(data, arguments.train, arguments.frames, SIDE)


def flightgear_set(data: Path, source: Path) -> Path:
    """Frames without a reference to train on, those with one as the held-out pairs."""
    folders = {name: data / name for name in ("trainA", "trainB", "testA", "testB")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    rows = ["over_exposed,reference"]
    with open(source / "frames.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = row["file"]
            if not row["reference"]:
                part = "trainA" if row["intent"] == "X" else "trainB"
                shutil.copy(source / "frames" / name, folders[part])
                continue
            shutil.copy(source / "frames" / name, folders["testB"])
            shutil.copy(source / "references" / Path(row["reference"]).name, folders["testA"])
            rows.append(f"testB/{name},testA/{Path(row['reference']).name}")
    (data / "pairs.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return data


def train_presets(
    data: Path, runs: Path, steps: int, names: Sequence[str] = TRAINED
) -> dict[str, str]:
    """Train each preset for as many steps of as many pixels, with small networks."""
    frames = len(list((data / "trainA").iterdir()))
    for name in names:
        options = PRESETS[name]()
        batch = (SIDE // options.size) ** 2
        small = replace(options.network, generator_filters=16, discriminator_filters=32)
        train(replace(options, data=data, runs=runs, run=name, batch_size=batch, network=small,
                      epochs=max(2, steps * batch // frames), steps=steps,
                      init=NEW_WEIGHTS))  # fmt: skip
    return {name: str(runs / name) for name in names}


def open_run(run: Path, strength: float | None = None) -> Restore:
    """A run's folder, or a file of weights."""
    if run.is_dir():
        return open_method(RestoreOptions(runs=run.parent, run=run.name, strength=strength))
    return open_method(RestoreOptions(run=str(run), strength=strength))


def print_table(found: Evaluation) -> None:
    print(f"{len(found.pairs)} pairs; mean [95 % interval of the mean]")
    print(f"{'':18}" + "".join(f"{name:>24}" for name in MEASURES))
    for method in found.found:
        cells = (found.interval(method, name) for name in MEASURES)
        texts = (f"{each.mean:.3f} [{each.low:.3f}, {each.high:.3f}]" for each in cells)
        print(f"{method:18}" + "".join(f"{text:>24}" for text in texts), flush=True)


def print_change(data: Path, methods: Mapping[str, Restore], frames: int) -> None:
    """CIEDE2000 of restored frames of X to themselves, median of each, median over frames."""
    paths = evenly_spaced(sorted((data / "testA").iterdir()), frames)
    print(f"change of {len(paths)} frames of X, CIEDE2000: median over frames of the median pixel")
    for name, method in methods.items():
        changes = []
        for path in paths:
            source = read_image(path)
            moved = well_exposed_change(to_image(method(to_pixels(source))), source)
            changes.append(np.median(moved))
        print(f"{name:18}{np.median(changes):8.2f}", flush=True)


def show(found: Evaluation, networks: Mapping[str, Restore], folder: Path) -> None:
    """Input, networks and reference of the best, median and worst frames of each network."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in networks:
        gains = found.values(name, "psnr") - found.values(INPUT_METHOD, "psnr")
        order = np.argsort(gains)
        for what, place in (("worst", 0), ("median", len(order) // 2), ("best", -1)):
            pair = found.pairs[order[place]]
            source = read_image(pair.over_exposed)
            panels = [("input", source)]
            panels += [(key, to_image(each(to_pixels(source)))) for key, each in networks.items()]
            panels.append(("reference", read_image(pair.reference)))
            write_png(folder / f"{name}_{what}.png", side_by_side(panels))
            print(f"{name} {what}: {pair.over_exposed.name}, {gains[order[place]]:+.2f} dB")


if __name__ == "__main__":
    main()
