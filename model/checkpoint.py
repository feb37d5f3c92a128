"""Checkpoints on disk: what resuming needs, and the networks under CycleGAN's own names.

``runs/<name>/checkpoints/`` holds

- ``latest_state.pth``, everything that resuming needs, and ``previous_state.pth``, the one before;
- ``latest_net_G_A.pth`` (G), ``latest_net_G_B.pth`` (F), ``latest_net_D_A.pth`` (D_Y) and
  ``latest_net_D_B.pth`` (D_X): bare fp32 state dicts, as CycleGAN's public code has them;
- ``latest_ema_net_G_A.pth`` and ``latest_ema_net_G_B.pth``, the averages of G and F, if kept;
- ``latest_networks.json``, after how many steps those were written;
- ``N_net_G_B.pth``, F of kept epochs.

Tensors and plain values only, never pickled objects. How they become files is in ``states``; files
of other programs and files to give away are the affair of ``exchange``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
import torch
from torch import nn

from dataset import gate
from dataset.errors import UserError
from dataset.files import move_aside, remove_file, write_whole, writing_in
from dataset.parts import remove_parts
from model.cyclegan import build_generator
from model.facts import RunOptions, Settings
from model.networks import Generator
from model.options import NetworkOptions, TrainOptions
from model.state_files import (
    bare_state,
    check_finite,
    first_line,
    is_whole,
    random_state,
    read_network_state,
    read_state,
    set_random_state,
    write_state,
)

OPTIONS_FILE = "options.json"
STATE_FILE = "latest_state.pth"
MISFITS = (  # what comes of values of other kinds or sizes
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError),
    ValueError,
)
STATE_FILES = (STATE_FILE, "previous_state.pth", *(f"previous_{n}_state.pth" for n in range(2, 10)))
FORMAT = 2  # of the state files
NOTE_FILE = "latest_networks.json"
NETWORK_FILES = {  # CycleGAN: A = X, B = Y, G_A = G, G_B = F, D_A = D_Y, D_B = D_X
    "G": "net_G_A.pth",
    "F": "net_G_B.pth",
    "D_Y": "net_D_A.pth",
    "D_X": "net_D_B.pth",
}


Seconds = Annotated[float, msgspec.Meta(ge=0, le=2**53)]


class Trainable(Protocol):
    """What a checkpoint asks of the model."""

    @property
    def G(self) -> nn.Module: ...

    @property
    def F(self) -> nn.Module: ...

    @property
    def D_X(self) -> nn.Module: ...

    @property
    def D_Y(self) -> nn.Module: ...

    @property
    def adder(self) -> nn.Module:
        """The average of G, or G itself."""

    @property
    def restorer(self) -> nn.Module:
        """The average of F, or F itself."""

    def train_state(self) -> dict[str, Any]:
        """Networks, averages, optimizers and pools: tensors and plain values."""

    def load_train_state(self, state: dict[str, Any]) -> None:
        """Put all of that back."""


@dataclass(frozen=True)
class Position:
    """Where a run goes on."""

    epoch: gate.Count  # that comes next, from 1
    step: gate.Count  # in it that comes next, from 0
    done: gate.Count  # steps so far, of all epochs
    epochs: gate.Count  # planned in all; a run planned by minutes changes it
    seconds: Seconds  # trained so far, by all processes


def write_options(run: Path, options: TrainOptions, facts: dict[str, Any]) -> None:
    """Write ``options.json``: the settings verbatim, and facts about machine and data."""
    values = {"options": asdict(options), **facts}
    write_whole(run / OPTIONS_FILE, (json.dumps(values, indent=2, default=str) + "\n").encode())


def read_facts(run: Path) -> dict[str, Any]:
    """What ``write_options`` noted beside the settings: machine and versions."""
    path = run / OPTIONS_FILE
    try:
        values = gate.read_json(path, dict[str, Any])
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return {key: value for key, value in values.items() if key != "options"}


def read_network_options(run: Path) -> NetworkOptions:
    """What the networks of a run look like.

    Raises
    ------
    UserError
        ``options.json`` is missing or not ours.
    """
    return _read_settings(run).network.options()


def read_training_side(run: Path) -> int:
    """Shorter side of the frames of a run, pixels; 0 where they were taken as recorded."""
    return _read_settings(run).load_size


def _read_settings(run: Path) -> Settings:
    path = run / OPTIONS_FILE
    try:
        return gate.read_json(path, RunOptions).options
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    why = error.strerror if isinstance(error, OSError) else first_line(error)
    return UserError(
        f"{path} is missing or not written by `cli train`, so the shape of the networks is "
        f"unknown ({why}). Name a run of yours with --run."
    )


def save_checkpoint(
    run: Path, model: Trainable, position: Position, keep: int = 2, networks: bool = True
) -> None:
    """Write the state to resume from, and the networks.

    Parameters
    ----------
    run : Path
        The run's folder.
    model : Trainable
        What to save.
    position : Position
        Where to go on.
    keep : int
        State files kept, from 1 to 10: this one and those before it.
    networks : bool
        Also write the networks' own files. They are written in any case where there are none.

    Raises
    ------
    UserError
        The disk is full or cannot be written; what was there before is still there.
    """
    folder = _folder_of(run)
    state = {
        "format": FORMAT,
        "position": asdict(position),
        "model": model.train_state(),
        "random": random_state(),
    }
    write_state([folder / name for name in STATE_FILES[:keep]], state)
    if networks or not (folder / f"latest_{NETWORK_FILES['F']}").is_file():
        _save_networks(folder, model, position.done)


def _folder_of(run: Path) -> Path:
    """The folder of a run's checkpoints, without what killed processes were still writing."""
    folder = run / "checkpoints"
    with writing_in(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_parts(folder)
    return folder


def _save_networks(folder: Path, model: Trainable, steps: int) -> None:
    for name, file in NETWORK_FILES.items():
        write_state([folder / f"latest_{file}"], bare_state(getattr(model, name).state_dict()))
    for average, network, name in ((model.adder, model.G, "G"), (model.restorer, model.F, "F")):
        path = folder / f"latest_ema_{NETWORK_FILES[name]}"
        if average is not network:
            write_state([path], bare_state(average.state_dict()))
        else:  # one of a run that went on without averages would be taken for the newest
            with writing_in(folder):
                remove_file(path)
    write_whole(folder / NOTE_FILE, (json.dumps({"steps": steps}) + "\n").encode())


def keep_restorer(run: Path, model: Trainable, epoch: int) -> None:
    """Keep F (its average, if there is one) as it was after an epoch, for Figure 3."""
    path = _folder_of(run) / f"{epoch}_{NETWORK_FILES['F']}"
    write_state([path], bare_state(model.restorer.state_dict()))


def load_checkpoint(
    run: Path,
    model: Trainable,
    device: torch.device,
    on_message: Callable[[str], None] = lambda message: None,
) -> Position:
    """Put networks, optimizers, pools and random states of a run's newest whole checkpoint back.

    A damaged one is set aside as ``*.damaged``, so that it cannot take the place of a whole one
    when the next is saved.

    Parameters
    ----------
    run : Path
        The run's folder.
    model : Trainable
        What to fill.
    device : torch.device
        Where its tensors live.
    on_message : callable
        Called with one line where an older checkpoint had to do.

    Raises
    ------
    UserError
        There is no whole checkpoint, or it does not fit the settings.
    """
    path = _newest_state(run / "checkpoints", on_message)
    state = read_state(path, device)
    if state.get("format") != FORMAT:
        raise UserError(
            f"{path} was not written by this version of `cli train` and cannot be resumed; "
            "its networks still restore pictures. Start a new run with another --run."
        )
    try:
        position = gate.to_typed(state["position"], Position)
        for name, values in state["model"]["networks"].items():
            check_finite(path, {f"{name}.{key}": value for key, value in values.items()})
        model.load_train_state(state["model"])
        set_random_state(state["random"])
    except MISFITS as error:
        raise UserError(
            f"{path} does not fit these settings ({first_line(error)}). Resume with the settings "
            "in the run's options.json, or start a new run with another --run."
        ) from error
    return position


def has_checkpoint(run: Path) -> bool:
    """Whether there is anything to resume from, whole or not."""
    return any((run / "checkpoints" / name).is_file() for name in STATE_FILES)


def _newest_state(folder: Path, on_message: Callable[[str], None]) -> Path:
    """The newest state file that is whole; damaged ones before it are set aside."""
    there = [folder / name for name in STATE_FILES if (folder / name).is_file()]
    newest = next((path for path in there if is_whole(path)), None)
    if newest is None:
        if there:
            raise UserError(
                f"{there[0]} is damaged or not a checkpoint. Copy it again or train again."
            )
        raise UserError(
            f"No checkpoint {folder / STATE_FILE}. Train first (`cli train`), or name another run "
            "with --run."
        )
    if newest.name != STATE_FILE and newest == there[0]:
        on_message(f"{folder / STATE_FILE} is missing; going on from {newest.name} before it")
    for path in there[: there.index(newest)]:
        try:
            move_aside(path, folder, f"{path.stem}.damaged")
        except OSError as error:
            raise UserError(f"Cannot set {path} aside: {error.strerror}.", 1) from error
        on_message(f"{path} is damaged and was set aside; going on from {newest.name} before it")
    return newest


def load_generator(
    run: Path, device: torch.device, epoch: int | None = None, network: str = "F"
) -> Generator:
    """G or F of a run, in evaluation mode; its EMA if there is one.

    Parameters
    ----------
    run : Path
        The run's folder.
    device : torch.device
        Where to put it.
    epoch : int, optional
        A kept epoch; the newest checkpoint if left out.
    network : str
        F restores, G adds over-exposure.

    Raises
    ------
    UserError
        The checkpoint is missing, damaged, not ours, or of another shape.
    """
    with torch.device("meta"):  # memory is allocated for what the file holds, not for its claims
        generator = build_generator(read_network_options(run))
    fill_network(generator, generator_path(run, network, epoch))
    return generator.to(device).eval()


def generator_path(run: Path, name: str, epoch: int | None = None) -> Path:
    """The file of G or F (``name``): of a kept epoch, or the newest, averaged where it can be."""
    folder = run / "checkpoints"
    if epoch is not None:
        return folder / f"{epoch}_{NETWORK_FILES[name]}"
    average = folder / f"latest_ema_{NETWORK_FILES[name]}"
    return average if average.is_file() else folder / f"latest_{NETWORK_FILES[name]}"


def fill_network(network: nn.Module, path: Path) -> None:
    """Fill a network from a bare state dict, ours or CycleGAN's; ``UserError`` where it misfits.

    One on the device ``meta`` takes over the tensors as they were read.
    """
    state = read_network_state(path)
    try:
        network.load_state_dict(state, assign=any(each.is_meta for each in network.parameters()))
    except RuntimeError as error:
        raise UserError(
            f"{path} holds a network of another shape than the run's options.json says "
            f"({first_line(error)}). Put the files of one run together again, or retrain."
        ) from error


def newest_run(runs: Path, name: str = "") -> Path:
    """The folder of a run by name, or of the one whose checkpoint is newest.

    Raises
    ------
    UserError
        There is none.
    """
    if name:
        folder = runs / name
        if not folder.is_dir():
            raise UserError(f"No run {folder}. There are: {_names(runs)}.")
        return folder
    files = (*STATE_FILES, f"latest_{NETWORK_FILES['F']}")
    there = [path for file in files for path in runs.glob(f"*/checkpoints/{file}")]
    if not there:
        raise UserError(
            f"No trained run under {runs}. Train one with `cli train` (it needs a data set from "
            "`cli split`), or go to the folder where you trained."
        )
    return max(there, key=lambda path: path.stat().st_mtime).parent.parent


def _names(runs: Path) -> str:
    return ", ".join(sorted(path.name for path in runs.glob("*") if path.is_dir())) or "none"
