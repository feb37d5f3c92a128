"""A generator -> one ONNX file, which restores where there is no torch.

The file holds the network, its weights, and what has to be known to run it; `onnx_run` reads it.
Height and width are free, the batch is one picture. Nothing of this machine is written into it.
Safetensors files, from which a network can be built again, are the affair of ``exchange``.

References
----------
ONNX, "Operators" (opset 18): InstanceNormalization, Pad in reflect mode, Resize.
"""

from __future__ import annotations

import copy
import io
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dataset.errors import UserError
from dataset.files import write_whole
from model.networks import STRIDE, Generator
from model.restoring.onnx import ONNX_INPUT, ONNX_OUTPUT, need_packages
from model.weights import generator_options

OPSET = 18  # what torch's exporter writes by itself, without conversion
EXAMPLE = (32, 48)  # height and width that the exporter runs; none of them stays in the file


def write_onnx(out: Path, network: Generator, facts: Mapping[str, str] | None = None) -> None:
    """Write a generator as an ONNX file: (1, 3, H, W) fp32 in [-1, 1] -> the same.

    H and W are multiples of 4. The file's ``metadata_props`` say by whom it was written, how the
    network is built, and stride, range and colour of its pictures.

    Parameters
    ----------
    out : Path
        The file, called ``.onnx``.
    network : Generator
        On whatever device; it is left as it is.
    facts : mapping, optional
        More to say in ``metadata_props``: run, network, steps.

    Raises
    ------
    UserError
        The file exists or is not called ``.onnx``, or the packages that write it are missing.
    """
    if out.suffix != ".onnx":
        raise UserError(f"{out}: this network is written as ONNX. Name it .onnx.")
    if os.path.lexists(out):
        raise UserError(f"{out} exists. Remove it, or choose another -o.")
    need_packages("onnx", "onnxscript")
    model = to_onnx(network)
    for key, value in sorted({**network_facts(network), **(facts or {})}.items()):
        model.metadata_props.add(key=key, value=value)
    write_whole(out, model.SerializeToString(deterministic=True), replaces=False)


def to_onnx(network: Generator) -> Any:
    """The ``onnx.ModelProto`` of a generator, checked, without a word on where it was made."""
    import onnx  # optional: pip install 'unclip[onnx]'

    plain = copy.deepcopy(network).cpu().float().eval()
    rows, columns = (torch.export.Dim(name, min=4) for name in ("rows", "columns"))
    with quiet():
        program = torch.onnx.export(
            plain,
            (torch.zeros(1, 3, *EXAMPLE),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[ONNX_INPUT],
            output_names=[ONNX_OUTPUT],
            dynamic_shapes={ONNX_INPUT: {2: STRIDE * rows, 3: STRIDE * columns}},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for part in parts(model):
        part.doc_string = ""
        del part.metadata_props[:]  # stack traces with paths of this machine
    onnx.checker.check_model(model, full_check=True)
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what the exporter says of its own deprecated code and of its work."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def parts(model: Any) -> Iterator[Any]:
    """The model, its graph, and all in it that can carry a note."""
    graph = model.graph
    yield from (model, graph)
    for items in (graph.node, graph.input, graph.output, graph.value_info, graph.initializer):
        yield from items


def network_facts(network: Generator) -> dict[str, str]:
    """What a reader has to know to build or to run a generator, as text."""
    return {
        "written_by": f"unclip {version('unclip')}",
        "options": json.dumps(asdict(generator_options(network.state_dict()))),
        "stride": json.dumps(STRIDE),
        "range": json.dumps([-1, 1]),
        "colour": "sRGB",
    }
