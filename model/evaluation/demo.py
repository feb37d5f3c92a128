"""What ``cli demo`` does: a game recorded, labelled, split, learned from, restored, and a page.

The recording is passed in: nothing here knows the game.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataset.errors import UserError
from dataset.labelling.labels import label_captures
from dataset.options import LabelOptions, SplitOptions
from dataset.splitting.split import split_captures
from dataset.terminal import INTERRUPTED, echo, progress
from model.evaluation.demo_folder import hold_demo
from model.evaluation.demo_page import Story, write_showcase
from model.options import PRESETS, TrainOptions
from model.training.train import train

RECORDED, LEFT = 0.25, 0.85  # of the time: for recording; of what is left, for training


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
        Records two frames of each viewpoint to a folder, in so many minutes, and reports progress
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
            result = write_showcase(
                out,
                out / "data",
                trained.run,
                Story(split.table1, frames, facts),
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
