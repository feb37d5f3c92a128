"""A long recording under load from its clients: what it holds on to, and whether it counts.

``cli capture`` records a moving picture of 512x512 on an Xvfb of its own, while clients pause,
mark, snap and ask it, most of them in this process and one a minute by ``cli capture status``.
Every 10 s its memory, open files and threads are read from /proc. Exit code 1 where memory grows
by more than `MOST_KB_MIN`, files or threads grow, or an interval is not accounted for. Frames go to
a temporary folder and are removed: about 30 KB each. Needs Linux and Xvfb.

Example: python benchmarks/capture/soak.py --minutes 5
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from Xlib import X, display
from Xlib.error import ConnectionClosedError

from capture.control.channel import send_command
from capture.control.endpoints import Endpoint, read_endpoint
from capture.recording.ledger import count_lines
from capture.screens.virtual_display import temporary_environment, virtual_display
from dataset.errors import UserError
from dataset.pictures.images import Image
from dataset.sessions.manifest import read_lines, read_session

CLI = [sys.executable, str(Path(__file__).resolve().parents[2] / "cli.py")]
SAMPLE_S, CLIENT_S, LINE_S = 10.0, 4.0, 60.0  # between two samples, two clients, two lines
WARM_UP_MIN = 2.0  # of a long run; a quarter of a short one
MOST_KB_MIN = 100.0  # that memory may grow
SURE = 2.0  # standard errors by which a growth must exceed that
START_S = 60.0  # longest wait for the recorder
ENDS = 5  # samples at each end whose median is compared


class Painter(threading.Thread):
    """A window whose whole picture changes at a fixed rate.

    Every picture has a number, and `made` makes it again: what was recorded can be told apart and
    compared to the bit.
    """

    def __init__(self, size: tuple[int, int], rate: float, title: str = "Painted") -> None:
        super().__init__(daemon=True)
        self.size, self._rate = size, rate
        self._over = threading.Event()
        self._display: Any = display.Display()
        screen = self._display.screen()
        self._window = screen.root.create_window(0, 0, *size, 0, screen.root_depth)
        self._window.set_wm_name(title)
        self._gc = self._window.create_gc()
        # Drawn aside and copied in one piece: a grab sees the whole of one picture.
        self._aside = self._window.create_pixmap(*size, screen.root_depth)
        self._noise = noise(size)
        self._window.map()
        self._paint(0)

    def run(self) -> None:
        with suppress(ConnectionClosedError):  # the server went first
            for number in itertools.count(1):
                if self._over.wait(1 / self._rate):
                    return
                self._paint(number)

    def end(self) -> None:
        """Close the window."""
        self._over.set()
        self.join()
        with suppress(ConnectionClosedError):
            self._display.close()

    def _paint(self, number: int) -> None:
        picture = made(self._noise, number)
        width, height = self.size
        bgrx = np.zeros((height, width, 4), np.uint8)
        bgrx[..., :3] = picture[..., ::-1]
        rows, depth = max(1, 200_000 // (4 * width)), self._display.screen().root_depth
        for top in range(0, height, rows):
            part = bgrx[top : top + rows]
            self._aside.put_image(
                self._gc, 0, top, width, len(part), X.ZPixmap, depth, 0, part.tobytes()
            )
        self._window.copy_area(self._gc, self._aside, 0, 0, width, height, 0, 0)
        self._display.sync()


def noise(size: tuple[int, int]) -> Image:
    """What all pictures of a `Painter` are made of."""
    width, height = size
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def made(of: Image, number: int) -> Image:
    """Picture ``number``: the noise moved, with the number in its first pixel.

    >>> number_in(made(noise((8, 8)), 70_000))
    70000
    """
    picture = np.roll(of, (number * 3, number * 7), (0, 1))
    picture[0, 0] = number >> 16 & 255, number >> 8 & 255, number & 255
    return picture


def number_in(picture: Image) -> int:
    """Which picture of a `Painter` this is."""
    red, green, blue = (int(each) for each in picture[0, 0])
    return red << 16 | green << 8 | blue


@contextmanager
def painted(size: tuple[int, int], rate: float, title: str = "Painted") -> Iterator[Painter]:
    """A painter at work."""
    painter = Painter(size, rate, title)
    painter.start()
    try:
        yield painter
    finally:
        painter.end()


@dataclass
class Samples:
    """What /proc said of the recorder."""

    minutes: list[float] = field(default_factory=list)
    rss_kb: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def take(self, pid: int, minutes: float) -> None:
        """Read them now."""
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        about = dict(line.split(":", 1) for line in lines)
        self.minutes.append(minutes)
        self.rss_kb.append(int(about["VmRSS"].split()[0]))
        self.files.append(len(os.listdir(f"/proc/{pid}/fd")))
        self.threads.append(int(about["Threads"]))

    def after(self, minutes: float) -> Samples:
        """Those that were taken later than that."""
        first = sum(each < minutes for each in self.minutes)
        return Samples(*(getattr(self, each)[first:] for each in self.__dataclass_fields__))


def slope(x: list[float], y: list[int]) -> tuple[float, float]:
    """Least squares: y for each x, and its standard error (residuals taken as independent).

    >>> slope([0, 1, 2, 3], [1, 3, 5, 7])
    (2.0, 0.0)
    """
    apart = np.array(x) - np.mean(x)
    spread = float(apart @ apart)
    found = float(apart @ np.array(y)) / spread
    rest = np.array(y) - np.mean(y) - found * apart
    return found, float(np.sqrt(rest @ rest / max(1, len(x) - 2) / spread))


class Clients:
    """Asks and tells the recorder this and that, in turns."""

    TURNS = (
        ("status", None), ("snap", None), ("label", "X"), ("status", None), ("undo", None),
        ("light", "sun 20°"), ("light-step", None), ("label", "Y"), ("snap", None), ("label", "Y"),
        ("toggle", None), ("status", None), ("toggle", None), ("pause", None), ("start", None),
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint, self._turns = endpoint, itertools.cycle(self.TURNS)
        self.told: Counter[str] = Counter()

    def send_command(self) -> None:
        """The next one."""
        name, value = next(self._turns)
        send_command(self._endpoint, name, value)
        self.told[name] += 1

    def run(self) -> None:
        """One in a process of its own."""
        command = [*CLI, "capture", "status", "--json", "--out", self._endpoint.out]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        self.told["cli capture status"] += 1


@contextmanager
def recorder(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A recorder that does not outlive the context; what it says of its state is not shown."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(out: Path, process: subprocess.Popen[Any]) -> Endpoint:
    """Where the recorder can be reached, once it can."""
    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        endpoint = read_endpoint(out)
        if endpoint is not None and any(out.glob("*/frames.jsonl")):
            return endpoint
        time.sleep(0.1)
    raise SystemExit("The recorder did not start.")


def watch(endpoint: Endpoint, minutes: float) -> tuple[Samples, Clients]:
    """Sample and tell until the time is up."""
    samples, clients = Samples(), Clients(endpoint)
    begin = time.monotonic()
    due = dict.fromkeys((SAMPLE_S, CLIENT_S, LINE_S), begin)
    while (now := time.monotonic()) < begin + 60 * minutes:
        for every in due:
            if now < due[every]:
                continue
            due[every] += every
            if every == SAMPLE_S:
                samples.take(endpoint.pid, (now - begin) / 60)
            elif every == CLIENT_S:
                clients.send_command()
            else:
                clients.run()
                report(samples, endpoint)
        time.sleep(0.1)
    return samples, clients


def report(samples: Samples, endpoint: Endpoint) -> None:
    """A line on how it goes."""
    status = send_command(endpoint, "status")["status"]
    print(
        f"{samples.minutes[-1]:5.1f} min: {samples.rss_kb[-1] / 1024:7.1f} MB, "
        f"{samples.files[-1]} files, {samples.threads[-1]} threads, {status['frames']} frames, "
        f"{status['missed']} missed, {status['state']}",
        flush=True,
    )


def judge_memory(samples: Samples, warm_up: float) -> list[str]:
    """Print what memory did after the warm-up; what is wrong with it."""
    later = samples.after(warm_up)
    grows, error = slope(later.minutes, later.rss_kb)
    print(
        f"\nmemory: {later.rss_kb[0] / 1024:.1f} MB after {warm_up:g} min, "
        f"{later.rss_kb[-1] / 1024:.1f} MB at the end, most {max(samples.rss_kb) / 1024:.1f} MB; "
        f"{grows:+.1f} KB/min, standard error {error:.1f} ({len(later.minutes)} samples)"
    )
    return ["memory grows"] if grows - SURE * error > MOST_KB_MIN else []


def judge_handles(samples: Samples) -> list[str]:
    """Print open files and threads; which of them grow."""
    wrong = []
    for name, found in (("open files", samples.files), ("threads", samples.threads)):
        print(f"{name}: {found[0]} at first, {max(found)} at most, {found[-1]} at last")
        if statistics.median(found[-ENDS:]) > statistics.median(found[:ENDS]):
            wrong.append(f"{name} grow")
    return wrong


def judge_account(session: Path, fps: float, runs: int) -> list[str]:
    """Print the account of the session; what does not add up.

    Every run takes its first frame at once: in t seconds it has at least t * fps intervals, and
    less than one more.
    """
    facts = read_session(session)
    counts, told = facts["counts"], count_lines(read_lines(session))
    files = len(list((session / "frames").glob("*.png")))
    asked = counts["seconds"] * fps
    print(
        f"account: {counts['intervals']} intervals in {counts['seconds']} s and {runs} runs = "
        f"{counts['frames']} frames + {counts['duplicates']} unchanged + {counts['missed']} missed "
        f"({100 * counts['missed'] / counts['intervals']:.2f} %); {counts['snaps']} single frames; "
        f"{counts['lines']} lines, {files} files; {facts['reason']}"
    )
    rules = {
        "intervals do not add up": counts["frames"] + counts["duplicates"] + counts["missed"]
        == counts["intervals"],
        "intervals do not fit the time": asked - 1 <= counts["intervals"] <= asked + runs + 1,
        "manifest and session.json differ": (told.lines, told.snaps, told.frames)
        == (counts["lines"], counts["snaps"], counts["frames"]),
        "misses differ": told.missed + counts["missed_at_end"] == counts["missed"],
        "lines and files differ": files == counts["lines"],
    }
    return [fault for fault, holds in rules.items() if not holds]


def soak(asked: argparse.Namespace, folder: Path) -> list[str]:
    """Record, watch, stop; what is wrong."""
    out = folder / "captures"
    rate = ["--fps", f"{asked.fps:g}", "--size", asked.size, "--codec", asked.codec]
    place = ["--region", "0,0,512,512", "--out", str(out), "--session", "soak"]
    with (
        virtual_display(),
        temporary_environment(XDG_RUNTIME_DIR=str(folder)),
        painted((512, 512), asked.fps),
        recorder([*CLI, "capture", "--start", *rate, *place]) as process,
    ):
        where = wait_for(out, process)
        samples, clients = watch(where, asked.minutes)
        send_command(where, "stop")
        process.wait(600)
    warm_up = min(WARM_UP_MIN, asked.minutes / 4)
    wrong = judge_memory(samples, warm_up) + judge_handles(samples.after(warm_up))
    print("clients:", ", ".join(f"{count} {name}" for name, count in clients.told.items()))
    runs = (out / "recorder.log").read_text().count("soak: recording")
    return wrong + judge_account(out / "soak", asked.fps, runs)


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--size", default="128x128", help="that frames are shrunk to")
    parser.add_argument("--codec", default="png", choices=["auto", "png", "h264"])
    parser.add_argument("--folder", type=Path, help="where frames go meanwhile")
    asked = parser.parse_args()
    print(f"{asked.minutes:g} min at {asked.fps:g} fps, 512x512 to {asked.size}, {asked.codec}")
    folder = Path(tempfile.mkdtemp(dir=asked.folder))
    try:
        wrong = soak(asked, folder)
    except (UserError, subprocess.SubprocessError) as error:
        wrong = [str(error)]
    finally:
        shutil.rmtree(folder)
    print("wrong: " + ", ".join(wrong) if wrong else "all is well")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
