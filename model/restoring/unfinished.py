"""What is done of a video that is being restored, kept beside the result until that is whole.

A hidden folder holds what was seen of all frames (``look``) and the encoded parts
(``00000.frames`` …), each with what the next one needs of it. A process may be killed at any
moment: what is here is whole, and goes on where it ended if it is of the same video, restored in
the same way. No decoding and no encoding.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from dataset import files, gate, locks, parts
from dataset.errors import UserError
from dataset.pictures.pixels import Pixels
from dataset.pictures.video_coding import ENCODED_BY, Coded
from model.restoring.steady import Arrays

FRAMES = 120  # of a part: x264 begins anew every 250 by itself; so many are lost at most
SUFFIX = ".unfinished"
NOTE = "A video that is being restored. `cli restore --resume` goes on; it may be deleted."
LOCK, KEY, LOOK, PART = "lock", "key", "look", ".frames"
PROGRAM = f"1, {ENCODED_BY}"  # what wrote them: raised when parts mean something else
MOST_PART = 4 << 30  # bytes
DIGEST = hashlib.sha256().digest_size
PROBE = 64  # pixels, side of a picture that shows what a method does
PROBE_ALIKE = 1e-3  # of white: the same network, on other processors

_T = TypeVar("_T")


@dataclass(frozen=True)
class Way:
    """How frames are restored; of another way, nothing is gone on with."""

    settings: str = ""
    probe: NDArray[Any] = field(default_factory=lambda: np.zeros(0))  # `probe_of` the method


ANY_WAY = Way()


class _Array(msgspec.Struct, array_like=True):
    kind: str  # NumPy's name of the type
    shape: tuple[int, ...]
    data: bytes


class _Part(msgspec.Struct, array_like=True):
    """Frames that follow each other, restored and encoded."""

    coded: list[Coded]
    carried: bytes  # what the next frame needs of those before it, packed


class Unfinished:
    """The parts of one video that are done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, number: int) -> bool:
        """Whether a part is done, and whole."""
        return self._part(number) is not None

    def coded(self, number: int) -> list[Coded]:
        """The frames of a part that is done."""
        return self._whole(number).coded

    def carried(self, number: int) -> Arrays:
        """What the frame after a part needs of it."""
        return unpack(self._whole(number).carried) or {}

    def add(self, number: int, coded: list[Coded], carried: Arrays) -> None:
        """Keep a part; errors as for `files.write_whole`."""
        data = _sealed(_Part(coded, pack(carried)))
        files.write_whole(self._path(number), data, sync=True)

    def look(self, find: Callable[[], Arrays]) -> Arrays:
        """What was seen of all frames; found now if it was not yet."""
        before = unpack(_read(self.folder / LOOK))
        if before is not None:
            return before
        seen = find()
        if seen:
            files.write_whole(self.folder / LOOK, pack(seen), sync=True)
        return seen

    @property
    def frames(self) -> int:
        """How many frames are done, at most."""
        return FRAMES * sum(1 for _ in self.folder.glob(f"*{PART}"))

    @property
    def is_begun(self) -> bool:
        """Whether anything is done that took long."""
        return self.frames > 0 or (self.folder / LOOK).exists()

    def _whole(self, number: int) -> _Part:
        part = self._part(number)
        if part is None:
            raise UserError(f"{self._path(number)} was changed meanwhile. Say --resume.", 1)
        return part

    def _part(self, number: int) -> _Part | None:
        return _opened(_read(self._path(number)), _Part)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05}{PART}"


def folder_of(target: Path) -> Path:
    """Where the parts of a result are kept."""
    return target.with_name(f".{target.name}{SUFFIX}")


@contextmanager
def unfinished(
    target: Path, source: str, way: Way, resume: bool, replaces: bool
) -> Iterator[Unfinished]:
    """The parts of a video, while it is restored; removed once the block ends well.

    Parameters
    ----------
    target : Path
        The result.
    source : str
        What tells the video from others.
    way : Way
        How it is restored.
    resume : bool
        Whether to go on from what is there.
    replaces : bool
        Whether to throw away what is there, otherwise.

    Raises
    ------
    UserError
        Something is there and neither was asked for; it is of another video, or restored in
        another way; another process is at it; the folder is not this program's, or cannot be
        written.
    """
    folder = folder_of(target)
    _make(folder)
    busy = f"{target} is being written by another process. Wait for it."
    with ExitStack() as let_go, locks.hold_folder(folder, LOCK, busy):
        kept = Unfinished(folder)
        if kept.is_begun and not resume and not replaces:
            raise UserError(
                f"{target} was stopped after {kept.frames} frames. Go on with --resume, or start "
                "over with --overwrite."
            )
        if kept.is_begun and resume:
            _check_same(folder, target, source, way)
        else:
            _clear(folder)
            facts = {"program": PROGRAM, "source": source, "settings": way.settings}
            key = {name: np.array(value) for name, value in facts.items()}
            files.write_whole(folder / KEY, pack({**key, "probe": way.probe}))
        let_go.callback(_remove_unless_begun, kept)  # Windows removes what is held only then
        try:
            yield kept
        except BaseException:
            _remove_unless_begun(kept)
            raise
        _remove(folder)


def _make(folder: Path) -> None:
    if not os.path.lexists(folder):
        with suppress(FileExistsError), files.writing_in(folder.parent):
            parts.make_marked(folder, NOTE)
    if gate.is_link(folder) or not (folder / parts.OWN_MARKER).is_file():
        raise UserError(f"{folder} was not made by this program. Move it away.")


def _check_same(folder: Path, target: Path, source: str, way: Way) -> None:
    found = unpack(_read(folder / KEY)) or {}
    if str(found.get("program", "")) != PROGRAM:
        changed = "the program"
    elif str(found.get("source", "")) != source:
        changed = "the video"
    elif str(found.get("settings", "")) != way.settings:
        changed = "the options"
    elif not _alike(found.get("probe", np.zeros(())), way.probe):
        changed = "the network"
    else:
        return
    raise UserError(
        f"{target} was stopped, and {changed} changed since. Start over with --overwrite, or "
        "restore as before."
    )


def _alike(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=0, atol=PROBE_ALIKE))


def _clear(folder: Path) -> None:
    for each in folder.iterdir():
        if each.name not in (LOCK, parts.OWN_MARKER) and not each.is_dir():
            files.remove_file(each)


def _remove(folder: Path) -> None:
    with suppress(UserError, OSError):
        parts.remove_marked(folder)


def _remove_unless_begun(kept: Unfinished) -> None:
    if not kept.is_begun:
        _remove(kept.folder)


def probe_of(restore: Callable[[Pixels], Pixels]) -> Pixels:
    """What a method makes of a picture that is partly clipped."""
    rows, columns = np.mgrid[0:PROBE, 0:PROBE].astype(np.float32) / PROBE
    picture = np.stack([1.6 * rows, 1.3 * columns, rows + 0.7 * columns], 2)
    return restore(np.minimum(picture, 1))


def pack(arrays: Arrays) -> bytes:
    """Arrays by name -> bytes that tell if they are damaged."""
    values = {name: np.asarray(each) for name, each in arrays.items()}
    return _sealed(
        {name: _Array(each.dtype.str, each.shape, each.tobytes()) for name, each in values.items()}
    )


def unpack(data: bytes) -> dict[str, NDArray[Any]] | None:
    """The arrays that `pack` wrote; None for anything else."""
    found = _opened(data, dict[str, _Array])
    if found is None:
        return None
    return {
        name: np.frombuffer(each.data, each.kind).reshape(each.shape).copy()
        for name, each in found.items()
    }


def _sealed(values: object) -> bytes:
    content = msgspec.msgpack.encode(values)
    return hashlib.sha256(content).digest() + content


def _opened(data: bytes, kind: type[_T]) -> _T | None:
    """What was sealed; None if a bit of it is another one."""
    digest, content = data[:DIGEST], data[DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        return None
    return msgspec.msgpack.decode(content, type=kind)


def _read(path: Path) -> bytes:
    try:
        return gate.read_regular(path, MOST_PART)
    except OSError:
        return b""
