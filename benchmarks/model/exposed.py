"""HDR shots as training material beside a light sweep of the same viewpoints.

The embedded game gives both: HDR shots, which `cli expose` develops under six exposures, and its
window, recorded under six strengths of the sun. `cli split --fit` makes a data set of each, and
`physical` networks are trained on it, one for each seed. All are judged by true pairs of both
kinds, of another world (another seed of the game), whose viewpoints none of them has seen.

    python benchmarks/model/exposed.py --steps 1000 --seeds 3
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from fine_tuning import Found, judge, tell, trained, training

from capture.game.client import GameProcess
from capture.game.options import WEAK, GameOptions, Light
from capture.game.viewpoints import over_exposed_light
from capture.options import CaptureOptions
from capture.recording.recorder import Recorder
from capture.screens.mss import open_screen
from capture.screens.virtual_display import any_display
from dataset.layout.pairs import Pair, read_pairs
from dataset.layout.readers import evenly_spaced
from dataset.options import ExposeOptions
from model.evaluation.paired import evaluate_pairs
from model.options import NEW_WEIGHTS, RestoreOptions
from model.restoring.baselines import BASELINES

PROGRAM = Path(__file__).resolve().parents[2] / "cli.py"
KINDS = ("exposed", "swept")
LIGHTS = ExposeOptions.steps
LEARNED, JUDGED = 41, 42  # seeds of the game's worlds


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.folder or Path(made)
        judged = {kind: pairs_of(folder, kind, arguments) for kind in KINDS}
        for kind, pairs in judged.items():
            known = evaluate_pairs(pairs, {"gamma": BASELINES["gamma"]})
            cells = ", ".join(f"{each} {known.mean(each, 'psnr'):.2f}" for each in known.found)
            print(f"{len(pairs)} {kind} pairs: {cells} dB", flush=True)
        tell(judged_networks(folder, judged, arguments))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--folder", type=Path, help="keeps all that is made, and goes on with what is there")
    add("--viewpoints", type=int, default=100, help="that are learned from")
    add("--judged", type=int, default=40, help="viewpoints of another world")
    add("--pairs", type=int, default=80, help="of each kind that are measured")
    add("--size", default="256x192", help="of the frames")
    add("--steps", type=int, default=1000, help="of each training")
    add("--seeds", type=int, default=3)
    add("--init", nargs="+", default=[NEW_WEIGHTS], help="none, builtin, or files of cli export")
    add("--threads", type=int, default=1)
    return parser.parse_args()


def judged_networks(
    folder: Path, judged: dict[str, list[Pair]], arguments: argparse.Namespace
) -> Iterator[tuple[str, Found]]:
    yield "built-in network", judge_both(judged, RestoreOptions(run="builtin", device="cpu"))
    sets = {kind: data_set(folder, kind, arguments) for kind in KINDS}
    for start in arguments.init:
        for seed in range(arguments.seeds):
            for kind, data in sets.items():
                runs = folder / "runs" / kind
                options = training(data, runs, arguments.steps, seed, start)
                options = replace(options, resume=(runs / options.run).exists())
                yield f"{kind}, from {Path(start).stem}", judge_both(judged, trained(options))


def judge_both(judged: dict[str, list[Pair]], options: RestoreOptions) -> Found:
    found = {kind: judge(pairs, options) for kind, pairs in judged.items()}
    return {f"{kind} {name}": value for kind, row in found.items() for name, value in row.items()}


def data_set(folder: Path, kind: str, arguments: argparse.Namespace) -> Path:
    """What is learned from: made by the commands that users type."""
    data = folder / f"data_{kind}"
    if not data.exists():
        captures = folder / "learned" / kind
        record(captures, kind, LEARNED, arguments.viewpoints, arguments.size)
        print(kind, cli("split", "--fit", "--source", captures, "--out", data), flush=True)
    return data


def pairs_of(folder: Path, kind: str, arguments: argparse.Namespace) -> list[Pair]:
    """True pairs of viewpoints that nothing learns from."""
    data = folder / f"judged_{kind}"
    if not data.exists():
        captures = folder / "judged" / kind
        record(captures, kind, JUDGED, arguments.judged, arguments.size)
        counts = f"0,0,{arguments.judged},{3 * arguments.judged}"
        cli("split", "--fit", "--counts", counts, "--source", captures, "--out", data)
    return list(evenly_spaced(read_pairs(data / "pairs.csv"), arguments.pairs))


def record(captures: Path, kind: str, seed: int, viewpoints: int, size: str) -> None:
    """A labelled session, named by its kind."""
    if captures.exists():
        return
    if kind == "exposed":
        shots = captures.parent / "shots"
        cli("game", "--hdr", "exr", "--viewpoints", viewpoints, "--size", size, "--seed", seed,
            "-o", shots)  # fmt: skip
        cli("expose", shots, "-o", captures, "--session", kind)
    else:
        width, height = (int(each) for each in size.split("x"))
        sweep(captures, GameOptions((width, height), seed, remote=True), viewpoints)
    print(seed, cli("label", "--source", captures), flush=True)


def sweep(captures: Path, game: GameOptions, viewpoints: int) -> None:
    """The game's window recorded under as many strengths of the sun as there are exposures."""
    options = CaptureOptions(out=captures, session="swept", window=game.title)
    with (
        any_display(),
        GameProcess(game) as played,
        open_screen(options) as screen,
        Recorder(options, screen) as recorder,
    ):
        for number in range(viewpoints):
            for step, light in enumerate(lights_of(over_exposed_light(game.seed, number))):
                played.show(number, light)
                name = "reference" if step == 0 else f"step {step}"
                recorder.snap(light=name, viewpoint=f"v{number:05d}")


def lights_of(strong: Light) -> list[Light]:
    """From the weak sun to the strong one, by equal factors."""
    factor = (strong.strength / WEAK) ** (1 / (LIGHTS - 1))
    return [
        Light(strong.azimuth_deg, strong.elevation_deg, WEAK * factor**step)
        for step in range(LIGHTS)
    ]


def cli(*words: object) -> str:
    """What a command of ours prints."""
    command = [sys.executable, str(PROGRAM), *map(str, words)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
