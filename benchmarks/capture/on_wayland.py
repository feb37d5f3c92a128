"""A recording under Wayland beside one under X11: the account, CPU a frame, the age of pictures.

``cli capture`` records 1920x1080 pictures that move at its rate: in a headless desktop of sway
through the portal and PipeWire, then on an Xvfb through mss. Each picture carries the time at which
it was drawn, so its age when it is grabbed can be told. Needs Xvfb and what ``make wayland``
installs; a script gives the user's consent. Exit code 1 where an interval is not accounted for.

Example: python benchmarks/capture/on_wayland.py --seconds 60 --fps 30
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from helpers.painted import own_server  # type: ignore[import-not-found]  # noqa: E402
from helpers.wayland_client import (  # type: ignore[import-not-found]  # noqa: E402
    PaintedWindow,
    read_stamp,
    stamp,
)
from helpers.wayland_desktop import wayland_desktop  # type: ignore[import-not-found]  # noqa: E402
from recording import (  # noqa: E402
    CLI,
    Ended,
    cpu_of,
    ending,
    lateness_ns,
    print_account,
    print_lateness,
    processor,
    run,
    versions,
)
from scrolling import MARGIN, STEP, Scroller, bounced, made_picture  # noqa: E402

from capture.screens import libpipewire  # noqa: E402
from dataset.pictures.images import read_image  # noqa: E402

SIZE = (1920, 1080)
STAMP = (8, 768)  # rows and columns
SPARE_S = 60  # for how much longer the pictures move
SAMPLED = 5  # every so many frames the time in the picture is read
READY = "ready"


def show_wayland(fps: float, seconds: float) -> None:
    """Moving pictures over the whole of a Wayland desktop."""
    surface = PaintedWindow("Moving").surface
    width, height = (least + margin for least, margin in zip(SIZE, MARGIN, strict=True))
    picture = np.zeros((height, width, 4), np.uint8)
    picture[..., :3] = made_picture(0, width, height)[..., ::-1]

    def draw(number: int) -> None:
        surface.connection.until(lambda: surface.ready)
        buffer = surface.wait_for_free()
        x, y = (bounced(number * step, far) for step, far in zip(STEP, MARGIN, strict=True))
        buffer.pixels[:] = picture[y : y + SIZE[1], x : x + SIZE[0]]
        stamp(buffer.pixels, number, time.monotonic_ns())
        surface.show(buffer)

    show(draw, fps, seconds)


def show_x11(fps: float, seconds: float) -> None:
    """The same on a display of X11, whose server moves the picture."""
    scroller = Scroller(1, lambda count, width, height: [made_picture(0, width, height)])
    strip = np.zeros((STAMP[0], STAMP[1], 4), np.uint8)

    def draw(number: int) -> None:
        stamp(strip, number, time.monotonic_ns())
        scroller.show(number, 0.0, strip)
        scroller.settle()

    show(draw, fps, seconds)


def show(draw: Callable[[int], None], fps: float, seconds: float) -> None:
    """Draw pictures at absolute deadlines until the time is up."""
    begin, number = time.monotonic(), 0
    while (now := time.monotonic() - begin) < seconds:
        if number == 2:
            print(READY, flush=True)
        time.sleep(max(0.0, number / fps - now))
        draw(number)
        number += 1


@contextmanager
def shown(kind: str, asked: argparse.Namespace) -> Iterator[int]:
    """`show` in a process of its own, already moving; its process id."""
    seconds = f"{asked.seconds + SPARE_S:g}"
    command = [sys.executable, __file__, "--show", kind, "--fps", f"{asked.fps:g}"]
    process = subprocess.Popen(
        [*command, "--seconds", seconds], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    with ending(process):
        assert process.stdout is not None
        if process.stdout.readline().strip() != READY:
            raise SystemExit(f"The pictures did not start: {' '.join(command)}")
        yield process.pid


def record(backend: str, asked: argparse.Namespace, out: Path) -> Ended:
    """``cli capture`` with what comes after it: the video of the session becomes PNG."""
    command = [*CLI, "capture", "--start", "--fps", f"{asked.fps:g}", "--backend", backend]
    limits = ["--duration", f"{asked.seconds:g}", "--out", str(out), "--codec", asked.codec]
    ended = run([*command, *limits, "--no-develop"], dict(os.environ))
    (session,) = (each for each in out.iterdir() if each.is_dir())
    run([*CLI, "capture", "repair", str(session)], dict(os.environ))
    return ended


def account(
    name: str, ended: Ended, servers_s: float, asked: argparse.Namespace, out: Path
) -> bool:
    """Print what a recording took and gave; whether its account is exact."""
    (session,) = (each for each in out.iterdir() if each.is_dir())
    facts = json.loads((session / "session.json").read_text())
    lines = [json.loads(each) for each in (session / "frames.jsonl").read_text().splitlines()]
    print(f"{name}:")
    exact = print_account(facts["counts"], lines, round(asked.seconds * asked.fps))
    print(f"    {facts['counts']}")
    print(
        f"    CPU a frame: {1e3 * ended.cpu_s / len(lines):.2f} ms of the recorder's, peak "
        f"{ended.peak_mb:.0f} MB; {1e3 * servers_s / len(lines):.2f} ms of what shows the screen"
    )
    print_ages("since it was drawn", drawn_ages_ms(session, lines))
    taken = [(each["monotonic_ns"] - each["picture_ns"]) / 1e6 for each in lines
             if each.get("picture_ns") is not None]  # fmt: skip
    if taken:
        print_ages("since the desktop took it", taken)
    print_lateness(lateness_ns(lines, facts["runs_monotonic_ns"][0], asked.fps))
    return exact


def drawn_ages_ms(session: Path, lines: list[dict[str, Any]]) -> list[float]:
    """How long before its grab each of some pictures was drawn."""
    return [
        (each["monotonic_ns"] - read_stamp(read_image(session / each["file"]))[1]) / 1e6
        for each in lines[::SAMPLED]
    ]


def print_ages(since: str, ages_ms: list[float]) -> None:
    middle, late = np.percentile(ages_ms, [50, 95])
    print(f"    age of a picture {since}: median {middle:.1f} ms, p95 {late:.1f} ms")


def under_wayland(asked: argparse.Namespace, out: Path) -> bool:
    with wayland_desktop("x".join(map(str, SIZE)), life_s=None) as desktop, shown("wayland", asked):
        servers = [desktop.pids[each] for each in ("sway", "filter", "xdpw", "pipewire")]
        before = sum(map(cpu_of, servers))
        ended = record("portal", asked, out)
        used = sum(map(cpu_of, servers)) - before
    return account("sway, through the portal and PipeWire", ended, used, asked, out)


def under_x11(asked: argparse.Namespace, out: Path) -> bool:
    with own_server(f"{SIZE[0]}x{SIZE[1]}x24") as server, shown("x11", asked):
        before = cpu_of(server.pid)
        ended = record("mss", asked, out)
        used = cpu_of(server.pid) - before
    return account("Xvfb, through mss", ended, used, asked, out)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--codec", default="auto", choices=("auto", "png", "h264"))
    parser.add_argument("--folder", type=Path, help="where recordings go meanwhile")
    parser.add_argument("--show", choices=("wayland", "x11"), help="only show the moving pictures")
    asked = parser.parse_args()
    if asked.show:
        (show_wayland if asked.show == "wayland" else show_x11)(asked.fps, asked.seconds)
        return 0
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {versions()}")
    print(f"PipeWire {libpipewire.version()}; {asked.seconds:g} s at {asked.fps:g} frames/s of "
          f"{SIZE[0]}x{SIZE[1]}, codec {asked.codec}")  # fmt: skip
    exact = True
    for measure in (under_wayland, under_x11):
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            try:
                exact &= measure(asked, Path(folder))
            except pytest.skip.Exception as missing:
                raise SystemExit(str(missing)) from None
    return not exact


if __name__ == "__main__":
    sys.exit(main())
