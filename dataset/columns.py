"""Manifests as columns: one array for each field of all frames. Reads lines, never a pixel.

A million frames as objects take gigabytes and minutes; as columns they take some hundred bytes
each. Lines are parsed in blocks; a manifest that is damaged is read again by `manifest`, which
says where.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.errors import UserError
from dataset.manifest import FRAMES_FILE, SPOOL, read_frames

BLOCK = 16384  # lines parsed at a time
NO_VIEWPOINT = -1

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Member:
    """What grouping needs to know of one frame."""

    session: str
    index: int  # running number in the session
    time_ns: int  # monotonic within the session
    viewpoint: str | None = None
    timed: bool = True  # False: imported screenshots, whose times are those of a copy
    sha256: str | None = None
    phash: str | None = None  # hexadecimal


@dataclass(frozen=True)
class Columns:
    """What grouping needs to know of many frames: arrays of shape (N,), in any order."""

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
    def telling(self) -> Bools:
        """Where the perceptual hash says something.

        A flat picture has hardly a bit set, or nearly all: that says nothing of what it shows.
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
    sha256: NDArray[np.bytes_]
    phash: NDArray[np.uint64]

    def take(self, chosen: Ints) -> SessionColumns:
        """The frames at these positions."""
        _, *arrays = (getattr(self, each.name) for each in fields(self))
        file = [self.file[at] for at in chosen.tolist()]
        return SessionColumns(file, *(each[chosen] for each in arrays))


def columns_of(members: Sequence[Member]) -> Columns:
    """Columns of frames that are objects."""
    names = {name: at for at, name in enumerate(sorted({each.session for each in members}))}
    scenes: dict[tuple[str, str], int] = {}
    return Columns(
        np.array([names[each.session] for each in members], np.int64),
        np.array([each.index for each in members], np.int64),
        np.array([each.time_ns for each in members], np.int64),
        np.array(
            [
                NO_VIEWPOINT
                if each.viewpoint is None
                else scenes.setdefault((each.session, each.viewpoint), len(scenes))
                for each in members
            ],
            np.int64,
        ),
        np.array([each.timed for each in members], np.bool_),
        _fingerprints([each.sha256 for each in members]),
        _hashes([each.phash for each in members]),
    )


def read_columns(session: Path) -> SessionColumns:
    """The frames of a session as columns.

    Raises
    ------
    UserError
        As of `manifest.read_frames`.
    """
    try:
        if (session / SPOOL).is_dir():
            raise ValueError("not PNG yet")
        found = _collect(_blocks(session / FRAMES_FILE))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        found = _read_slowly(session)
    order = np.argsort(found.index, kind="stable")
    ordered = bool((order[1:] > order[:-1]).all())
    return found if ordered else found.take(order)


def _read_slowly(session: Path) -> SessionColumns:
    """Frame by frame, for the error that says which line is damaged."""
    frames = list(read_frames(session))
    try:
        return _collect(iter([[vars(each) for each in frames]]))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"{session / FRAMES_FILE} is damaged ({error}). Mend its lines.") from error


def _blocks(path: Path) -> Iterator[list[dict[str, Any]]]:
    """The lines of a manifest, parsed, without a cut-off last one."""
    with path.open("rb") as file:
        while block := list(islice(file, BLOCK)):
            if not block[-1].endswith(b"\n") and not _is_whole(block[-1]):
                block.pop()
            lines = [line for line in block if not line.isspace()]
            values = json.loads(b"[" + b",".join(lines) + b"]")
            if len(values) != len(lines):
                raise ValueError("a line holds more than one value")
            yield values


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _collect(blocks: Iterator[list[dict[str, Any]]]) -> SessionColumns:
    """Blocks of parsed lines -> columns. The strings of a block die with it."""
    file: list[str] = []
    scenes: dict[str | None, int] = {None: NO_VIEWPOINT}
    parts: list[tuple[NDArray[Any], ...]] = [_arrays([], scenes)]
    for block in blocks:
        file += [str(each["file"]) for each in block]
        parts.append(_arrays(block, scenes))
    return SessionColumns(file, *(np.concatenate(each) for each in zip(*parts, strict=True)))


def _arrays(block: list[dict[str, Any]], scenes: dict[str | None, int]) -> tuple[NDArray[Any], ...]:
    """index, wall_ns, time_ns, viewpoint, reference, sha256, phash of some lines."""
    viewpoints = (each.get("viewpoint") for each in block)
    return (
        np.array([each["index"] for each in block], np.int64),
        np.array([each["wall_ns"] for each in block], np.int64),
        np.array([each["monotonic_ns"] for each in block], np.int64),
        np.array([scenes.setdefault(each, len(scenes) - 1) for each in viewpoints], np.int64),
        np.array(["reference" in (each.get("light") or "").lower() for each in block], np.bool_),
        _fingerprints([each.get("sha256") for each in block]),
        _hashes([each.get("phash") for each in block]),
    )


def _fingerprints(values: Sequence[str | None]) -> NDArray[np.bytes_]:
    """(N,) S64; empty where there is none."""
    return np.array([(each or "").encode() for each in values], "S64")


def _hashes(values: Sequence[str | None]) -> NDArray[np.uint64]:
    """(N,) of hexadecimal texts; 0 where there is none of at most 64 bits."""
    text = "".join([each if each and len(each) == 16 else _sixteen(each) for each in values])
    return np.frombuffer(bytes.fromhex(text), ">u8").astype(np.uint64)


def _sixteen(value: str | None) -> str:
    return value.zfill(16) if value and len(value) < 16 else "0" * 16
