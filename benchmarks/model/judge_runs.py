"""Trained runs judged on true pairs: means, their spread over the runs, and pictures.

Runs of preset physical come twice: each picture restored by itself, and all together, as frames of
one session (``cli restore --together``). The last column says how far F moves frames of X that are
not over-exposed, CIEDE2000, the median over pictures of each picture's median. The sheet has five
pairs of the first run, from the best to the worst by PSNR; from top to bottom: input, restored,
together, reference.

    python benchmarks/model/judge_runs.py --data data --runs runs --run seed0 seed1 seed2
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from race import METRICS

from dataset.layout.pairs import Pair, read_pairs
from dataset.pictures.images import read_image, write_png
from dataset.splitting.sheets import contact_sheet
from model.evaluation.evaluate import readable
from model.evaluation.paired import INPUT_METHOD, Evaluation, apply, evaluate_pairs
from model.evaluation.unpaired import measure_well_exposed
from model.options import RestoreOptions
from model.restoring.methods import Restore, open_method
from model.runs import read_options

COLUMNS = (*METRICS, "x_moves")
RANKS = (1.0, 0.75, 0.5, 0.25, 0.0)  # of the pairs by PSNR, that the sheet shows
ALONE, TOGETHER = "", ", together"
CELL = 192  # pixels

Row = dict[str, float]


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    print(f"{'':28}" + "".join(f"{name:>13}" for name in COLUMNS))
    rows: dict[str, list[Row]] = {}
    for run in arguments.run:
        methods = open_run(arguments, run)
        found = evaluate_pairs(pairs_of(arguments), methods)
        for name in found.found:
            title = f"{run}{name}" if name != INPUT_METHOD else name
            row = {metric: found.mean(name, metric) for metric in METRICS}
            if name == ALONE and arguments.moves:  # frames of X are of another session
                row["x_moves"] = how_far_x_moves(arguments.data, methods[name], arguments.moves)
            if name != INPUT_METHOD or not rows:
                show(title, row)
                rows.setdefault(name, []).append(row)
        if arguments.sheet and run == arguments.run[0]:
            draw_sheet(arguments.sheet, found, methods)
    if len(arguments.run) > 1:
        for name in (each for each in rows if each != INPUT_METHOD):
            show_spread(name, rows[name])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="data set with pairs.csv")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--run", nargs="+", required=True)
    parser.add_argument("--epoch", default="", help="as of cli restore")
    parser.add_argument("--every", type=int, default=1, help="judge each Nth pair")
    parser.add_argument("--moves", type=int, default=40, help="frames of testA that are restored")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sheet", type=Path, help="PNG of pairs from best to worst")
    return parser.parse_args()


def pairs_of(arguments: argparse.Namespace) -> list[Pair]:
    return read_pairs(arguments.data / "pairs.csv")[:: arguments.every]


def open_run(arguments: argparse.Namespace, run: str) -> dict[str, Restore]:
    """What is judged of a run: what its name is followed by -> method."""
    options = RestoreOptions(runs=arguments.runs, run=run, epoch=arguments.epoch, device="cpu")
    methods = {ALONE: open_method(options)}
    if read_options(arguments.runs / run).network.physical:
        seen = [pair.over_exposed for pair in pairs_of(arguments)]
        together = replace(options, together=True)
        methods[TOGETHER] = open_method(together, session=lambda: readable(seen))
    return methods


def how_far_x_moves(data: Path, method: Restore, frames: int) -> float:
    paths = sorted((data / "testA").iterdir())
    found = []
    for path in paths[:: max(1, len(paths) // frames)]:
        picture = read_image(path)
        found.append(measure_well_exposed(apply(method, picture), picture).identity_median)
    return float(np.median(found))


def show(title: str, row: Row) -> None:
    cells = (row.get(name, float("nan")) for name in COLUMNS)
    print(f"{title:28}" + "".join(f"{cell:13.3f}" for cell in cells), flush=True)


def show_spread(name: str, rows: Sequence[Row]) -> None:
    values = {each: [row.get(each, float("nan")) for row in rows] for each in COLUMNS}
    show("mean" + name, {each: float(np.mean(values[each])) for each in COLUMNS})
    show("sd" + name, {each: float(np.std(values[each], ddof=1)) for each in COLUMNS})


def draw_sheet(path: Path, found: Evaluation, methods: Mapping[str, Restore]) -> None:
    """Pairs from the best to the worst, one in each column."""
    order = np.argsort(found.values(found.restored, "psnr"))
    pairs = [found.pairs[order[round(rank * (len(order) - 1))]] for rank in RANKS]
    inputs = [read_image(pair.over_exposed) for pair in pairs]
    restored = [apply(method, image) for method in methods.values() for image in inputs]
    references = [read_image(pair.reference) for pair in pairs]
    pictures = [*inputs, *restored, *references]
    write_png(path, contact_sheet(pictures, columns=len(pairs), cell=(CELL, CELL)))


if __name__ == "__main__":
    main()
