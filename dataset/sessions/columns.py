"""Manifests as columns: one array per field over all frames. Reads no pixels.

A million frames as objects take gigabytes and minutes; as columns, about a hundred bytes each.
Lines are parsed in blocks; a damaged manifest is read again by `manifest`, which names the line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dataset import gate
from dataset.errors import UserError
from dataset.gate import Count, Name, Nanoseconds, Text
from dataset.paths import check_paths
from dataset.sessions.manifest import FRAMES_FILE, SPOOL, Digest, Hash, read_frames

BLOCK_BYTES = 8 << 20  # of lines parsed at a time
NO_VIEWPOINT = -1

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Columns:
    """What grouping needs to know of the frames: arrays of shape (N,), in any order."""

    session: Ints  # number of the session, in order of names
    index: Ints  # running number in the session
    time_ns: Ints  # monotonic within the session
    viewpoint: Ints  # number of a viewpoint of one session, or NO_VIEWPOINT
    timed: Bools  # False: imported screenshots, whose times are those of a copy
    sha256: NDArray[np.bytes_]  # S64, empty where unknown
    phash: NDArray[np.uint64]  # 0 where unknown

    def __len__(self) -> int:
        return len(self.index)

    def take(self, chosen: Ints | Bools) -> Columns:
        """The frames at these positions."""
        return Columns(*(getattr(self, each.name)[chosen] for each in fields(self)))

    @property
    def has_informative_hash(self) -> Bools:
        """Frames whose perceptual hash can tell scenes apart.

        A flat picture has nearly all bits equal, whatever it shows.
        """
        bits = np.bitwise_count(self.phash)
        return np.asarray((bits > 4) & (bits < 60))


@dataclass(frozen=True)
class SessionColumns:
    """The frames of one session, in order of their index."""

    file: list[str]  # path relative to the session folder
    index: Ints
    wall_ns: Ints
    time_ns: Ints
    viewpoint: Ints  # from 0 within the session, or NO_VIEWPOINT
    reference: Bools  # its light is called the reference
    size: Ints  # (N, 2) width and height
    sha256: NDArray[np.bytes_]
    phash: NDArray[np.uint64]

    def take(self, chosen: Ints) -> SessionColumns:
        """The frames at these positions."""
        _, *arrays = (getattr(self, each.name) for each in fields(self))
        file = [self.file[at] for at in chosen.tolist()]
        return SessionColumns(file, *(each[chosen] for each in arrays))


class _Line(msgspec.Struct, gc=False):
    """The fields of a manifest's line that grouping needs, checked like those of `Frame`."""

    index: Count
    file: Name
    width: Count
    height: Count
    wall_ns: Nanoseconds
    monotonic_ns: Nanoseconds
    viewpoint: Text | None = None
    light: Text | None = None
    sha256: Digest | None = None
    phash: Hash | None = None


_LINES = msgspec.json.Decoder(_Line)


def read_columns(session: Path) -> SessionColumns:
    """The frames of a session as columns.

    Raises
    ------
    UserError
        As for `manifest.read_frames`; two lines have one index, or name one file.
    """
    try:
        if (session / SPOOL).is_dir():
            raise ValueError("not PNG yet")
        found = _collect(_blocks(session / FRAMES_FILE))
    except (OSError, ValueError, RecursionError):
        found = _read_slowly(session)
    order = np.argsort(found.index, kind="stable")
    ordered = bool((order[1:] > order[:-1]).all())
    found = found if ordered else found.take(order)
    _refuse_repeats(session, found)
    return found


def _read_slowly(session: Path) -> SessionColumns:
    """Frame by frame, for the error that names the damaged line."""
    fields_of = attrgetter(*_Line.__struct_fields__)
    return _collect([[_Line(*fields_of(each)) for each in read_frames(session)]])


def _refuse_repeats(session: Path, found: SessionColumns) -> None:
    same = np.flatnonzero(found.index[1:] == found.index[:-1])
    what = f"the index {found.index[same[0]]}" if len(same) else ""
    if not what and len(set(found.file)) < len(found.file):
        what = "one file"
    if what:
        raise UserError(
            f"{session / FRAMES_FILE} is damaged: two lines have {what}. Remove one of them."
        )


def _blocks(path: Path) -> Iterator[list[_Line]]:
    """The lines of a manifest, parsed, without a cut-off last one."""
    mark = b"\xef\xbb\xbf"  # of byte order, by an editor
    for block in gate.blocks_of(path, BLOCK_BYTES):
        block, mark = block.removeprefix(mark), b""
        if not block.endswith(b"\n"):
            whole = block.rfind(b"\n") + 1
            if not _is_whole(block[whole:]):
                block = block[:whole]
        values = _LINES.decode_lines(block)
        if len(values) != block.count(b"\n") + (block[-1:] not in (b"", b"\n")):
            raise ValueError("a line is empty, or holds more than one value")
        yield values


def _is_whole(line: bytes) -> bool:
    try:
        _LINES.decode(line)
        return True
    except (ValueError, RecursionError):
        return False


def _collect(blocks: Iterable[list[_Line]]) -> SessionColumns:
    """Blocks of parsed lines -> columns; a block's strings are freed with it."""
    file: list[str] = []
    scenes: dict[str | None, int] = {None: NO_VIEWPOINT}
    parts: list[tuple[NDArray[Any], ...]] = [_arrays([], scenes)]
    for block in blocks:
        file += check_paths([each.file for each in block])
        parts.append(_arrays(block, scenes))
    return SessionColumns(file, *(np.concatenate(each) for each in zip(*parts, strict=True)))


def _arrays(block: list[_Line], scenes: dict[str | None, int]) -> tuple[NDArray[Any], ...]:
    """index, wall_ns, time_ns, viewpoint, reference, size, sha256, phash of some lines."""
    return (
        np.array([each.index for each in block], np.int64),
        np.array([each.wall_ns for each in block], np.int64),
        np.array([each.monotonic_ns for each in block], np.int64),
        np.array([scenes.setdefault(each.viewpoint, len(scenes) - 1) for each in block], np.int64),
        np.array(["reference" in (each.light or "").lower() for each in block], np.bool_),
        np.array([(each.width, each.height) for each in block], np.int64).reshape(-1, 2),
        _digests([each.sha256 for each in block]),
        _hashes([each.phash for each in block]),
    )


def _digests(values: Sequence[str | None]) -> NDArray[np.bytes_]:
    """(N,) S64; empty where there is none."""
    return np.array([(each or "").encode() for each in values], "S64")


def _hashes(values: Sequence[str | None]) -> NDArray[np.uint64]:
    """(N,) of hexadecimal texts; 0 where there is none of at most 64 bits."""
    text = "".join([each if each and len(each) == 16 else _sixteen(each) for each in values])
    return np.frombuffer(bytes.fromhex(text), ">u8").astype(np.uint64)


def _sixteen(value: str | None) -> str:
    return value.zfill(16) if value and len(value) < 16 else "0" * 16
