"""Checkpoints on disk: what resuming needs, and the networks under CycleGAN's own names.

``runs/<name>/checkpoints/`` holds

- ``latest_state.pth``, everything that resuming needs, and ``previous_state.pth``, the one before;
- ``latest_net_G_A.pth`` (G), ``latest_net_G_B.pth`` (F), ``latest_net_D_A.pth`` (D_Y) and
  ``latest_net_D_B.pth`` (D_X): bare fp32 state dicts, as CycleGAN's public code has them; preset
  physical has G and F only;
- ``latest_ema_net_G_A.pth`` and ``latest_ema_net_G_B.pth``, the EMA of G and F, if one is kept;
- ``latest_networks.json``, after how many steps those were written;
- ``best_net_G_A.pth`` and ``best_net_G_B.pth``, or ``best_ema_...``: G and F of the best epoch, and
  ``best_networks.json``, which epoch that was, where frames are held out to tell;
- ``N_net_G_B.pth``, F of kept epochs.

Tensors and plain values only, never pickled objects. ``state_files`` makes files of them;
``weights`` reads networks of other programs, and those that were exported.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
import numpy as np
import torch
from torch import nn

from dataset import errors, files, gate, parts
from model import runs, state_files
from model.networks import Generator, GeneratorPair, build_generator
from model.options import NetworkOptions
from model.physical_networks import (
    LARGEST,
    ExposureSimulator,
    PhysicalRestorer,
    build_restorer,
)

MISFITS = (  # raised by values of other kinds or sizes
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError),
    ValueError,
)
STATE_FORMAT = 2  # version of the state files

Seconds = Annotated[float, msgspec.Meta(ge=0, le=2**53)]


class Trainable(Protocol):
    """What a checkpoint asks of the model."""

    @property
    def networks(self) -> GeneratorPair: ...

    def train_state(self) -> dict[str, Any]:
        """Networks, EMA, optimizers and pools: tensors and plain values."""

    def load_train_state(self, state: Mapping[str, Any]) -> None:
        """Restore all of that."""


@dataclass(frozen=True)
class Position:
    """Where a run continues."""

    epoch: gate.Count  # the next one, from 1
    step: gate.Count  # the next one in it, from 0
    done: gate.Count  # steps so far, of all epochs
    epochs: gate.Count  # planned in total; a run planned by minutes changes it
    seconds: Seconds  # trained so far, by all processes


def save_checkpoint(
    run: Path, model: Trainable, position: Position, keep: int = 2, with_networks: bool = True
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
        State files kept, from 1 to 10: this one and earlier ones.
    with_networks : bool
        Also write the networks' own files. They are written in any case if there are none.

    Raises
    ------
    UserError
        The disk is full or cannot be written; the earlier files are still there.
    """
    folder = _folder_of(run)
    state = {
        "format": STATE_FORMAT,
        "position": asdict(position),
        "model": model.train_state(),
        "random": random_state(),
    }
    state_files.write_state([folder / name for name in runs.STATE_FILES[:keep]], state)
    if with_networks or not (folder / f"latest_{runs.NETWORK_FILES['F']}").is_file():
        _save_networks(folder, model.networks, position.done)


def _folder_of(run: Path) -> Path:
    """The folder of a run's checkpoints, cleared of what killed processes were writing."""
    folder = run / "checkpoints"
    with files.writing_in(folder):
        folder.mkdir(parents=True, exist_ok=True)
        parts.remove_parts(folder)
    return folder


def _save_networks(folder: Path, nets: GeneratorPair, steps: int) -> None:
    for name in nets.names:
        _write_network(folder / f"latest_{runs.NETWORK_FILES[name]}", getattr(nets, name))
    for name, ema in (("G", nets.ema_or_G), ("F", nets.ema_or_F)):
        path = folder / f"latest_ema_{runs.NETWORK_FILES[name]}"
        if nets.ema:
            _write_network(path, ema)
        else:  # that of a run which was resumed without an EMA would be taken for the newest
            with files.writing_in(folder):
                files.remove_file(path)
    note = json.dumps({"steps": steps}) + "\n"
    files.write_whole(folder / runs.NOTE_FILE, note.encode())


def _write_network(path: Path, network: nn.Module) -> None:
    state_files.write_state([path], state_files.bare_state(network.state_dict()))


def keep_epoch(run: Path, model: Trainable, epoch: int) -> None:
    """Keep F, or its EMA, as it was after an epoch, for Figure 3."""
    path = _folder_of(run) / f"{epoch}_{runs.NETWORK_FILES['F']}"
    _write_network(path, model.networks.ema_or_F)


def keep_best(run: Path, model: Trainable, note: runs.BestNote) -> None:
    """Keep G and F, or their EMA, as those of the best epoch; errors as of `save_checkpoint`."""
    folder, nets = _folder_of(run), model.networks
    for name, network in (("G", nets.ema_or_G), ("F", nets.ema_or_F)):
        average, plain = (
            folder / f"{runs.BEST}_{kind}{runs.NETWORK_FILES[name]}" for kind in ("ema_", "")
        )
        _write_network(average if nets.ema else plain, network)
        with files.writing_in(folder):  # of an earlier start with other settings
            files.remove_file(plain if nets.ema else average)
    text = json.dumps(asdict(note)) + "\n"
    files.write_whole(folder / runs.BEST_FILE, text.encode())


def forget_best(run: Path) -> None:
    """Remove the best epoch of a run that is begun anew in the same folder."""
    folder = run / "checkpoints"
    with files.writing_in(folder):
        for path in (*folder.glob(f"{runs.BEST}_*net_G_?.pth"), folder / runs.BEST_FILE):
            files.remove_file(path)


def load_checkpoint(
    run: Path,
    model: Trainable,
    device: torch.device,
    on_message: Callable[[str], None] = lambda message: None,
) -> Position:
    """Restore networks, optimizers, pools and random state from a run's newest whole checkpoint.

    A damaged one is set aside as ``*.damaged``, so that it does not replace a whole one when the
    next is saved.

    Parameters
    ----------
    run : Path
        The run's folder.
    model : Trainable
        To be filled.
    device : torch.device
        Its device.
    on_message : callable
        Called with one line if an older checkpoint is used.

    Raises
    ------
    UserError
        There is no whole checkpoint, or it does not fit the settings.
    """
    path = _newest_state(run / "checkpoints", on_message)
    state = state_files.read_state(path, device)
    if state.get("format") != STATE_FORMAT:
        raise errors.UserError(
            f"{path} was not written by this version of `cli train` and cannot be resumed; "
            "its networks still restore pictures. Start a new run with another --run."
        )
    try:
        position = gate.to_typed(state["position"], Position)
        for name, values in state["model"]["networks"].items():
            state_files.check_finite_weights(
                path, {f"{name}.{key}": value for key, value in values.items()}
            )
        model.load_train_state(state["model"])
        check_gains(path, model.networks.G)
        set_random_state(state["random"])
    except MISFITS as error:
        why = state_files.first_line(error)
        raise errors.UserError(
            f"{path} does not fit these settings ({why}). Resume with the settings in the run's "
            "options.json, or start a new run with another --run."
        ) from error
    return position


def read_position(run: Path) -> Position | None:
    """Where a run continues, without reading its tensors; None where that cannot be read."""
    path = run / "checkpoints" / runs.STATE_FILE
    try:
        state_files.check_directory(path, state_files.STATE_LIMITS)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return (
            gate.to_typed(state["position"], Position) if state["format"] == STATE_FORMAT else None
        )
    except Exception:  # torch raises many kinds for a damaged or foreign file
        return None


def _newest_state(folder: Path, on_message: Callable[[str], None]) -> Path:
    """The newest state file that is whole; damaged ones before it are set aside."""
    there = [folder / name for name in runs.STATE_FILES if (folder / name).is_file()]
    newest = next((path for path in there if state_files.is_whole(path)), None)
    if newest is None:
        if there:
            raise errors.UserError(
                f"{there[0]} is damaged or not a checkpoint. Copy it again or train again."
            )
        raise errors.UserError(
            f"No checkpoint {folder / runs.STATE_FILE}. Train first (`cli train`), or name another "
            "run with --run."
        )
    if newest.name != runs.STATE_FILE and newest == there[0]:
        on_message(f"{folder / runs.STATE_FILE} is missing; going on from {newest.name} before it")
    for path in there[: there.index(newest)]:
        try:
            files.move_aside(path, folder, f"{path.stem}.damaged")
        except OSError as error:
            raise errors.UserError(f"Cannot set {path} aside: {error.strerror}.", 1) from error
        on_message(f"{path} is damaged and was set aside; going on from {newest.name} before it")
    return newest


def load_generator(
    run: Path, device: torch.device, epoch: int | str = "", network: str = "F"
) -> Generator | PhysicalRestorer | ExposureSimulator:
    """G or F of a run, in evaluation mode; its EMA if there is one.

    Parameters
    ----------
    run : Path
        The run's folder.
    device : torch.device
        Where to put it.
    epoch : int or str
        As of ``runs.generator_path``: the best if there is one, else the latest.
    network : str
        F restores, G adds over-exposure.

    Raises
    ------
    UserError
        The checkpoint is missing, damaged, not ours, or of another shape.
    """
    path = runs.generator_path(run, network, epoch)
    with torch.device("meta"):  # memory is allocated for what the file holds, not for its claims
        generator = build_either(runs.read_options(run).network, network)
    fill_network(generator, path)
    return generator.to(device).eval()


def build_either(
    options: NetworkOptions, network: str = "F"
) -> Generator | PhysicalRestorer | ExposureSimulator:
    """G or F of these options, of either kind."""
    if not options.physical:
        return build_generator(options)
    return build_restorer(options) if network == "F" else ExposureSimulator(options.linear)


def fill_network(network: nn.Module, path: Path) -> None:
    """Fill a network from a bare state dict, ours or CycleGAN's; ``UserError`` where it misfits.

    A network on the device ``meta`` gets the tensors as they were read.
    """
    state = state_files.read_network_state(path)
    try:
        own = network.state_dict().values()
        network.load_state_dict(state, assign=any(each.is_meta for each in own))
    except RuntimeError as error:
        why = state_files.first_line(error)
        raise errors.UserError(
            f"{path} holds a network of another shape than the run's options.json says ({why}). "
            "Put the files of one run together again, or retrain."
        ) from error
    check_gains(path, network)


def check_gains(path: Path, network: nn.Module) -> None:
    """``UserError`` where a G of preset physical has gains that it never draws; it names the file.

    A gain far beyond them is infinite, and the picture no number.
    """
    if not isinstance(network, ExposureSimulator):
        return
    gains = network.gains
    if not bool(((gains >= 0) & (gains <= LARGEST)).all()):
        shown = ", ".join(f"{each:g}" for each in gains.tolist())
        raise errors.UserError(
            f"{path} cannot be used: its logarithms of the gain are {shown}, and must be from 0 to "
            f"{LARGEST:g}. Take an earlier checkpoint, copy the file again, or train again."
        )


def random_state() -> dict[str, Any]:
    """State of the process's random generators: PyTorch's, each GPU's, Python's, NumPy's."""
    numpy = np.random.get_state(legacy=False)
    key, place = numpy["state"]["key"], numpy["state"]["pos"]
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": {**numpy, "state": {"key": key.tolist(), "pos": int(place)}},
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Restore a ``random_state``; of GPUs, only those that are there."""
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available():
        for number, each in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(each.cpu(), number)
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
