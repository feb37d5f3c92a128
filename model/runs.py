"""The folder of a run: the names of its files, its ``options.json``, and how a run is found.

Loads no torch. What checkpoints hold is up to ``checkpoint``; how a run is begun and resumed is up
to ``training.run_folder``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from dataset import errors, files, gate
from model.options import NetworkOptions, TrainOptions

_T = TypeVar("_T")

OPTIONS_FILE = "options.json"
STATE_FILE = "latest_state.pth"
STATE_FILES = (STATE_FILE, "previous_state.pth", *(f"previous_{n}_state.pth" for n in range(2, 10)))
NOTE_FILE = "latest_networks.json"
NETWORK_FILES = {  # CycleGAN: A = X, B = Y, G_A = G, G_B = F, D_A = D_Y, D_B = D_X
    "G": "net_G_A.pth",
    "F": "net_G_B.pth",
    "D_Y": "net_D_A.pth",
    "D_X": "net_D_B.pth",
}


def write_options(run: Path, options: TrainOptions, facts: dict[str, Any]) -> None:
    """Write ``options.json``: the settings verbatim, and facts about machine and data."""
    values = {"options": asdict(options), **facts}
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


def saved_steps(run: Path) -> int | None:
    """Steps after which the networks' files were written; None where the run does not say."""
    try:
        note = gate.read_json(run / "checkpoints" / NOTE_FILE, dict[str, gate.Count])
        return note["steps"]
    except (OSError, KeyError, ValueError):
        return None


def generator_path(run: Path, network: str, epoch: int | None = None) -> Path:
    """The file of G or F: of a kept epoch, or the newest, the EMA if there is one."""
    folder = run / "checkpoints"
    if epoch is not None:
        return folder / f"{epoch}_{NETWORK_FILES[network]}"
    ema = folder / f"latest_ema_{NETWORK_FILES[network]}"
    return ema if ema.is_file() else folder / f"latest_{NETWORK_FILES[network]}"


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
    there = [
        path
        for file in (*STATE_FILES, f"latest_{NETWORK_FILES['F']}")
        for path in runs.glob(f"*/checkpoints/{file}")
    ]
    if not there:
        raise errors.UserError(
            f"No trained run under {runs}. Train one with `cli train` (it needs a data set from "
            "`cli split`), or go to the folder where you trained."
        )
    return max(there, key=lambda path: path.stat().st_mtime).parent.parent


def _names(runs: Path) -> str:
    return ", ".join(sorted(path.name for path in runs.glob("*") if path.is_dir())) or "none"
