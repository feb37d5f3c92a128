"""What a run was begun with, read again so that it goes on with the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
import torch

from dataset.errors import UserError
from dataset.gate import Count, read_json
from model.checkpoint import OPTIONS_FILE, Position, newest_run
from model.facts import MOST_SIDE, Shape, Side
from model.options import TrainOptions
from model.training.autotune import Speed
from model.training.fingerprint import Fingerprint

AtLeast1 = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
AS_WRITTEN = {Path: str, Path | None: str | None, int: Count}  # types of settings -> in the file
LIMITED = {  # settings whose values have limits of their own
    "network": Shape,
    "size": Annotated[int, msgspec.Meta(ge=1, le=MOST_SIDE)],
    "load_size": Side,
    "seed": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "gan": Literal["log", "least-squares"],
    "keep_epochs": tuple[Count, ...],
    **dict.fromkeys(
        ("epochs", "batch_size", "samples", "sample_every", "discriminator_every"), AtLeast1
    ),
}


def _written_options() -> type[msgspec.Struct]:
    """The settings of a training as they stand in ``options.json``."""
    kinds = get_type_hints(TrainOptions)
    entries = []
    for field in fields(TrainOptions):
        kind = LIMITED.get(field.name, AS_WRITTEN.get(kinds[field.name], kinds[field.name]))
        default = str(field.default) if isinstance(field.default, Path) else field.default
        default = Shape() if field.name == "network" else default
        assert default is not MISSING, field.name
        entries.append((field.name, kind, default))
    return msgspec.defstruct("WrittenOptions", entries)


class WrittenRun(msgspec.Struct):
    """What of ``options.json`` is read again."""

    options: _written_options()  # type: ignore[valid-type]
    speed: Speed
    torch: str = ""
    frames: Fingerprint | None = None


def read_run(run: Path) -> WrittenRun:
    """What a run was begun with; ``UserError`` where it cannot be read."""
    path = run / OPTIONS_FILE
    try:
        return read_json(path, WrittenRun)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path} cannot be read, so the run cannot be resumed: {why}.") from error


def resumed_options(runs: Path, run: str, changed: dict[str, Any]) -> TrainOptions:
    """The settings a run was started with, with what the user asks to be different.

    ``epochs`` is 0 unless asked for: the checkpoint knows how many are planned by now.

    Raises
    ------
    UserError
        No such run, or its settings cannot be read.
    """
    folder = newest_run(runs, run)
    written = read_run(folder)
    values = {field.name: getattr(written.options, field.name) for field in fields(TrainOptions)}
    values |= as_settings(written.speed)  # what was measured then, not anew
    values["network"] = values["network"].options()
    values["data"] = Path(values["data"])
    values["init"] = None  # the checkpoint has what became of it
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


def note_torch(run: Path, before: str, on_message: Callable[[str], None]) -> None:
    """Say where a run was begun with another torch, which may round otherwise."""
    if before and before != torch.__version__:
        on_message(
            f"{run} was begun with torch {before} and goes on with {torch.__version__}: what "
            "follows may differ a little from an uninterrupted run"
        )


def check_position(run: Path, at: Position, steps_per_epoch: int) -> None:
    """Refuse a checkpoint whose steps do not fit into epochs of this data set."""
    before = (at.epoch - 1) * steps_per_epoch
    if at.epoch < 1 or not 0 <= at.step <= steps_per_epoch or at.done != before + at.step:
        raise UserError(
            f"{run} stands at step {at.step} of epoch {at.epoch}, after {at.done} steps in all, "
            f"but these frames make epochs of {steps_per_epoch}: it was begun with others. Put "
            "them back, or begin a new run with another --run.",
            1,
        )
