"""How the review page feels with many frames: time to the first grid, key to repaint, memory.

Makes a session of many frames (hard links to a few hundred pictures, statistics as measured),
serves it with `cli review`, and uses the page in Chromium through Playwright. A key's time runs
from the moment the browser got it to the first task after the frame that shows it. Prints a table;
with --shots also writes what the page looks like.

    python benchmarks/dataset/review.py --frames 20000 --shots /tmp/shots
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dataset.labelling.clipping import measure_clipping
from dataset.labelling.labels import label_captures, read_labels, write_labels
from dataset.labelling.rules import LabelRow
from dataset.options import LabelOptions
from dataset.pictures.images import Image, write_png
from dataset.sessions.manifest import Frame, ManifestWriter, write_session

ROOT = Path(__file__).parents[2]
PICTURES = 200  # different ones
SIZE = 512  # pixels of a side
SESSION_FRAMES = 5000
ROUNDS = 120  # presses of each kind of key
KEYS = {
    "label Y, go on": "y",
    "move right": "ArrowRight",
    "move down a row": "ArrowDown",
    "page down": "PageDown",
    "undo": "z",
}
# Resolves to the milliseconds from each key's event to the first task after its repaint.
WATCH = """() => {
  window.waits = [];
  document.addEventListener('keydown', (event) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => window.waits.push(performance.now() - event.timeStamp);
    requestAnimationFrame(() => channel.port2.postMessage(0));
  }, true);
}"""


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        captures = Path(folder)
        make_captures(captures, arguments.frames)
        process, address, started_s = start_server(captures)
        with process:
            try:
                rows = [("server answers", f"{started_s * 1000:.0f} ms")]
                rows += use_page(address, process.pid, arguments.shots)
            finally:
                process.kill()
        rows.append(("labels by hand in labels.csv, after kill -9", f"{count_by_hand(captures):,}"))
        process, _, _ = start_server(captures)
        with process:
            process.send_signal(signal.SIGINT)
        rows.append(("the same, started again and ended", f"{count_by_hand(captures):,}"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, {arguments.frames:,} frames")
    for name, value in rows:
        print(f"| {name:<44} | {value:>28} |")


def count_by_hand(captures: Path) -> int:
    return sum(row.source == "review" for row in read_labels(captures))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--shots", type=Path, help="a folder for screenshots")
    return parser.parse_args()


def make_captures(captures: Path, count: int) -> None:
    """Sessions of hard-linked pictures, labelled by the true statistics of each."""
    generator = np.random.default_rng(0)
    pool = captures / "pool"
    pool.mkdir()
    pictures = [sky(generator, at / PICTURES) for at in range(PICTURES)]
    statistics = [measure_clipping(picture) for picture in pictures]
    for at, picture in enumerate(pictures):
        write_png(pool / f"{at}.png", picture)
    rows = []
    for start in range(0, count, SESSION_FRAMES):
        session = captures / f"flight-{start // SESSION_FRAMES + 1}"
        (session / "frames").mkdir(parents=True)
        write_session(session, {})
        with ManifestWriter(session) as manifest:
            for index in range(min(SESSION_FRAMES, count - start)):
                which = int(PICTURES * (0.5 + 0.5 * np.sin(index / 400)) * 0.999)
                frame = made_frame(index, start, generator)
                os.link(pool / f"{which}.png", session / frame.file)
                manifest.append(frame)
                row = LabelRow(session.name, frame.file, "X", "clipping", method="max_rgb>=250")
                rows.append(replace(row, **vars(statistics[which])))
    write_labels(captures, rows)
    label_captures(LabelOptions(captures))


def made_frame(index: int, start: int, generator: np.random.Generator) -> Frame:
    wall_ns = 1_700_000_000_000_000_000 + (start + index) * 500_000_000
    name = f"frames/{index:06d}.png"
    phash = generator.bytes(8).hex()
    label = "Y" if index % 997 > 980 else None  # some that the player labelled by key
    return Frame(index, name, SIZE, SIZE, wall_ns, wall_ns, label=label, phash=phash)


def sky(generator: np.random.Generator, light: float) -> Image:
    """A sky over land with a sun as strong as `light` (0..1) and something that flies."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    land = y > 0.68 + 0.03 * np.sin(9 * x + generator.uniform(0, 6))
    air = np.stack((0.3 + 0.4 * y, 0.45 + 0.3 * y, 0.75 - 0.1 * y), -1)
    colour = np.where(land[..., None], (0.25, 0.3, 0.16), air)
    sun_x, sun_y = generator.uniform(0.15, 0.85), generator.uniform(0.1, 0.5)
    distance = np.hypot(x - sun_x, y - sun_y)
    glow = light**2 * (0.035 / (distance + 0.02)) ** 1.2
    body = np.hypot((x - 0.5) / 0.3, (y - 0.55) / 0.035) < 1
    fin = (np.abs(x - 0.27) < 0.03) & (y > 0.42) & (y < 0.55)
    colour = np.where((body | fin)[..., None], (0.55, 0.55, 0.6), colour)
    colour = colour * (0.55 + 0.7 * light) + glow[..., None]
    noise = generator.normal(0, 0.01, colour.shape)
    return np.asarray(np.clip((colour + noise) * 255, 0, 255), dtype=np.uint8)


def start_server(captures: Path) -> tuple[subprocess.Popen[str], str, float]:
    began = time.perf_counter()
    command = [sys.executable, "cli.py", "review", "--no-browser", "--source", str(captures)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().split()[-1]
    return process, address, time.perf_counter() - began


def use_page(address: str, server: int, shots: Path | None) -> list[tuple[str, str]]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        sys.exit("Chromium is not installed: apt-get install chromium")
    root = hasattr(os, "getuid") and os.getuid() == 0
    flags = ["--enable-precise-memory-info", *(["--no-sandbox"] if root else [])]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=flags)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        rows = measure_page(page, address)
        rows.append(("server, resident", f"{resident_mb(server):.0f} MB"))
        if shots is not None:
            take_shots(page, shots)
        browser.close()
    return rows


def measure_page(page: Any, address: str) -> list[tuple[str, str]]:
    began = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(".cell.cursor")
    cells = time.perf_counter() - began
    wait_until(
        page,
        "[...document.querySelectorAll('.cell:not([hidden]) img')]"
        ".every((picture) => picture.complete && picture.naturalWidth)",
    )
    rows = [
        ("opening to first grid", f"{cells * 1000:.0f} ms"),
        ("opening to all its pictures", f"{(time.perf_counter() - began) * 1000:.0f} ms"),
    ]
    page.evaluate(WATCH)
    for name, key in KEYS.items():
        page.keyboard.press("Home")
        rows.append((f"key: {name}", press(page, key)))
    page.keyboard.press("Enter")
    rows.append(("key: label X, go on (single view)", press(page, "x")))
    page.keyboard.press("Enter")
    wait_until(page, "document.getElementById('saved').textContent === 'all saved'")
    heap = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
    rows.append(("browser, JavaScript heap", f"{heap:.0f} MB"))
    return [*rows, ("cells in the document", str(page.locator(".cell").count()))]


def press(page: Any, key: str) -> str:
    """Presses a key so often; median and 99th percentile of key to repaint."""
    page.evaluate("window.waits.length = 0")
    for done in range(1, ROUNDS + 1):
        page.keyboard.press(key)
        wait_until(page, f"window.waits.length >= {done}")
    waits = page.evaluate("window.waits")
    return f"{np.median(waits):.1f} ms, p99 {np.percentile(waits, 99):.1f} ms"


def wait_until(page: Any, expression: str) -> None:
    """Asks again and again: the page's policy forbids Playwright's way of waiting inside it."""
    deadline = time.monotonic() + 30
    while not page.evaluate(expression):
        if time.monotonic() > deadline:
            raise TimeoutError(expression)
        time.sleep(0.002)


def resident_mb(process: int) -> float:
    """Resident memory of a process, where /proc tells it."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


def take_shots(page: Any, folder: Path) -> None:
    """The grid, a range of it, clipped masks, one frame, moved thresholds, the keys."""
    folder.mkdir(parents=True, exist_ok=True)

    def shoot(name: str, *keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)
        page.wait_for_timeout(600)
        page.screenshot(path=folder / f"{name}.png")

    shoot("grid", "Home")
    page.select_option("#order", "fraction")
    page.click("#turn")
    page.locator("#grid").focus()
    shoot(
        "range", "Home", "PageDown", "ArrowUp", "ArrowRight", "Shift+ArrowDown", "Shift+ArrowRight"
    )
    shoot("labels", "d", "u", "x")
    shoot("grid-clipped", "c")
    shoot("single-clipped", "Enter")
    shoot("single", "c")
    page.keyboard.press("Enter")
    page.select_option("#by-label", "3")
    page.locator("#x-fraction").fill("480")
    page.locator("#y-fraction").fill("760")
    page.locator("#y-blob").fill("800")
    page.locator("#grid").focus()
    shoot("thresholds", "Home")
    shoot("keys", "?")


if __name__ == "__main__":
    main()
