"""What the commands that write work on: folders with sessions, data sets, runs and pictures."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from capture.recording.spool import Spool
from capture.recording.workers import GrabbedFrame
from dataset.pictures.hashing import phash, sha256
from dataset.pictures.png import encode_png
from dataset.sessions.manifest import Frame, ManifestWriter, write_session
from helpers.made_sessions import frame, make_session, make_sweep
from helpers.made_videos import film as make_film
from helpers.painted import noise
from helpers.reviews import make_captures
from helpers.screens import bgrx_of
from helpers.tiny_runs import make_data


def shots(work: Path) -> None:
    (work / "shots" / "deeper").mkdir(parents=True)
    for number, name in enumerate(["a.png", "b.png", "deeper/c.png"]):
        (work / "shots" / name).write_bytes(encode_png(noise(number)))
    (work / "shots" / "d.bmp").write_bytes(cv2.imencode(".bmp", noise(5))[1].tobytes())
    session(work / "captures" / "old")


def session(folder: Path, count: int = 3) -> list[Frame]:
    """A whole session of noise."""
    (folder / "frames").mkdir(parents=True)
    frames = []
    with ManifestWriter(folder) as manifest:
        for index in range(count):
            image, file = noise(100 + index), f"frames/{index:06d}.png"
            data = encode_png(image)
            (folder / file).write_bytes(data)
            frames.append(
                Frame(index, file, 96, 64, 10**18 + index, index, sha256=sha256(data),
                      phash=phash(image), label="X")
            )  # fmt: skip
            manifest.append(frames[-1])
    write_session(folder, {"session": folder.name, "state": "ended"})
    return frames


def film(work: Path) -> None:
    make_film(made(work / "film.mp4"))
    session(work / "captures" / "old")


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def cut_off(work: Path) -> None:
    """A session as a power failure leaves it: a torn line, an orphan, a part, a damaged frame."""
    place = work / "captures" / "s"
    frames = session(place, 5)
    for index in (5, 6):
        (place / f"frames/{index:06d}.png").write_bytes(encode_png(noise(100 + index)))
    (place / "frames/.000007.png.99999999.part").write_bytes(encode_png(noise(107))[:400])
    (place / frames[1].file).write_bytes(encode_png(noise(200)))
    (place / frames[3].file).unlink()
    with open(place / "frames.jsonl", "ab") as manifest:
        manifest.write(b'{"index": 5, "file": "fra')
    write_session(place, {"session": "s", "state": "recording"})


def spooled(work: Path) -> None:
    """A session whose frames are a lossless video still."""
    place = work / "captures" / "s"
    (place / "frames").mkdir(parents=True)
    write_session(place, {"session": "s", "state": "recording"})
    spool = Spool(place, waiting=4)
    for index, size in enumerate([(96, 64), (96, 64), (97, 51), (96, 64)]):
        spool.put(
            GrabbedFrame(
                Frame(index, "", *size, index, index, label="X"), bgrx_of(noise(index, size))
            )
        )
    spool.close()
    assert spool.error is None


def captures(work: Path) -> None:
    make_session(
        made(work / "captures"),
        "day",
        [frame(at, at) for at in range(6)],
        [0, 0.05, 0.5, 0.2, 0, 1],
    )


def labelled(work: Path) -> None:
    make_captures(work / "captures")


def edited(work: Path) -> None:
    """A table in which somebody changed labels: of a statistic, of a review, of a key."""
    from dataset.labelling.labels import read_labels, write_labels
    from dataset.review.store import open_review

    labelled(work)
    with open_review(work / "captures") as store:
        store.set_labels([(1, "X")])
    rows = read_labels(work / "captures")
    changed = {0: "Y", 1: "drop", 3: "unsure"}
    rows = [replace(row, label=changed.get(at, row.label)) for at, row in enumerate(rows)]
    write_labels(work / "captures", rows)


def sweep(work: Path) -> None:
    from dataset.labelling.labels import label_captures
    from dataset.options import LabelOptions

    make_sweep(work / "captures", "sweep", 8, [0, 0.5])
    label_captures(LabelOptions(work / "captures"))


def divided(work: Path) -> None:
    """An earlier split of other frames."""
    from dataset.options import SplitOptions
    from dataset.splitting.split import split_captures

    sweep(work)
    split_captures(SplitOptions(work / "captures", work / "data", counts=(2, 2, 1, 1), seed=3))


def data(work: Path) -> None:
    make_data(work, count=4)


def trained(work: Path) -> None:
    from helpers.tiny_runs import tiny_options
    from model.training.train import train

    make_data(work, count=4)
    before = Path.cwd()
    os.chdir(work)
    try:
        train(tiny_options(Path(), steps=2))
    finally:
        os.chdir(before)


def pictures(work: Path) -> None:
    made(work / "in" / "x").parent.mkdir(exist_ok=True)
    bright = np.clip(noise(1).astype(int) + 120, 0, 255).astype(np.uint8)
    (work / "in" / "a.png").write_bytes(encode_png(bright))
    make_film(work / "in" / "b.mp4")


def restored(work: Path) -> None:
    pictures(work)
    (work / "a_restored.png").write_bytes(encode_png(noise(9)))
    (work / "a_restored_compared.png").write_bytes(encode_png(noise(8)))


def evaluated(work: Path) -> None:
    from model.evaluation.evaluate import evaluate_run
    from model.options import EvaluateOptions

    make_data(work, count=4)
    options = EvaluateOptions(
        data=work / "data", methods=("cielab",), oracles=False, frames=1, out=work / "verdict"
    )
    evaluate_run(options)


def demo(work: Path) -> None:
    """An earlier, complete demo."""
    from model.evaluation.demo_folder import hold_demo

    with hold_demo(work / "demo") as finish:
        for name in (
            *("captures/demo/frames/000000.png", "data/trainA/demo_000000.png"),
            *("runs/demo/options.json", "figure2.png", "index.html"),
        ):
            made(work / "demo" / name).write_text(f"{name} <html></html>\n")
        finish()
