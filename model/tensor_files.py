"""A ``.pth`` file -> tensors and plain values, looked through before it is believed.

``torch.load`` allocates what a file states. So the directory of its archive is read first: nothing
in it may be compressed, or larger than the file. Then what came out is looked at: plain numbers
in memory of their own, in containers of a sensible depth. What they mean, ``states`` knows.

References
----------
PyTorch, "Serialization semantics": an archive of ``data.pkl`` and one record for each storage;
before 1.6, five pickles and then the storages.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from torch import Tensor

from dataset.gate import open_regular
from model.facts import MOST_FILE

ARCHIVE = b"PK\x03\x04"  # how torch tells its archives from the files of before
OLD_PICKLES = 5  # at the beginning of a file of before
DEEPEST = 16  # containers in containers
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
PLAIN = (type(None), bool, int, float, str)
OVERHEAD = 1 << 20  # bytes that tensors may have beyond those of the file


@dataclass(frozen=True)
class Limits:
    """What a file may have at most."""

    size: int  # bytes
    pickle: int  # bytes that say what there is
    items: int  # tensors and plain values


NETWORK = Limits(MOST_FILE, 1 << 20, 5_000)  # the largest that is read has some 700
STATE = Limits(64 << 30, 128 << 20, 3_000_000)  # the losses of every step of a long epoch


def load_tensors(path: Path, limits: Limits, device: torch.device) -> Any:
    """Load a file of tensors and plain values.

    Raises
    ------
    OSError
        It cannot be opened, is no regular file, or is too large.
    ValueError
        It holds more than it may, other things, or tensors that are no plain numbers; in words.
    Exception
        Whatever torch raises for a damaged file.
    """
    with open_regular(path, limits.size) as file:
        _look_through(file, limits)
        file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tensors, which are refused below
            value = torch.load(file, map_location=device, weights_only=True)
        size = file.seek(0, 2)
    _check_values(value, limits, size)
    return value


def check_directory(path: Path, limits: Limits) -> None:
    """``ValueError`` where an archive's directory says what no file of ours would; ``OSError``."""
    with open_regular(path, limits.size) as file:
        _look_through(file, limits)


def _look_through(file: BinaryIO, limits: Limits) -> None:
    capped = _Capped(file, limits.pickle)
    if file.read(len(ARCHIVE)) == ARCHIVE:
        _check_archive(capped, limits, file.seek(0, 2))
        return
    file.seek(0)
    for _ in range(OLD_PICKLES):
        for _ in pickletools.genops(cast(IO[bytes], capped)):
            if file.tell() > limits.pickle:
                raise ValueError("it names more than a network has")


def _check_archive(file: _Capped, limits: Limits, size: int) -> None:
    try:
        with zipfile.ZipFile(cast(IO[bytes], file)) as archive:
            records = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, struct.error) as error:
        raise ValueError(f"its archive is damaged: {error}") from error
    if len(records) > limits.items:
        raise ValueError(f"it has {len(records)} records, more than it may have")
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise ValueError("it is compressed, as PyTorch's files never are")
    if sum(record.file_size for record in records) > size:
        raise ValueError("its records are larger than the file")
    if any(r.file_size > limits.pickle for r in records if r.filename.endswith("/data.pkl")):
        raise ValueError("it names more than a network has")


class _Capped:
    """A file of which never more than so many bytes are read at once."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._most + 1 if size < 0 else min(size, self._most + 1))
        return self._checked(data)

    def readline(self, size: int = -1) -> bytes:
        return self._checked(self._file.readline(self._most + 1))

    def _checked(self, data: bytes) -> bytes:
        if len(data) > self._most:
            raise ValueError("it names more than a network has")
        return data


def _check_values(value: Any, limits: Limits, size: int) -> None:
    """Refuse what is no plain value, no tensor of plain numbers, too deep, too many, too large."""
    total = 0
    for count, (name, leaf) in enumerate(_leaves(value)):
        if count > limits.items:
            raise ValueError("it holds more values than it may")
        if isinstance(leaf, Tensor):
            check_plain(name, leaf)
            total += leaf.nbytes
        elif type(leaf) not in PLAIN:
            raise ValueError(f"{name or 'it'} is a {type(leaf).__name__}")
        if total > 4 * size + OVERHEAD:  # by strides of 0, or the same memory over and over
            raise ValueError(f"{name} states more numbers than the file holds")


def _leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """Everything that is no container, with its name, and each container's mark for counting."""
    waiting: list[tuple[str, Any, int]] = [("", value, 0)]
    while waiting:
        name, each, depth = waiting.pop()
        if not isinstance(each, (Mapping, list, tuple)):
            yield name, each
            continue
        if depth > DEEPEST:
            raise ValueError("it is nested too deep")
        yield name, None
        if isinstance(each, Mapping):
            waiting += [(str(key)[:80], inner, depth + 1) for key, inner in each.items()]
        else:
            waiting += [(name, inner, depth + 1) for inner in each]


def check_plain(name: str, tensor: Tensor) -> None:
    """``ValueError`` where a tensor is no array of numbers in memory: sparse, quantized, meta."""
    odd = "sparse" if tensor.layout != torch.strided else "quantized" if tensor.is_quantized else ""
    odd = odd or ("empty of memory" if tensor.is_meta else "")
    if odd or type(tensor) not in (Tensor, torch.nn.Parameter):
        raise ValueError(f"{name} is {odd or type(tensor).__name__}, not an array of numbers")


def check_weights(name: str, tensor: Tensor) -> None:
    """``ValueError`` where a tensor holds no finite floating-point numbers."""
    if tensor.dtype not in FLOATS:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ValueError(f"{name} holds {kind}, and weights are floating-point numbers")
    if not bool(torch.isfinite(tensor.float()).all()):
        raise ValueError(f"{name} holds numbers that are not finite (NaN or infinity)")
