"""Checkpoints on disk: state dicts and settings, never pickled objects.

``runs/<name>/checkpoints/`` holds ``latest_net_G_A.pth`` (G), ``latest_net_G_B.pth`` (F),
``latest_net_D_A.pth`` (D_Y) and ``latest_net_D_B.pth`` (D_X) under CycleGAN's own file names,
``latest_state.pth`` with everything that resuming needs, and ``N_net_G_B.pth`` of kept epochs.
Every file is written aside and renamed into place.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dataset.errors import UserError
from dataset.images import write_whole
from model.cyclegan import CycleGAN, build_generator
from model.networks import Generator
from model.options import NetworkOptions, TrainOptions

OPTIONS_FILE = "options.json"
STATE_FILE = "latest_state.pth"
NETWORK_FILES = {  # CycleGAN: A = X, B = Y, G_A = G, G_B = F, D_A = D_Y, D_B = D_X
    "G": "net_G_A.pth",
    "F": "net_G_B.pth",
    "D_Y": "net_D_A.pth",
    "D_X": "net_D_B.pth",
}
# Buffers that older CycleGAN checkpoints carry although instance norm does not use them.
UNUSED_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def write_options(run: Path, options: TrainOptions, facts: dict[str, Any]) -> None:
    """Write ``options.json``: the settings verbatim, and facts about machine and data."""
    values = {"options": asdict(options), **facts}
    write_whole(run / OPTIONS_FILE, (json.dumps(values, indent=2, default=str) + "\n").encode())


def read_facts(run: Path) -> dict[str, Any]:
    """What ``write_options`` noted beside the settings: machine and versions."""
    values = json.loads((run / OPTIONS_FILE).read_text(encoding="utf-8"))
    return {key: value for key, value in values.items() if key != "options"}


def read_network_options(run: Path) -> NetworkOptions:
    """What the networks of a run look like.

    Raises
    ------
    UserError
        ``options.json`` is missing or not ours.
    """
    path = run / OPTIONS_FILE
    try:
        return NetworkOptions(**json.loads(path.read_text(encoding="utf-8"))["options"]["network"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is missing or not written by `cli train`, so the shape of the networks is "
            "unknown. Name a run of yours with --run."
        ) from error


def save_checkpoint(run: Path, model: CycleGAN, epoch: int, step: int) -> None:
    """Write the four networks and the state to resume from.

    Parameters
    ----------
    run : Path
        The run's folder.
    model : CycleGAN
        What to save.
    epoch, step : int
        Where to go on: the epoch (from 1) and the step in it (from 0) that come next.
    """
    folder = run / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in NETWORK_FILES.items():
        _save(folder / f"latest_{file}", _on_cpu(getattr(model, name).state_dict()))
    state = {
        "epoch": epoch,
        "step": step,
        "networks": _on_cpu(model.state_dict()),
        "generator_optimizer": model.generator_optimizer.state_dict(),
        "discriminator_optimizer": model.discriminator_optimizer.state_dict(),
        "pool_X": model.pool_X.state_dict(),
        "pool_Y": model.pool_Y.state_dict(),
        "random": torch.get_rng_state(),
    }
    _save(folder / STATE_FILE, state)


def keep_restorer(run: Path, model: CycleGAN, epoch: int) -> None:
    """Keep F as it was after an epoch, for Figure 3."""
    path = run / "checkpoints" / f"{epoch}_{NETWORK_FILES['F']}"
    path.parent.mkdir(parents=True, exist_ok=True)
    _save(path, _on_cpu(model.F.state_dict()))


def load_checkpoint(run: Path, model: CycleGAN, device: torch.device) -> tuple[int, int]:
    """Put a run's networks, optimizers, pools and random state back.

    Returns
    -------
    (int, int)
        The epoch (from 1) and the step in it (from 0) that come next.

    Raises
    ------
    UserError
        There is no such checkpoint, or it does not fit the settings.
    """
    path = run / "checkpoints" / STATE_FILE
    state = read_state(path, device)
    try:
        model.load_state_dict(state["networks"])
        model.generator_optimizer.load_state_dict(state["generator_optimizer"])
        model.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        model.pool_X.load_state_dict(state["pool_X"])
        model.pool_Y.load_state_dict(state["pool_Y"])
        torch.set_rng_state(state["random"].cpu())
        return int(state["epoch"]), int(state["step"])
    except (KeyError, RuntimeError, ValueError, AssertionError) as error:
        raise UserError(
            f"{path} does not fit these settings ({_first_line(error)}). Resume with the settings "
            "in the run's options.json, or start a new run with another --run."
        ) from error


def load_restorer(run: Path, device: torch.device, epoch: int | None = None) -> Generator:
    """F of a run, ready to restore.

    Parameters
    ----------
    run : Path
        The run's folder.
    device : torch.device
        Where to put it.
    epoch : int, optional
        A kept epoch; the newest checkpoint when left out.

    Raises
    ------
    UserError
        The checkpoint is missing, damaged, not ours, or of another shape.
    """
    network = build_generator(read_network_options(run))
    prefix = "latest" if epoch is None else str(epoch)
    path = run / "checkpoints" / f"{prefix}_{NETWORK_FILES['F']}"
    load_network(network, path, device)
    return network.to(device).eval()


def load_network(network: nn.Module, path: Path, device: torch.device) -> None:
    """Fill a network from a bare state dict, ours or CycleGAN's; ``UserError`` where it misfits."""
    state = read_state(path, device)
    wanted = {
        key: value for key, value in state.items() if key.rpartition(".")[2] not in UNUSED_BUFFERS
    }
    try:
        network.load_state_dict(wanted)
    except (RuntimeError, AttributeError) as error:
        raise UserError(
            f"{path} holds a network of another shape than the run's options.json says "
            f"({_first_line(error)}). Put the files of one run together again, or retrain."
        ) from error


def read_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Read tensors and plain values only; ``UserError`` where the file is missing or not ours."""
    if not path.is_file():
        raise UserError(
            f"No checkpoint {path}. Train first (`cli train`), or name another run with --run."
        )
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise UserError(
            f"{path} is damaged or not a checkpoint ({_first_line(error)}). "
            "Copy it again or train again."
        ) from error
    if not isinstance(state, dict):
        raise UserError(f"{path} is not a checkpoint: it holds a {type(state).__name__}.")
    return state


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
    states = sorted(
        runs.glob(f"*/checkpoints/latest_{NETWORK_FILES['F']}"), key=lambda p: p.stat().st_mtime
    )
    if not states:
        raise UserError(
            f"No trained run under {runs}. Train one with `cli train` (it needs a data set from "
            "`cli split`), or go to the folder where you trained."
        )
    return states[-1].parent.parent


def _names(runs: Path) -> str:
    return ", ".join(sorted(path.name for path in runs.glob("*") if path.is_dir())) or "none"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:160]


def _on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu() for key, value in state.items()}


def _save(path: Path, state: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(path, buffer.getvalue())
