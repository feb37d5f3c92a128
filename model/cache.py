"""From a folder of pictures to frames, decoded once for many runs and memory-mapped.

``data/.cache/`` holds the pixels of a folder's frames one after another, and an index with the
shape and the offset of each. Their name is a digest of the pictures and of how they were resized,
so a changed data set is decoded anew. What batches are made of the frames is not known here, nor
is torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from filelock import FileLock

from dataset.errors import UserError
from dataset.images import READABLE, Image, read_image, resize_area
from dataset.layout import LAYOUTS

CACHE = ".cache"
FORMAT = 1  # of the two files; another number makes older ones stale

Progress = Callable[[int, int], None]


def find_frames(data: str | Path, folder: str) -> list[Path]:
    """The pictures of ``data/folder`` by name.

    Parameters
    ----------
    data : str or Path
        The data set.
    folder : str
        trainA (X), trainB (Y), testA or testB. Where it has no pictures, the folder of the
        imagefolder layout that holds the same: train/X for trainA.

    Raises
    ------
    UserError
        The folder is missing or empty.
    """
    root = Path(data)
    alike = dict(zip(LAYOUTS["cyclegan"], LAYOUTS["imagefolder"], strict=True))
    for name in (folder, alike.get(folder)):
        found = [] if name is None else _pictures(root / name)
        if found:
            return found
    raise UserError(
        f"No pictures in {root / folder}. Make the data set first: record frames "
        "(`cli capture --hotkey`), then `cli split`; or name its folder with --data."
    )


def _pictures(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("*") if path.suffix.lower() in READABLE)
    # By name, not by path: Windows compares paths without regard to case.
    return sorted((p for p in found if not p.name.startswith(".")), key=lambda path: path.name)


def decode_frames(
    paths: Sequence[Path],
    size: int,
    load_size: int,
    on_progress: Progress | None = None,
) -> Iterator[Image]:
    """Decode frames on all cores, in order, a few ahead of who takes them.

    Parameters
    ----------
    paths : sequence of Path
        The pictures.
    size : int
        Side of the square that will be cut out, pixels.
    load_size : int
        Shorter side after area-averaging, pixels; 0 keeps frames as recorded.
    on_progress : callable
        Called with (done, total).

    Yields
    ------
    RGB uint8 (H, W, 3), not smaller than ``size`` on its shorter side.

    Raises
    ------
    UserError
        A picture cannot be read.
    """
    workers, left = os.cpu_count() or 1, iter(paths)
    waiting: deque[Future[Image]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for done in range(len(paths)):
                for path in islice(left, 4 * workers - len(waiting)):
                    waiting.append(pool.submit(_load, path, size, load_size))
                frame = waiting.popleft().result()
                if on_progress:
                    on_progress(done + 1, len(paths))
                yield frame
        finally:
            for each in waiting:
                each.cancel()


def _load(path: Path, size: int, load_size: int) -> Image:
    image = read_image(path)
    height, width = image.shape[:2]
    shorter = min(height, width)
    wanted = max(size, load_size or shorter)
    scale = wanted / shorter
    return resize_area(
        image, (max(wanted, round(width * scale)), max(wanted, round(height * scale)))
    )


def load_frames(
    paths: Sequence[Path],
    size: int,
    load_size: int,
    on_progress: Progress | None = None,
) -> list[Image]:
    """All frames of ``decode_frames`` in memory: RGB uint8 (H, W, 3)."""
    return list(decode_frames(paths, size, load_size, on_progress))


class Frames(list[Image]):
    """Frames of a folder, RGB uint8 (H, W, 3) each; read only where they are mapped.

    Attributes
    ----------
    file : Path or None
        The file that they are mapped from; None: they are in memory.
    """

    def __init__(self, pictures: Iterable[Image], file: Path | None = None) -> None:
        super().__init__(pictures)
        self.file = file


def open_frames(
    data: str | Path,
    folder: str,
    size: int,
    load_size: int,
    on_progress: Progress | None = None,
    spare: Path | None = None,
) -> Frames:
    """The frames of a folder, decoded if no earlier run has done so.

    Parameters
    ----------
    data : str or Path
        The data set.
    folder : str
        As ``find_frames`` takes it.
    size : int
        Side of the square that will be cut out, pixels.
    load_size : int
        Shorter side after area-averaging, pixels; 0 keeps frames as recorded.
    on_progress : callable, optional
        Called with (done, total); once where nothing has to be decoded.
    spare : Path, optional
        Where the cache goes if `data` cannot be written to. None: a temporary folder of this
        user's.

    Returns
    -------
    Frames
        In memory where no place can be written to, or the disk is full.

    Raises
    ------
    UserError
        The folder is missing or empty, or a picture cannot be read.
    """
    paths = find_frames(data, folder)
    name = f"{folder}-{_digest(paths, size, load_size)}"
    places = [Path(data) / CACHE, spare or _temporary(Path(data))]
    decode = partial(decode_frames, paths, size, load_size, on_progress)
    ready = partial(_read, name=name, count=len(paths), on_progress=on_progress)
    for place in places:
        frames = ready(place)
        if frames is not None:
            return frames
    for place in places:
        # Not writable, or a file system without locks: the other place may do.
        with suppress(OSError, NotImplementedError), _locked(place, folder):
            frames = ready(place) or _make(place, folder, name, decode)
            if frames is not None:
                return frames
            break
    return Frames(decode())


def _digest(paths: Sequence[Path], size: int, load_size: int) -> str:
    """Changes with the pictures, and with what becomes of them."""
    # Runs with squares of different sizes share a cache where frames come out alike.
    rule = ["to", max(size, load_size)] if load_size else ["at least", size]
    return _short_hash(json.dumps([FORMAT, rule, [[path.name, *_facts(path)] for path in paths]]))


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _facts(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:  # decoding will say so
        return (0, 0)
    return (about.st_size, about.st_mtime_ns)


def _temporary(data: Path) -> Path:
    """Where a data set's cache goes that has no other place."""
    user = f"unclip-{os.getuid()}" if hasattr(os, "getuid") else "unclip"
    return Path(tempfile.gettempdir()) / user / _short_hash(str(data.resolve()))


@contextmanager
def _locked(place: Path, folder: str) -> Iterator[None]:
    """Make a place and hold its lock; OSError where that cannot be done."""
    if place.name != CACHE:
        place.parent.mkdir(mode=0o700, exist_ok=True)
    place.mkdir(exist_ok=True)
    if not _is_ours(place):
        raise PermissionError(f"{place.parent} belongs to somebody else")
    with FileLock(place / f"{folder}.lock"):
        yield


def _is_ours(place: Path) -> bool:
    """Whether nobody else can have put frames there: in a temporary folder, others could."""
    shared = place.name != CACHE and place.parent.parent == Path(tempfile.gettempdir())
    if not shared or not hasattr(os, "getuid"):
        return True
    about = place.parent.lstat()
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid()


def _make(
    place: Path, folder: str, name: str, decode: Callable[[], Iterator[Image]]
) -> Frames | None:
    """Write a cache, with the lock held; None where the disk is full."""
    _clear(place, folder)
    try:
        count = _write(place, name, decode())
    except OSError:
        return None
    return _read(place, name, count)


def _clear(place: Path, folder: str) -> None:
    """Remove stale files of a folder, and what a killed process left of one."""
    for path in place.iterdir():
        if path.name.startswith((f"{folder}-", f".{folder}-")):
            with suppress(OSError):  # still mapped, on Windows
                path.unlink()


def _write(place: Path, name: str, frames: Iterable[Image]) -> int:
    """Write both files, the index last: it only ever stands for whole frames."""
    index: list[tuple[int, int, int]] = []  # height, width, offset

    def pixels() -> Iterator[memoryview]:
        offset = 0
        for frame in frames:
            index.append((frame.shape[0], frame.shape[1], offset))
            offset += frame.size
            yield np.ascontiguousarray(frame).data

    _replace(place / f"{name}.frames", pixels())
    text = json.dumps({"format": FORMAT, "frames": index})
    _replace(place / f"{name}.json", [text.encode()])
    return len(index)


def _replace(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    aside = path.with_name(f".{path.name}.part")
    try:
        with open(aside, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())  # after a power cut a file may have its length but no pixels
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _read(place: Path, name: str, count: int, on_progress: Progress | None = None) -> Frames | None:
    """Map what was written; None where there is nothing, or not the whole of it."""
    file = place / f"{name}.frames"
    try:
        if not _is_ours(place):
            return None
        index = json.loads((place / f"{name}.json").read_text(encoding="utf-8"))["frames"]
        flat = np.asarray(np.memmap(file, np.uint8, "r"))
        frames = [
            flat[offset : offset + height * width * 3].reshape(height, width, 3)
            for height, width, offset in index
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = len(frames) == count and sum(frame.size for frame in frames) == flat.size
    if whole and on_progress:
        on_progress(count, count)
    return Frames(frames, file) if whole else None
