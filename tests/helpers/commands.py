"""The commands that write: a folder for each to work in, the command, and how its result looks.

``COMMANDS`` has one entry for each way to write. What is checked of them is in ``checks.py``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from made_sessions import frame, make_session, make_sweep
from made_videos import film
from painted import noise
from reviews import make_captures
from screens import bgrx_of
from tiny_runs import make_data

from capture.spool import Spool
from capture.workers import Job
from dataset.hashing import phash, sha256
from dataset.images import encode_png, read_image
from dataset.manifest import Frame, ManifestWriter, read_frames, write_session
from helpers import parts, readers

TRAIN = [
    *("cli", "train", "--run", "tiny", "--preset", "cpu", "--batch-size", "2", "--size", "32"),
    *("--load-size", "40", "--device", "cpu", "--precision", "fp32", "--compile", "off"),
    *("--memory-format", "contiguous", "--graphs", "off", "--filters", "4", "--blocks", "1"),
    *("--discriminator-filters", "4", "--epochs", "2"),
]
RESUME = ["cli", "train", "--run", "tiny", "--resume"]

PLAIN = ("cli", "tqdm", "cv2", "helpers.parts", "screens", "capture.daemon", "capture.repair")
HEAVY = ("model.train", "model.verdict", "model.figures", "model.release", "model.showcase", "onnx")

Made = Callable[[Path], object]


@dataclass(frozen=True)
class Command:
    """One command that writes, in a folder of its own."""

    name: str
    call: list[str]
    prepare: Made  # makes what it works on
    look: Callable[[Path], Any]  # what readers see of its result
    again: tuple[list[str], ...] = ()  # what is done after an accident; empty: the same again
    each: bool = False  # its files are old or new each by itself
    refused: bool = False  # readers may refuse what lies in between, until it is done again
    prefix: bool = False  # a part of the new rows, in their order, is a state as well
    known: str = ""  # the word that `call` says for each part that counts from then on
    states: Callable[[Path, Path], list[Any]] | None = None  # after each of those parts
    mine: tuple[str, ...] = ()  # patterns of the user's own files, which nothing may change
    heavy: bool = False  # it needs torch


def _shots(work: Path) -> None:
    (work / "shots" / "deeper").mkdir(parents=True)
    for number, name in enumerate(["a.png", "b.png", "deeper/c.png"]):
        (work / "shots" / name).write_bytes(encode_png(noise(number)))
    (work / "shots" / "d.bmp").write_bytes(cv2.imencode(".bmp", noise(5))[1].tobytes())
    _session(work / "captures" / "old")


def _session(session: Path, count: int = 3) -> list[Frame]:
    """A whole session of noise."""
    (session / "frames").mkdir(parents=True)
    frames = []
    with ManifestWriter(session) as manifest:
        for index in range(count):
            image, file = noise(100 + index), f"frames/{index:06d}.png"
            data = encode_png(image)
            (session / file).write_bytes(data)
            frames.append(
                Frame(index, file, 96, 64, 10**18 + index, index, sha256=sha256(data),
                      phash=phash(image), label="X")
            )  # fmt: skip
            manifest.append(frames[-1])
    write_session(session, {"session": session.name, "state": "ended"})
    return frames


def _film(work: Path) -> None:
    film(_made(work / "film.mp4"))
    _session(work / "captures" / "old")


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _cut_off(work: Path) -> None:
    """A session as a power failure leaves it: a torn line, an orphan, a part, a damaged frame."""
    session = work / "captures" / "s"
    frames = _session(session, 5)
    for index in (5, 6):
        (session / f"frames/{index:06d}.png").write_bytes(encode_png(noise(100 + index)))
    (session / "frames/.000007.png.99999999.part").write_bytes(encode_png(noise(107))[:400])
    (session / frames[1].file).write_bytes(encode_png(noise(200)))
    (session / frames[3].file).unlink()
    with open(session / "frames.jsonl", "ab") as manifest:
        manifest.write(b'{"index": 5, "file": "fra')
    write_session(session, {"session": "s", "state": "recording"})


def _spooled(work: Path) -> None:
    """A session whose frames are a lossless video still."""
    session = work / "captures" / "s"
    (session / "frames").mkdir(parents=True)
    write_session(session, {"session": "s", "state": "recording"})
    spool = Spool(session, waiting=4)
    for index, size in enumerate([(96, 64), (96, 64), (97, 51), (96, 64)]):
        spool.put(
            Job(Frame(index, "", *size, index, index, label="X"), bgrx_of(noise(index, size)))
        )
    spool.close()
    assert spool.error is None


def _captures(work: Path) -> None:
    make_session(
        _made(work / "captures"),
        "day",
        [frame(at, at) for at in range(6)],
        [0, 0.05, 0.5, 0.2, 0, 1],
    )


def _labelled(work: Path) -> None:
    make_captures(work / "captures")


def _sweep(work: Path) -> None:
    from dataset.labels import label_captures
    from dataset.options import LabelOptions

    make_sweep(work / "captures", "sweep", 8, [0, 0.5])
    label_captures(LabelOptions(work / "captures"))


def _divided(work: Path) -> None:
    """An earlier split of other frames."""
    from dataset.options import SplitOptions
    from dataset.split import split_captures

    _sweep(work)
    split_captures(SplitOptions(work / "captures", work / "data", counts=(2, 2, 1, 1), seed=3))


def _data(work: Path) -> None:
    make_data(work, count=4)


def _trained(work: Path) -> None:
    from tiny_runs import tiny_options

    from model.train import train

    make_data(work, count=4)
    before = Path.cwd()
    os.chdir(work)  # paths in options.json are as they were given
    try:
        train(tiny_options(Path(), steps=2))
    finally:
        os.chdir(before)


def _pictures(work: Path) -> None:
    _made(work / "in" / "x").parent.mkdir(exist_ok=True)
    bright = np.clip(noise(1).astype(int) + 120, 0, 255).astype(np.uint8)
    (work / "in" / "a.png").write_bytes(encode_png(bright))
    film(work / "in" / "b.mp4")


def _restored(work: Path) -> None:
    _pictures(work)
    (work / "a_restored.png").write_bytes(encode_png(noise(9)))
    (work / "a_restored_compared.png").write_bytes(encode_png(noise(8)))


def _evaluated(work: Path) -> None:
    from model.options import EvaluateOptions
    from model.verdict import evaluate_run

    make_data(work, count=4)
    options = EvaluateOptions(
        data=work / "data", methods=("cielab",), oracles=False, frames=1, out=work / "verdict"
    )
    evaluate_run(options)


def _demo(work: Path) -> None:
    from dataset import files

    for name in ("captures/demo/frames/0.png", "data/trainA/0.png", "runs/demo/options.json"):
        _made(work / "demo" / name).write_bytes(name.encode())
    (work / "demo" / "index.html").write_text("<html></html>\n")
    (work / "demo" / files.MARK).write_text("made by cli demo\n")


def _captures_seen(work: Path) -> Any:
    return readers.sessions(work / "captures")


def _frames_seen(work: Path) -> Any:
    """The frames of session ``s``; an interrupted one counts as refused."""
    session = work / "captures" / "s"
    if not session.exists() or not (session / "frames.jsonl").exists():
        return None
    return readers.pictures_of(session)


def _whole_seen(work: Path) -> Any:
    """File -> checksum of the frames that are whole; repair is there for the others."""
    session, found = work / "captures" / "s", {}
    for each in read_frames(session):
        with suppress(OSError):
            digest = sha256((session / each.file).read_bytes())
            if digest == each.sha256:
                found[each.file] = digest
    return found


def _demo_seen(work: Path) -> Any:
    names = sorted(p.relative_to(work).as_posix() for p in (work / "demo").rglob("*"))
    return {name: "" for name in names}


def _restored_seen(work: Path) -> Any:
    return {path.name: sha256(read_image(path).tobytes()) for path in work.glob("a_restored*.png")}


def _video_seen(work: Path) -> Any:
    return {path.name: readers.files(path, ".") for path in work.glob("*_restored.mp4")}


def _run_seen(work: Path) -> Any:
    return readers.run_of(work / "runs" / "tiny")


def _review_states(template: Path, folder: Path) -> list[Any]:
    """The labels after each of those that `parts.review` gives."""
    from dataset.review_store import open_review

    captures = fresh(template, folder) / "work" / "captures"
    found = [readers.labels(captures)]
    for frame_number, label in parts.GIVEN:
        with open_review(captures) as store:
            store.set_labels([(frame_number, label)])
        found.append(readers.labels(captures))
    return found


LABEL = ["cli", "label", "--y-fraction", "0.3"]
SPLIT = ["cli", "split", "--counts", "4,4,2,2"]
RESTORE = ["cli", "restore", "--method", "gamma", "in/a.png", "-o", "a_restored.png"]
EVALUATE = [
    *("cli", "evaluate", "--methods", "cielab", "--no-oracles", "--frames", "2"),
    *("--swept", "1", "--out", "verdict"),
]  # fmt: skip
EXPORT = ["cli", "export", "-o"]
PARTS = "helpers.parts:"
REPAIR = ["cli", "capture", "repair", "captures/s"]
INPUTS = ("in/*",)
FRAMES = ("captures/*/frames/*", "captures/*/frames.jsonl")

COMMANDS = [
    Command(
        "import pictures",
        ["cli", "import", "shots", "--session", "new", "--label", "Y"],
        _shots,
        _captures_seen,
        mine=("shots/**/*", "captures/old/**/*"),
    ),
    Command(
        "import a video",
        ["cli", "import", "film.mp4", "--session", "new", "--fps", "10"],
        _film,
        _captures_seen,
        mine=("film.mp4", "captures/old/**/*"),
    ),
    Command("repair", REPAIR, _cut_off, _whole_seen, each=True, refused=True),
    Command("repair a spool", REPAIR, _spooled, _frames_seen, refused=True),
    Command("label", LABEL, _captures, lambda work: readers.labels(work / "captures"), mine=FRAMES),
    Command(
        "label again", LABEL, _labelled, lambda work: readers.labels(work / "captures"), mine=FRAMES
    ),
    Command(
        "label --calibrate",
        ["cli", "label", "--calibrate"],
        _labelled,
        lambda work: readers.labels(work / "captures"),
        mine=FRAMES,
    ),
    Command(
        "review",
        [f"{PARTS}review", "captures"],
        _labelled,
        lambda work: readers.labels(work / "captures"),
        known="given",
        states=_review_states,
        mine=FRAMES,
    ),
    Command(
        "split",
        SPLIT,
        _sweep,
        lambda work: readers.data_set(work / "data"),
        refused=True,
        mine=FRAMES,
    ),
    Command(
        "split, symlinks",
        [*SPLIT, "--link", "symlink"],
        _sweep,
        lambda work: readers.data_set(work / "data"),
        refused=True,
        mine=FRAMES,
    ),
    Command(
        "split, copies, over an earlier one",
        [*SPLIT, "--link", "copy"],
        _divided,
        lambda work: readers.data_set(work / "data"),
        refused=True,
        mine=FRAMES,
    ),
    Command(
        "restore",
        RESTORE,
        _pictures,
        _restored_seen,
        ([*RESTORE, "--overwrite"],),
        each=True,
        mine=INPUTS,
    ),
    Command(
        "restore --compare --overwrite",
        [*RESTORE, "--overwrite", "--compare"],
        _restored,
        _restored_seen,
        each=True,
        mine=INPUTS,
    ),
    Command(
        "restore a video",
        ["cli", "restore", "--method", "gamma", "in/b.mp4", "-o", "b_restored.mp4"],
        _pictures,
        _video_seen,
        each=True,
        mine=INPUTS,
    ),
    Command(
        "capture",
        [f"{PARTS}record", "png", "s", "4"],
        lambda work: _session(work / "captures" / "old"),
        _frames_seen,
        (REPAIR, [f"{PARTS}record", "png", "s", "4"]),
        refused=True,
        prefix=True,
        mine=("captures/old/**/*",),
    ),
    Command(
        "capture, h264",
        [f"{PARTS}record", "h264", "s", "4"],
        lambda work: _session(work / "captures" / "old"),
        _frames_seen,
        (REPAIR, [f"{PARTS}record", "h264", "s", "4"]),
        refused=True,
        prefix=True,
        mine=("captures/old/**/*",),
    ),
    Command(
        "train",
        [*TRAIN, "--steps", "2"],
        _data,
        _run_seen,
        ([*TRAIN, "--steps", "2"], [*RESUME, "--steps", "2"]),
        prefix=True,
        mine=("data/t*/*", "data/pairs.csv"),
        heavy=True,
    ),
    Command(
        "train --resume",
        [*RESUME, "--steps", "4"],
        _trained,
        _run_seen,
        prefix=True,
        mine=("data/t*/*", "data/pairs.csv"),
        heavy=True,
    ),
    Command(
        "evaluate --out",
        EVALUATE,
        _data,
        lambda work: readers.files(work / "verdict") if (work / "verdict").exists() else {},
        each=True,
        mine=("data/*/*", "data/pairs.csv"),
        heavy=True,
    ),
    Command(
        "evaluate --out over an earlier one",
        EVALUATE,
        _evaluated,
        lambda work: readers.files(work / "verdict") if (work / "verdict").exists() else {},
        each=True,
        mine=("data/*/*", "data/pairs.csv"),
        heavy=True,
    ),
    Command(
        "export, safetensors",
        [*EXPORT, "f.safetensors"],
        _trained,
        lambda work: {p.name: readers.files(p, ".") for p in work.glob("f.*")},
        each=True,
        mine=("runs/**/*", "data/**/*"),
        heavy=True,
    ),
    Command(
        "export, onnx",
        [*EXPORT, "f.onnx"],
        _trained,
        lambda work: {p.name: readers.files(p, ".") for p in work.glob("f.*")},
        each=True,
        mine=("runs/**/*", "data/**/*"),
        heavy=True,
    ),
    Command(
        "figures",
        ["cli", "figures", "--device", "cpu"],
        _trained,
        lambda work: (
            readers.files(work / "runs" / "tiny" / "figures")
            if (work / "runs" / "tiny" / "figures").exists()
            else {}
        ),
        each=True,
        mine=("runs/tiny/*", "runs/tiny/checkpoints/*", "data/**/*"),
        heavy=True,
    ),
    Command(
        "demo, clearing", [f"{PARTS}clear_demo", "demo"], _demo, _demo_seen, each=True, heavy=True
    ),
]
BY_NAME = {each.name: each for each in COMMANDS}
__all__ = ["BY_NAME", "COMMANDS", "Command"]


def prepared(command: Command, folder: Path) -> Path:
    """A folder with what a command works on, and somebody's files beside it; made once."""
    root = folder / command.name.replace(" ", "_").replace(",", "")
    if not root.exists():
        for name in ("work", "tmp", "run", "mine"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "run").chmod(0o700)
        (root / "mine" / "thesis.txt").write_text("mine\n")
        command.prepare(root / "work")
    return root


def fresh(template: Path, root: Path) -> Path:
    """A copy of a prepared folder, in the place of the one before."""
    if root.exists():
        shutil.rmtree(root)
    shutil.copytree(template, root, symlinks=True)
    return root


def results_of(value: Any) -> str:
    """A state as text, for a report."""
    text = json.dumps(value, default=str)
    return text if len(text) < 300 else f"{text[:300]}..."
