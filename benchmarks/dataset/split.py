"""Planning a split of very many frames: seconds and memory of each stage.

Makes sessions of made-up lines in a temporary folder, without a picture: light sweeps with
viewpoints and recordings in bursts, hashes some of which come again in another session, and a
``labels.csv``. Then plans the paper's counts, as ``cli split --dry-run`` does, in a process of its
own.

Example: python benchmarks/dataset/split.py --lines 1000000
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dataset.labelling.labels import LABELS_FILE
from dataset.options import SplitOptions
from dataset.splitting.split import plan_captures

SECOND = 1_000_000_000
LIGHTS = 8  # frames of a viewpoint in a sweep
HEAD = "session,file,label,source,clipped_fraction,largest_blob,p99,method,threshold\n"


def make_lines(captures: Path, lines: int, sessions: int) -> None:
    """Write manifests and labels.csv, a line at a time."""
    random = np.random.default_rng(0)
    captures.mkdir(parents=True, exist_ok=True)
    known: list[str] = [f"{each:016x}" for each in random.integers(2**60, 2**63, 1000).tolist()]
    with (captures / LABELS_FILE).open("w", encoding="utf-8") as labels:
        labels.write(HEAD)
        for number in range(sessions):
            name, swept = f"session-{number:03d}", number % 2 == 0
            folder = captures / name
            folder.mkdir()
            (folder / "session.json").write_text("{}\n")
            with (folder / "frames.jsonl").open("w", encoding="utf-8") as manifest:
                for line, label in session_lines(lines // sessions, swept, known, random):
                    manifest.write(json.dumps(line) + "\n")
                    share = 0.2 if label == "Y" else 0.001
                    labels.write(
                        f"{name},{line['file']},{label},clipping,{share},{share},250,"
                        "max_rgb>=250,X<=0.005 Y>=0.05 blob>=0.02\n"
                    )


def session_lines(
    frames: int, swept: bool, known: list[str], random: np.random.Generator
) -> Iterator[tuple[dict[str, object], str]]:
    """Lines of a manifest and labels: a sweep, or a recording of 4 frames/s with pauses."""
    hashes = random.integers(2**60, 2**63, frames).tolist()
    again = random.random(frames) < 0.001
    at_ns = 0
    for index, value in enumerate(hashes):
        at_ns += SECOND // 4
        if index % 2000 == 1999:
            at_ns += 60 * SECOND  # the player paused
        over = index % LIGHTS in (6, 7) if swept else index // 80 % 2 == 1
        phash = known[value % len(known)] if again[index] else f"{value:016x}"
        yield (
            {
                "index": index,
                "file": f"frames/{index:06d}.png",
                "width": 1920,
                "height": 1080,
                "wall_ns": 1_700_000_000 * SECOND + at_ns,
                "monotonic_ns": at_ns,
                "missed_before": 0,
                "duplicates_before": 0,
                "snap": False,
                "duplicate_of": None,
                "label": None,
                "light": f"sun {index % LIGHTS}" if swept else None,
                "viewpoint": f"v{index // LIGHTS:06d}" if swept else None,
                "sha256": f"{value:016x}{index:048x}",
                "phash": phash,
            },
            "unsure" if index % 50 == 49 else "XY"[over],
        )


def measure(captures: Path) -> None:
    """Plan, printing a line for each stage; peak memory is that of the process so far."""
    stage, begin = "start", time.perf_counter()
    first = begin

    def ended(following: str) -> None:
        nonlocal stage, begin
        now = time.perf_counter()
        # KiB on Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{stage:<12} {now - begin:8.2f} s {peak:8.0f} MiB", flush=True)
        stage, begin = following, now

    planned = plan_captures(SplitOptions(captures), check_files=False, on_stage=ended)
    ended("end")
    print(f"{'all':<12} {time.perf_counter() - first:8.2f} s")
    print(planned.summary(copied=0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--captures", type=Path, help="measure these, in this process")
    asked = parser.parse_args()
    if asked.captures:
        measure(asked.captures)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        captures = Path(folder) / "captures"
        make_lines(captures, asked.lines, asked.sessions)
        size = sum(each.stat().st_size for each in captures.rglob("*") if each.is_file())
        print(
            f"{asked.lines:,} lines in {asked.sessions} sessions, {size / 1e6:.0f} MB", flush=True
        )
        command = [sys.executable, __file__, "--captures", str(captures)]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
