"""Pictures larger than in training: which scale should the network see?

On true pairs of the embedded game at 1920x1080, with a network trained at 256: at native size, at
the scale of training with the correction applied to the large picture, and a mixture. PSNR, SSIM,
CIEDE2000, edges, and seconds. The best one is the default of ``cli restore --detail auto``.
Without ``--run`` a small network is trained first. The ways are also compared pair by pair.

    python benchmarks/model/detail.py --run NAME --frames 24
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from made_pairs import make_pairs
from methods import train_presets

from capture.game.pairs import Renderer
from capture.game.viewpoints import over_exposed_light, reference_light
from dataset.layout.pairs import Pair, read_pairs
from dataset.layout.readers import evenly_spaced
from dataset.pictures.images import read_image, write_png
from dataset.pictures.montage import side_by_side
from dataset.pictures.pixels import Pixels, to_image, to_pixels
from model.evaluation.paired import INPUT_METHOD, Evaluation, evaluate_pairs
from model.metrics import mean_interval
from model.options import RestoreOptions
from model.restoring.methods import Restore, open_method

WAYS = ("native", "guided", "mixed")
MEASURES = ("psnr", "psnr_inside", "ssim", "delta_e", "delta_e_inside", "edges")
FIRST = 5000  # viewpoint: none that a training of ours has seen


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        options = RestoreOptions(runs=arguments.runs, run=arguments.run, device=arguments.device)
        if not arguments.run:
            options = replace(options, **train_small(Path(folder), arguments.steps))
        seconds = dict.fromkeys(WAYS, 0.0)
        methods = {way: timed(options, way, seconds) for way in WAYS}
        path = arguments.pairs or make_large_pairs(Path(folder), arguments.frames)
        pairs = evenly_spaced(read_pairs(path), arguments.frames)
        found = evaluate_pairs(pairs, methods)
        if arguments.pictures:
            show(pairs, methods, arguments.pictures)
    print_means(found, seconds)
    print_apart(found)


def print_means(found: Evaluation, seconds: dict[str, float]) -> None:
    count = len(found.pairs)
    print(f"{count} pairs\n{'':10}" + "".join(f"{name:>16}" for name in (*MEASURES, "s")))
    for way in (INPUT_METHOD, *WAYS):
        numbers = [found.mean(way, name) for name in MEASURES] + [seconds.get(way, 0) / count]
        print(f"{way:10}" + "".join(f"{number:16.3f}" for number in numbers))


def print_apart(found: Evaluation) -> None:
    """Each way less native on the same pairs: a pair's own difficulty cancels out."""
    print("less native on the same pair; mean [95 % interval of the mean]")
    for way in WAYS[1:]:
        texts = []
        for name in MEASURES:
            apart = mean_interval(found.values(way, name) - found.values("native", name))
            texts.append(f"{apart.mean:+.2f} [{apart.low:+.2f}, {apart.high:+.2f}]")
        print(f"{way:10}" + "".join(f"{text:>24}" for text in texts))


def train_small(folder: Path, steps: int) -> dict[str, Any]:
    """The run folder of a short training on the embedded game at 256x256."""
    data = make_pairs(folder / "data", train=200, test=1, side=256)
    train_presets(data, folder / "runs", steps, ["best"])
    return {"runs": folder / "runs", "run": "best"}


def timed(options: RestoreOptions, way: str, seconds: dict[str, float]) -> Restore:
    """The network at one scale; its seconds are added up."""
    method = open_method(replace(options, detail=way))

    def restore(pixels: Pixels) -> Pixels:
        begin = time.perf_counter()
        restored = method(pixels)
        seconds[way] += time.perf_counter() - begin
        return restored

    return restore


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--run", default="", help="a run, or a file of weights")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--steps", type=int, default=600, help="of the training, without --run")
    parser.add_argument("--pairs", type=Path, help="others than the embedded game's")
    parser.add_argument("--pictures", type=Path, help="folder for pictures to look at")
    return parser.parse_args()


def make_large_pairs(folder: Path, count: int) -> Path:
    """Pairs of the embedded game at 1920x1080."""
    rows = ["over_exposed,reference"]
    with Renderer(size=(1920, 1080)) as renderer:
        for viewpoint in range(FIRST, FIRST + count):
            light = over_exposed_light(0, viewpoint)
            for letter, each in (("x", reference_light(light)), ("y", light)):
                write_png(folder / f"{letter}{viewpoint}.png", renderer.render(0, viewpoint, each))
            rows.append(f"y{viewpoint}.png,x{viewpoint}.png")
    path = folder / "pairs.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def show(pairs: list[Pair], methods: dict[str, Restore], folder: Path) -> None:
    """The first pairs with what each way makes of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pair in enumerate(pairs[:4]):
        source = read_image(pair.over_exposed)
        panels = [("input", source)]
        for way, method in methods.items():
            panels.append((way, to_image(method(to_pixels(source)))))
        panels.append(("reference", read_image(pair.reference)))
        write_png(folder / f"detail_{number}.png", side_by_side(panels))


if __name__ == "__main__":
    main()
