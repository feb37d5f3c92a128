"""A run's folder and its plan: opened or found again, its epochs planned and kept.

No network is built here and no step is taken.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
import torchvision

from dataset.errors import UserError
from model.cache import find_frames
from model.checkpoint import OPTIONS_FILE, has_checkpoint, newest_run
from model.options import NetworkOptions, TrainOptions
from model.speed import Measured, Speed, speed_of


def open_run(options: TrainOptions) -> Path:
    """The folder of the run: new, or the one to resume. ``UserError`` where that clashes."""
    run = options.runs / (options.run or time.strftime("%Y%m%d-%H%M%S"))
    if options.resume:
        run = newest_run(options.runs, options.run)
        if not has_checkpoint(run):
            raise UserError(f"{run} has no checkpoint to resume from. Train it without --resume.")
        return run
    if (run / OPTIONS_FILE).exists() and not restarted():
        raise UserError(
            f"The run {run} exists already. Go on with it by --resume, or choose another --run."
        )
    find_frames(options.data, "trainA")  # said at once where there is nothing to learn
    return run  # made with its first checkpoint: a start that fails leaves nothing behind


def restarted() -> bool:
    """Whether torchrun started this process again after one of the group had ended."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def resumed_options(runs: Path, run: str, changed: dict[str, Any]) -> TrainOptions:
    """The settings a run was started with, with what the user asks to be different.

    ``epochs`` is 0 unless asked for: the checkpoint knows how many are planned by now.

    Raises
    ------
    UserError
        No such run, or its settings cannot be read.
    """
    folder = newest_run(runs, run)
    try:
        written = json.loads((folder / OPTIONS_FILE).read_text(encoding="utf-8"))
        known = {field.name for field in fields(TrainOptions)}
        values = {key: value for key, value in written["options"].items() if key in known}
        values |= as_settings(speed_of(written["speed"]))  # what was measured then, not anew
        values["network"] = NetworkOptions(**values["network"])
        values |= {"data": Path(values["data"]), "keep_epochs": tuple(values["keep_epochs"])}
        values["init"] = None  # the checkpoint has what became of it
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / OPTIONS_FILE} cannot be read, so the run cannot be resumed."
        ) from error
    # The time is spent; what is left is the epochs that were planned.
    values |= {"runs": runs, "run": folder.name, "resume": True, "minutes": 0.0, "steps": 0}
    return TrainOptions(**(values | {"epochs": 0} | changed))


def as_settings(speed: Speed) -> dict[str, str]:
    """The settings that ask for this way and no other."""
    return {
        "precision": "bf16" if speed.bf16 else "fp32",
        "memory_format": "channels_last" if speed.channels_last else "contiguous",
        "compile": "on" if speed.compiled else "off",
        "graphs": "on" if speed.graphs else "off",
    }


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
