"""How well the four clipping methods agree with the game's own truth, and among each other.

The game knows which pixels' radiance went over the clip point. Half of the frames are under a
strong sun, half under a weak one. Per pixel: precision and recall of each method's mask. Per
frame: of X and Y, as the usual thresholds judge the method's statistics, against the same
thresholds on the true mask. Given a folder of pictures: labels per method, and the ten pictures
whose clipped shares differ most, as a sheet: picture, then each method's mask in red.

Example: python benchmarks/dataset/agreement.py --folder pictures --sheet disagreements.png
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np

from capture.game.pairs import Renderer, renderer_name
from capture.game.viewpoints import over_exposed_light, reference_light
from dataset.labelling.clipping import (
    CLIPPING_METHODS,
    ClippingStatistics,
    Mask,
    clipped_mask,
    measure_clipping,
)
from dataset.labelling.rules import label_by_thresholds
from dataset.options import LabelOptions
from dataset.pictures.formats import PICTURES
from dataset.pictures.images import Image, read_image, resize_area, write_png

THUMBNAIL = (192, 144)  # width, height of a picture on the sheet
WORST = 10
RED = (255, 0, 0)


def main() -> None:
    arguments = parse_arguments()
    print(f"{platform.platform()}, OpenCV {cv2.__version__}, {renderer_name()}")
    compare_with_truth(arguments.frames, arguments.size, arguments.limit)
    if arguments.folder:
        compare_on_pictures(arguments.folder, arguments.limit, arguments.sheet)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--size", type=int, default=128, help="side of the game's frames, pixels")
    parser.add_argument("--limit", type=int, default=LabelOptions().limit)
    parser.add_argument("--folder", type=Path, help="pictures to compare the methods on as well")
    parser.add_argument("--sheet", type=Path, default=Path("disagreements.png"))
    return parser.parse_args()


def game_frames(count: int, size: int) -> Iterator[tuple[Image, Mask]]:
    """(picture, where it is truly clipped), strong and weak sun in turn."""
    with Renderer((size, size)) as renderer:
        for index in range(count):
            light = over_exposed_light(0, index // 2)
            light = reference_light(light) if index % 2 else light
            yield (
                renderer.render(0, index // 2, light),
                renderer.clipped_truth(0, index // 2, light),
            )


def compare_with_truth(count: int, size: int, limit: int) -> None:
    """Print the table of precision and recall."""
    pixels = {method: np.zeros(3, np.int64) for method in CLIPPING_METHODS}  # both, called, true
    labels: dict[str, list[tuple[str, str]]] = {method: [] for method in CLIPPING_METHODS}
    for picture, truth in game_frames(count, size):
        true_label = label_by_thresholds(statistics_of(truth), LabelOptions())
        for method in CLIPPING_METHODS:
            mask = clipped_mask(picture, limit, method)
            pixels[method] += [(mask & truth).sum(), mask.sum(), truth.sum()]
            found = measure_clipping(picture, limit, method)
            labels[method].append((label_by_thresholds(found, LabelOptions()), true_label))
    truths = Counter(true for _, true in labels["max_rgb"])
    print(f"{count} game frames {size}x{size}, limit {limit}; true labels {dict(truths)}")
    print("| method | pixel precision | recall | Y precision | recall | X precision | recall |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for method in CLIPPING_METHODS:
        cells = [share(*pixels[method])]
        cells += [frame_scores(labels[method], domain) for domain in ("Y", "X")]
        print(f"| {method} | " + " | ".join(cells) + " |")


def statistics_of(mask: Mask) -> ClippingStatistics:
    """The statistics of a mask: it is measured as a picture of black and white."""
    return measure_clipping(np.dstack([mask.astype(np.uint8) * 255] * 3))


def share(both: int, called: int, true: int) -> str:
    """Precision and recall as two cells."""
    return " | ".join(f"{both / of:.3f}" if of else "-" for of in (called, true))


def frame_scores(labels: list[tuple[str, str]], domain: str) -> str:
    called = sum(found == domain for found, _ in labels)
    true = sum(wanted == domain for _, wanted in labels)
    return share(sum(pair == (domain, domain) for pair in labels), called, true)


def compare_on_pictures(folder: Path, limit: int, sheet: Path) -> None:
    """Print the labels per method and the largest disagreements; write the sheet."""
    files = [each for each in sorted(folder.rglob("*")) if each.suffix.lower() in PICTURES]
    if not files:
        raise SystemExit(f"No pictures in {folder}.")
    found = {file: measure_all(read_image(file), limit) for file in files}
    for method in CLIPPING_METHODS:
        counts = Counter(
            label_by_thresholds(each[method], LabelOptions()) for each in found.values()
        )
        print(f"{method:<10} " + ", ".join(f"{counts[x]} {x}" for x in ("X", "Y", "unsure")))
    worst = sorted(files, key=lambda file: spread(found[file]), reverse=True)[:WORST]
    for file in worst:
        shares = ", ".join(f"{m} {s.clipped_fraction:.1%}" for m, s in found[file].items())
        print(f"{file.name}: {shares}")
    write_png(sheet, np.vstack([sheet_row(read_image(file), limit) for file in worst]))
    shown = ", ".join(["picture", *CLIPPING_METHODS])
    print(f"The {len(worst)} largest disagreements, {shown}: {sheet}")


def measure_all(picture: Image, limit: int) -> dict[str, ClippingStatistics]:
    return {method: measure_clipping(picture, limit, method) for method in CLIPPING_METHODS}


def spread(found: dict[str, ClippingStatistics]) -> float:
    """Largest less smallest clipped share among the methods."""
    shares = [each.clipped_fraction for each in found.values()]
    return max(shares) - min(shares)


def sheet_row(picture: Image, limit: int) -> Image:
    """The picture, and each method's mask on it."""
    row = [resize_area(picture, THUMBNAIL)]
    for method in CLIPPING_METHODS:
        painted = picture.copy()
        painted[clipped_mask(picture, limit, method)] = RED
        row.append(resize_area(painted, THUMBNAIL))
    return np.hstack(row)


if __name__ == "__main__":
    main()
