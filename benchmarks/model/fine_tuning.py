"""Fine-tuning beside training from new weights: PSNR on true pairs after as many steps of both.

`--init` names networks that never saw the game of `--data`, one for each seed; so many steps are a
minute or five on a machine of one's own, and do not depend on how busy this one is. Each picture
is restored by itself, and all together, as frames of one session (``cli restore --together``).

    python benchmarks/model/fine_tuning.py --data frames --pairs judged --init other.safetensors
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dataset.layout.pairs import Pair, read_pairs
from model.evaluation.evaluate import readable
from model.evaluation.paired import evaluate_pairs
from model.options import NEW_WEIGHTS, RestoreOptions, TrainOptions, physical_preset
from model.restoring.methods import open_method
from model.training.batches import steps_per_epoch
from model.training.sources import find_pictures
from model.training.train import count_frames, train

WAYS = ("alone", "together")
METRICS = ("psnr", "ssim")

Found = Mapping[str, float]


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    pairs = read_pairs(arguments.pairs / "pairs.csv")
    with tempfile.TemporaryDirectory() as folder:
        seeds = enumerate(arguments.init)
        tell(each for seed in seeds for each in judged(arguments, pairs, Path(folder), *seed))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="data set that is trained on")
    add("--pairs", type=Path, required=True, help="data set with pairs.csv of other scenes")
    add("--init", nargs="+", required=True, help="files of `cli export`, or builtin")
    add("--steps", type=int, nargs="+", default=[200, 1000], help="of each training")
    add("--linear", action=argparse.BooleanOptionalAction, default=True, help="as of cli train")
    add("--threads", type=int, default=1)
    return parser.parse_args()


def judged(
    arguments: argparse.Namespace, pairs: Sequence[Pair], runs: Path, seed: int, init: str
) -> Iterator[tuple[str, Found]]:
    yield "before", judge(pairs, RestoreOptions(run=init, device="cpu"))
    for steps in arguments.steps:
        for title, start in (("fine-tuned", init), ("from new weights", NEW_WEIGHTS)):
            options = training(arguments.data, runs, steps, seed, start, arguments.linear)
            yield f"{title}, {steps} steps", judge(pairs, trained(options))


def training(
    data: Path, runs: Path, steps: int, seed: int, start: str, linear: bool = True
) -> TrainOptions:
    preset = physical_preset()
    options = replace(
        preset,
        data=data,
        runs=runs,
        run=f"{Path(start).stem}_{steps}_{seed}",
        minutes=0.0,
        seed=seed,
        init=start,
        device="cpu",
        network=replace(preset.network, linear=linear),
    )
    _, counts = count_frames(options, *find_pictures(options))
    an_epoch = steps_per_epoch(*counts, options.batch_size)
    return replace(options, epochs=max(1, round(steps / an_epoch)))  # the rate ends near zero


def trained(options: TrainOptions) -> RestoreOptions:
    """Train; how to restore with what was trained."""
    if train(options).interrupted:
        raise KeyboardInterrupt
    return RestoreOptions(runs=options.runs, run=str(options.run), device="cpu")


def judge(pairs: Sequence[Pair], options: RestoreOptions) -> Found:
    seen = [pair.over_exposed for pair in pairs]
    together = open_method(replace(options, together=True), session=lambda: readable(seen))
    found = evaluate_pairs(pairs, {WAYS[0]: open_method(options), WAYS[1]: together})
    return {f"{way} {each}": found.mean(way, each) for way in WAYS for each in METRICS}


def tell(judged: Iterable[tuple[str, Found]]) -> None:
    """Print each, seed after seed, and what those of one title have in common."""
    rows: dict[str, list[Found]] = {}
    for title, found in judged:
        print(f"{title}: {describe([found])}", flush=True)
        rows.setdefault(title, []).append(found)
    for title, found_by_seed in rows.items():
        print(f"{title}, {len(found_by_seed)} seeds: {describe(found_by_seed)}")


def describe(rows: Sequence[Found]) -> str:
    """Means, and their spread over seeds."""
    cells = []
    for name in rows[0]:
        values = [row[name] for row in rows]
        spread = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
        cells.append(f"{name} {np.mean(values):.{2 if 'psnr' in name else 3}f}{spread}")
    return ", ".join(cells)


if __name__ == "__main__":
    main()
