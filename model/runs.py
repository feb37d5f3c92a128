"""The folder of a run: the names of its files, its ``options.json``, and how a run is found.

Loads no torch. What checkpoints hold is up to ``checkpoint``; how a run is begun and resumed is up
to ``training.run_folder``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from dataset import errors, files, gate
from model.options import NetworkOptions, TrainOptions

_T = TypeVar("_T")

OPTIONS_FILE = "options.json"
SAMPLES_FOLDER = "samples"
STATE_FILE = "latest_state.pth"
STATE_FILES = (STATE_FILE, "previous_state.pth", *(f"previous_{n}_state.pth" for n in range(2, 10)))
NOTE_FILE = "latest_networks.json"
BEST_FILE = "best_networks.json"
BEST, LATEST = "best", "latest"  # instead of the number of an epoch
NETWORK_FILES = {  # CycleGAN: A = X, B = Y, G_A = G, G_B = F, D_A = D_Y, D_B = D_X
    "G": "net_G_A.pth",
    "F": "net_G_B.pth",
    "D_Y": "net_D_A.pth",
    "D_X": "net_D_B.pth",
}


def write_options(run: Path, options: TrainOptions, facts: dict[str, Any]) -> None:
    """Write ``options.json``: the settings, paths absolute, and facts about machine and data."""
    _write_values(run, {"options": asdict(options) | places(options), **facts})


def note_places(run: Path, options: TrainOptions) -> None:
    """Write into ``options.json`` where data set and runs are by now; the rest stays as it is."""
    values = read_run_file(run, lambda values: values)
    _write_values(run, values | {"options": values["options"] | places(options)})


def places(options: TrainOptions) -> dict[str, Path | None]:
    """The settings that are paths, which mean the same from every folder."""
    found = {name: getattr(options, name) for name in ("data", "runs", "pairs")}
    return {name: each and Path(os.path.abspath(each)) for name, each in found.items()}


def _write_values(run: Path, values: dict[str, Any]) -> None:
    text = json.dumps(values, indent=2, default=str) + "\n"
    files.write_whole(run / OPTIONS_FILE, text.encode())


def read_options(run: Path) -> TrainOptions:
    """The settings that a run was begun with; ``UserError`` where they cannot be read."""
    return read_run_file(run, _settings_of)


def read_run_facts(run: Path) -> dict[str, Any]:
    """What ``options.json`` says beside the settings: machine, versions, frames."""
    return read_run_file(run, lambda values: {k: v for k, v in values.items() if k != "options"})


def read_run_file(run: Path, read: Callable[[dict[str, Any]], _T]) -> _T:
    """``options.json`` of a run, by a function of its values.

    Raises
    ------
    UserError
        The file is missing or damaged, or the function finds a ``KeyError`` or ``ValueError``.
    """
    path = run / OPTIONS_FILE
    try:
        return read(gate.read_json(path, dict[str, Any]))
    except (OSError, KeyError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else gate.plain(error)
        raise errors.UserError(
            f"{path} cannot be read ({why}), so the settings of the run are unknown. Copy the file "
            "again, or name a run of `cli train` with --run."
        ) from error


def _settings_of(values: dict[str, Any]) -> TrainOptions:
    return gate.settings_from(values["options"], TrainOptions, exact=(NetworkOptions,))


Decibels = Annotated[float, msgspec.Meta(ge=-1000, le=1000)]


@dataclass(frozen=True)
class BestNote:
    """What ``best_networks.json`` says of the networks beside it."""

    epoch: gate.Count  # from 1
    steps: gate.Count  # of all epochs until then
    psnr: Decibels  # of held-out frames
    highest: Decibels  # of all epochs until then


def read_best(run: Path) -> BestNote | None:
    """The best epoch of a run; None where there is none, or it is not known."""
    path = run / "checkpoints" / BEST_FILE
    try:
        note = gate.read_json(path, BestNote)
    except (OSError, ValueError):
        return None
    return note if _generator_file(run, "F", BEST).is_file() else None


def saved_steps(run: Path, epoch: int | str = "") -> int | None:
    """Steps after which `generator_path` was written; None where the run does not say."""
    name = _which(run, epoch)
    if name != LATEST:
        best = read_best(run) if name == BEST else None
        return best.steps if best else None
    try:
        note = gate.read_json(run / "checkpoints" / NOTE_FILE, dict[str, gate.Count])
        return note["steps"]
    except (OSError, KeyError, ValueError):
        return None


def generator_path(run: Path, network: str, epoch: int | str = "") -> Path:
    """The file of G or F, the EMA if there is one.

    Parameters
    ----------
    run : Path
        The run's folder.
    network : str
        G or F.
    epoch : int or str
        ``best``, ``latest``, or a kept epoch; if left out, the best if there is one, else the
        latest.

    Raises
    ------
    UserError
        There is no best epoch, or that epoch was not kept. Whether the latest is there, reading it
        tells.
    """
    name = _which(run, epoch)
    if name not in (BEST, LATEST) and not (name.isascii() and name.isdecimal()):
        raise errors.UserError(
            f"--epoch {gate.plain(name)}: say {BEST}, {LATEST}, or the number of a kept epoch."
        )
    path = _generator_file(run, network, name)
    if name == LATEST or path.is_file():
        return path
    if name == BEST:
        raise errors.UserError(
            f"{run} has no best epoch: it holds no frames out to choose one by (--held-out of "
            "`cli train`), or has not measured any yet. Leave --epoch out to take the latest."
        )
    kept = ", ".join(map(str, saved_epochs(run))) or "none"
    raise errors.UserError(
        f"{path} does not exist: {network} of epoch {name} was not kept. F is kept of: {kept}. Say "
        f"--epoch {LATEST}, or one of those."
    )


def _which(run: Path, epoch: int | str) -> str:
    """The first part of the names of an epoch's files."""
    if epoch == "":
        return BEST if _generator_file(run, "F", BEST).is_file() else LATEST
    return str(epoch)


def _generator_file(run: Path, network: str, name: str) -> Path:
    folder, file = run / "checkpoints", NETWORK_FILES[network]
    ema = folder / f"{name}_ema_{file}"
    return ema if ema.is_file() else folder / f"{name}_{file}"


def saved_epochs(run: Path) -> list[int]:
    """The epochs whose F is on disk, in order."""
    found = (run / "checkpoints").glob(f"[0-9]*_{NETWORK_FILES['F']}")
    names = (path.name.split("_")[0] for path in found)
    return sorted(int(name) for name in names if name.isdecimal() and len(name) < 16)


def has_checkpoint(run: Path) -> bool:
    """Whether there is anything to resume from, damaged or not."""
    return any((run / "checkpoints" / name).is_file() for name in STATE_FILES)


def newest_run(runs: Path, name: str = "") -> Path:
    """The folder of a run by name, or of the one with the newest checkpoint.

    Raises
    ------
    UserError
        There is none.
    """
    if name:
        folder = runs / name
        if not folder.is_dir():
            raise errors.UserError(f"No run {folder}. There are: {_names(runs)}.")
        return folder
    there = trained_runs(runs)
    if not there:
        raise errors.UserError(
            f"No trained run under {runs}. Train one with `cli train` (it needs a data set from "
            "`cli split`), or go to the folder where you trained."
        )
    return there[-1]


def trained_runs(runs: Path) -> list[Path]:
    """The folders with a checkpoint, damaged or not; the one with the newest is last."""
    there = [
        path
        for file in (*STATE_FILES, f"latest_{NETWORK_FILES['F']}")
        for path in runs.glob(f"*/checkpoints/{file}")
    ]
    there.sort(key=lambda path: path.stat().st_mtime)
    return [path.parent.parent for path in there]


def _names(runs: Path) -> str:
    return ", ".join(sorted(path.name for path in runs.glob("*") if path.is_dir())) or "none"
