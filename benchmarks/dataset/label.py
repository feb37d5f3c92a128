"""Frames a second of ``cli label``, beside pure decoding and beside cleanvision's light check.

All three work on the same 512x512 PNGs of the embedded game (fewer pictures than frames: the rest
are hard links), on all cores, several times in turn; the best time counts, because others use
this machine too. Decoding is the decoder of ``cli label`` and as many threads. cleanvision may
live in another environment: name its interpreter. Exit code 1 where a goal is missed.

Example: python benchmarks/dataset/label.py --frames 400 --python other/bin/python
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2

from capture.game.pairs import Renderer, renderer_name
from capture.game.viewpoints import over_exposed_light, reference_light
from dataset.labelling.clipping import CLIPPING_METHODS
from dataset.labelling.labels import label_captures
from dataset.options import LabelOptions
from dataset.pictures.images import read_image
from dataset.pictures.png import encode_png
from dataset.sessions.manifest import Frame, ManifestWriter, write_session

SIZE = (512, 512)
OF_DECODING, OF_CLEANVISION = 0.8, 2.5  # goals: shares of their frames a second
CORES = os.cpu_count() or 1
CLEANVISION = """
import sys, time
from cleanvision import Imagelab
lab = Imagelab(data_path=sys.argv[1])
begin = time.perf_counter()
lab.find_issues({"light": {}}, n_jobs=int(sys.argv[2]), verbose=False)
print("SECONDS", time.perf_counter() - begin, "LIGHT", int(lab.issues["is_light_issue"].sum()))
"""


def main() -> int:
    arguments = parse_arguments()
    print(f"{platform.platform()}, Python {platform.python_version()}, OpenCV {cv2.__version__}")
    print(f"{CORES} cores, {arguments.frames} frames {SIZE[0]}x{SIZE[1]}, {renderer_name()}")
    with tempfile.TemporaryDirectory() as folder:
        captures = Path(folder) / "captures"
        bright = make_session(captures / "game", arguments.frames, arguments.pictures)
        return report(captures, bright, arguments)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1600)
    parser.add_argument("--pictures", type=int, default=80, help="different ones among them")
    parser.add_argument("--passes", type=int, default=5, help="the best counts")
    parser.add_argument("--python", default=sys.executable, help="interpreter with cleanvision")
    return parser.parse_args()


def make_session(session: Path, frames: int, pictures: int) -> int:
    """A session of game frames, strong and weak sun in turn; how many of them have a strong one."""
    (session / "frames").mkdir(parents=True)
    write_session(session, {})
    with Renderer(SIZE) as renderer, ManifestWriter(session) as manifest:
        for index in range(frames):
            name = f"frames/{index:06d}.png"
            if index < pictures:
                light = over_exposed_light(0, index // 2)
                light = reference_light(light) if index % 2 else light
                picture = renderer.render(0, index // 2, light)
                (session / name).write_bytes(encode_png(picture))
            else:
                os.link(session / f"frames/{index % pictures:06d}.png", session / name)
            manifest.append(Frame(index, name, *SIZE, wall_ns=index, monotonic_ns=index))
    return sum((index % pictures) % 2 == 0 for index in range(frames))


def report(captures: Path, bright: int, arguments: argparse.Namespace) -> int:
    """Measure, print the table; the exit code."""
    files = sorted((captures / "game" / "frames").iterdir())
    ways: dict[str, Callable[[], object]] = {"pure decoding": lambda: decode(files)}
    options = LabelOptions(captures)
    for method in CLIPPING_METHODS:
        ways[f"cli label, {method}"] = lambda method=method: label(replace(options, method=method))  # type: ignore[misc]
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(arguments.passes):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            seconds[name] = min(seconds[name], time.perf_counter() - begin)
    rates = {name: len(files) / each for name, each in seconds.items()}
    others = [cleanvision(arguments.python, files[0].parent) for _ in range(arguments.passes)]
    for name, rate in rates.items():
        print(f"{name:<24}{rate:8.0f} frames/s {rate / rates['pure decoding']:6.2f} of decoding")
    counts = label(options)
    print(f"{bright} frames under a strong sun; cli label: {counts}")
    met = rates["cli label, max_rgb"] >= OF_DECODING * rates["pure decoding"]
    times = [each for each in others if each is not None]
    if not times:
        print(f"{'cleanvision light':<24}not installed")
    else:
        rate = len(files) / min(times)[0]
        ratio = rates["cli label, max_rgb"] / rate
        met &= ratio >= OF_CLEANVISION
        print(f"{'cleanvision light':<24}{rate:8.0f} frames/s; cli label is {ratio:.2f} times that")
        print(f"cleanvision calls {times[0][1]} frames too light")
    return 0 if met else 1


def decode(files: list[Path]) -> None:
    """Read and decode every file, and nothing else."""
    with ThreadPoolExecutor(CORES) as pool:
        for _ in pool.map(lambda path: read_image(path).size, files):
            pass


def label(options: LabelOptions) -> dict[str, int]:
    """Label everything afresh; frames per label."""
    for name in ("labels.csv", "statistics.csv"):
        (options.source / name).unlink(missing_ok=True)
    return label_captures(options).counts


def cleanvision(python: str, folder: Path) -> tuple[float, int] | None:
    """(seconds, frames called too light); None where it is not installed."""
    done = subprocess.run(
        [python, "-c", CLEANVISION, str(folder), str(CORES)], capture_output=True, text=True
    )
    for line in done.stdout.splitlines():
        if line.startswith("SECONDS"):
            _, seconds, _, light = line.split()
            return float(seconds), int(light)
    if "No module named 'cleanvision'" not in done.stderr:
        print(done.stderr, file=sys.stderr)
    return None


if __name__ == "__main__":
    sys.exit(main())
