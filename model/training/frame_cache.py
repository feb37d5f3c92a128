"""From a folder or a list of pictures to frames: decoded once for many runs, and memory-mapped.

``data/.cache/`` holds the pixels of a folder's frames one after another, and an index with the
shape and offset of each, and the SHA-256 of its file. Their name is a digest of the pictures and
of how they were resized, so a changed data set is decoded again. Loads no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from dataset.errors import BrokenPictures, UserError
from dataset.files import remove_file, written_aside
from dataset.gate import (
    MOST_PICTURE,
    MOST_TABLE,
    Count,
    is_regular,
    read_json,
    read_regular,
    refuse_links,
)
from dataset.layout.readers import CACHE_FOLDER, find_frames
from dataset.locks import hold_lock
from dataset.pictures.images import Image, decode, resize_area

CACHE_FORMAT = 2  # version of the two files; a new number makes older ones stale
FOREVER = -1.0  # seconds to wait for another process that decodes the same

Decoded = tuple[Image, str]  # RGB uint8 (H, W, 3), and the SHA-256 of its file


class Index(msgspec.Struct):
    """What is stored beside the pixels of a folder."""

    format: int
    frames: list[tuple[Count, Count, Count]]  # height, width, offset
    sha256: list[str]  # of their files


def decode_frames(
    paths: Sequence[Path],
    size: int,
    load_size: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[Image]:
    """Decode frames on all cores, in order, a few ahead of the consumer.

    Parameters
    ----------
    paths : sequence of Path
        The pictures.
    size : int
        Side of the square crops, pixels.
    load_size : int
        Shorter side after area-averaging, pixels; 0 keeps frames as recorded.
    on_progress : callable
        Called with (done, total).

    Yields
    ------
    RGB uint8 (H, W, 3), not smaller than ``size`` on its shorter side.

    Raises
    ------
    BrokenPictures
        Some cannot be read; all of them are named.
    """
    for frame, _ in _decode_all(paths, size, load_size, on_progress):
        yield frame


def _decode_all(
    paths: Sequence[Path],
    size: int,
    load_size: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[Decoded]:
    """As `decode_frames`; reads on after a broken one, so that all of them are told at once."""
    workers, left = os.cpu_count() or 1, iter(paths)
    waiting: deque[Future[Decoded]] = deque()
    faults: list[str] = []
    with ThreadPoolExecutor(workers) as pool:
        try:
            for done in range(len(paths)):
                for path in islice(left, 4 * workers - len(waiting)):
                    waiting.append(pool.submit(_load, path, size, load_size))
                try:
                    frame = waiting.popleft().result()
                except UserError as error:
                    faults.append(error.what)
                if on_progress:
                    on_progress(done + 1, len(paths))
                if not faults:
                    yield frame
        finally:
            for each in waiting:
                each.cancel()
    if faults:
        raise BrokenPictures(list(dict.fromkeys(faults)), len(paths))


def _load(path: Path, size: int, load_size: int) -> Decoded:
    try:
        data = read_regular(path, MOST_PICTURE)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    image = decode(data, path)
    height, width = image.shape[:2]
    shorter = min(height, width)
    wanted = max(size, load_size or shorter)
    scale = wanted / shorter
    sides = max(wanted, round(width * scale)), max(wanted, round(height * scale))
    return resize_area(image, sides), hashlib.sha256(data).hexdigest()


def load_frames(
    paths: Sequence[Path],
    size: int,
    load_size: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Image]:
    """All frames of ``decode_frames`` in memory: RGB uint8 (H, W, 3)."""
    return list(decode_frames(paths, size, load_size, on_progress))


class Frames(list[Image]):
    """Frames of a folder or a list, RGB uint8 (H, W, 3) each; read-only if they are mapped.

    Attributes
    ----------
    file : Path or None
        The file that they are mapped from; None: in memory.
    sha256 : dict of str
        Name of each (in a folder, of its file) -> SHA-256 of its file, in the same order.
    """

    def __init__(
        self,
        pictures: Iterable[Image],
        file: Path | None = None,
        sha256: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(pictures)
        self.file = file
        self.sha256 = dict(sha256 or {})


def open_frames(
    data: str | Path,
    folder: str,
    size: int,
    load_size: int,
    on_progress: Callable[[int, int], None] | None = None,
    spare: Path | None = None,
) -> Frames:
    """The frames of a folder, decoded unless an earlier run has done so.

    Parameters
    ----------
    data : str or Path
        The data set.
    folder : str
        As ``find_frames`` takes it.
    size : int
        Side of the square crops, pixels.
    load_size : int
        Shorter side after area-averaging, pixels; 0 keeps frames as recorded.
    on_progress : callable, optional
        Called with (done, total); only once if nothing has to be decoded.
    spare : Path, optional
        Where the cache goes if `data` is not writable. None: a temporary folder of this user.

    Returns
    -------
    Frames
        In memory if no place is writable, or the disk is full.

    Raises
    ------
    UserError
        The folder is missing or empty, or a picture cannot be read.
    """
    pictures = {path.name: path for path in find_frames(data, folder)}
    return open_pictures(pictures, Path(data), folder, size, load_size, on_progress, spare)


def open_pictures(
    pictures: Mapping[str, Path],
    root: Path,
    folder: str,
    size: int,
    load_size: int,
    on_progress: Callable[[int, int], None] | None = None,
    spare: Path | None = None,
) -> Frames:
    """The frames of pictures that may lie anywhere, in their order.

    Parameters
    ----------
    pictures : mapping
        What each is called -> its file; a file may be there several times.
    root : Path
        The folder with the cache.
    folder : str
        What the names of the cache's files begin with.
    size, load_size, on_progress, spare
        As of `open_frames`; so are result and errors.
    """
    names, paths = list(pictures), list(pictures.values())
    name = f"{folder}-{_digest(pictures, size, load_size)}"
    places = [root / CACHE_FOLDER, spare or _temporary(root)]
    decode = partial(_decode_all, paths, size, load_size, on_progress)
    ready = partial(_read, name=name, names=names, on_progress=on_progress)
    for place in places:
        frames = ready(place)
        if frames is not None:
            return frames
    for place in places:
        with ExitStack() as held:
            try:
                held.enter_context(_locked(place, folder))
            except (OSError, UserError, NotImplementedError):
                continue  # not writable, or a file system without locks: the other place may do
            frames = ready(place)
            if frames is None:
                if not _make(place, folder, name, decode):
                    break
                if f"{folder}-{_digest(pictures, size, load_size)}" != name:
                    _clear(place, folder)
                    raise UserError(f"{root} was changed while it was read. Run it again.", 1)
                frames = _read(place, name, names)
            if frames is not None:
                return frames
    decoded = list(decode())
    sums = dict(zip(names, (each for _, each in decoded), strict=True))
    return Frames((frame for frame, _ in decoded), sha256=sums)


def _digest(pictures: Mapping[str, Path], size: int, load_size: int) -> str:
    """Changes with the pictures, and with how they are resized."""
    # Runs with crops of different sizes share a cache if the frames come out the same.
    rule = ["to", max(size, load_size)] if load_size else ["at least", size]
    facts = [[name, *_facts(path)] for name, path in pictures.items()]
    return _short_hash(json.dumps([CACHE_FORMAT, rule, facts]))


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _facts(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:  # decoding will say so
        return (0, 0)
    return (about.st_size, about.st_mtime_ns)


def _temporary(data: Path) -> Path:
    """Where the cache goes if the data set is not writable."""
    user = f"unclip-{os.getuid()}" if hasattr(os, "getuid") else "unclip"
    return Path(tempfile.gettempdir()) / user / _short_hash(str(data.resolve()))


@contextmanager
def _locked(place: Path, folder: str) -> Iterator[None]:
    """Create a place and hold its lock; OSError or UserError if that is not possible."""
    if place.name != CACHE_FOLDER:
        place.parent.mkdir(mode=0o700, exist_ok=True)
    if not _is_ours(place):  # before anything is created in it
        raise PermissionError(f"{place.parent} belongs to somebody else")
    refuse_links(place, "the cache of decoded frames")
    place.mkdir(exist_ok=True)
    with hold_lock(place / f"{folder}.lock", "", FOREVER):
        yield


def _is_ours(place: Path) -> bool:
    """Whether nobody else can have put frames there, as others could in a temporary folder."""
    shared = place.name != CACHE_FOLDER and place.parent.parent == Path(tempfile.gettempdir())
    if not shared or not hasattr(os, "getuid"):
        return True
    about = place.parent.lstat()
    own = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid()
    return own and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _make(place: Path, folder: str, name: str, decode: Callable[[], Iterator[Decoded]]) -> bool:
    """Write a cache, with the lock held; False if the disk is full."""
    try:
        _clear(place, folder)
        _write(place, name, decode())
    except OSError:
        return False
    return True


def _clear(place: Path, folder: str) -> None:
    """Remove stale files of a folder, and leftovers of a killed process."""
    ours = re.compile(rf"\.?{re.escape(folder)}-[0-9a-f]{{16}}\.(frames|json)(\.[0-9]+)?(\.part)?")
    for path in place.iterdir():
        if ours.fullmatch(path.name):
            with suppress(OSError):  # still mapped, on Windows
                remove_file(path)


def _write(place: Path, name: str, frames: Iterable[Decoded]) -> None:
    """Write both files, the index last: it exists only if the frames are complete."""
    index = Index(CACHE_FORMAT, [], [])
    offset = 0
    # After a power loss a file may have its length but no pixels, so both are synced.
    with written_aside(place / f"{name}.frames", sync=True) as file:
        for frame, sha256 in frames:
            file.write(np.ascontiguousarray(frame).data)
            index.frames.append((frame.shape[0], frame.shape[1], offset))
            index.sha256.append(sha256)
            offset += frame.size
    with written_aside(place / f"{name}.json", sync=True) as file:
        file.write(msgspec.json.encode(index))


def _read(
    place: Path,
    name: str,
    names: Sequence[str],
    on_progress: Callable[[int, int], None] | None = None,
) -> Frames | None:
    """Map the frames of a cache; None if there is none, or it is incomplete."""
    file = place / f"{name}.frames"
    try:
        if not _is_ours(place) or not is_regular(file):
            return None
        index = read_json(place / f"{name}.json", Index, MOST_TABLE)
        flat = np.asarray(np.memmap(file, np.uint8, "r"))
        frames = [
            flat[offset : offset + height * width * 3].reshape(height, width, 3)
            for height, width, offset in index.frames
        ]
    except (OSError, ValueError):
        return None
    whole = sum(frame.size for frame in frames) == flat.size
    if not whole or not len(frames) == len(index.sha256) == len(names):
        return None
    if on_progress:
        on_progress(len(names), len(names))
    return Frames(frames, file, dict(zip(names, index.sha256, strict=True)))
