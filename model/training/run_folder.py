"""A run's folder and its plan: opened or found again, its epochs planned and kept.

One process at a time trains in a folder. No network is built here and no step is taken.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
import torchvision

from dataset.errors import UserError
from dataset.layout.readers import find_frames
from dataset.locks import hold_folder, is_held
from dataset.parts import remove_parts
from model.checkpoint import OPTIONS_FILE, has_checkpoint, newest_run
from model.options import TrainOptions
from model.training.autotune import Measured, Speed

LOCK_FILE = ".lock"  # of a run's folder, held while it is trained


@contextmanager
def open_run(options: TrainOptions) -> Iterator[Path]:
    """The folder of the run for this process alone: new, or the one to resume.

    Where nothing else comes into a new one, it goes again.

    Raises
    ------
    UserError
        The run exists, cannot be resumed, or another process trains it; or there are no frames.
    """
    find_frames(options.data, "trainA")  # said at once where there is nothing to learn
    run = newest_run(options.runs, options.run) if options.resume else _new_run(options)
    busy = f"{run} is being trained by another process. Wait for it, or choose another --run."
    with hold_folder(run, LOCK_FILE, busy):
        _check_run(run, options)
        remove_parts(run)
        yield run


def _new_run(options: TrainOptions) -> Path:
    if options.run:
        return options.runs / options.run
    name = time.strftime("%Y%m%d-%H%M%S")
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    places = (options.runs / each for each in names)
    return next(each for each in places if not _is_taken(each))


def _is_taken(run: Path) -> bool:
    return is_held(run / LOCK_FILE) or os.path.lexists(run / OPTIONS_FILE)


def _check_run(run: Path, options: TrainOptions) -> None:
    if options.resume and not has_checkpoint(run):
        raise UserError(f"{run} has no checkpoint to resume from. Train it without --resume.")
    if not options.resume and (run / OPTIONS_FILE).exists() and not restarted():
        raise UserError(
            f"The run {run} exists already. Go on with it by --resume, or choose another --run."
        )


def restarted() -> bool:
    """Whether torchrun started this process again after one of the group had ended."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") not in ("", "0")


def plan_epochs(
    options: TrainOptions, steps_per_epoch: int, seconds_per_step: float
) -> TrainOptions:
    """Turn ``minutes`` into a number of epochs by the measured time of a step."""
    if options.minutes <= 0:
        return options
    epochs = options.minutes * 60 / (seconds_per_step * steps_per_epoch)
    return replace(options, epochs=max(1, int(epochs)))


def plan_rest(options: TrainOptions, epochs_done: int, seconds: float) -> TrainOptions:
    """Correct the number of epochs by how long those of this process took.

    A step that was measured alone is quicker than one in ten minutes of them, and a machine has
    other things to do as well.
    """
    if options.minutes <= 0:
        return options
    left = options.minutes * 60 - seconds
    more = int(left / (seconds / epochs_done))
    return replace(options, epochs=epochs_done + max(0, more))


def planned_steps(options: TrainOptions, steps_per_epoch: int, seconds_per_step: float) -> int:
    """Steps that a run with these settings takes."""
    planned = plan_epochs(options, steps_per_epoch, seconds_per_step).epochs * steps_per_epoch
    return min(planned, options.steps) if options.steps else planned


def kept_epochs(options: TrainOptions) -> set[int]:
    """The epochs of Figure 3: the paper's, or as many spread over a shorter run."""
    wanted = options.keep_epochs
    if options.epochs >= max(wanted, default=0):
        return set(wanted)
    last = max(wanted)
    return {max(1, round(epoch * options.epochs / last)) for epoch in wanted}


def describe_machine(
    device: torch.device,
    speed: Speed,
    measured: list[Measured],
    flops: float,
    ceilings: dict[str, float],
) -> dict[str, Any]:
    """Facts that a result should be read with; they stand in ``options.json``."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "device": f"{device} {name}".strip(),
        "threads": torch.get_num_threads(),
        "speed": asdict(speed),
        "measured_seconds_per_step": {
            str(each.speed): each.failure or round(each.seconds, 4) for each in measured
        },
        "tflop_per_step": round(flops / 1e12, 4),
        "matmul_tflop_per_s": {name: round(rate / 1e12, 3) for name, rate in ceilings.items()},
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "python": platform.python_version(),
    }
