"""What ``cli demo`` does: a game recorded, labelled, split, learned from, restored, and a page.

The recording is passed in: nothing here knows the game. The page is ``index.html``, the pictures it
shows and ``result.json``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.labelling.labels import label_captures
from dataset.layout.pairs import PAIRS_FILE, read_pairs
from dataset.layout.readers import evenly_spaced, find_frames
from dataset.options import LabelOptions, SplitOptions
from dataset.pictures.images import read_image, write_png
from dataset.splitting.sheets import contact_sheet
from dataset.splitting.split import split_captures
from dataset.terminal import INTERRUPTED, ProgressCallback, echo, progress
from model.checkpoint import load_generator
from model.evaluation.demo_folder import hold_demo
from model.evaluation.paired import Evaluation, evaluate_pairs
from model.figures.figures import ROW_PICTURES, RunFigures
from model.figures.page_folder import PAGE_FILE, render_page, table_rows
from model.options import PRESETS, TrainOptions
from model.restoring.network import restorer_of
from model.runs import read_run_facts
from model.training.train import train

RECORDED, LEFT = 0.25, 0.85  # of the time: for recording; of what is left, for training
SHEET = 24  # frames in a contact sheet


@dataclass(frozen=True)
class DemoFacts:
    """What the page says besides its pictures."""

    table1: str  # Markdown: frames per domain
    frames: int  # recorded
    facts: Sequence[str]  # one sentence each: machine, game, training


def make_demo(
    out: Path, minutes: float, seed: int, record: Callable[[Path, float, Any], int]
) -> dict[str, Any]:
    """Go the whole way in one folder; an earlier demo in it is replaced.

    Parameters
    ----------
    out : Path
        The folder.
    minutes : float
        How long it may take.
    seed : int
        Of the split and the training.
    record : callable
        Records two frames of each viewpoint to a folder, within these minutes, and reports progress
        to its third argument; returns the number of frames.

    Returns
    -------
    dict
        What is in ``result.json``.

    Raises
    ------
    UserError
        The folder holds something else, a step fails, or the training was interrupted.
    """
    begin = time.monotonic()
    with hold_demo(out) as finished:
        with progress("recording", "frame") as update:
            frames = record(out / "captures", RECORDED * minutes, update)
        with progress("labelling", "frame") as update:
            labels = label_captures(LabelOptions(source=out / "captures"), update)
        split = split_captures(
            SplitOptions(source=out / "captures", out=out / "data", fit=True, seed=seed)
        )
        echo(f"{frames} frames recorded; {labels}\n{split}")
        left = LEFT * (minutes - (time.monotonic() - begin) / 60)
        settings = replace(
            PRESETS["cpu"](),
            data=out / "data",
            runs=out / "runs",
            run="demo",
            minutes=max(left, 0.1),
            seed=seed,
        )
        trained = _train(settings, out)
        facts = (
            f"{frames // 2} viewpoints of the embedded game (seed {seed}), each grabbed from its "
            "window under a weak and under a strong sun. Training draws X and Y frames "
            "independently, without knowing which belong together.",
            f"Labels by the clipping statistic: {labels}.",
            f"{trained.steps} training steps of {settings.batch_size} frames per domain, "
            f"{settings.size}x{settings.size} squares, in {trained.seconds / 60:.1f} minutes.",
        )
        with progress("restoring", "pair") as update:
            result = write_demo_page(
                out,
                out / "data",
                trained.run,
                DemoFacts(split.table1, frames, facts),
                lambda: time.monotonic() - begin,
                update,
            )
        finished()
    return {key: value for key, value in result.items() if key != "methods"}


def _train(settings: TrainOptions, out: Path) -> Any:
    """The training, with its losses beside its progress."""
    with progress("training", "step") as update:
        trained = train(settings, lambda now: update(now.done, now.total, str(now)), echo)
    if trained.interrupted:
        raise UserError(
            f"Stopped. What was recorded and trained is in {out}; the next demo starts over.",
            INTERRUPTED,
        )
    return trained


def write_demo_page(
    out: Path,
    data: Path,
    run: Path,
    facts: DemoFacts,
    seconds: Callable[[], float],
    on_progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Restore the held-out pairs of a data set with a run's F, and write the page.

    Parameters
    ----------
    out : Path
        Folder for the page.
    data : Path
        A split with ``pairs.csv``.
    run : Path
        A trained run.
    facts : DemoFacts
    seconds : callable
        Time since the demo began; called when everything else is done.
    on_progress : callable
        Called with (done, total) pairs.

    Returns
    -------
    dict
        What is in ``result.json``.
    """
    out.mkdir(parents=True, exist_ok=True)
    cpu = torch.device("cpu")
    methods = {"network": restorer_of(load_generator(run, cpu))}
    found = evaluate_pairs(read_pairs(data / PAIRS_FILE), methods, on_progress=on_progress)
    ranked, figures = ranked_pairs(found), RunFigures(data, run, cpu)
    best, median, worst = ranked[-1], ranked[len(ranked) // 2], ranked[0]
    write_sheets(out, data)
    # Evenly spaced over the ranking, so that a figure does not flatter.
    for name, shown in (
        ("figure2.png", evenly_spaced(ranked, ROW_PICTURES)),
        ("best_median_worst.png", [best, median, worst]),
    ):
        write_png(out / name, figures.draw_figure2(shown))
    write_png(out / "figure3.png", figures.draw_figure3(median[0]))
    result = {"frames": facts.frames, **found.summary(), "seconds": round(seconds(), 1)}
    write_whole(out / "result.json", (json.dumps(result, indent=2) + "\n").encode())
    page = render_demo(facts, result, read_run_facts(run))
    write_whole(out / PAGE_FILE, page.encode())
    return result


def render_demo(facts: DemoFacts, result: dict[str, Any], machine: dict[str, Any]) -> str:
    """The page's HTML."""
    made_on = ", ".join(f"{key} {value}" for key, value in machine.items())
    return render_page(
        "demo", result=result, facts=[*facts.facts, made_on], table1=table_rows(facts.table1)
    )


def ranked_pairs(found: Evaluation) -> list[tuple[Path, Path]]:
    """(over-exposed, reference) by restored PSNR, worst first."""
    order = np.argsort(found.values(found.restored, "psnr"))
    pairs = (found.pairs[int(place)] for place in order)
    return [(pair.over_exposed, pair.reference) for pair in pairs]


def write_sheets(out: Path, data: Path) -> None:
    """Contact sheets of both training domains: frames evenly spaced over each."""
    for folder, name in (("trainA", "domain_X.png"), ("trainB", "domain_Y.png")):
        images = [read_image(path) for path in evenly_spaced(find_frames(data, folder), SHEET)]
        write_png(out / name, contact_sheet(images, columns=8, cell=(144, 144)))
