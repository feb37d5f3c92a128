"""Whether an ONNX file is a plain chain of known operators, before anything runs it.

A network of ours has no loops, no functions and no data in other files. Reads bytes; needs neither
onnx nor onnxruntime.

References
----------
ONNX, ``onnx.proto`` (field numbers), and Protocol Buffers, "Encoding" (varints, wire types).
"""

from __future__ import annotations

from collections.abc import Iterator

OPERATORS = {  # that torch's exporters use for our networks, in any version
    *("Add", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv", "ConvTranspose"),
    *("Div", "Exp", "Flatten", "Gather", "GroupNormalization", "Identity"),
    *("InstanceNormalization", "Max", "Min", "Mul", "Neg", "Pad", "Pow", "Reciprocal"),
    *("ReduceMean", "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Slice", "Split", "Sqrt"),
    *("Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze"),
    # Of preset physical.
    *("AveragePool", "DepthToSpace", "Expand", "Gemm", "GreaterOrEqual", "LeakyRelu", "Less"),
    *("LessOrEqual", "MatMul", "ReduceMax", "ReduceSum", "Round", "Softmax", "SpaceToDepth"),
    "Where",
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
