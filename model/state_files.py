"""Files of tensors: states and networks, written whole, and read only after a look through them.

``torch.load`` allocates what a file claims. So the directory of its archive is read first: nothing
in it may be compressed, or larger than the file. Then the values are checked: plain numbers in
memory of their own, in containers of a sensible depth, never pickled objects. What they mean, and
which file of a run they belong to, ``checkpoint`` and ``weights`` know.

References
----------
PyTorch, "Serialization semantics": an archive of ``data.pkl`` and one record for each storage;
before 1.6, five pickles and then the storages.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from torch import Tensor, nn

from dataset import errors, files, gate

MOST_NETWORK_BYTES = 4 << 30  # of one network's file; the paper's has 45 MB
# Buffers that older CycleGAN checkpoints carry although instance norm does not use them.
UNUSED_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
WRAPPERS = ("module", "_orig_mod")  # what DataParallel and torch.compile put into names
ARCHIVE = b"PK\x03\x04"  # start of torch's archives; older files have no such mark
OLD_PICKLES = 5  # at the beginning of an older file
DEEPEST = 16  # containers in containers
FLOAT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
PLAIN_TYPES = (type(None), bool, int, float, str)
OVERHEAD = 1 << 20  # bytes that tensors may have beyond those of the file


@dataclass(frozen=True)
class FileLimits:
    """What a file may hold at most."""

    size: int  # bytes
    pickle: int  # bytes of the index
    items: int  # tensors and plain values


NETWORK_LIMITS = FileLimits(
    MOST_NETWORK_BYTES, 1 << 20, 5_000
)  # the largest that is read has some 700
STATE_LIMITS = FileLimits(
    64 << 30, 128 << 20, 3_000_000
)  # the losses of every step of a long epoch


def write_state(names: Sequence[Path], state: dict[str, Any]) -> None:
    """Write a state under the first name; the file there moves to the second name, and so on.

    The file is on the disk before any name changes. Whenever the process is killed, one of the
    names stands for a whole file, unless this is the very first state.

    Raises
    ------
    UserError
        The disk is full or cannot be written; the earlier files are still there.
    """
    buffer = io.BytesIO()
    torch.save(on_cpu(state), buffer)
    try:
        with files.written_aside(names[0], sync=True) as file:
            file.write(buffer.getbuffer())
            if len(names) > 1:  # on the disk before the older ones give up their names
                file.flush()
                os.fsync(file.fileno())
            for newer, older in reversed(list(pairwise(names))):
                if newer.is_file():
                    files.move_over(newer, older)
    except OSError as error:
        raise errors.UserError(f"Cannot write {names[0]}: {error.strerror}.", 1) from error


def read_state(
    path: Path, device: torch.device, limits: FileLimits = STATE_LIMITS
) -> dict[str, Any]:
    """Read tensors and plain values only; ``UserError`` where the file is missing or not ours."""
    if not os.path.lexists(path):
        raise errors.UserError(
            f"No checkpoint {path}. Train first (`cli train`), or name another run with --run."
        )
    try:
        state = load_tensors(path, limits, device)
    except OSError as error:
        raise errors.UserError(
            f"Cannot read {path}: {error.strerror or first_line(error)}."
        ) from error
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        # What torch says of pickled objects is how to run them.
        objects = isinstance(error, pickle.UnpicklingError)
        why = "it holds more than tensors and plain values" if objects else first_line(error)
        raise errors.UserError(
            f"{path} is damaged or not a checkpoint ({why}). Copy it again or train again."
        ) from error
    if not isinstance(state, dict):
        raise errors.UserError(f"{path} is not a checkpoint: it holds a {type(state).__name__}.")
    return state


def is_whole(path: Path) -> bool:
    """Whether every tensor and value in a file of ours is as it was written, by its checksums.

    ``torch.load`` notices that a file ends too early, but checks no checksum.
    """
    try:
        check_directory(path, STATE_LIMITS)
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
    state = read_state(path, torch.device("cpu"), NETWORK_LIMITS)
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise errors.UserError(
            f"{path} is not the file of one network: it holds other things as well."
        )
    if not all(isinstance(key, str) and key for key in state):
        raise errors.UserError(
            f"{path} is not the file of one network: not all that it holds has a name."
        )
    bare = {key: value for key, value in state.items() if _last(key) not in UNUSED_BUFFERS}
    check_finite_weights(path, bare)
    return bare_state(bare)


def check_finite_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """``UserError`` where weights are no finite floating-point numbers: it names file and place."""
    try:
        for key, value in state.items():
            check_weights(key, value)
    except ValueError as error:
        raise errors.UserError(
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
    """Tensors in nested containers moved to the CPU, each in memory of its own size.

    Raises
    ------
    TypeError
        There is something other than tensors and plain values, which could not be read again.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        # A view would be written with the whole tensor that it is part of.
        shared = value.untyped_storage().nbytes() > value.nbytes
        return value.clone() if shared else value
    if isinstance(value, Mapping):
        return {key: on_cpu(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(on_cpu(each) for each in value)
    if type(value) in PLAIN_TYPES:  # an exact test: NumPy's float64 is a float, too
        return value
    raise TypeError(f"a {type(value).__name__} cannot be part of a checkpoint")


def fingerprint(state: nn.Module | Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors, and over plain values.

    Two states have the same one if they are equal to the bit, on whatever devices and in whatever
    order.

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
    """Each tensor and plain value in nested containers: its name, and a digest or the value."""
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


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 160 characters, safe for a terminal."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return gate.plain((lines[0] if lines else type(error).__name__)[:160])


def load_tensors(path: Path, limits: FileLimits, device: torch.device) -> Any:
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
    with gate.open_regular(path, limits.size) as file:
        _look_through(file, limits)
        file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd tensors, which are refused below
            value = torch.load(file, map_location=device, weights_only=True)
        size = file.seek(0, 2)
    _check_values(value, limits, size)
    return value


def check_directory(path: Path, limits: FileLimits) -> None:
    """``ValueError`` where an archive's directory claims what files of ours never do."""
    with gate.open_regular(path, limits.size) as file:
        _look_through(file, limits)


def _look_through(file: BinaryIO, limits: FileLimits) -> None:
    capped = _Capped(file, limits.pickle)
    if file.read(len(ARCHIVE)) == ARCHIVE:
        _check_archive(capped, limits, file.seek(0, 2))
        return
    file.seek(0)
    for _ in range(OLD_PICKLES):
        for _ in pickletools.genops(cast(IO[bytes], capped)):
            if file.tell() > limits.pickle:
                raise ValueError("it names more than a network has")


def _check_archive(file: _Capped, limits: FileLimits, size: int) -> None:
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
    """A file that is read in limited pieces: more than the limit at once is a ``ValueError``."""

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


def _check_values(value: Any, limits: FileLimits, size: int) -> None:
    """Refuse values that are not plain, too deeply nested, too many, or too large."""
    total = 0
    for count, (name, leaf) in enumerate(_nested(value)):
        if count > limits.items:
            raise ValueError("it holds more values than it may")
        if isinstance(leaf, Tensor):
            check_plain(name, leaf)
            total += leaf.nbytes
        elif type(leaf) not in PLAIN_TYPES:
            raise ValueError(f"{name or 'it'} is a {type(leaf).__name__}")
        if total > 4 * size + OVERHEAD:  # by strides of 0, or the same memory over and over
            raise ValueError(f"{name} states more numbers than the file holds")


def _nested(value: Any) -> Iterator[tuple[str, Any]]:
    """Each leaf with its name; each container as None, so that it is counted."""
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
    if tensor.dtype not in FLOAT_DTYPES:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ValueError(f"{name} holds {kind}, and weights are floating-point numbers")
    if not bool(torch.isfinite(tensor.float()).all()):
        raise ValueError(f"{name} holds numbers that are not finite (NaN or infinity)")
