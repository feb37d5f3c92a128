"""Makes the built-in network again: renders what it learns from, trains it, writes its two files.

It learns from frames of the embedded game, from photographs out of panoramas (``photographs.py``),
and from the data sets that ``--also`` names: those of FlightGear that docs/network.md tells how to
record. Panoramas that also stand among those it is judged by are left out. Measures nothing itself.
`--data` that is there already is trained on as it is, so a training that was stopped goes on with
the same command.

    python benchmarks/model/builtin.py --data builtin_data --also flightgear --minutes 45
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from made_pairs import make_pairs
from photographs import Plan, find_panoramas, take

from dataset.errors import UserError
from dataset.layout.readers import find_frames
from dataset.pictures.images import Image, read_image, write_png
from model.options import physical_preset
from model.restoring.export import EXPORT_SUFFIXES, save_release
from model.runs import has_checkpoint
from model.training.run_folder import resumed_options
from model.training.train import train

JUDGED = ("studio", "sunrise")  # they stand among npm's @pmndrs/assets, too
SEED = 100  # of the worlds that it sees; those of the benchmarks are others
SIZE = 256  # pixels
DOMAINS = ("trainA", "trainB")
OUT = Path(__file__).resolve().parents[2] / "model" / "builtin"
RUN = "network"


def main() -> int:
    arguments = parse_arguments()
    began = time.monotonic()
    try:
        if not arguments.data.exists():
            make_data(arguments)
        print(f"data: {(time.monotonic() - began) / 60:.1f} min", flush=True)
        run = train_on(arguments)
        if arguments.out:
            write_files(run, arguments.out)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"all: {(time.monotonic() - began) / 60:.1f} min")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the data set; made unless it is there")
    add("--also", type=Path, nargs="*", default=[], help="data sets whose frames are learned from")
    add("--game", type=int, default=1500, help="viewpoints of the embedded game, each twice")
    add("--photographs", type=int, default=800, help="of X, and of Y")
    add("--minutes", type=float, default=45.0, help="of training")
    add("--seed", type=int, default=0, help="of the weights")
    add("--out", type=Path, default=OUT, help=f"folder of the two files (default: {OUT})")
    add("--only-data", dest="out", action="store_const", const=None, help="write no files")
    return parser.parse_args()


def make_data(arguments: argparse.Namespace) -> None:
    """One data set of all sources; its name is there once it is whole."""
    part = arguments.data.with_name(f"{arguments.data.name}.part")
    if arguments.game:
        make_pairs(part, arguments.game, 0, SIZE, SEED)
    for domain in DOMAINS:
        (part / domain).mkdir(parents=True, exist_ok=True)
    for domain, name, picture in (*photographs(arguments.photographs), *others(arguments.also)):
        write_png(part / domain / name, picture)
    part.rename(arguments.data)


def photographs(count: int) -> Iterator[tuple[str, str, Image]]:
    """Domain, name and picture: views for X, and others for Y."""
    if not count:
        return
    panoramas = {name: light for name, light in find_panoramas(None).items() if name not in JUDGED}
    plan = Plan(count, 0, SIZE, seed=SEED)
    for stream, domain in enumerate(DOMAINS, 1):
        for name, shot in take(panoramas, count, plan, stream):
            yield domain, f"photo_{name}", (shot.reference, shot.over_exposed)[stream - 1]


def others(folders: Sequence[Path]) -> Iterator[tuple[str, str, Image]]:
    for number, folder in enumerate(folders):
        for domain in DOMAINS:
            for path in find_frames(folder, domain):
                yield domain, f"also{number}_{path.stem}.png", read_image(path)


def train_on(arguments: argparse.Namespace) -> Path:
    runs = arguments.data.with_name(f"{arguments.data.name}_runs")
    options = replace(
        physical_preset(),
        data=arguments.data,
        runs=runs,
        run=RUN,
        minutes=arguments.minutes,
        seed=arguments.seed,
        init="none",
        device="auto",
    )
    if has_checkpoint(runs / RUN):
        options = resumed_options(runs, RUN, {})
    summary = train(options, on_message=print)
    print(f"{summary.steps} steps, {summary.seconds / 60:.1f} min of training")
    return summary.run


def write_files(run: Path, out: Path) -> None:
    for suffix in EXPORT_SUFFIXES:
        path = out / f"F{suffix}"
        path.unlink(missing_ok=True)
        print(save_release(run, path))


if __name__ == "__main__":
    sys.exit(main())
