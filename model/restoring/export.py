"""A trained generator -> one file to share: safetensors, or ONNX.

`weights` builds the network again from a safetensors file; an ONNX file, read by `onnx`, restores
where there is no torch. The file holds the network, its weights, and what is needed to run it, and
nothing about this machine. Checkpoints, from which training resumes, are in `checkpoint`.

References
----------
Hugging Face, safetensors: a header in JSON, then the tensors' bytes; it cannot contain code.
ONNX, "Operators" (opset 18): InstanceNormalization, Pad in reflect mode, Resize.
"""

from __future__ import annotations

import copy
import io
import json
import os
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.own_program import how_to_install, version
from dataset.parts import remove_parts
from model.networks import STRIDE, Generator
from model.physical_networks import PhysicalRestorer
from model.restoring.onnx import (
    CONTENT,
    LEAST_INPUTS,
    ONNX_INPUT,
    ONNX_OUTPUT,
    PROPOSALS,
)
from model.runs import read_options, saved_steps
from model.small_size import CHANNELS, MOST_SMALL_SIDE, SMALL_SIDE, SMALL_STRIDE, THUMBNAIL
from model.state_files import bare_state
from model.weights import generator_options, load_run_network

OPSET = 18  # what torch's exporter writes without conversion
EXAMPLE = (32, 48)  # height and width of the exporter's trial run; the file does not fix them
EXPORT_SUFFIXES = (".safetensors", ".onnx")


@dataclass(frozen=True)
class Release:
    """A network file that was written."""

    path: Path
    network: str  # F restores, G adds over-exposure
    run: str
    averaged: bool  # the EMA of the weights instead of those of the last step
    steps: int | None  # of training; None if the run does not say

    def __str__(self) -> str:
        what = f"the EMA of {self.network}" if self.averaged else self.network
        after = "" if self.steps is None else f" after {self.steps} steps"
        return f"{what} of run {self.run}{after} -> {self.path}"


def save_release(
    run: Path, out: Path | None = None, network: str = "F", epoch: str = ""
) -> Release:
    """Write a generator of a run as one file, in the format of its suffix.

    Parameters
    ----------
    run : Path
        The run's folder.
    out : Path, optional
        The file; ``<run>_F.safetensors`` in the working folder if left out.
    network : str
        F (restores) or G (adds over-exposure); its EMA if there is one.
    epoch : str
        ``best``, ``latest``, or a kept one (of F); if empty, the best if there is one.

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
    loaded = load_run_network(run, torch.device("cpu"), network, epoch)
    steps = saved_steps(run, epoch)
    facts = {
        "written_by": f"unclip {version()}",
        "network": network,
        "run": run.name,
        "averaged": json.dumps(loaded.averaged),
        "steps": json.dumps(steps),
        "options": json.dumps(asdict(loaded.options)),
        "side": json.dumps(loaded.side),
    }
    if read_options(run).pairs is not None:
        facts["supervised"] = json.dumps(True)
    if loaded.exposure is not None:
        facts["exposure"] = loaded.exposure.to_json()
    _write(out, loaded.generator, facts)
    return Release(out, network, run.name, loaded.averaged, steps)


def _write(out: Path, generator: nn.Module, facts: dict[str, str]) -> None:
    with suppress(OSError):  # leftovers of a killed process
        remove_parts(out.parent, f"{out.name}.")
    if out.suffix == ".onnx":
        write_onnx(out, generator, facts)
    else:
        write_whole(
            out, pack(bare_state(generator.state_dict()), {"format": "pt", **facts}), replaces=False
        )


def pack(state: Mapping[str, Tensor], facts: Mapping[str, str]) -> bytes:
    """A safetensors file of fp32 CPU tensors and metadata; the same input gives the same bytes.

    The package safetensors writes the metadata in an order that changes from run to run.
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


def write_onnx(out: Path, network: nn.Module, facts: Mapping[str, str] | None = None) -> None:
    """Write a generator as an ONNX file: (1, 3, H, W) fp32 in [-1, 1] -> the same.

    H and W are multiples of 4. The F of preset physical is written as two chains: what its head
    proposes by a thumbnail, (1, 9, h / 2, w / 2) -> (1, 4, h / 16, w / 16), and what it draws on
    the small copy, (1, 9, h, w), by gains, (1, 3, h, w); h and w are multiples of 32. Restoring
    by ``small_copy`` runs one after the other. The file's ``metadata_props`` state what wrote it,
    how the network is built, and the stride, range and colour space of its pictures.

    Parameters
    ----------
    out : Path
        The file; its suffix is ``.onnx``.
    network : nn.Module
        On any device; it is not changed.
    facts : mapping, optional
        Further ``metadata_props``: run, network, steps; of preset physical also its options, which
        restoring needs.

    Raises
    ------
    UserError
        The file exists or has another suffix, or the packages that write ONNX are missing.
    """
    if out.suffix != ".onnx":
        raise UserError(f"{out}: ONNX files end in .onnx. Choose such a name.")
    if os.path.lexists(out):
        raise UserError(f"{out} exists. Remove it, or choose another -o.")
    need_packages("onnx", "onnxscript")
    model = to_onnx(network)
    for key, value in sorted({**network_facts(network), **(facts or {})}.items()):
        model.metadata_props.add(key=key, value=value)
    write_whole(out, model.SerializeToString(deterministic=True), replaces=False)


def to_onnx(network: nn.Module) -> Any:
    """The ``onnx.ModelProto`` of a generator, checked, without traces of the machine."""
    import onnx  # optional: pip install 'unclip[onnx]'

    plain = copy.deepcopy(network).cpu().float().eval()
    with quiet():
        program = (
            _export_chains(plain)
            if isinstance(plain, PhysicalRestorer)
            else _export_generator(plain)
        )
    assert program is not None
    model = program.model_proto
    for part in parts(model):
        part.doc_string = ""
        del part.metadata_props[:]  # stack traces with local paths
    onnx.checker.check_model(model, full_check=True)
    return model


def _export_generator(network: nn.Module) -> torch.onnx.ONNXProgram | None:
    rows, columns = (torch.export.Dim(name, min=4) for name in ("rows", "columns"))
    return torch.onnx.export(
        network,
        (torch.zeros(1, 3, *EXAMPLE),),
        dynamo=True,
        opset_version=OPSET,
        input_names=[ONNX_INPUT],
        output_names=[ONNX_OUTPUT],
        dynamic_shapes=({2: STRIDE * rows, 3: STRIDE * columns},),
        verbose=False,
    )


class BothChains(nn.Module):
    """F of preset physical: what its head proposes by a thumbnail, and what it draws by gains.

    What is believed of the proposals is reckoned between the two, by ``small_copy``.
    """

    def __init__(self, network: PhysicalRestorer) -> None:
        super().__init__()
        self.network = network

    def forward(self, thumbnail: Tensor, small: Tensor, gains: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.head(thumbnail), self.network.draw(small, gains)


def _export_chains(network: PhysicalRestorer) -> torch.onnx.ONNXProgram | None:
    least, most = SMALL_SIDE // SMALL_STRIDE, MOST_SMALL_SIDE // SMALL_STRIDE
    sides = SMALL_SIDE, SMALL_SIDE + SMALL_STRIDE
    small = torch.zeros(1, CHANNELS, *sides)
    thumbnail = torch.zeros(1, CHANNELS, *(each // THUMBNAIL for each in sides))

    def dims(step: int) -> dict[int, Any]:  # of a chain; those of the other are independent
        names = (f"{name}{step}" for name in ("rows", "columns"))
        rows, columns = (torch.export.Dim(name, min=least, max=most) for name in names)
        return {2: step * rows, 3: step * columns}

    large = dims(SMALL_STRIDE)
    return torch.onnx.export(
        BothChains(network),
        (thumbnail, small, torch.zeros(1, 3, *sides)),
        dynamo=True,
        opset_version=OPSET,
        input_names=[*LEAST_INPUTS],
        output_names=[PROPOSALS, CONTENT],
        dynamic_shapes=(dims(SMALL_STRIDE // THUMBNAIL), large, large),
        verbose=False,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporter: its progress, and warnings about its own deprecated code."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def parts(model: Any) -> Iterator[Any]:
    """The model, its graph, and everything in it that can have a doc string."""
    graph = model.graph
    yield from (model, graph)
    for items in (graph.node, graph.input, graph.output, graph.value_info, graph.initializer):
        yield from items


def need_packages(*names: str) -> None:
    """``UserError`` where one of the packages that write ONNX is missing."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise UserError(
            f"Writing ONNX files needs {' and '.join(missing)}. {how_to_install('onnx')}"
        )


def network_facts(network: nn.Module) -> dict[str, str]:
    """What it takes to build or run a generator, as text; the options where its weights tell."""
    found = {"written_by": f"unclip {version()}", "colour": "sRGB"}
    if isinstance(network, Generator):
        found["options"] = json.dumps(asdict(generator_options(network.state_dict())))
    if isinstance(network, PhysicalRestorer):
        found["gain_error"] = json.dumps(round(float(network.gain_error), 4))
        return {**found, "stride": json.dumps(SMALL_STRIDE), "range": json.dumps([0, 1])}
    return {**found, "stride": json.dumps(STRIDE), "range": json.dumps([-1, 1])}
