"""States <-> files: written whole, read without pickle, checked, and told apart to the bit.

A state is tensors and plain values in dictionaries, lists and tuples. What they mean, and which
file of a run they belong to, is the affair of ``checkpoint``.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import random
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dataset import gate
from dataset.errors import UserError
from dataset.files import move_over, written_aside
from model.tensor_files import (
    NETWORK,
    STATE,
    Limits,
    check_directory,
    check_weights,
    load_tensors,
)

# Buffers that older CycleGAN checkpoints carry although instance norm does not use them.
UNUSED_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
WRAPPERS = ("module", "_orig_mod")  # what DataParallel and torch.compile put into names


def write_state(names: Sequence[Path], state: dict[str, Any]) -> None:
    """Write a state under the first name; what stood there moves on to the second, and so on.

    The file is on the disk before any name changes, and at every moment one of the names (but for
    the very first state) stands for a whole file, whenever the process is killed.

    Raises
    ------
    UserError
        The disk is full or cannot be written; what the names stood for is still there.
    """
    buffer = io.BytesIO()
    torch.save(on_cpu(state), buffer)
    try:
        with written_aside(names[0], sync=True) as file:
            file.write(buffer.getbuffer())
            if len(names) > 1:  # on the disk before the older ones give up their names
                file.flush()
                os.fsync(file.fileno())
            for newer, older in reversed(list(pairwise(names))):
                if newer.is_file():
                    move_over(newer, older)
    except OSError as error:
        raise UserError(f"Cannot write {names[0]}: {error.strerror}.", 1) from error


def read_state(path: Path, device: torch.device, limits: Limits = STATE) -> dict[str, Any]:
    """Read tensors and plain values only; ``UserError`` where the file is missing or not ours."""
    if not os.path.lexists(path):
        raise UserError(
            f"No checkpoint {path}. Train first (`cli train`), or name another run with --run."
        )
    try:
        state = load_tensors(path, limits, device)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or first_line(error)}.") from error
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        # What torch says of pickled objects is how to run them.
        objects = isinstance(error, pickle.UnpicklingError)
        why = "it holds more than tensors and plain values" if objects else first_line(error)
        raise UserError(
            f"{path} is damaged or not a checkpoint ({why}). Copy it again or train again."
        ) from error
    if not isinstance(state, dict):
        raise UserError(f"{path} is not a checkpoint: it holds a {type(state).__name__}.")
    return state


def is_whole(path: Path) -> bool:
    """Whether every tensor and value of a file of ours is as it was written, by its checksums.

    ``torch.load`` sees that a file ends too early, but looks at no checksum.
    """
    try:
        check_directory(path, STATE)
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except Exception:  # zipfile raises many kinds for a damaged or foreign file
        return False


def read_network_state(path: Path) -> dict[str, Tensor]:
    """The tensors of one network, as ``bare_state`` gives them.

    Raises
    ------
    UserError
        The file is missing, damaged, or not that of one network; or its weights are not finite.
    """
    state = read_state(path, torch.device("cpu"), NETWORK)
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path} is not the file of one network: it holds other things as well.")
    if not all(isinstance(key, str) and key for key in state):
        raise UserError(f"{path} is not the file of one network: not all that it holds has a name.")
    bare = {key: value for key, value in state.items() if _last(key) not in UNUSED_BUFFERS}
    check_finite(path, bare)
    return bare_state(bare)


def check_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    """``UserError`` where weights are no finite floating-point numbers: it names file and place."""
    try:
        for key, value in state.items():
            check_weights(key, value)
    except ValueError as error:
        raise UserError(
            f"{path} cannot be used: {gate.plain(error)}. Take an earlier checkpoint, copy the "
            "file again, or train again."
        ) from error


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def bare_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network's state dict as CycleGAN's public code has it: fp32, contiguous, on the CPU.

    Prefixes of wrappers (``module.``, ``_orig_mod.``) and buffers that instance norm never reads
    are left out.
    """
    bare = {}
    for key, value in state.items():
        parts = [part for part in key.split(".") if part not in WRAPPERS]
        if parts[-1] not in UNUSED_BUFFERS:
            bare[".".join(parts)] = value.detach().to("cpu", torch.float32).contiguous()
    return bare


def on_cpu(value: Any) -> Any:
    """Tensors in nested containers on the CPU, each in memory of its own size; the rest as it is.

    Raises
    ------
    TypeError
        Something else than a tensor or a plain value, which could be written but never read.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        # A part of a larger tensor would be written with all of it.
        shared = value.untyped_storage().nbytes() > value.nbytes
        return value.clone() if shared else value
    if isinstance(value, Mapping):
        return {key: on_cpu(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(on_cpu(each) for each in value)
    if type(value) in (type(None), bool, int, float, str):  # NumPy's float64 is a float, too
        return value
    raise TypeError(f"a {type(value).__name__} cannot be part of a checkpoint")


def fingerprint(state: nn.Module | Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors, and over plain values.

    Two states have the same one where they are equal to the bit, wherever their tensors live and
    in whatever order they stand.

    Parameters
    ----------
    state : Module or mapping
        A network, or a state with containers to any depth.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> one, other = {"a": torch.zeros(2), "b": 1}, {"b": 1, "a": torch.zeros(2)}
    >>> fingerprint(one) == fingerprint(other)
    True
    >>> fingerprint(one) == fingerprint({"a": -torch.zeros(2), "b": 1})
    False
    """
    values = state.state_dict() if isinstance(state, nn.Module) else state
    digest = hashlib.sha256()
    for name, value in sorted(_leaves(values, "")):
        digest.update(f"{name} = {value}\n".encode())
    return digest.hexdigest()


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Each tensor and plain value in nested containers: its place, and what it is."""
    if isinstance(value, Tensor):
        data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        shape = "x".join(map(str, value.shape))
        yield name, f"{value.dtype} {shape} {hashlib.sha256(data.tobytes()).hexdigest()}"
    elif isinstance(value, (Mapping, list, tuple)):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, each in items:
            yield from _leaves(each, f"{name}/{key}")
    else:
        yield name, repr(value)


def random_state() -> dict[str, Any]:
    """Where the process's random numbers stand: PyTorch's, those of each GPU, Python's, NumPy's."""
    numpy = np.random.get_state(legacy=False)
    key, place = numpy["state"]["key"], numpy["state"]["pos"]
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": {**numpy, "state": {"key": key.tolist(), "pos": int(place)}},
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put ``random_state`` back; of GPUs, as many as there are here."""
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available():
        for number, each in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(each.cpu(), number)
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])


def first_line(error: BaseException) -> str:
    """The first line of what an error says, 160 characters at most, as a terminal may show it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return gate.plain((lines[0] if lines else type(error).__name__)[:160])
