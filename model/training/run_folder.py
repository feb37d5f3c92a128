"""A run's folder and its plan: begun or found again, with the frames it was begun with.

One process at a time trains in a folder. Its ``options.json`` has the settings, the number of
frames and one SHA-256 over all of them; ``frames.csv`` has the name and the SHA-256 of each file,
which are the same on another machine. So a run is resumed with its own settings and frames and no
others. No network is built here and no step is taken.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
import torchvision

from dataset import errors, files, gate, locks, parts, tables
from dataset.names import check_name
from model import runs
from model.built_in import BUILTIN
from model.checkpoint import Position, read_position
from model.options import NEW_WEIGHTS, TrainOptions
from model.training.autotune import StepConfig, StepTiming
from model.training.sources import find_pictures, place_of

RUN_LOCK = ".lock"  # of a run's folder, held while it is trained
FINGERPRINT_FILE = "frames.csv"
FINGERPRINT_COLUMNS = ("domain", "file", "sha256")

Sums = Mapping[str, Mapping[str, str]]  # domain -> name of a file -> its SHA-256


@contextmanager
def open_run(options: TrainOptions) -> Iterator[Path]:
    """The folder of the run for this process alone: a new one, or the one to resume.

    A new one that is still empty at the end is removed.

    Raises
    ------
    UserError
        The run exists, cannot be resumed, or another process trains it; or there are no frames.
    """
    if options.resume:
        run = runs.newest_run(options.runs, options.run)
        _check_place(run, options)
    find_pictures(options)  # refused before a folder is made
    run = run if options.resume else _new_run(options)
    busy = f"{run} is being trained by another process. Wait for it, or choose another --run."
    with locks.hold_folder(run, RUN_LOCK, busy):
        _check_run(run, options)
        clear_parts(run, alive=False)
        yield run


def clear_parts(run: Path, alive: bool = True) -> None:
    """Remove what killed processes were writing; ``alive`` as of ``parts.remove_parts``."""
    for folder in (run, run / runs.SAMPLES_FOLDER, run / "checkpoints"):
        if folder.is_dir() and not gate.is_link(folder):
            with files.writing_in(folder):
                parts.remove_parts(folder, alive=alive)


def _new_run(options: TrainOptions) -> Path:
    if options.run == BUILTIN:
        raise errors.UserError(
            f"--run {BUILTIN} means the network that comes with the package. Choose another name."
        )
    if options.run:
        check_name(options.run, "a run")
        return options.runs / options.run
    name = time.strftime("%Y%m%d-%H%M%S")
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    places = (options.runs / each for each in names)
    return next(each for each in places if not _is_taken(each))


def _is_taken(run: Path) -> bool:
    return locks.is_held(run / RUN_LOCK) or os.path.lexists(run / runs.OPTIONS_FILE)


def _check_run(run: Path, options: TrainOptions) -> None:
    if options.resume and not runs.has_checkpoint(run):
        raise errors.UserError(
            f"{run} has no checkpoint to resume from. Train it without --resume."
        )
    if not options.resume and (run / runs.OPTIONS_FILE).exists() and not is_restarted():
        raise errors.UserError(
            f"The run {run} exists already. Resume it with --resume, or choose another --run."
        )


def is_restarted() -> bool:
    """Whether torchrun restarted this process because one of the group had ended."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") not in ("", "0")


# -- settings and frames of a run to resume ------------------------------------------------------


@dataclass(frozen=True)
class Fingerprint:
    """The frames of both domains in short."""

    X: int  # frames
    Y: int
    sha256: str  # of ``frames.csv``


@dataclass(frozen=True)
class RunStart:
    """What ``options.json`` says, beside the settings, about the start of a run."""

    speed: StepConfig
    torch: str = ""
    frames: Fingerprint | None = None
    held_out_every: gate.Count = 1  # epochs from one look at the held-out frames to the next


def read_start(run: Path) -> RunStart:
    """How a run was begun; ``UserError`` where that cannot be read."""
    return runs.read_run_file(run, lambda values: gate.to_typed(values, RunStart))


def resumed_options(folder: Path, run: str, changed: dict[str, Any]) -> TrainOptions:
    """The settings of a run, with what the user asks to be different.

    ``epochs`` is 0 unless asked for: the checkpoint knows how many are planned by now.

    Raises
    ------
    UserError
        No such run, or its settings cannot be read; or pairs for one that learned without.
    """
    place = runs.newest_run(folder, run)
    written = runs.read_options(place)
    if changed.get("pairs") and written.pairs is None:
        raise errors.UserError(
            f"{place} was begun without pairs, and its networks are not supervised. Leave --pairs "
            "out, or begin a new run with another --run."
        )
    values: dict[str, Any] = as_settings(read_start(place).speed)  # measured once, at the start
    values["init"] = NEW_WEIGHTS  # the checkpoint has what became of them
    values |= _places_now(place, written)
    # The time is used up; what is left is the epochs that were planned.
    values |= {"runs": folder, "run": place.name, "resume": True, "minutes": 0.0, "steps": 0}
    return replace(written, **(values | {"epochs": 0} | changed))


def _places_now(run: Path, written: TrainOptions) -> dict[str, Any]:
    """Where data set and list of pairs are: as before seen from the run's folder, or as before."""
    found = {"data": written.data, "pairs": written.pairs}
    return {name: each and _place_now(run, written.runs, each) for name, each in found.items()}


def _place_now(run: Path, runs_then: Path, place: Path) -> Path:
    # First beside the run: a project may have been moved or copied with all it holds. Earlier
    # versions wrote paths as they were given, relative to a folder that is not known.
    try:
        beside = Path(os.path.normpath(run.parent / os.path.relpath(place, runs_then)))
    except ValueError:  # on another drive of Windows
        return place
    return beside if beside.exists() else place


def _check_place(run: Path, options: TrainOptions) -> None:
    """``UserError`` where the frames of a run are no longer there."""
    place = place_of(options)
    if not place.exists():
        kind, option = ("list of pairs", "pairs") if options.pairs else ("data set", "data")
        raise errors.UserError(
            f"The {kind} that {run} learns from, {place}, is not there any more. Name its new "
            f"place with --{option}; the frames must be the same."
        )


def finished(options: TrainOptions) -> Position | None:
    """Where a run stands that is to be resumed but has no step left; None if it has some."""
    run = runs.newest_run(options.runs, options.run)
    at = read_position(run)
    if at is None or runs.saved_steps(run, runs.LATEST) != at.done:  # killed before all was saved
        return None
    over = at.epoch > (options.epochs or at.epochs) or 0 < options.steps <= at.done
    return at if over else None


def as_settings(config: StepConfig) -> dict[str, Any]:
    """The settings that allow this configuration only."""
    return {
        "precision": "bf16" if config.bf16 else "fp32",
        "memory_format": "channels_last" if config.channels_last else "contiguous",
        "compile": "on" if config.compiled else "off",
        "graphs": "on" if config.graphs else "off",
    }


def check_start(run: Path, sums: Sums, data: Path, on_message: Callable[[str], None]) -> None:
    """Refuse to resume a run with other frames; say so if it was begun with another torch.

    Parameters
    ----------
    run : Path
        The run's folder.
    sums : mapping
        The frames that are there now.
    data : Path
        Their data set, or the list of their pairs.
    on_message : callable
        Called with a line about what differs or cannot be compared.

    Raises
    ------
    UserError
        The frames differ; it says how many.
    """
    start = read_start(run)
    if start.frames is None:
        on_message(
            f"{run} does not say which frames it learned from, so nothing tells whether {data} "
            "still holds the same"
        )
    elif start.frames != fingerprint_of(sums):
        raise errors.UserError(
            f"{data} holds other frames than {run} was begun with: {_difference(run, sums)}. Put "
            "the data set back as it was (name its folder with --data, a list of pairs with "
            "--pairs), or begin a new run with another --run.",
            1,
        )
    if start.torch and start.torch != torch.__version__:
        on_message(
            f"{run} was begun with torch {start.torch} and is resumed with {torch.__version__}: "
            "the results may differ slightly from an uninterrupted run"
        )


def note_move(run: Path, options: TrainOptions, on_message: Callable[[str], None]) -> None:
    """Say so where the frames of a run are in another place than before, and remember it."""
    before, now = runs.read_options(run), runs.places(options)
    if all(getattr(before, name) == place for name, place in now.items()):
        return
    old, new = place_of(before), now["pairs"] or now["data"]
    if old.root and old != new:  # on Windows a run of Linux names no drive
        on_message(f"{run} goes on with the frames of {new}: the same as before in {old}")
    runs.note_places(run, options)


def check_position(run: Path, at: Position, steps_per_epoch: int) -> None:
    """Refuse a checkpoint whose steps do not fit into epochs of this data set."""
    before = (at.epoch - 1) * steps_per_epoch
    if at.epoch < 1 or not 0 <= at.step <= steps_per_epoch or at.done != before + at.step:
        raise errors.UserError(
            f"{run} is at step {at.step} of epoch {at.epoch}, after {at.done} steps in total, "
            f"but these frames make epochs of {steps_per_epoch}: it was begun with others. Put "
            "them back, or begin a new run with another --run.",
            1,
        )


def fingerprint_of(sums: Sums) -> Fingerprint:
    """The frames of a run in short."""
    digest = hashlib.sha256(_table(sums)).hexdigest()
    return Fingerprint(len(sums["X"]), len(sums["Y"]), digest)


def write_frames(run: Path, sums: Sums) -> None:
    """Write ``frames.csv`` of a run; ``UserError`` where that is not possible."""
    files.write_whole(run / FINGERPRINT_FILE, _table(sums))


def _table(sums: Sums) -> bytes:
    rows = ((domain, *each) for domain in "XY" for each in sums[domain].items())
    return tables.table_text(FINGERPRINT_COLUMNS, rows).encode("utf-8", "surrogateescape")


def _difference(run: Path, sums: Sums) -> str:
    """How many frames differ, and how."""
    now = {(domain, name): each for domain in "XY" for name, each in sums[domain].items()}
    try:
        rows = tables.read_table(run / FINGERPRINT_FILE, FINGERPRINT_COLUMNS)
        before = {(domain, name): sha256 for _, (domain, name, sha256) in rows}
    except (OSError, ValueError):  # the list is only needed for this message
        return f"now {len(sums['X']):,} X and {len(sums['Y']):,} Y"
    changed = sum(before[each] != now[each] for each in before.keys() & now.keys())
    counts = {
        "added": len(now.keys() - before.keys()),
        "missing": len(before.keys() - now.keys()),
        "changed": changed,
    }
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


# -- epochs and steps ----------------------------------------------------------------------------


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

    A step measured alone is faster than one of many in a row, and the machine has other things to
    do as well.
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


def epochs_to_keep(options: TrainOptions) -> set[int]:
    """The epochs of Figure 3: the paper's, or the same number spread over a shorter run."""
    wanted = options.keep_epochs
    if options.epochs >= max(wanted, default=0):
        return set(wanted)
    last = max(wanted)
    return {max(1, round(epoch * options.epochs / last)) for epoch in wanted}


def describe_machine(
    device: torch.device, timings: list[StepTiming], flops: float, ceilings: dict[str, float]
) -> dict[str, Any]:
    """Facts to read a result with; they go into ``options.json``. The first timing was chosen."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "device": f"{device} {name}".strip(),
        "threads": torch.get_num_threads(),
        "speed": asdict(timings[0].config),
        "measured_seconds_per_step": {
            str(each.config): each.failure or round(each.seconds, 4) for each in timings
        },
        "tflop_per_step": round(flops / 1e12, 4),
        "matmul_tflop_per_s": {name: round(rate / 1e12, 3) for name, rate in ceilings.items()},
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "python": platform.python_version(),
    }
