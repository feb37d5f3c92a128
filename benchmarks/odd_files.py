"""`cli restore` on more than a hundred odd files, one by one and all at once, and on odd orders.

Every file of ``odd_pictures.py`` goes through the real command. Good ones must come out with
their pixels upright and their depth, alpha, greyness, profile, EXIF and resolution; results are
read by Pillow and OpenCV. Others must be refused by one message that names them. Then come
folders, full disks and all else that can be wrong with an order. Nothing may print a traceback or
a warning. Exit code 1 where anything is otherwise.

Unless ``--run`` names a network, one is made that changes nothing, so that pixels can be compared.
The disks need root on Linux; those cases are skipped, with words, elsewhere.

Example: python benchmarks/odd_files.py --only "16" --jobs 4
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
import torch
from odd_pictures import PROFILE, Numbers, Odd, all_files, png, scene, write
from PIL import Image

from model.networks import Generator
from model.state_files import bare_state

CLI = [sys.executable, str(Path(__file__).resolve().parents[1] / "cli.py")]
LEAKS = ("Traceback", "Warning", "WARN:", "ERROR:")  # the last two are OpenCV's
WIDTHS = (32, 34, 4)  # of the table's first columns
GREY = {1: "grey", 2: "grey, alpha", 3: "RGB", 4: "RGB, alpha"}


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    said: str

    @property
    def leaks(self) -> list[str]:
        return [f"it printed {word}" for word in LEAKS if word in self.said]

    @property
    def first_line(self) -> str:
        lines = [line for line in self.said.splitlines() if "Error" in line]
        first = (lines or self.said.splitlines() or ["(nothing)"])[0]
        return re.sub(r"\S*unclip-odd\S*?/(in|orders)/", "", first)


@dataclass(frozen=True)
class Command:
    """`cli restore` with the network of this benchmark."""

    network: str
    identity: bool

    def __call__(self, *arguments: str | Path, cwd: Path | None = None) -> Ran:
        words = [*CLI, "restore", "--run", self.network, "--device", "cpu", *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, cwd=cwd, timeout=600)
        return Ran(done.returncode, (done.stdout + done.stderr).decode(errors="replace"))


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    name: str
    what: str
    code: int
    outcome: str
    faults: list[str]

    def __str__(self) -> str:
        name, what, code = (
            text[:width].ljust(width)
            for text, width in zip((self.name, self.what, str(self.code)), WIDTHS, strict=True)
        )
        told = "".join(f"\n{'':{sum(WIDTHS) + 3}}!! {fault}" for fault in self.faults)
        return f"{name} {what} {code} {self.outcome}{told}"


def make_identity(folder: Path) -> Path:
    """A network that changes nothing: its correction is zero."""
    network = Generator(4, 1, residual=True)
    for value in network.parameters():
        torch.nn.init.zeros_(value)
    path = folder / "latest_net_G_B.pth"
    torch.save(bare_state(network.state_dict()), path)
    return path


def check_file(odd: Odd, path: Path, out: Path, command: Command) -> Row:
    """Restore one file alone."""
    ran = command(path, "-o", out)
    if odd.good:
        target = target_of(odd, out)
        outcome, faults = check_result(odd, target, command.identity)
        if ran.code:
            outcome, faults = ran.first_line, [*faults, "exit code 0 was expected"]
    else:
        outcome, faults = ran.first_line, check_refusal(ran, path, out)
    return Row(odd.name, odd.what, ran.code, outcome, faults + ran.leaks)


def target_of(odd: Odd, out: Path) -> Path:
    name = Path(odd.name)
    return out / f"{name.stem}_restored{odd.target or name.suffix}"


def check_refusal(ran: Ran, path: Path, out: Path) -> list[str]:
    left = [each.name for each in out.rglob("*") if each.is_file()] if out.exists() else []
    found = {
        "exit code 1 was expected": ran.code != 1,
        "the message does not name the file": path.name not in ran.said,
        f"something was written: {left}": bool(left),
    }
    return [fault for fault, is_so in found.items() if is_so]


def check_result(odd: Odd, target: Path, identity: bool) -> tuple[str, list[str]]:
    """What a result is, and what is wrong with it."""
    if not target.is_file():
        return "nothing", [f"no {target.name}"]
    data = target.read_bytes()
    picture, depth = read_independently(data)
    wanted: Any = odd.shown
    wanted = wanted[..., None] if wanted.ndim == 2 else wanted
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        about = image.info
        tags = dict(image.getexif())
    faults = {
        f"{depth} bits instead of {odd.depth}": depth != odd.depth,
        f"shape {picture.shape} instead of {wanted.shape}": picture.shape != wanted.shape,
        "the profile is gone": odd.icc and about.get("icc_profile") != PROFILE,
        "EXIF is gone": odd.exif and tags.get(271) != "Maker",
        f"orientation {tags.get(274)}": tags.get(274, 1) != 1,
        f"{about.get('dpi')} dpi": not is_near(about.get("dpi"), odd.dpi),
        "other pixels": identity and not looks_alike(picture, wanted, odd),
    }
    kept = [name for name, so in (("profile", odd.icc), ("EXIF", odd.exif), ("dpi", odd.dpi)) if so]
    height, width = picture.shape[:2]
    outcome = f"{GREY[picture.shape[2]]} {width}x{height}, {depth} bits"
    return ", ".join([outcome, *kept]), [fault for fault, is_so in faults.items() if is_so]


def read_independently(data: bytes) -> tuple[Numbers, int]:
    """The numbers of a result (H, W, C) and their depth, by OpenCV and Pillow."""
    found: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is not None and found.dtype == np.uint16:
        found = found if found.ndim == 3 else found[..., None]
        if data[:4] == b"\x89PNG" and data[25] == 4:  # OpenCV makes colours of grey and alpha
            return found[..., [0, 3]], 16
        order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[found.shape[2]]
        return found[..., order], 16
    with Image.open(io.BytesIO(data)) as image:
        numbers = np.asarray(image)
    return numbers.reshape(*numbers.shape[:2], -1), 8


def is_near(found: Any, wanted: tuple[int, int] | None) -> bool:
    return wanted is None or (found is not None and np.allclose(found, wanted, atol=0.5))


def looks_alike(picture: Numbers, wanted: Numbers, odd: Odd) -> bool:
    if picture.shape != wanted.shape:
        return False
    off = np.abs(picture.astype(int) - wanted)
    if not odd.exact:
        return bool(off.mean() < 3)  # JPEG again
    return int(off.max()) <= (1 if odd.depth == 16 else 0)  # float32 halves its last bit at most


def check_folder(odds: list[Odd], folder: Path, out: Path, command: Command) -> Row:
    """Restore all files in one go: the good ones come out, the others are named."""
    ran = command(folder, "-o", out)
    readable = [odd for odd in odds if not odd.name.startswith(".")]
    faults = list(ran.leaks)
    for odd in readable:
        there = target_of(odd, out).is_file()
        if there != odd.good:
            faults.append(f"{odd.name}: {'something' if there else 'nothing'} was written")
        elif not odd.good and odd.name not in ran.said:
            faults.append(f"{odd.name} is not named")
        elif odd.good:
            faults += check_result(odd, target_of(odd, out), command.identity)[1]
    refused = any(not odd.good for odd in readable)
    if ran.code != int(refused):
        faults.append(f"exit code {int(refused)} was expected")
    written = sum(each.is_file() for each in out.iterdir()) if out.exists() else 0
    return Row("(all of them)", f"{len(odds)} files", ran.code, f"{written} results", faults)


@dataclass(frozen=True)
class Order:
    """A command line that is odd, rather than a file."""

    what: str
    arguments: tuple[str | Path, ...]
    code: int
    words: str  # that must be printed
    written: int = 0  # files that are there afterwards and were not before


def orders(folder: Path) -> Iterator[Order]:
    """Command lines, with their files made just before."""

    def make(name: str, data: bytes = b"") -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data or png(scene(4)))
        return path

    a, b = make("a.png"), make("b.png", b"broken")
    yield Order("a path that does not exist", (a, folder / "none.png"), 2, "No such file")
    yield Order("a broken file among good ones", (b, a), 1, "b.png", 1)
    yield Order("the same again", (a,), 2, "--overwrite")
    yield Order("the same, --overwrite", (a, "--overwrite"), 0, "a_restored.png")
    yield Order("an input as output", (a, "-o", a, "--overwrite"), 2, "never replaced")
    make("x.png/inside.png")
    yield Order("a folder named x.png", (folder / "x.png",), 0, "inside_restored.png", 1)
    (folder / "empty").mkdir()
    yield Order("an empty folder", (folder / "empty",), 2, "nothing to restore")
    yield Order("a pattern in quotes", (folder / "x.png" / "i*e.png", "--overwrite"), 0, "inside")
    yield Order("a pattern of nothing", (folder / "z*.png",), 2, "matches no")
    (folder / "link.png").symlink_to(a)
    yield Order("a link", (folder / "link.png",), 0, "link_restored.png", 1)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    yield Order("a link to itself", (folder / "loop.png",), 2, "No such file")
    one, two = make("one/same.png"), make("two/same.png")
    yield Order("two of one name", (one, two, "-o", folder / "both"), 2, "same.png and ")
    yield Order("a file as folder", (a, "-o", one / "x"), 2, "is not a folder")
    yield Order("a result too long to name", (make("n" * 240 + ".png"),), 2, "too long")
    yield Order("alpha as JPEG", (a, "-o", folder / "a.jpg"), 0, "transparency left out", 1)
    deep = make("deep.png", png(scene(3, np.uint16)))
    yield Order("16 bits as WebP", (deep, "--ext", "webp"), 0, "rounded to 8 bits", 1)
    yield Order("a format that is not written", (a, "-o", folder / "a.gif"), 2, "a.gif")
    yield Order("a video that is none", (make("v.mp4", b"no video"),), 1, "v.mp4")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
        yield Order("a pipe", (folder / "pipe.png",), 2, "is not a file")
    if hasattr(os, "geteuid") and os.geteuid():
        locked = make("locked.png")
        locked.chmod(0)
        yield Order("a file that may not be read", (locked,), 1, "Permission denied")


def check_order(order: Order, folder: Path, command: Command) -> Row:
    before = {path for path in folder.rglob("*") if path.is_file()}
    ran = command(*order.arguments)
    after = {path for path in folder.rglob("*") if path.is_file()}
    faults = {
        f"exit code {order.code} was expected": ran.code != order.code,
        f"it does not say '{order.words}'": order.words not in ran.said,
        f"{len(after - before)} files were written": len(after - before) != order.written,
        "a file is gone": bool(before - after),
    }
    told = [fault for fault, is_so in faults.items() if is_so] + ran.leaks
    return Row("(order)", order.what, ran.code, ran.first_line, told)


@contextmanager
def disk(folder: Path, options: str) -> Iterator[Path | None]:
    """A small disk of its own; None where it cannot be had."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    root = sys.platform == "linux" and os.geteuid() == 0
    if not root or subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def check_disks(folder: Path, command: Command) -> Iterator[Row]:
    """A disk that is full, and one that takes nothing."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    picture = folder / "noise.png"
    picture.write_bytes(png(noise))
    cases = (("a full disk", "size=64k", 1, "No space left"), ("a disk that takes nothing", "ro", 2, "Cannot write"))  # fmt: skip  # noqa: E501
    for what, options, code, words in cases:
        with disk(folder / options.replace("=", " "), options) as place:
            if place is None:
                print(f"{'(order)':{WIDTHS[0]}} {what}: skipped, needs root on Linux")
                continue
            yield check_order(Order(what, (picture, "-o", place), code, words), place, command)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="cli restore on odd files")
    parser.add_argument("--run", help="a network; by default one that changes nothing")
    parser.add_argument("--only", default="", help="files whose name or description has this")
    parser.add_argument("--jobs", type=int, default=2, help="commands at once")
    return parser.parse_args()


def show(row: Row) -> bool:
    print(row, flush=True)
    return not row.faults


def check_all(folder: Path, command: Command, only: str, jobs: int) -> list[bool]:
    """Every file, all files, every order."""
    odds = [odd for odd in all_files() if only in odd.name or only in odd.what]
    paths = [write(folder / "in", odd) for odd in odds]
    work: Callable[[int], Row] = lambda at: check_file(  # noqa: E731
        odds[at], paths[at], folder / "out" / str(at), command
    )
    with ThreadPoolExecutor(jobs) as pool:
        fine = [show(row) for row in pool.map(work, range(len(odds)))]
    if odds:
        fine.append(show(check_folder(odds, folder / "in", folder / "all", command)))
    (folder / "orders").mkdir()
    for order in orders(folder / "orders"):
        if only in order.what:
            fine.append(show(check_order(order, folder / "orders", command)))
    if not only:
        fine += [show(row) for row in check_disks(folder, command)]
    return fine


def main() -> None:
    arguments = parse_arguments()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="unclip-odd-") as name:
        folder = Path(name)
        network = arguments.run or str(make_identity(folder))
        command = Command(network, not arguments.run)
        print(f"{platform.system()}, Python {platform.python_version()}, Pillow "
              f"{Image.__version__}, OpenCV {cv2.__version__}")  # fmt: skip
        fine = check_all(folder, command, arguments.only, arguments.jobs)
    print(f"{len(fine)} cases, {fine.count(False)} of them not as they should be")
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()
