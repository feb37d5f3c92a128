"""A long recording on Windows: is every interval accounted for, and what CPU a frame takes.

``cli capture`` records a window whose picture changes at its rate, while ``cli capture status``
asks it once a minute. Beside it, in the same run, stands what reading the window alone takes: a
loop around mss. Run it by Windows' Python, on Windows or under Wine; elsewhere
`benchmarks/capture/soak.py` does more. Exit code 1 where an interval is not accounted for.

Example: python benchmarks/capture/on_windows.py --minutes 10 --fps 30
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np
import psutil

from capture.control.daemon import run_capture
from capture.options import CaptureOptions
from capture.recording.ledger import count_lines
from capture.screens.mss import open_screen
from dataset.errors import UserError
from dataset.sessions.manifest import read_lines, read_session

ROOT = Path(__file__).resolve().parents[2]
CLI = [sys.executable, "-m", "cli"]
TITLE = "Changing picture"
ALONE_FRAMES = 300  # that mss reads beside it
START_S = 120.0
ASK_S = 60.0  # between two clients


def show(size: tuple[int, int], rate: float) -> None:
    """A window whose whole picture changes ``rate`` times a second, until it is ended."""
    width, height = size
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    number, due = 0, time.perf_counter()
    while True:
        number, due = number + 1, due + 1 / rate
        cv2.imshow(TITLE, np.roll(noise, (number * 3, number * 7), (0, 1)))
        cv2.waitKey(max(1, round(1e3 * (due - time.perf_counter()))))


@contextmanager
def shown(size: str, rate: float) -> Iterator[None]:
    """`show` in a process of its own."""
    command = [sys.executable, __file__, "--show", "--size", size, "--fps", f"{rate:g}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        for each in (*psutil.Process(process.pid).children(recursive=True), process):
            each.kill()
        process.wait()


def read_alone(frames: int) -> float:
    """CPU milliseconds of this process for one picture of the window through mss."""
    end = time.monotonic() + START_S
    while True:
        try:
            screen = open_screen(CaptureOptions(out=Path("none"), window=TITLE))
            break
        except UserError:
            assert time.monotonic() < end, "the window never came"
            time.sleep(0.5)
    with screen:
        began = time.process_time()
        for _ in range(frames):
            screen.grab()
        return (time.process_time() - began) / frames * 1e3


def record(out: Path, minutes: float, fps: float) -> tuple[dict[str, Any], float]:
    """The facts of a session that this process recorded, and the CPU seconds that it took."""
    over = threading.Event()
    clients = threading.Thread(target=ask_status, args=(out, over))
    clients.start()
    began = time.process_time()
    run_capture(
        CaptureOptions(out=out, session="s", window=TITLE, fps=fps, start=True, codec="png",
                       duration_s=minutes * 60)
    )  # fmt: skip
    used = time.process_time() - began
    over.set()
    clients.join()
    return read_session(out / "s"), used


def ask_status(out: Path, over: threading.Event) -> None:
    """Ask the recorder from another process now and then."""
    status = [*CLI, "capture", "status", "--out", str(out)]
    while not over.wait(ASK_S):
        subprocess.run(
            status, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=START_S, check=False
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--fps", type=float, default=30)
    parser.add_argument("--size", default="512x512")
    parser.add_argument("--show", action="store_true", help="only show the changing picture")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    if given.show:
        show((width, height), given.fps)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with shown(given.size, given.fps):
            alone = read_alone(ALONE_FRAMES)
            facts, used = record(Path(folder), given.minutes, given.fps)
        counts = facts["counts"]
        told = count_lines(read_lines(Path(folder) / "s"))
    exact = counts["frames"] + counts["duplicates"] + counts["missed"] == counts["intervals"]
    exact &= told.lines == counts["lines"]
    exact &= told.missed + counts["missed_at_end"] == counts["missed"]
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"{given.size} at {given.fps:g} frames/s for {given.minutes:g} min: {counts}")
    print(f"the account is {'exact' if exact else 'WRONG'}; {facts['reason']}")
    print(f"CPU a frame: {used / max(1, counts['lines']) * 1e3:.1f} ms, of which "
          f"{alone:.1f} ms is what reading the window through mss takes")  # fmt: skip
    return not exact


if __name__ == "__main__":
    sys.exit(main())
