"""Recording a moving 1920x1080 screen without loss: ``cli capture`` beside ffmpeg's x11grab.

On an Xvfb of its own, with benchmarks/capture/scrolling.py on it. CPU is that of the recorder's
process tree, user and system; the X server's share is separate, the scroller's is in neither.
Needs Xvfb; rows of ffmpeg need ffmpeg. ``--drift`` records slowly and long instead, and holds every
frame of the manifest against the clock's grid.

Example: python benchmarks/capture/recording.py --seconds 10 --only cli
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
CLI = [sys.executable, str(HERE.parents[1] / "cli.py")]
SCREEN = "1920x1080"
NS = 1_000_000_000  # nanoseconds in a second
SPARE_S = 120  # for how much longer the scroller goes on than the recording should take
TICKS = os.sysconf("SC_CLK_TCK")  # of /proc, a second


class Fault(Exception):
    """A contender did not do it; the message says why."""


@dataclass(frozen=True)
class Ended:
    """What a process tree printed and took."""

    output: str
    cpu_s: float
    peak_mb: float  # of its largest process


@dataclass(frozen=True)
class Stage:
    """A screen with something moving on it."""

    environment: dict[str, str]
    server: int  # process id
    scroller: int


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    kept: int
    missed: int
    recorder: Ended
    server_s: float
    scroller_s: float
    kilobytes: float  # a frame, as recorded


@dataclass(frozen=True)
class Contender:
    """A way to record; ``record`` gives frames kept, bytes on disk, and what it took."""

    name: str
    record: Callable[[Stage, argparse.Namespace, Path], tuple[int, int, Ended]]


def run(command: list[str], environment: dict[str, str]) -> Ended:
    """Run to the end; ``Fault`` with the last words of what failed."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as words:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=words, stderr=words
        )
        _, status, used = os.wait4(process.pid, 0)  # with the children it waited for
        process.returncode = os.waitstatus_to_exitcode(status)
        words.seek(0)
        output = words.read()
    if process.returncode != 0:
        raise Fault(" ".join(output.split()[-30:]) or f"exit code {process.returncode}")
    return Ended(output, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a running process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def ending(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """A process that does not outlive the context."""
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def moving_screen(seconds: float) -> Iterator[Stage]:
    """A virtual screen of one's own with the scroller on it, already moving."""
    if shutil.which("Xvfb") is None:
        raise SystemExit("No Xvfb here: apt-get install xvfb.")
    reader, writer = os.pipe()
    screen = ["-screen", "0", f"{SCREEN}x24", "-nolisten", "tcp", "-noreset"]
    with ExitStack() as stack:
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writer), *screen],
            pass_fds=[writer],
            stderr=subprocess.DEVNULL,
        )
        stack.enter_context(ending(server))
        os.close(writer)
        with os.fdopen(reader) as answer:
            environment = {**os.environ, "DISPLAY": f":{answer.readline().strip()}"}
        environment.pop("WAYLAND_DISPLAY", None)
        environment["XDG_SESSION_TYPE"] = "x11"
        scroller = subprocess.Popen(
            [sys.executable, str(HERE / "scrolling.py"), "--seconds", str(seconds + SPARE_S)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.enter_context(ending(scroller))
        assert scroller.stdout is not None
        while (line := scroller.stdout.readline()) != "ready\n":
            if not line:
                raise SystemExit("The scroller did not start: run benchmarks/capture/scrolling.py.")
        yield Stage(environment, server.pid, scroller.pid)


def bytes_in(folder: Path) -> int:
    """Of all files below."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def record_with_cli(stage: Stage, asked: argparse.Namespace, out: Path) -> tuple[int, int, Ended]:
    """``cli capture``: the recording alone; what it left as video becomes PNG afterwards."""
    command = [*CLI, "capture", "--start", "--fps", f"{asked.fps:g}", "--no-develop"]
    limits = ["--duration", f"{asked.seconds:g}", "--out", str(out), *asked.extra.split()]
    ended = run([*command, *limits], stage.environment)
    said = re.search(r"(\d+) frames in .* (\d+) intervals missed", ended.output)
    if said is None:
        raise Fault(f"no summary in: {ended.output[-200:]!r}")
    return int(said[1]), bytes_in(out), ended


def develop(environment: dict[str, str], out: Path) -> str:
    """Turn the video of the one session below into PNG: what that took, in words."""
    (session,) = (each for each in out.iterdir() if each.is_dir())
    try:
        ended = run([*CLI, "capture", "repair", str(session)], environment)
    except Fault as fault:
        return f"to PNG afterwards: {fault}"
    files = list((session / "frames").glob("*.png"))
    size = sum(each.stat().st_size for each in files)
    count = max(1, len(files))
    return (
        f"to PNG afterwards: {len(files)} files, {1e3 * ended.cpu_s / count:.1f} CPU ms and "
        f"{size / count / 1e3:.0f} KB each, peak {ended.peak_mb:.0f} MB"
    )


def with_ffmpeg(*codec: str) -> Callable[[Stage, argparse.Namespace, Path], tuple[int, int, Ended]]:
    """ffmpeg's x11grab into Matroska; only frames that were grabbed count."""

    def record(stage: Stage, asked: argparse.Namespace, out: Path) -> tuple[int, int, Ended]:
        if shutil.which("ffmpeg") is None:
            raise Fault("ffmpeg is not installed")
        source = ["-f", "x11grab", "-draw_mouse", "0", "-framerate", f"{asked.fps:g}"]
        screen = ["-video_size", SCREEN, "-i", stage.environment["DISPLAY"]]
        told = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostats", "-progress", "pipe:1"]
        limits = ["-t", f"{asked.seconds:g}", "-fps_mode", "passthrough"]
        target = str(out / "recording.mkv")
        ended = run([*told, *source, *screen, *limits, *codec, target], stage.environment)
        return int(re.findall(r"^frame=\s*(\d+)", ended.output, re.M)[-1]), bytes_in(out), ended

    return record


CONTENDERS = [
    Contender("cli capture", record_with_cli),
    Contender(
        "ffmpeg x264rgb qp 0",
        with_ffmpeg("-c:v", "libx264rgb", "-qp", "0", "-preset", "ultrafast"),
    ),
    Contender("ffmpeg png", with_ffmpeg("-c:v", "png")),
]


def measure(contender: Contender, asked: argparse.Namespace, out: Path) -> tuple[Row, str]:
    """One recording on a screen of its own; a line on what follows it, or nothing."""
    with moving_screen(asked.seconds) as stage:
        before = cpu_of(stage.server), cpu_of(stage.scroller)
        kept, size, ended = contender.record(stage, asked, out)
        after = cpu_of(stage.server), cpu_of(stage.scroller)
    missed = max(0, round(asked.seconds * asked.fps) - kept)
    server_s, scroller_s = (late - early for early, late in zip(before, after, strict=True))
    row = Row(kept, missed, ended, server_s, scroller_s, size / max(1, kept) / 1e3)
    is_ours = contender.record is record_with_cli
    return row, develop(dict(os.environ), out) if is_ours and asked.develop else ""


def compare(asked: argparse.Namespace) -> None:
    """Print a line for each contender."""
    print(f"{asked.seconds:g} s at {asked.fps:g} fps, {SCREEN}, scrolling pictures")
    heads = ("kept", "missed", "CPU s", "ms/frame", "KB/frame", "peak MB", "Xvfb s", "scroller s")
    print(f"{'':22}" + "".join(f"{each:>11}" for each in heads))
    for contender in CONTENDERS:
        if asked.only not in contender.name:
            continue
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            try:
                row, note = measure(contender, asked, Path(folder))
            except Fault as fault:
                print(f"{contender.name:22}  {fault}", flush=True)
                continue
        cpu_s = row.recorder.cpu_s
        print(
            f"{contender.name:22}{row.kept:11}{row.missed:11}{cpu_s:11.2f}"
            f"{1e3 * cpu_s / max(1, row.kept):11.2f}{row.kilobytes:11.0f}"
            f"{row.recorder.peak_mb:11.0f}{row.server_s:11.2f}{row.scroller_s:11.2f}",
            flush=True,
        )
        if note:
            print(f"{'':24}{note}", flush=True)


def drift(asked: argparse.Namespace) -> None:
    """A long recording at an ordinary rate, held against its grid."""
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        out = Path(folder)
        with moving_screen(asked.seconds) as stage:
            size = ["--size", "512x512", "--dedupe", "mark", "--codec", "png"]
            command = [*CLI, "capture", "--start", "--fps", f"{asked.fps:g}", "--out", str(out)]
            limits = ["--duration", f"{asked.seconds:g}", *size, *asked.extra.split()]
            ended = run([*command, *limits], stage.environment)
        (session,) = (each for each in out.iterdir() if each.is_dir())
        facts = json.loads((session / "session.json").read_text())
        lines = [json.loads(each) for each in (session / "frames.jsonl").read_text().splitlines()]
    print(ended.output.strip().splitlines()[-1])
    print(f"{1e3 * ended.cpu_s / len(lines):.2f} CPU ms a frame, peak {ended.peak_mb:.0f} MB")
    print_account(facts["counts"], lines, round(asked.seconds * asked.fps))
    print_lateness(lateness_ns(lines, facts["runs_monotonic_ns"][0], asked.fps))


def print_account(counts: dict[str, int], lines: list[dict[str, Any]], asked: int) -> bool:
    """Whether every interval is a line, a duplicate without a line, or a miss; by two books."""
    booked = len(lines) + sum(map(gap_before, lines))
    booked += counts.get("missed_at_end", 0) + counts.get("skipped_at_end", 0)
    exact = asked == counts["intervals"] == booked
    print(
        f"intervals: {asked} asked, {counts['intervals']} in session.json, {booked} in "
        f"frames.jsonl, {counts['missed']} missed: {'exact' if exact else 'NOT EXACT'}"
    )
    return exact


def gap_before(line: dict[str, Any]) -> int:
    """Intervals without a line of their own just before this one."""
    return int(line["missed_before"]) + int(line.get("duplicates_before", 0))


def lateness_ns(lines: list[dict[str, Any]], begin_ns: int, fps: float) -> NDArray[np.int64]:
    """How long after its deadline each frame was grabbed.

    >>> lines = [{"missed_before": 0, "monotonic_ns": 5}, {"missed_before": 1, "monotonic_ns": NS}]
    >>> lateness_ns(lines, 3, 4.0).tolist()
    [2, 499999997]
    """
    number = np.cumsum([1 + gap_before(each) for each in lines]) - 1
    deadlines = [begin_ns + round(each * NS / fps) for each in number.tolist()]
    times = np.array([each["monotonic_ns"] for each in lines], np.int64)
    return np.asarray(times - np.array(deadlines, np.int64), np.int64)


def print_lateness(late: NDArray[np.int64]) -> None:
    """Jitter, and drift: how late the promptest frames are at the start and at the end."""
    tenth = max(1, len(late) // 10)
    p50, p99, most = np.percentile(late, [50, 99, 100]) / 1e6
    print(f"grab after its deadline: p50 {p50:.3f} ms, p99 {p99:.3f} ms, max {most:.3f} ms")
    print(
        f"drift: promptest frame {late[:tenth].min() / 1e6:.3f} ms late in the first tenth, "
        f"{late[-tenth:].min() / 1e6:.3f} ms in the last; last frame {late[-1] / 1e6:.3f} ms late"
    )


def versions() -> str:
    """What was measured with."""
    found = [f"Python {platform.python_version()}"]
    for name in ("av", "mss", "opencv-python"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    if (ffmpeg := shutil.which("ffmpeg")) is not None:
        said = subprocess.run([ffmpeg, "-version"], capture_output=True, text=True, check=True)
        found.append(" ".join(said.stdout.split()[:3]))
    return ", ".join(found)


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    """Compare the recorders, or look at the clock."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, help="of each recording  [default: 60; drift: 600]"
    )
    parser.add_argument("--fps", type=float, help="[default: 60; drift: 30]")
    parser.add_argument("--only", default="", help="contenders whose name contains this")
    parser.add_argument("--extra", default="", help='for cli capture: --extra="--codec h264"')
    parser.add_argument("--folder", type=Path, help="where recordings go meanwhile")
    parser.add_argument("--no-develop", dest="develop", action="store_false", help="leave PNG out")
    parser.add_argument("--drift", action="store_true", help="hold a long recording to its grid")
    asked = parser.parse_args()
    asked.seconds = asked.seconds or (600.0 if asked.drift else 60.0)
    asked.fps = asked.fps or (30.0 if asked.drift else 60.0)
    print(f"{processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}")
    print(versions())
    if asked.drift:
        drift(asked)
    else:
        compare(asked)


if __name__ == "__main__":
    main()
