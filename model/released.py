"""A safetensors file of `cli export` -> the generator in it, and what the file says about it.

Its header is checked against an empty network before any of its tensors is read. Such files are
written by ``release``.

References
----------
Hugging Face, safetensors: a header in JSON, then the tensors' bytes; no code can hide in it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load

from dataset import gate
from dataset.errors import UserError
from model.cyclegan import build_generator
from model.exposure import Exposure, parse_exposure
from model.facts import MOST_FILE, USUAL_SIDE, parse_shape, parse_side
from model.networks import Generator
from model.options import NetworkOptions
from model.state_files import check_finite, first_line

MOST_HEADER = 1 << 20  # bytes; the largest network's has 40 kB
FLOATS = ("F16", "BF16", "F32", "F64")  # safetensors' names of the types of weights
METADATA = "__metadata__"

Sides = Annotated[list[gate.Count], msgspec.Meta(max_length=8)]


class Entry(msgspec.Struct):
    """A tensor as the header states it; where its bytes are, safetensors checks."""

    dtype: str
    shape: Sides


@dataclass(frozen=True)
class LoadedNetwork:
    """A generator and what is known about it."""

    generator: Generator  # in evaluation mode
    path: Path  # the file of its weights
    options: NetworkOptions
    side: int  # shorter side of its training frames, pixels; 0: any
    exposure: Exposure | None  # how over-exposed pictures look; None: not learned

    @property
    def averaged(self) -> bool:
        """Whether the weights are an EMA, as a run's files are named."""
        return self.path.name.startswith("latest_ema")


def load_release(path: Path, device: torch.device) -> LoadedNetwork:
    """The generator in a file that ``save_release`` wrote.

    Raises
    ------
    UserError
        The file is missing, damaged, or not written by us; or its weights are not finite.
    """
    metadata, entries = _read_header(path)
    options, side, exposure = _facts(path, metadata)
    with torch.device("meta"):
        network = build_generator(options)
    _check_entries(path, entries, network)
    try:
        state = load(gate.read_regular(path, MOST_FILE))
        check_finite(path, state)
        network.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise _damaged(path, error) from error
    return LoadedNetwork(network.to(device).eval(), path, options, side, exposure)


def _facts(path: Path, metadata: dict[str, str]) -> tuple[NetworkOptions, int, Exposure | None]:
    try:
        return (
            parse_shape(metadata["options"]),
            parse_side(metadata.get("side", str(USUAL_SIDE))),
            parse_exposure(metadata.get("exposure", ""), path),
        )
    except KeyError as error:
        raise _foreign(path, "it does not say how") from error
    except ValueError as error:
        raise _foreign(path, first_line(error)) from error


def _read_header(path: Path) -> tuple[dict[str, str], dict[str, Entry]]:
    """A file's metadata, and its tensors by name."""
    try:
        with gate.open_regular(path, MOST_FILE) as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MOST_HEADER:
                raise ValueError("its header is too large")
            header = gate.parse_json(file.read(length), dict[str, msgspec.Raw])
        metadata = gate.parse_json(bytes(header.pop(METADATA, b"{}")), dict[str, str])
        return metadata, {key: gate.parse_json(bytes(raw), Entry) for key, raw in header.items()}
    except FileNotFoundError as error:
        raise UserError(f"No such file: {path}. `cli export` writes one.") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, struct.error) as error:
        raise _damaged(path, error) from error


def _check_entries(path: Path, entries: dict[str, Entry], network: Generator) -> None:
    """Refuse a file whose tensors are not those of its network, by their names and sides."""
    wanted = {key: list(value.shape) for key, value in network.state_dict().items()}
    for key in wanted.keys() | entries.keys():
        if key not in entries or key not in wanted or entries[key].shape != wanted[key]:
            raise _foreign(path, f"{gate.plain(key[:80])} does not fit")
        if entries[key].dtype not in FLOATS:
            raise _foreign(path, f"{key} is {gate.plain(entries[key].dtype[:20])}")


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"Cannot read {path}: {error.strerror or first_line(error)}.")


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} is damaged or not a safetensors file ({first_line(error)}). Copy it again."
    )


def _foreign(path: Path, why: str) -> UserError:
    return UserError(
        f"{path} was not written by `cli export`: it does not say how its network is built, or "
        f"holds another ({why})."
    )
