"""A data set of the paper's size from the embedded game: recorded, labelled, divided, timed.

Frames are small, as the pictures do not matter here but their number does. Prints how long each
stage took, the counts, and what `cli split` says of leaks. Needs Xvfb where there is no display.

Example: python benchmarks/dataset/whole_set.py --viewpoints 5600 --keep captures-and-data
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from capture.game.record import record_game
from capture.options import StageOptions

CLI = [sys.executable, str(Path(__file__).resolve().parents[2] / "cli.py")]
DAY_MIN = 24 * 60.0  # no limit on the recording


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long the block took."""
    begin = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - begin:.1f} s", flush=True)


def make_set(folder: Path, viewpoints: int, size: int, seed: int) -> None:
    """Everything from the game to the data set, below one folder."""
    stage = StageOptions(
        out=folder / "captures", viewpoints=viewpoints, minutes=DAY_MIN, size=(size, size),
        seed=seed,
    )  # fmt: skip
    if not stage.out.exists():
        with timed("recording"):
            print(f"{record_game(stage)} frames")
    source = ["--source", str(stage.out)]
    for command in (["label", *source], ["split", *source, "--out", str(folder / "data")]):
        with timed(command[0]):
            subprocess.run([*CLI, *command], check=True, stderr=subprocess.DEVNULL)
    record = json.loads((folder / "data" / "split.json").read_text())
    print(json.dumps({key: record[key] for key in ("counts", "left_out", "leaks")}, indent=1))


def main() -> None:
    """Make the set and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewpoints", type=int, default=5600, help="two frames of each")
    parser.add_argument("--size", type=int, default=96, help="of the game's window, pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder that stays; recorded frames are reused")
    asked = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    if asked.keep is not None:
        make_set(asked.keep, asked.viewpoints, asked.size, asked.seed)
        return
    with tempfile.TemporaryDirectory() as folder:
        make_set(Path(folder), asked.viewpoints, asked.size, asked.seed)


if __name__ == "__main__":
    main()
