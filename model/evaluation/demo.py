"""What ``cli demo`` does: a game recorded, labelled, split, learned from twice, restored, a page.

Two networks learn from the same frames in the same time: the CycleGAN, and preset physical. The
recording is passed in: nothing here knows the game. ``demo_page`` writes the page.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataset.errors import UserError
from dataset.labelling.labels import label_captures
from dataset.options import LabelOptions, SplitOptions
from dataset.splitting.split import split_captures
from dataset.terminal import INTERRUPTED, echo, progress
from model.evaluation.demo_folder import hold_demo
from model.evaluation.demo_page import DemoFacts, DemoResult, write_demo_page
from model.options import NEW_WEIGHTS, PRESETS, TrainOptions
from model.training.train import TrainSummary, train

RECORDED, LEFT = 0.25, 0.8  # of the time: for recording; of what is left, for training
LEAST_MINUTES = 0.1  # of a training
NETWORKS = {"cyclegan": ("demo", "cpu"), "physical": ("physical", "physical")}  # run, preset


def make_demo(
    out: Path, minutes: float, seed: int, record: Callable[[Path, float, Any], int]
) -> DemoResult:
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
    DemoResult
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
        now = time.monotonic()
        end = now + LEFT * (60 * minutes - (now - begin))
        trainings = [_train(out, *each) for each in share_time(out, seed, end)]
        facts = (
            f"{frames // 2} viewpoints of the embedded game (seed {seed}), each grabbed from its "
            "window under a weak and under a strong sun. Training draws X and Y frames "
            "independently, without knowing which belong together.",
            f"Labels by the clipping statistic: {labels}.",
            *(describe_training(*each) for each in trainings),
        )
        with progress("restoring", "pair") as update:
            result = write_demo_page(
                out,
                out / "data",
                {name: trained.run for name, _, trained in trainings},
                DemoFacts(split.table1, frames, facts),
                lambda: time.monotonic() - begin,
                update,
            )
        finished()
    return result


def share_time(out: Path, seed: int, end: float) -> Iterator[tuple[str, TrainOptions]]:
    """Name and settings of each training, each with its share of the time that is left then.

    Parameters
    ----------
    out : Path
        The demo's folder.
    seed : int
    end : float
        When all trainings should be over, by ``time.monotonic``.
    """
    for place, name in enumerate(NETWORKS):
        seconds = (end - time.monotonic()) / (len(NETWORKS) - place)
        yield name, demo_settings(name, out, max(seconds / 60, LEAST_MINUTES), seed)


def demo_settings(name: str, out: Path, minutes: float, seed: int) -> TrainOptions:
    """The settings of a training of so many minutes; both begin with new weights, as equals."""
    run, preset = NETWORKS[name]
    return replace(
        PRESETS[preset](),
        data=out / "data",
        runs=out / "runs",
        run=run,
        minutes=minutes,
        seed=seed,
        init=NEW_WEIGHTS,
    )


def describe_training(name: str, settings: TrainOptions, trained: TrainSummary) -> str:
    """A sentence for the page."""
    kind = "Preset physical" if name == "physical" else "CycleGAN (preset cpu)"
    return (
        f"{kind}: {trained.steps} training steps of {settings.batch_size} frames per domain, "
        f"{settings.size}x{settings.size} squares, in {trained.seconds / 60:.1f} minutes."
    )


def _train(out: Path, name: str, settings: TrainOptions) -> tuple[str, TrainOptions, TrainSummary]:
    """A training, with its losses beside its progress: its name, its settings, what came of it."""
    with progress(f"training {name}", "step") as update:
        trained = train(settings, lambda now: update(now.done, now.total, str(now)), echo)
    if trained.interrupted:
        raise UserError(
            f"Stopped. What was recorded and trained is in {out}; the next demo starts over.",
            INTERRUPTED,
        )
    return name, settings, trained
