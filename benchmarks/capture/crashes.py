"""What is left of a recording after each accident; every recorder is a real process.

Killed outright at random moments (and its repair, too), a disk that fills up, a display that dies,
a screen that changes its size, a window that is closed. The picture that is recorded changes with
each frame and can be made again, so every frame is compared to the bit. Exit code 1 where a frame
is lost that the manifest or the video's journal named before. Needs Linux, Xvfb and xrandr; the
full disk needs root.

Example: python benchmarks/capture/crashes.py --kills 4
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from soak import CLI, made, noise, number_in, painted

from capture.screens.virtual_display import temporary_environment
from dataset.errors import UserError
from dataset.pictures.hashing import sha256
from dataset.pictures.images import read_image
from dataset.sessions.manifest import (
    FRAMES_FILE,
    SPOOL,
    SPOOL_JOURNAL,
    read_frames,
    read_lines,
    read_session,
)

SIZE = (256, 192)  # of the picture
RATE = 60.0  # pictures, and intervals, a second
SCREEN, SMALLER = (1280, 800), (1024, 768)
DISK = "64m"  # that fills up
PATIENCE_S = 60.0  # for anything to happen
NOISE = noise(SIZE)
EVERYTHING = ["--fps", f"{RATE:g}", "--dedupe", "off", "--disk-floor", "0"]
PICTURE = ["--region", "0,0,{},{}".format(*SIZE)]


@dataclass
class Left:
    """What is on disk of a session after an accident."""

    named: set[int] = field(default_factory=set)  # frames with a line before any repair
    whole: set[int] = field(default_factory=set)  # frames that can be read as they were written
    other: int = 0  # of them, those whose pixels are not a picture that was shown
    sizes: list[str] = field(default_factory=list)  # width and height, where they change

    @property
    def lost(self) -> int:
        """Frames that were named and are not whole."""
        return len(self.named - self.whole)


@contextmanager
def server() -> Iterator[subprocess.Popen[bytes]]:
    """An X server that may be killed, with ``DISPLAY`` pointing at it."""
    reader, writer = os.pipe()
    screen = ["-screen", "0", "{}x{}x24".format(*SCREEN), "-nolisten", "tcp", "-noreset"]
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), *screen], pass_fds=[writer], stderr=subprocess.DEVNULL
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as answer:
            number = answer.readline().strip()
        with temporary_environment(
            DISPLAY=f":{number}", WAYLAND_DISPLAY=None, XDG_SESSION_TYPE="x11"
        ):
            yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def stage() -> Iterator[None]:
    """A display with the moving picture on it."""
    with server(), painted(SIZE, RATE):
        yield


def start(session: Path, *arguments: str) -> subprocess.Popen[str]:
    """A recorder that records at once."""
    place = ["--out", str(session.parent), "--session", session.name]
    return subprocess.Popen(
        [*CLI, "capture", "--start", *place, *EVERYTHING, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def named(session: Path) -> set[int]:
    """Frames that have a whole line, in the manifest or in the journal of the video."""
    places = [(session, FRAMES_FILE), (session / SPOOL, SPOOL_JOURNAL)]
    return {
        frame.index
        for folder, name in places
        if (folder / name).is_file()
        for frame in read_lines(folder, name)
    }


def wait_until(happens: Callable[[], bool]) -> None:
    """Look often; give up after `PATIENCE_S`."""
    end = time.monotonic() + PATIENCE_S
    while not happens():
        if time.monotonic() > end:
            raise TimeoutError("it never happened")
        time.sleep(0.002)


def repair(session: Path) -> str:
    """What ``cli capture repair`` says, without the line with the session's path."""
    command = [*CLI, "capture", "repair", str(session)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).strip().splitlines()
    said = "; ".join(line for line in lines if str(session) not in line) or lines[-1]
    return said if done.returncode == 0 else f"exit code {done.returncode}: {said}"


def look(session: Path, before: set[int]) -> Left:
    """Read every frame: its checksum, its pixels."""
    left = Left(before)
    frames = list(read_frames(session))
    for frame in frames:
        data = (session / frame.file).read_bytes()
        if frame.sha256 is not None and sha256(data) != frame.sha256:
            continue
        try:
            picture = read_image(session / frame.file)
        except UserError:
            continue
        left.whole.add(frame.index)
        if picture.shape[:2] == SIZE[::-1]:
            left.other += not np.array_equal(picture, made(NOISE, number_in(picture)))
    left.sizes = [each for each, _ in groupby(f"{frame.width}x{frame.height}" for frame in frames)]
    return left


def print_row(accident: str, left: Left, said: str) -> int:
    """A line of the table; frames that are lost or not as they were shown."""
    print(
        f"{accident:30}{len(left.named):7}{len(left.whole):7}{left.lost:6}{left.other:7}  {said}",
        flush=True,
    )
    return left.lost + left.other


def last_words(said: str) -> str:
    """The end of what a recorder printed: its summary or its error, without paths."""
    lines = [line for line in said.replace("\r", "\n").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("Error")]
    words = (errors or lines or [""])[-1].rpartition(": /")
    return words[0] or words[2]


def kill(folder: Path, codec: str, after_s: float, twice: bool) -> int:
    """Kill a recorder outright so long after its session is there, then repair."""
    session = folder / f"{codec}-{after_s:.6f}"
    with start(session, *PICTURE, "--codec", codec) as process:
        wait_until((session / "frames").is_dir)
        time.sleep(after_s)
        process.kill()
        process.communicate()
    before = named(session)
    name = f"kill -9 at {after_s:.2f} s, {codec}"
    said = f"killed after {kill_repair(session)} frames, then: " if twice else ""
    said += repair(session)
    return print_row(name, look(session, before), said)


def kill_repair(session: Path) -> int:
    """Kill a repair at a random moment of its work; how many frames it had made PNG."""
    least = random.randint(1, max(1, len(named(session)) - 1))
    with subprocess.Popen(
        [*CLI, "capture", "repair", str(session)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        wait_until(lambda: count(session) >= least or process.poll() is not None)
        process.kill()
    return count(session)


def count(session: Path) -> int:
    """Whole lines of the manifest."""
    path = session / FRAMES_FILE
    return path.read_bytes().count(b"\n") if path.exists() else 0


def fill_disk(folder: Path, codec: str) -> int:
    """Record until a small disk is full."""
    disk = folder / f"disk-{codec}"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk)]
    name = f"disk of {DISK} full, {codec}"
    if subprocess.run(mount, capture_output=True).returncode != 0:
        print(f"{name:30}  left out: only root can mount a small disk", flush=True)
        return 0
    try:
        session = disk / "s"
        with start(session, *PICTURE, "--codec", codec) as process:
            said, _ = process.communicate(timeout=300)
        before = named(session)
        words = f"exit code {process.returncode}: {last_words(said)}"
        if (session / SPOOL).is_dir():
            words += f" | repair: {repair(session)}"
        return print_row(name, look(session, before), words)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def kill_display(folder: Path) -> int:
    """Kill the X server while it is recorded; record again on a new one."""
    session, again = folder / "display", folder / "again"
    with (
        server() as screen,
        painted(SIZE, RATE),
        start(session, *PICTURE, "--codec", "png") as process,
    ):
        wait_until(lambda: len(named(session)) > 30)
        screen.kill()
        said, _ = process.communicate(timeout=PATIENCE_S)
    words = f"exit code {process.returncode}: {last_words(said)}"
    wrong = print_row("Xvfb killed", look(session, named(session)), words)
    with stage(), start(again, *PICTURE, "--codec", "png", "--max-frames", "30") as process:
        said, _ = process.communicate(timeout=PATIENCE_S)
    left = look(again, named(again))
    words = f"exit code {process.returncode}: {last_words(said)}"
    return wrong + print_row("a new Xvfb afterwards", left, words) + (len(left.whole) != 30)


def resize_screen(folder: Path) -> int:
    """Change the screen's resolution while a monitor is recorded."""
    session = folder / "resized"
    with stage(), start(session, "--monitor", "1", "--fps", "10", "--codec", "png") as process:
        wait_until(lambda: len(named(session)) > 10)
        change_mode(*SMALLER)
        before = len(named(session))
        wait_until(lambda: len(named(session)) > before + 10)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE_S)
    left = look(session, named(session))
    words = f"sizes {', '.join(left.sizes)}; exit code {process.returncode}: {last_words(said)}"
    wanted = ["{}x{}".format(*SCREEN), "{}x{}".format(*SMALLER)]
    return print_row("screen resized by xrandr", left, words) + (left.sizes != wanted)


def change_mode(width: int, height: int) -> None:
    """Let xrandr give an Xvfb another size, no larger than its first."""
    name = f"{width}x{height}"
    timings = ["0", str(width), "0", "0", "0", str(height), "0", "0", "0"]
    for arguments in (
        ["--newmode", name, *timings],
        ["--addmode", "screen", name],
        ["--output", "screen", "--mode", name],
    ):
        subprocess.run(["xrandr", *arguments], check=True, capture_output=True)


def close_window(folder: Path) -> int:
    """Close the window that is recorded."""
    session = folder / "closed"
    with server():
        with painted(SIZE, RATE, "Closing"):
            process = start(session, "--window", "Closing", "--codec", "png")
            wait_until(lambda: len(named(session)) > 30)
        said, _ = process.communicate(timeout=PATIENCE_S)
    reason = read_session(session)["reason"]
    words = f"exit code {process.returncode}: {last_words(said)}"
    return print_row("window closed", look(session, named(session)), words) + (
        "was closed" not in reason
    )


def main() -> int:
    """Let all of it happen; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="half of them of each codec")
    parser.add_argument("--longest", type=float, default=3.0, help="seconds before a kill, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    asked = parser.parse_args()
    random.seed(asked.seed)
    print(f"{SIZE[0]}x{SIZE[1]} noise at {RATE:g} fps, {asked.kills} kills, seed {asked.seed}\n")
    print(f"{'accident':30}{'named':>7}{'whole':>7}{'lost':>6}{'other':>7}  said")
    with tempfile.TemporaryDirectory() as name, temporary_environment(XDG_RUNTIME_DIR=name):
        folder, wrong = Path(name), 0
        with stage():
            for number in range(asked.kills):
                after_s = random.uniform(0, asked.longest) if number > 1 else 0.0
                wrong += kill(folder, ("png", "h264")[number % 2], after_s, number % 4 == 3)
            wrong += sum(fill_disk(folder, codec) for codec in ("png", "h264"))
        wrong += kill_display(folder) + resize_screen(folder) + close_window(folder)
    print("\nnamed: frames with a line before the repair; whole: frames that can be read as they")
    print("were written, afterwards; other: of these, not to the bit a picture that was shown")
    print("SOMETHING IS LOST" if wrong else "nothing is lost")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
