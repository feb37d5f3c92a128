"""The commands that write: a folder for each to work in, the command, and how its result looks.

``COMMANDS`` has one entry for each way to write. What is checked of them is in ``checks.py``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.pictures.hashing import sha256
from dataset.pictures.images import read_image
from dataset.sessions.manifest import read_frames
from helpers import folders, parts, readers
from model.evaluation.demo_folder import MARKER

TRAIN = [
    *("cli", "train", "--run", "tiny", "--preset", "cpu", "--batch-size", "2", "--size", "32"),
    *("--load-size", "40", "--device", "cpu", "--precision", "fp32", "--compile", "off"),
    *("--memory-format", "contiguous", "--graphs", "off", "--filters", "4", "--blocks", "1"),
    *("--discriminator-filters", "4", "--epochs", "2"),
]
RESUME = ["cli", "train", "--run", "tiny", "--resume"]

PLAIN = (
    "cli",
    "tqdm",
    "cv2",
    "helpers.parts",
    "helpers.screens",
    "capture.control.daemon",
    "capture.recording.repair",
)
HEAVY = (
    "model.training.train",
    "model.evaluation.evaluate",
    "model.figures.figures",
    "model.restoring.export",
    "model.evaluation.demo",
    "onnx",
    "helpers.parts:prepare_for_training_and_figures",
)

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
    refused: bool = False  # readers may refuse the states in between, until it is done again
    prefix: bool = False  # a part of the new rows, in their order, is a state as well
    known: str = ""  # the word that `call` says for each part that counts from then on
    states: Callable[[Path, Path], list[Any]] | None = None  # after each of those parts
    mine: tuple[str, ...] = ()  # patterns of the user's own files, which nothing may change
    heavy: bool = False  # it needs torch
    quick: bool = True  # not for `make soak` alone


def _captures_seen(work: Path) -> Any:
    return readers.sessions(work / "captures")


def _frames_seen(work: Path) -> Any:
    """The frames of session ``s``; an interrupted one counts as refused."""
    session = work / "captures" / "s"
    if not session.exists() or not (session / "frames.jsonl").exists():
        return None
    return readers.pictures_of(session)


def _labels_seen(work: Path) -> Any:
    return readers.labels(work / "captures")


def _edited_seen(work: Path) -> Any:
    """Labels only: one that a person changed is kept, whoever the table says gave it."""
    return [row[:3] for row in readers.labels(work / "captures")]


def _data_seen(work: Path) -> Any:
    return readers.data_set(work / "data")


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
    found = sorted(path for path in (work / "demo").rglob("*") if path.is_file())
    if not json.loads((work / "demo" / MARKER).read_bytes())["complete"]:
        return readers.REFUSED
    return {
        path.relative_to(work).as_posix(): sha256(path.read_bytes())
        for path in found
        if not path.name.startswith(".")
    }


def _restored_seen(work: Path) -> Any:
    return {path.name: sha256(read_image(path).tobytes()) for path in work.glob("a_restored*.png")}


def _video_seen(work: Path) -> Any:
    return {path.name: sha256(path.read_bytes()) for path in work.glob("b_restored.mp4")}


def _run_seen(work: Path) -> Any:
    return readers.run_of(work / "runs" / "tiny")


def _review_states(template: Path, folder: Path) -> list[Any]:
    """The labels after each of those that `parts.review` gives."""
    from dataset.review.store import open_review

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
RESTORE_VIDEO = ["cli", "restore", "--method", "gamma", "in/b.mp4", "-o", "b_restored.mp4"]
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
        folders.shots,
        _captures_seen,
        mine=("shots/**/*", "captures/old/**/*"),
    ),
    Command(
        "import a video",
        ["cli", "import", "film.mp4", "--session", "new", "--fps", "10"],
        folders.film,
        _captures_seen,
        mine=("film.mp4", "captures/old/**/*"),
        quick=False,
    ),
    Command("repair", REPAIR, folders.cut_off, _whole_seen, each=True, refused=True),
    Command("repair a spool", REPAIR, folders.spooled, _frames_seen, refused=True),
    Command("label", LABEL, folders.captures, _labels_seen, prefix=True, mine=FRAMES),
    Command("label again", LABEL, folders.labelled, _labels_seen, mine=FRAMES),
    Command("label, edited by hand", LABEL, folders.edited, _edited_seen, mine=FRAMES),
    Command(
        "label --calibrate",
        ["cli", "label", "--calibrate"],
        folders.labelled,
        _labels_seen,
        mine=FRAMES,
    ),
    Command(
        "review",
        [f"{PARTS}review", "captures"],
        folders.labelled,
        _labels_seen,
        known="given",
        states=_review_states,
        mine=FRAMES,
    ),
    Command(
        "split",
        SPLIT,
        folders.sweep,
        _data_seen,
        refused=True,
        mine=FRAMES,
    ),
    Command(
        "split, symlinks",
        [*SPLIT, "--link", "symlink"],
        folders.sweep,
        _data_seen,
        refused=True,
        mine=FRAMES,
        quick=False,
    ),
    Command(
        "split, copies, over an earlier one",
        [*SPLIT, "--link", "copy"],
        folders.divided,
        _data_seen,
        refused=True,
        mine=FRAMES,
    ),
    Command(
        "restore",
        RESTORE,
        folders.pictures,
        _restored_seen,
        ([*RESTORE, "--overwrite"],),
        each=True,
        mine=INPUTS,
    ),
    Command(
        "restore --compare --overwrite",
        [*RESTORE, "--overwrite", "--compare"],
        folders.restored,
        _restored_seen,
        each=True,
        mine=INPUTS,
    ),
    Command(
        "restore a video",
        RESTORE_VIDEO,
        folders.pictures,
        _video_seen,
        ([*RESTORE_VIDEO, "--resume"],),
        each=True,
        mine=INPUTS,
    ),
    Command(
        "capture",
        [f"{PARTS}record", "png", "s", "4"],
        lambda work: folders.session(work / "captures" / "old"),
        _frames_seen,
        (REPAIR, [f"{PARTS}record", "png", "s", "4"]),
        refused=True,
        prefix=True,
        mine=("captures/old/**/*",),
    ),
    Command(
        "capture, h264",
        [f"{PARTS}record", "h264", "s", "4"],
        lambda work: folders.session(work / "captures" / "old"),
        _frames_seen,
        (REPAIR, [f"{PARTS}record", "h264", "s", "4"]),
        refused=True,
        prefix=True,
        mine=("captures/old/**/*",),
    ),
    Command(
        "train",
        [*TRAIN, "--steps", "2"],
        folders.data,
        _run_seen,
        ([*TRAIN, "--steps", "2"], [*RESUME, "--steps", "2"]),
        prefix=True,
        mine=("data/t*/*", "data/pairs.csv"),
        heavy=True,
    ),
    Command(
        "train --resume",
        [*RESUME, "--steps", "4"],
        folders.trained,
        _run_seen,
        prefix=True,
        mine=("data/t*/*", "data/pairs.csv"),
        heavy=True,
        quick=False,
    ),
    Command(
        "evaluate --out",
        EVALUATE,
        folders.data,
        lambda work: readers.files(work / "verdict") if (work / "verdict").exists() else {},
        each=True,
        mine=("data/*/*", "data/pairs.csv"),
        heavy=True,
    ),
    Command(
        "evaluate --out over an earlier one",
        EVALUATE,
        folders.evaluated,
        lambda work: readers.files(work / "verdict") if (work / "verdict").exists() else {},
        each=True,
        mine=("data/*/*", "data/pairs.csv"),
        heavy=True,
        quick=False,
    ),
    Command(
        "export, safetensors",
        [*EXPORT, "f.safetensors"],
        folders.trained,
        lambda work: {p.name: readers.files(p, ".") for p in work.glob("f.*")},
        each=True,
        mine=("runs/**/*", "data/**/*"),
        heavy=True,
    ),
    Command(
        "export, onnx",
        [*EXPORT, "f.onnx"],
        folders.trained,
        lambda work: {p.name: readers.files(p, ".") for p in work.glob("f.*")},
        each=True,
        mine=("runs/**/*", "data/**/*"),
        heavy=True,
        quick=False,
    ),
    Command(
        "figures",
        ["cli", "figures", "--device", "cpu"],
        folders.trained,
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
        "demo, over an earlier one",
        [f"{PARTS}begin_demo", "demo"],
        folders.demo,
        _demo_seen,
        refused=True,
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
