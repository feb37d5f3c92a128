"""A data set of photographs with true pairs, from panoramas of measured radiance.

Measures nothing itself, unless ``--evaluate RUN`` asks for the table of `cli evaluate`.
A panorama is an equirectangular OpenEXR file, RGB float, linear; Debian's package blender-data has
eight (CC0). A camera looks into it, exposes, clips and encodes: once as it should (X), once k times
longer (Y), k on linear light. Half of the panoramas make the held-out pairs; the others train X and
train Y, each from views of its own. The gain in pairs.csv is not k but what
`model.gain.measure_gain` finds, as evaluation reckons with gains on encoded values. A panorama
1024 pixels wide has 3 in a degree: views of 256 pixels enlarge it 1 to 2.4 times, and are as soft
as that.

    python benchmarks/model/photographs.py --judge even --out photographs
    cli train --data photographs --run photographs
    python benchmarks/model/photographs.py --out photographs --evaluate runs/photographs
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.errors import UserError
from dataset.labelling.clipping import clipped_mask
from dataset.layout.pairs import GAIN_COLUMN, PAIR_COLUMNS, PAIRS_FILE
from dataset.pictures.images import Image, write_png
from dataset.pictures.pixels import to_image
from model.gain import measure_gain
from model.restoring.reconstruction import to_encoded

Light = NDArray[np.float32]  # (H, W, 3) RGB, linear, from 0

INSTALLED = Path("/usr/share/blender/datafiles/studiolights/world")  # of the package blender-data
JUDGES = {"even": 0, "odd": 1}  # the first panorama, in the order of names, is even

FIELD = (40.0, 75.0)  # degrees from the lower edge to the upper one
MOST_PITCH, MOST_ROLL = 25.0, 3.0  # degrees to either side
BRIGHT = 0.9  # linear: what the reference makes of its 99th percentile
MOST_OFF = 0.25  # stops to either side of that
GAINS = (1.5, 8.0)  # k, on linear light
MOST_CLIPPED = 0.02  # share of the reference's pixels
OVER_EXPOSED = (0.03, 0.95)  # clipped share of the over-exposed picture

MOST_SAMPLES = 16  # a side of a pixel: near a pole, none would be enough
MOST_DRAWS = 1000  # of one pair


class View(NamedTuple):
    """Where a camera looks, degrees: yaw to the right of the panorama's centre, pitch upwards.

    Roll turns the picture clockwise.
    """

    yaw: float
    pitch: float
    roll: float = 0.0
    field: float = 60.0  # of view, vertical


class Shot(NamedTuple):
    """A true pair: the reference X and the over-exposed Y, RGB uint8."""

    reference: Image
    over_exposed: Image


@dataclass(frozen=True)
class Plan:
    """How many pictures are made, and how."""

    train: int = 400  # of X, and as many of Y
    test: int = 74  # pairs
    size: int = 256  # pixels of a side
    veil: float = 0.0  # linear light added to every pixel of Y: glare
    seed: int = 0


def main() -> int:
    arguments = parse_arguments()
    plan = Plan(arguments.train, arguments.test, arguments.size, arguments.veil, arguments.seed)
    try:
        if not (arguments.evaluate and (arguments.out / PAIRS_FILE).exists()):
            judged, learned = halves(find_panoramas(arguments.panoramas), arguments.judge)
            print(f"judged by {', '.join(judged)}; to learn from: {', '.join(learned)}")
            for line in make_photographs(arguments.out, judged, learned, plan):
                print(line, flush=True)
        if arguments.evaluate:
            evaluate(arguments.out, arguments.evaluate)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--panoramas", type=Path, action="append", help=f"folder of *.exr (default: {INSTALLED})")
    add("--judge", choices=JUDGES, default="even", help="the panoramas of the held-out pairs")
    add("--train", type=int, default=Plan.train, help="frames of X, and of Y")
    add("--test", type=int, default=Plan.test, help="held-out pairs")
    add("--size", type=int, default=Plan.size, help="pixels of a side")
    add("--veil", type=float, default=Plan.veil, help="glare on Y, linear, 1 is white")
    add("--seed", type=int, default=Plan.seed)
    add("--out", type=Path, required=True, help="the data set's folder")
    add("--evaluate", metavar="RUN", help="folder, name or weights; --out may be there already")
    return parser.parse_args()


def find_panoramas(folders: Sequence[Path] | None) -> dict[str, Light]:
    """Name -> panorama, in the order of names.

    Raises
    ------
    UserError
        There are fewer than two, or one cannot be read.
    """
    named = folders or [INSTALLED]
    paths = sorted((path for each in named for path in each.glob("*.exr")), key=lambda p: p.name)
    if len(paths) < 2:
        raise UserError(
            f"{len(paths)} panoramas (*.exr) in {', '.join(map(str, named))}, and two are needed. "
            "Install blender-data (apt-get install blender-data), or name a folder: --panoramas."
        )
    found = {path.stem: read_panorama(path) for path in paths}
    if len(found) < len(paths):
        raise UserError("Two panoramas have one name. Rename one, or leave out its folder.")
    return found


def read_panorama(path: Path) -> Light:
    """The radiance of an equirectangular OpenEXR file; a lossy file's values below 0 become 0."""
    try:
        from OpenEXR import File  # an extra: who makes no photographs does without
    except ImportError as error:
        raise UserError(
            "Panoramas need the package openexr: pip install 'openexr>=3.3'."
        ) from error
    try:
        with File(str(path)) as file:
            channels: Mapping[str, Any] = file.channels()
            pixels = channels["RGB" if "RGB" in channels else "RGBA"].pixels[..., :3]
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{path} is no RGB OpenEXR file that can be read ({error}).") from error
    height, width = pixels.shape[:2]
    if width != 2 * height or not np.isfinite(pixels).all():
        raise UserError(f"{path} is no panorama of finite radiance, twice as wide as high.")
    return np.maximum(pixels.astype(np.float32), 0)


def halves(panoramas: Mapping[str, Light], judge: str) -> tuple[dict[str, Light], dict[str, Light]]:
    """The panoramas of the held-out pairs, and those to learn from."""
    names = list(panoramas)
    judged = names[JUDGES[judge] :: 2]
    return (
        {name: panoramas[name] for name in judged},
        {name: panoramas[name] for name in names if name not in judged},
    )


def make_photographs(
    data: Path, judged: Mapping[str, Light], learned: Mapping[str, Light], plan: Plan
) -> Iterator[str]:
    """Make ``data`` with trainA, trainB, testA, testB and, last, pairs.csv; yields what is done.

    Raises
    ------
    UserError
        ``data`` is there already, or no view of a panorama suits.
    """
    if data.exists():
        raise UserError(f"{data} is there already. Choose another --out, or remove it.")
    for folder in ("trainA", "trainB", "testA", "testB"):
        (data / folder).mkdir(parents=True)
    for name, shot in take(learned, plan.train, plan, stream=1):
        write_png(data / "trainA" / name, shot.reference)
    clipped = []
    for name, shot in take(learned, plan.train, plan, stream=2):
        write_png(data / "trainB" / name, shot.over_exposed)
        clipped.append(clipped_share(shot.over_exposed))
    yield f"{plan.train} frames of X, {plan.train} of Y{_spread(clipped)}"
    rows, clipped = [], []
    for name, shot in take(judged, plan.test, plan, stream=0):
        write_png(data / "testA" / name, shot.reference)
        write_png(data / "testB" / name, shot.over_exposed)
        clipped.append(clipped_share(shot.over_exposed))
        gain = measure_gain(shot.over_exposed, shot.reference)
        known = f"{gain:.4f}" if math.isfinite(gain) else ""
        rows.append((f"testB/{name}", f"testA/{name}", known))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([(*PAIR_COLUMNS, GAIN_COLUMN), *rows])
    (data / PAIRS_FILE).write_text(text.getvalue(), encoding="utf-8")
    yield f"{plan.test} pairs{_spread(clipped)}"


def _spread(shares: Sequence[float]) -> str:
    if not shares:
        return ""
    low, middle, high = np.percentile(shares, (5, 50, 95))
    return f"; clipped in Y: median {middle:.1%}, 5-95 % {low:.1%} to {high:.1%}"


def take(
    panoramas: Mapping[str, Light], count: int, plan: Plan, stream: int
) -> Iterator[tuple[str, Shot]]:
    """File names and pairs, from one panorama after the other; each stream has its own views."""
    names = list(panoramas)
    for number in range(count):
        name = names[number % len(names)]
        random = np.random.default_rng([plan.seed, stream, number])
        try:
            yield f"{number:05d}_{name}.png", draw_shot(panoramas[name], random, plan)
        except UserError as error:
            raise UserError(f"{name}: {error}") from error


def draw_shot(panorama: Light, random: np.random.Generator, plan: Plan) -> Shot:
    """A view whose reference hardly clips, and whose over-exposed picture does, but not all of it.

    Raises
    ------
    UserError
        None was found.
    """
    for _ in range(MOST_DRAWS):
        view = draw_view(random)
        stops = random.uniform(-MOST_OFF, MOST_OFF)
        gain = math.exp(random.uniform(math.log(GAINS[0]), math.log(GAINS[1])))
        light = expose(render(panorama, view, plan.size), stops)
        shot = Shot(develop(light), develop(gain * light + plan.veil))
        least, most = OVER_EXPOSED
        if clipped_share(shot.reference) > MOST_CLIPPED:
            continue
        if least <= clipped_share(shot.over_exposed) <= most:
            return shot
    raise UserError(f"None of {MOST_DRAWS} views clips as a photograph does. Leave it out.")


def draw_view(random: np.random.Generator) -> View:
    return View(
        yaw=random.uniform(-180, 180),
        pitch=random.uniform(-MOST_PITCH, MOST_PITCH),
        roll=random.uniform(-MOST_ROLL, MOST_ROLL),
        field=random.uniform(*FIELD),
    )


def render(panorama: Light, view: View, size: int) -> Light:
    """What a camera without distortion sees: (size, size, 3), linear.

    The mean over each pixel's area, of samples at most half a panorama pixel apart, so that what
    is far brighter than all around it, such as the sun, keeps its power wherever it falls.
    """
    columns, rows = places(view, size, panorama.shape[0])
    steps = [np.abs(np.diff(each, axis=axis)).max() for each in (columns, rows) for axis in (0, 1)]
    samples = min(MOST_SAMPLES, math.ceil(2 * max(steps)))
    columns, rows = places(view, size * samples, panorama.shape[0])
    width = panorama.shape[1]
    around = np.concatenate([panorama[:, -1:], panorama, panorama[:, :1]], axis=1)
    fine = cv2.remap(
        around,
        ((columns + 0.5) % width + 0.5).astype(np.float32),  # one column on, for the one before
        rows.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(fine.reshape(size, samples, size, samples, 3).mean((1, 3)), np.float32)


def places(view: View, side: int, height: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where in a panorama the pixels of a view fall: columns and rows, (side, side).

    The centre of the first pixel is 0. Columns go on beyond the panorama's edges, so that
    neighbours stay neighbours.
    """
    yaw, pitch, roll, field = np.radians(view)
    plane = ((np.arange(side) + 0.5) / side * 2 - 1) * np.tan(field / 2)
    x, y = np.meshgrid(plane, -plane)  # right and up, one unit ahead
    x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
    y, z = y * np.cos(pitch) + np.sin(pitch), np.cos(pitch) - y * np.sin(pitch)
    longitude, latitude = yaw + np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))
    pixels = height / np.pi  # per radian
    return (longitude + np.pi) * pixels - 0.5, (np.pi / 2 - latitude) * pixels - 0.5


def expose(radiance: Light, stops: float = 0.0) -> Light:
    """Light scaled so that the 99th percentile of max(R, G, B) is 0.9, and brighter by stops."""
    bright = np.percentile(radiance.max(axis=2), 99)
    scale = BRIGHT * 2**stops / max(bright, np.finfo(np.float32).tiny)
    return np.asarray(radiance * scale, np.float32)


def develop(light: Light) -> Image:
    """Clip at 1, encode as sRGB, and round to 8 bits."""
    return np.asarray(to_image(to_encoded(np.minimum(light, 1))), np.uint8)


def clipped_share(picture: Image) -> float:
    """Share of pixels that evaluation calls clipped: max(R, G, B) >= 250."""
    return float(clipped_mask(picture).mean())


def evaluate(data: Path, run: str) -> None:
    """Print the tables of `cli evaluate` for a run's folder or name, or a file of weights."""
    # Making photographs needs no torch.
    from model.evaluation.evaluate import evaluate_run
    from model.options import EvaluateOptions

    folder = Path(run)
    where = {"runs": folder.parent, "run": folder.name} if folder.is_dir() else {"run": run}
    print(evaluate_run(EvaluateOptions(data=data, **where)))


if __name__ == "__main__":
    sys.exit(main())
