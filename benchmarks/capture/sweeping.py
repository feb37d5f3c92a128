"""How well the light sweep pairs pictures: ``cli capture sweep`` plays the embedded game.

On an Xvfb of its own. For each viewpoint: what its frames were labelled, how much is clipped under
the first and the last light, and whether the two lie upon each other: the mean difference of their
edges where neither is clipped, beside that of the pair moved by 1 and 2 pixels and that of another
viewpoint's frame, and the shift that phase correlation finds. Needs Xvfb and xdotool. Exit code 1
where a pair is shifted, or more than `MOST_LACKING` of the viewpoints have no X or no Y: some of
the game's own suns clip less than a Y needs.

Example: python benchmarks/capture/sweeping.py --viewpoints 5 --sheet sweep.png
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.screens.virtual_display import temporary_environment, virtual_display
from dataset.labelling.clipping import clipped_mask
from dataset.labelling.labels import label_captures, read_labels
from dataset.labelling.rules import LabelRow
from dataset.options import LabelOptions
from dataset.pictures.images import Image, read_image, write_png
from dataset.sessions.manifest import read_frames
from dataset.splitting.sheets import contact_sheet

CLI = [sys.executable, str(Path(__file__).resolve().parents[2] / "cli.py")]
TITLE = "unclip game"
LIGHT_KEY, VIEWPOINT_KEY = "[", "n"
# Before the sweep: hold the propellers, and half a stop more light, for suns that hardly burn.
FIRST_KEYS = ("p", "equal", "equal")
START_S = 60.0  # longest wait for the game's window
NEAR_CLIPPED = 5  # pixels around a clipped one that are not compared
MOST_LACKING = 0.1  # of the viewpoints, without an X or without a Y
FEWEST = 0.02  # of the picture's pixels, for a comparison
COLOURS = {"X": (60, 200, 90), "Y": (240, 150, 40)}  # RGB frames on the sheet; others grey

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class View:
    """The frames of one viewpoint, in the order of their lights."""

    name: str
    images: list[Image]
    rows: list[LabelRow]

    def count(self, label: str) -> int:
        """Frames with this label."""
        return sum(row.label == label for row in self.rows)


def edges(image: Image) -> Floats:
    """Sobel magnitude of the grey picture, (H, W)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    return np.asarray(
        np.hypot(cv2.Sobel(grey, cv2.CV_64F, 1, 0), cv2.Sobel(grey, cv2.CV_64F, 0, 1))
    )


def readable(image: Image) -> Mask:
    """Where no pixel near is clipped, (H, W)."""
    size = 2 * NEAR_CLIPPED + 1
    clipped = clipped_mask(image).astype(np.uint8)
    return np.asarray(cv2.dilate(clipped, np.ones((size, size), np.uint8)) == 0)


def edge_difference(one: Image, other: Image, shift: int = 0) -> float | None:
    """Mean absolute difference of edges, each over its own mean; None: too little to compare.

    ``shift`` first moves the other picture this many pixels to the right.
    """
    other = np.roll(other, shift, axis=1)
    where = readable(one) & readable(other)
    where[:, : NEAR_CLIPPED + shift] = False  # what came in from the other side
    if where.mean() < FEWEST:
        return None
    left, right = edges(one)[where], edges(other)[where]
    return float(np.abs(left / max(left.mean(), 1e-9) - right / max(right.mean(), 1e-9)).mean())


def best_shift(one: Image, other: Image) -> tuple[int, int]:
    """Offset of the other picture in pixels, right and down, by phase correlation of edges
    where neither is clipped.

    >>> ramp = np.random.default_rng(0).integers(0, 200, (64, 64, 3)).astype(np.uint8)
    >>> best_shift(ramp, np.roll(ramp, (2, 3), (0, 1)))
    (3, 2)
    """
    where = readable(one) & readable(other)
    left, right = (np.fft.fft2(edges(each) * where) for each in (one, other))
    cross = right * left.conj()
    found = np.fft.ifft2(cross / np.maximum(np.abs(cross), 1e-9)).real
    down, across = np.unravel_index(int(found.argmax()), found.shape)
    height, width = found.shape
    return int((across + width // 2) % width - width // 2), int(
        (down + height // 2) % height - height // 2
    )


@contextmanager
def playing(size: str, seed: int) -> Iterator[None]:
    """The game in a window of its own, set up, with the keyboard."""
    command = [*CLI, "game", "--size", size, "--seed", str(seed)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # Mesa says what it lacks
    try:
        wait_for_window()
        subprocess.run(["xdotool", "search", "--name", TITLE, "windowfocus"], check=True)
        time.sleep(1.0)
        subprocess.run(["xdotool", "key", "--delay", "60", *FIRST_KEYS], check=True)
        yield
    finally:
        process.terminate()
        process.wait()


def wait_for_window() -> None:
    """Until the game can be seen."""
    end = time.monotonic() + START_S
    search = ["xdotool", "search", "--onlyvisible", "--name", TITLE]
    while subprocess.run(search, capture_output=True).returncode != 0:
        if time.monotonic() > end:
            raise SystemExit(f"The game showed no window in {START_S:g} s.")
        time.sleep(0.2)


def sweep(asked: argparse.Namespace, out: Path) -> None:
    """Run the command; its last line is printed."""
    keys = ["--key", LIGHT_KEY, "--viewpoint-key", VIEWPOINT_KEY, "--window", TITLE]
    numbers = ["--steps", asked.steps, "--taps", asked.taps, "--viewpoints", asked.viewpoints]
    waits = ["--settle", asked.settle, "--disk-floor", 0, "--out", out, "--session", "sweep"]
    command = [*CLI, "capture", "sweep", *keys, *map(str, numbers + waits)]
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    print(done.stdout.strip().splitlines()[-1].partition(":")[0])
    print(f"{time.monotonic() - begin:.0f} s, load {os.getloadavg()[0]:.1f}\n", flush=True)


def read_views(out: Path) -> list[View]:
    """Label the session; its viewpoints with their frames."""
    print(str(label_captures(LabelOptions(out))).partition(":")[0], "\n")
    rows = {row.file: row for row in read_labels(out)}
    session = out / "sweep"
    views: dict[str, View] = {}
    for frame in read_frames(session):
        view = views.setdefault(str(frame.viewpoint), View(str(frame.viewpoint), [], []))
        view.images.append(read_image(session / frame.file))
        view.rows.append(rows[frame.file])
    return list(views.values())


HEADS = ("X", "Y", "unsure", "first", "last", "same", "+1 px", "+2 px", "other", "shift")


def print_views(views: list[View]) -> bool:
    """A line for each viewpoint, then the whole; whether it is as it should be."""
    print(f"{'viewpoint':10}" + "".join(f"{each:>8}" for each in HEADS))
    for number, view in enumerate(views):
        print(line_of(view, views[(number + 1) % len(views)]))
    lacking = [view for view in views if not (view.count("X") and view.count("Y"))]
    shifts = Counter(best_shift(view.images[0], view.images[-1]) for view in views)
    print("\nfirst, last: share of the first and the last light's frame that is clipped")
    print("same, +1 px, +2 px: edges of first against last frame, as they are and moved; other:")
    print("first against the last frame of the next viewpoint; shift: right and down, pixels")
    print(f"\n{len(views) - len(lacking)} of {len(views)} viewpoints have an X and a Y")
    for view in lacking:
        missing = " or ".join(label for label in "XY" if not view.count(label))
        most = max(row.clipped_fraction or 0.0 for row in view.rows)
        print(f"no {missing} at {view.name}: {100 * most:.1f} % clipped at most")
    print(f"{shifts[0, 0]} of {len(views)} pairs lie upon each other to the pixel")
    return shifts[0, 0] == len(views) and len(lacking) <= MOST_LACKING * len(views)


def line_of(view: View, other: View) -> str:
    """The numbers of one viewpoint."""
    first, last = view.images[0], view.images[-1]
    compared = [edge_difference(first, last, shift) for shift in (0, 1, 2)]
    compared.append(edge_difference(first, other.images[-1]))
    counts = "".join(f"{view.count(label):8}" for label in ("X", "Y", "unsure"))
    clipped = "".join(f"{clipped_mask(each).mean():8.3f}" for each in (first, last))
    edged = "".join("       -" if each is None else f"{each:8.3f}" for each in compared)
    shift = "{:+d},{:+d}".format(*best_shift(first, last))
    return f"{view.name:10}{counts}{clipped}{edged}{shift:>8}"


def sheet(views: list[View], columns: int) -> Image:
    """A row for each viewpoint, framed by label: X green, Y orange, others grey."""
    framed = [
        cv2.copyMakeBorder(
            image, 6, 6, 6, 6, cv2.BORDER_CONSTANT, value=COLOURS.get(row.label, (90, 90, 90))
        )
        for view in views
        for image, row in zip(view.images, view.rows, strict=True)
    ]
    height, width = framed[0].shape[:2]
    images = [np.asarray(each, dtype=np.uint8) for each in framed]
    return contact_sheet(images, columns, (width // 2, height // 2))


def main() -> int:
    """Play, sweep, label, compare; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--viewpoints", type=int, default=20)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--taps", type=int, default=2)
    parser.add_argument("--settle", type=float, default=0.25, help="seconds")
    parser.add_argument("--size", default="320x240", help="of the game's window")
    parser.add_argument("--seed", type=int, default=0, help="of the game")
    parser.add_argument("--sheet", type=Path, help="PNG with all frames")
    asked = parser.parse_args()
    print(f"embedded game, {asked.size}, seed {asked.seed}: {asked.viewpoints} viewpoints, "
          f"{asked.steps} lights, {asked.taps} taps each")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, virtual_display():
        with temporary_environment(XDG_RUNTIME_DIR=folder), playing(asked.size, asked.seed):
            sweep(asked, Path(folder) / "captures")
        views = read_views(Path(folder) / "captures")
    is_well = print_views(views)
    if asked.sheet is not None:
        write_png(asked.sheet, sheet(views, asked.steps))
    return int(not is_well)


if __name__ == "__main__":
    sys.exit(main())
