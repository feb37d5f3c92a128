"""An ONNX file and a picture of any size -> the restored picture, without torch.

Reads what `export` wrote and runs it with onnxruntime. A file is first checked to be a plain
chain of known operators: a network of ours has no loops, no functions and no data in other files.
Nothing here may import torch, not even by way of another module: a machine that only restores needs
none.

References
----------
ONNX, ``onnx.proto`` (field numbers), and Protocol Buffers, "Encoding" (varints, wire types).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

import numpy as np

from dataset import gate
from dataset.errors import UserError
from dataset.memory import free_memory, ran_out, room_for
from dataset.pictures.pixels import Pixels, check_finite, pad_reflected
from model.facts import parse_shape, parse_side, parse_stride

ONNX_INPUT, ONNX_OUTPUT = "picture", "restored"  # names inside the file
PROVIDERS = {  # --device -> onnxruntime's names, the quickest first
    "auto": ("CUDAExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider"),
    "cuda": ("CUDAExecutionProvider",),
    "directml": ("DmlExecutionProvider",),
    "cpu": ("CPUExecutionProvider",),
}
ONNX_PIXEL_BYTES = 30  # per pixel and filter, measured: peak of onnxruntime on a CPU
MOST_ONNX_BYTES = 1 << 31  # ONNX files cannot be larger
ONNX_STOP_S = 5.0  # how long to wait for onnxruntime to stop after Ctrl-C

OPERATORS = {  # that torch's exporters use for our networks, in any version
    *("Add", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv", "ConvTranspose"),
    *("Div", "Exp", "Flatten", "Gather", "GroupNormalization", "Identity"),
    *("InstanceNormalization", "Max", "Min", "Mul", "Neg", "Pad", "Pow", "Reciprocal"),
    *("ReduceMean", "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Slice", "Split", "Sqrt"),
    *("Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze"),
}
MOST_NODES = 10_000
DOMAINS = (b"", b"ai.onnx")
# Numbers of fields.
GRAPH, TRAINING, FUNCTIONS = 7, 20, 25  # of a model
NODE, INITIALIZER, SPARSE = 1, 5, 15  # of a graph
OPERATOR, ATTRIBUTE, DOMAIN = 4, 5, 7  # of a node
TENSOR, SUBGRAPH, TENSORS, SUBGRAPHS = 5, 6, 10, 11  # of an attribute
EXTERNAL = (13, 14)  # of a tensor: where its data are, and that they are elsewhere
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types

Field = tuple[int, memoryview]  # its number and content; empty for a number

Result = TypeVar("Result")


class OnnxRestorer:
    """Restores pictures by a network of an ONNX file.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        (1, 3, H, W) fp32 in [-1, 1] -> the same.
    facts : dict
        The file's ``metadata_props``.
    path : Path
        Its name in error messages.

    Attributes
    ----------
    provider : str
        onnxruntime's execution provider, such as ``CPUExecutionProvider``.
    side : int
        Shorter side of the training frames, pixels; 0: any.

    Raises
    ------
    UserError
        The facts do not describe a network of ours.
    """

    def __init__(self, session: Any, facts: dict[str, str], path: Path) -> None:
        self.facts, self.path = facts, path
        self.provider: str = session.get_providers()[0]
        self._session = session
        try:
            self._stride = parse_stride(facts["stride"])
            self._filters = parse_shape(facts["options"]).generator_filters
            self.side = parse_side(facts.get("side", "0"))
        except ValueError as error:
            raise UserError(
                f"{path} does not say correctly how to run it ({gate.plain(error)}). "
                "Export it again."
            ) from error

    def __call__(self, pixels: Pixels) -> Pixels:
        """Restore one picture, (H, W, 3) float32 in [0, 1], of any size -> the same shape.

        Raises
        ------
        UserError
            There is not enough memory, or the output is not a picture of the same size.
        """
        height, width = pixels.shape[:2]
        needed, free = 0, 0
        if self.provider == "CPUExecutionProvider":  # other devices do not report free memory
            needed, free = ONNX_PIXEL_BYTES * self._filters * height * width, free_memory()
        with room_for(width, height, needed, free):
            return self._run(pixels)

    def _run(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        padded = pad_reflected(pixels, self._stride)
        picture = np.ascontiguousarray((padded * 2 - 1).transpose(2, 0, 1)[None], np.float32)
        restored = self._checked(self._infer(picture), picture.shape)[0]
        cropped = restored[:, :height, :width].transpose(1, 2, 0)
        result = np.ascontiguousarray(((cropped + 1) / 2).clip(0, 1), np.float32)
        return check_finite(result, str(self.path))

    def _infer(self, picture: Any) -> Any:
        import onnxruntime

        options = onnxruntime.RunOptions()

        def stop() -> None:
            options.terminate = True

        try:
            return interruptible(
                lambda: self._session.run([ONNX_OUTPUT], {ONNX_INPUT: picture}, options)[0], stop
            )
        except _faults() as error:
            if ran_out(error):
                raise
            raise UserError(
                f"{self.path} cannot be run on a picture ({_short(error)}). Export it again.", 1
            ) from error

    def _checked(self, found: Any, shape: tuple[int, ...]) -> Any:
        """The output, if it is a picture of the input's size."""
        if not isinstance(found, np.ndarray) or found.dtype.kind != "f" or found.shape != shape:
            sides = "x".join(map(str, getattr(found, "shape", ()))) or "a single value"
            wanted = "x".join(map(str, shape))
            raise UserError(
                f"{self.path} is no network of ours: it makes {sides} of a picture of {wanted}. "
                "Name a file of `cli export`.",
                1,
            )
        return found


def open_onnx(path: Path, device: str = "auto", threads: int = 0) -> OnnxRestorer:
    """The restorer in a file that ``write_onnx`` wrote.

    Parameters
    ----------
    path : Path
        The file.
    device : str
        auto (the quickest that this onnxruntime has), cpu, cuda or directml.
    threads : int
        CPU threads per operation; 0: one per core.

    Returns
    -------
    OnnxRestorer
        Pixels (H, W, 3) float32 in [0, 1] -> the same shape.

    Raises
    ------
    UserError
        onnxruntime or the file is missing, the file is damaged or not ours, or there is no such
        device.
    """
    need_packages("onnxruntime")
    providers = pick_providers(device)
    session = open_session(path, providers, threads)
    if device != "auto" and session.get_providers()[0] != providers[0]:
        raise UserError(
            f"--device {device} cannot be started: onnxruntime lacks its driver or libraries. "
            "Leave it out to take what there is, or say --device cpu."
        )
    facts = dict(session.get_modelmeta().custom_metadata_map)
    ours = facts.get("written_by", "").startswith("unclip ")
    if not ours or not {"stride", "options"} <= facts.keys():
        raise UserError(f"{path} was not written by `cli export`. Name a file that was.")
    _check_ends(session, path)
    return OnnxRestorer(session, facts, path)


def _check_ends(session: Any, path: Path) -> None:
    """Refuse a network that does not map one picture to one picture."""
    inputs = [(each.name, each.type) for each in session.get_inputs()]
    outputs = [(each.name, each.type) for each in session.get_outputs()]
    if inputs != [(ONNX_INPUT, "tensor(float)")] or outputs != [(ONNX_OUTPUT, "tensor(float)")]:
        raise UserError(
            f"{path} is no network of ours: it does not make one picture, {ONNX_OUTPUT}, of "
            f"another, {ONNX_INPUT}. Name a file of `cli export`."
        )


def open_session(path: Path, providers: Sequence[str], threads: int) -> Any:
    """An onnxruntime session; ``UserError`` if the file is missing, damaged or no plain chain."""
    import onnxruntime  # optional: pip install 'unclip[onnx]'

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # silent: its errors are raised as well
    if "DmlExecutionProvider" in providers:  # DirectML runs in order and shares no memory plan
        options.enable_mem_pattern = False
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    try:
        data = gate.read_regular(path, MOST_ONNX_BYTES)
        check_graph(data)
        # As bytes, so that names in any script work, and a file cannot point to other files.
        return interruptible(
            lambda: onnxruntime.InferenceSession(data, options, list(providers)), lambda: None
        )
    except FileNotFoundError as error:
        raise UserError(f"No such file: {path}. `cli export` writes one.") from error
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except _faults(ValueError) as error:
        raise UserError(
            f"{path} is damaged or no ONNX file that this onnxruntime can read "
            f"({_short(error)}). Export it again, or update onnxruntime."
        ) from error


def interruptible(work: Callable[[], Result], stop: Callable[[], None]) -> Result:
    """Run something in another thread, so that Ctrl-C interrupts the wait.

    Python cannot handle a signal while onnxruntime computes.

    Parameters
    ----------
    work : callable
        What to do.
    stop : callable
        Called on Ctrl-C; the work then has a few seconds to finish.
    """
    done: list[Result] = []
    failed: list[BaseException] = []
    ended = Event()

    def attempt() -> None:
        try:
            done.append(work())
        except BaseException as error:  # raised in the waiting thread
            failed.append(error)
        finally:
            ended.set()

    try:
        Thread(target=attempt, daemon=True).start()
        while not ended.wait(0.5):  # without a limit, Windows would not wake up for Ctrl-C
            pass
    except BaseException:
        stop()
        ended.wait(ONNX_STOP_S)
        raise
    if failed:
        raise failed[0]
    return done[0]


def _faults(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Everything that onnxruntime raises, and others."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found: list[type[Exception]] = [RuntimeError, *others]
    for each in vars(state).values():
        if isinstance(each, type) and issubclass(each, Exception):
            found.append(each)
    return tuple(found)


def _short(error: Exception) -> str:
    return gate.plain(str(error)[:160])


def pick_providers(device: str) -> list[str]:
    """onnxruntime's providers for ``--device``; the CPU is the fallback for what others lack."""
    import onnxruntime

    there = onnxruntime.get_available_providers()
    found = [name for name in PROVIDERS.get(device, ()) if name in there]
    if not found:
        raise UserError(
            f"--device {device} is not usable with this onnxruntime, which has "
            f"{', '.join(key for key in list(PROVIDERS)[1:] if PROVIDERS[key][0] in there)}. "
            "Leave it out to take what there is, or say --device cpu."
        )
    return list(dict.fromkeys([*found, "CPUExecutionProvider"]))


def need_packages(*names: str) -> None:
    """``UserError`` where one of the optional packages is missing."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise UserError(
            f"ONNX files need {' and '.join(missing)}. Install with: pip install 'unclip[onnx]'"
        )


def check_graph(data: bytes) -> None:
    """Refuse a file that holds anything but a plain chain of `OPERATORS`.

    Raises
    ------
    ValueError
        It does, or it is not an ONNX file; the message says what is wrong.
    """
    nodes = 0
    for number, model in _fields(memoryview(data)):
        if number in (TRAINING, FUNCTIONS):
            raise ValueError("it holds functions of its own")
        for kind, part in _fields(model) if number == GRAPH else ():
            if kind == NODE:
                nodes += 1
                _check_node(part)
            elif kind == INITIALIZER:
                _check_tensor(part)
            elif kind == SPARSE:
                raise ValueError("it holds sparse weights")
    if not 0 < nodes <= MOST_NODES:
        raise ValueError(f"it holds {nodes} operations")


def _check_node(node: memoryview) -> None:
    for number, content in _fields(node):
        if number == OPERATOR:
            name = bytes(content[:40]).decode(errors="replace")
            if name not in OPERATORS:
                raise ValueError(f"it holds the operation {name}, which no network of ours has")
        elif number == DOMAIN and bytes(content[:40]) not in DOMAINS:
            raise ValueError("it holds operations of its own")
        elif number == ATTRIBUTE:
            for kind, value in _fields(content):
                if kind in (SUBGRAPH, SUBGRAPHS):
                    raise ValueError("it holds graphs within graphs")
                if kind in (TENSOR, TENSORS):
                    _check_tensor(value)


def _check_tensor(tensor: memoryview) -> None:
    if any(number in EXTERNAL for number, _ in _fields(tensor)):
        raise ValueError("its weights are in another file")


def _fields(message: memoryview) -> Iterator[Field]:
    """The fields of a message, in order; nested messages are read by another call."""
    at, nothing = 0, message[:0]
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            _, at = _varint(message, at)
            yield number, nothing
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(wire, -1)
        if wire == BYTES:
            size, at = _varint(message, at)
        if size < 0 or at + size > len(message):
            raise ValueError("it is damaged, or no ONNX file")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of 7 bits per byte, lowest first, and the position after it."""
    value = 0
    for place in range(at, min(at + 10, len(message))):
        value |= (message[place] & 0x7F) << 7 * (place - at)
        if message[place] < 0x80:
            return value, place + 1
    raise ValueError("it is damaged, or no ONNX file")
