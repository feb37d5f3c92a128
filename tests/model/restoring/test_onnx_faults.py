"""ONNX files of somebody else: none runs without end, and none writes what is no picture."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from helpers.processes import Process
from hypothesis import given, settings
from hypothesis import strategies as some

from dataset.errors import UserError
from model.options import RestoreOptions
from model.restoring.methods import open_method
from model.restoring.onnx import interruptible, open_onnx
from model.restoring.onnx_graph import check_graph

onnx = pytest.importorskip("onnx", reason="pip install 'unclip[onnx]'")
pytest.importorskip("onnxscript", reason="pip install 'unclip[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install 'unclip[onnx]'")

PICTURE = np.random.default_rng(0).random((20, 32, 3), dtype=np.float32)
FACTS = {
    "written_by": "unclip 0.1.0",
    "options": json.dumps({"generator_filters": 4, "generator_blocks": 1}),
    "stride": "4",
    "side": "128",
}


def graph(nodes: list[Any], **changed: Any) -> bytes:
    """A file of these nodes, from ``picture`` to ``restored``, and of the usual facts."""
    kind = changed.get("kind", onnx.TensorProto.FLOAT)
    names = changed.get("names", ("picture", "restored"))
    ends = [
        onnx.helper.make_tensor_value_info(name, type_, [1, 3, "H", "W"] if sized else None)
        for name, type_, sized in (
            (names[0], onnx.TensorProto.FLOAT, True),
            (names[1], kind, False),
        )
    ]
    made = onnx.helper.make_graph(
        nodes, "g", ends[:1], ends[1:], initializer=changed.get("constants", [])
    )
    functions = changed.get("functions", [])
    model = onnx.helper.make_model(
        made,
        opset_imports=[onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("mine", 1)],
        functions=functions,
        ir_version=9,
    )
    for key, value in {**FACTS, **changed.get("facts", {})}.items():
        model.metadata_props.add(key=key, value=value)
    return bytes(model.SerializeToString())


def node(kind: str, inputs: list[str], outputs: list[str], **more: Any) -> Any:
    return onnx.helper.make_node(kind, inputs, outputs, **more)


def constant(name: str, value: Any) -> Any:
    return onnx.numpy_helper.from_array(np.asarray(value), name)


SAME = [node("Identity", ["picture"], ["restored"])]


def endless() -> bytes:
    """A loop of 2^62 rounds."""
    inner = onnx.helper.make_graph(
        [node("Identity", ["go"], ["go_on"]), node("Identity", ["x"], ["y"])],
        "inner",
        [
            onnx.helper.make_tensor_value_info("round", onnx.TensorProto.INT64, []),
            onnx.helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, []),
            onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, None),
        ],
        [
            onnx.helper.make_tensor_value_info("go_on", onnx.TensorProto.BOOL, []),
            onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None),
        ],
    )
    loop = node("Loop", ["rounds", "yes", "picture"], ["restored"], body=inner)
    return graph([loop], constants=[constant("rounds", 2**62), constant("yes", True)])


def external() -> bytes:
    tensor = constant("more", np.zeros(4, np.float32))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return graph([node("Add", ["picture", "more"], ["restored"])], constants=[tensor])


def function() -> bytes:
    made = onnx.helper.make_function(
        "mine", "F", ["a"], ["b"], [node("Identity", ["a"], ["b"])],
        [onnx.helper.make_opsetid("", 18)],
    )  # fmt: skip
    call = node("F", ["picture"], ["restored"], domain="mine")
    return graph([call], functions=[made])


def opened(tmp_path: Path, data: bytes) -> Any:
    path = tmp_path / "odd.onnx"
    path.write_bytes(data)
    return open_onnx(path, "cpu", threads=1)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (endless, "it holds the operation Loop"),
        (external, "its weights are in another file"),
        (function, "functions of its own|operation F|operations of its own"),
        (lambda: graph([node("Range", ["picture"] * 3, ["restored"])]), "operation Range"),
        (lambda: graph([]), "it holds 0 operations"),
        (lambda: graph(SAME * 10_001), "operations"),
        (lambda: graph(SAME, facts={"stride": "0"}), "how to run it"),
        (lambda: graph(SAME, facts={"stride": "abc"}), "how to run it"),
        (lambda: graph(SAME, facts={"stride": "1000000000"}), "how to run it"),
        (lambda: graph(SAME, facts={"options": "[]"}), "how to run it"),
        (lambda: graph(SAME, facts={"options": "[" * 100_000}), "how to run it"),
        (lambda: graph(SAME, facts={"side": "Infinity"}), "how to run it"),
        (
            lambda: graph([node("Identity", ["a"], ["restored"])], names=("a", "restored")),
            "does not make one picture",
        ),
        (
            lambda: graph([node("Identity", ["picture"], ["b"])], names=("picture", "b")),
            "does not make one picture",
        ),
        (
            lambda: graph([node("Shape", ["picture"], ["restored"])], kind=onnx.TensorProto.INT64),
            "does not make one picture",
        ),
    ],
)
def test_what_is_no_network_of_ours_is_refused_before_it_runs(
    tmp_path: Path, made: Any, words: str
) -> None:
    with pytest.raises(UserError, match=rf"odd\.onnx .*({words})") as caught:
        opened(tmp_path, made())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("nodes", "constants", "words"),
    [
        ([node("Identity", ["c"], ["restored"])], {"c": np.zeros((1, 3, 4, 4), np.float32)},
         "makes 1x3x4x4 of a picture of 1x3x20x32"),
        ([node("Identity", ["c"], ["restored"])], {"c": np.float32(1)}, "makes a single value"),
        ([node("Identity", ["c"], ["restored"])], {"c": np.zeros((0,), np.float32)}, "makes 0 of"),
        ([node("Mul", ["picture", "c"], ["a"]), node("Div", ["a", "a"], ["restored"])],
         {"c": np.float32(0)}, "is not finite"),
        ([node("Reshape", ["picture", "c"], ["restored"])], {"c": np.array([7, 7], np.int64)},
         "cannot be run on a picture"),
    ],
)  # fmt: skip
def test_what_comes_out_must_be_a_picture_of_the_same_size(
    tmp_path: Path, nodes: list[Any], constants: dict[str, Any], words: str
) -> None:
    made = graph(nodes, constants=[constant(key, value) for key, value in constants.items()])
    restore = opened(tmp_path, made)
    with pytest.raises(UserError, match=rf"odd\.onnx .*{words}"):
        restore(PICTURE)


def test_a_damaged_exposure_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(graph(SAME, facts={"exposure": '{"weights": [], "constant": 0}'}))
    with pytest.raises(UserError, match=r"odd\.onnx says .* is damaged"):
        open_method(RestoreOptions(onnx=path, device="cpu"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(UserError, match=r"pipe\.onnx: it is no regular file"):
        open_onnx(tmp_path / "pipe.onnx", "cpu")


@pytest.mark.slow
@settings(max_examples=200)
@given(some.binary(max_size=60) | some.data())
def test_any_bytes_are_looked_through(given_: Any) -> None:
    data = given_
    if not isinstance(data, bytes):
        damaged = bytearray(graph(SAME))
        for _ in range(given_.draw(some.integers(1, 5))):
            place = given_.draw(some.integers(0, len(damaged) - 1))
            damaged[place] = given_.draw(some.integers(0, 255))
        data = bytes(damaged)
    with suppress(ValueError):
        check_graph(data)


ENDLESS = """
import sys, threading
from pathlib import Path
import numpy as np
from model.restoring import onnx as onnx_run
onnx_run.check_graph = lambda data: None  # as if a network of ours took for ever
restore = onnx_run.open_onnx(Path(sys.argv[1]), "cpu", threads=1)
try:
    print("runs", flush=True)
    restore(np.zeros((20, 32, 3), np.float32))
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends a signal as POSIX does")
def test_ctrl_c_ends_a_network_that_runs_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "endless.onnx"
    path.write_bytes(endless())
    with Process(
        [sys.executable, "-c", ENDLESS, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "stopped\n"
    assert process.returncode == 0


def test_what_fails_in_the_other_thread_is_raised_here() -> None:
    def fail() -> None:
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        interruptible(fail, lambda: None)
    assert interruptible(lambda: 5, lambda: None) == 5
