"""Presets against each other: the same frames, the same minutes, one machine; PSNR on true pairs.

Every cell is a training of its own from new weights, planned for its minutes, so that its learning
rate has decayed at the end. Rows of preset physical come twice: each picture restored by itself,
and all together, as frames of one session (``cli restore --together``). ``usual`` is the paper's
CycleGAN as its public code trains it: eager, fp32, contiguous. Pairs are those of the data set's
``pairs.csv``, which no training sees. Unless ``--data`` names a data set, one of the embedded game
is rendered. Each row is printed and kept (``--out``) as soon as it is there; rows kept before are
not run again.

    python benchmarks/model/race.py --data data --minutes 5 30 --presets paper best physical
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from made_pairs import make_pairs

from dataset.layout.pairs import read_pairs
from model.evaluation.evaluate import readable
from model.evaluation.paired import evaluate_pairs
from model.options import NEW_WEIGHTS, PRESETS, RestoreOptions, TrainOptions, paper_preset
from model.restoring.methods import open_method
from model.training.train import train

METRICS = ("psnr", "psnr_inside", "psnr_outside", "ssim", "delta_e", "flip", "log_k_error")


def main() -> None:
    arguments = parse_arguments()
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, "
          f"{torch.get_num_threads()} threads, {arguments}")  # fmt: skip
    kept: dict[str, dict[str, float]] = {}
    if arguments.out.is_file():
        kept = json.loads(arguments.out.read_text(encoding="utf-8"))
    print(f"{'':24}" + "".join(f"{name:>13}" for name in METRICS))
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or make_pairs(Path(folder) / "data", 400, 100, 256)
        for name, run in ways(arguments, data, Path(folder)).items():
            if name not in kept:
                kept[name] = run()
                arguments.out.write_text(json.dumps(kept, indent=2), encoding="utf-8")
            cells = "".join(f"{kept[name].get(each, float('nan')):13.3f}" for each in METRICS)
            print(f"{name:24}{cells}", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="data set with pairs.csv; one is rendered")
    parser.add_argument("--minutes", type=float, nargs="+", default=[5.0, 30.0])
    parser.add_argument("--presets", nargs="+", default=["usual", *PRESETS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--encoded", action="store_true", help="gains act on encoded values")
    parser.add_argument("--frames", type=int, default=0, help="pairs that are judged; 0: all")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("race.json"))
    return parser.parse_args()


def ways(
    arguments: argparse.Namespace, data: Path, folder: Path
) -> dict[str, Callable[[], dict[str, float]]]:
    """Name of each row -> what trains and judges it."""
    found: dict[str, Callable[[], dict[str, float]]] = {
        "input": lambda: judge(data, None, arguments.frames)
    }
    for minutes in arguments.minutes:
        for preset in arguments.presets:
            for seed in arguments.seeds:
                options = replace(
                    settings(preset, arguments.encoded),
                    data=data,
                    runs=folder / "runs",
                    minutes=minutes,
                    seed=seed,
                    run=f"{preset}-{minutes:g}-{seed}",
                    init=NEW_WEIGHTS,
                    device=arguments.device,
                )
                found[f"{preset}, {minutes:g} min, seed {seed}"] = lambda options=options: judge(  # type: ignore[misc]
                    data, train(options).run, arguments.frames
                )
                if options.network.physical:
                    found[f"{preset}, {minutes:g} min, seed {seed}, together"] = (
                        lambda options=options: judge(  # type: ignore[misc]
                            data, options.runs / options.run, arguments.frames, together=True
                        )
                    )
    return found


def settings(preset: str, encoded: bool) -> TrainOptions:
    if preset == "usual":
        return replace(
            paper_preset(),
            precision="fp32",
            memory_format="contiguous",
            compile="off",
            graphs="off",
        )
    options = PRESETS[preset]()
    linear = not (encoded and options.network.physical)
    return replace(options, network=replace(options.network, linear=linear))


def judge(data: Path, run: Path | None, frames: int, together: bool = False) -> dict[str, float]:
    """Means over the pairs of what a run restores; of the input, without a run."""
    pairs = read_pairs(data / "pairs.csv")
    pairs = pairs[:: max(1, len(pairs) // frames)] if frames else pairs
    methods = {}
    if run is not None:
        restoring = RestoreOptions(runs=run.parent, run=run.name, device="cpu", together=together)
        seen = [pair.over_exposed for pair in pairs]
        methods[run.name] = open_method(restoring, session=lambda: readable(seen))
    found = evaluate_pairs(pairs, methods)
    return {metric: found.mean(found.restored, metric) for metric in METRICS}


if __name__ == "__main__":
    main()
