"""A trained generator -> one file to give away: safetensors, or ONNX.

From a safetensors file the network can be built again, by ``exchange``; an ONNX file restores where
there is no torch. What resuming a run needs is the affair of ``checkpoint``.

References
----------
Hugging Face, safetensors: a header in JSON, then the tensors' bytes; no code can hide in it.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.parts import remove_parts
from model.networks import Generator
from model.restoring.onnx_export import write_onnx
from model.runs import saved_steps
from model.state_files import bare_state
from model.weights import load_run_network

EXPORT_SUFFIXES = (".safetensors", ".onnx")


@dataclass(frozen=True)
class Release:
    """What was written to give away."""

    path: Path
    network: str  # F restores, G adds over-exposure
    run: str
    averaged: bool  # the average of the weights, rather than those of the last step
    steps: int | None  # trained; None where the run does not say

    def __str__(self) -> str:
        what = f"the average of {self.network}" if self.averaged else self.network
        after = "" if self.steps is None else f" after {self.steps} steps"
        return f"{what} of run {self.run}{after} -> {self.path}"


def save_release(run: Path, out: Path | None = None, network: str = "F") -> Release:
    """Write a generator of a run as one file, in the format of its name.

    Parameters
    ----------
    run : Path
        The run's folder.
    out : Path, optional
        The file; ``<run>_F.safetensors`` in the working folder when left out.
    network : str
        F (restores) or G (adds over-exposure); its average where there is one.

    Raises
    ------
    UserError
        The file exists or is of neither format; the run has no such checkpoint; packages that
        write ONNX are missing.
    """
    out = out or Path(f"{run.name}_{network}.safetensors")
    if out.suffix not in EXPORT_SUFFIXES:
        raise UserError(
            f"{out}: a network is written as {' or '.join(EXPORT_SUFFIXES)}. Name it so."
        )
    if os.path.lexists(out):
        raise UserError(f"{out} exists. Remove it, or choose another -o.")
    loaded, steps = load_run_network(run, torch.device("cpu"), network), saved_steps(run)
    facts = {
        "written_by": f"unclip {version('unclip')}",
        "network": network,
        "run": run.name,
        "averaged": json.dumps(loaded.averaged),
        "steps": json.dumps(steps),
        "options": json.dumps(asdict(loaded.options)),
        "side": json.dumps(loaded.side),
    }
    if loaded.exposure is not None:
        facts["exposure"] = loaded.exposure.to_json()
    _write(out, loaded.generator, facts)
    return Release(out, network, run.name, loaded.averaged, steps)


def _write(out: Path, generator: Generator, facts: dict[str, str]) -> None:
    with suppress(OSError):  # of a process that was killed
        remove_parts(out.parent, f"{out.name}.")
    if out.suffix == ".onnx":
        write_onnx(out, generator, facts)
    else:
        write_whole(
            out, pack(bare_state(generator.state_dict()), {"format": "pt", **facts}), replaces=False
        )


def pack(state: Mapping[str, Tensor], facts: Mapping[str, str]) -> bytes:
    """A safetensors file of fp32 tensors on the CPU and of text; the same of both, the same bytes.

    The package safetensors writes the text in an order that changes from run to run.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(facts.items()))}
    blocks, end = [], 0
    for key in sorted(state):
        values = state[key].numpy().astype("<f4", copy=False).tobytes()
        blocks.append(values)
        begin, end = end, end + len(values)
        shape = list(state[key].shape)
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors are aligned
    return b"".join((struct.pack("<Q", len(text)), text, *blocks))
