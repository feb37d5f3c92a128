"""A session made from screenshots that are there already. Reads them, never changes them.

Recordings are not read: their frames must be taken out first.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from dataset.errors import UserError
from dataset.hashing import phash, sha256
from dataset.images import READABLE, Image, decode, encode_png, resize_area
from dataset.manifest import Frame, ManifestWriter, write_session

VIDEOS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".flv", ".m4v", ".ts")
PNG_HEADER = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
RGB8 = b"\x08\x02"  # the bit depth and colour type of plain 8-bit RGB in a PNG header


@dataclass(frozen=True)
class ImportSummary:
    """What an import came to."""

    session: Path
    frames: int
    skipped: tuple[str, ...] = ()  # files that could not be used, each with the reason


def import_pictures(
    paths: Sequence[Path],
    out: Path,
    session: str | None = None,
    label: str | None = None,
    size: tuple[int, int] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImportSummary:
    """Make the session ``out/<session>`` from picture files and folders of them.

    Folders are searched to the bottom, in natural order (``shot2`` before ``shot10``). A PNG of
    8-bit RGB keeps its bytes, hard-linked where that can be done; anything else is decoded and
    written as PNG, without alpha and in 8 bits. The session appears when it is complete.

    Parameters
    ----------
    paths : sequence of Path
        Files or folders.
    out : Path
        Folder of sessions.
    session : str or None
        Name; None: the date and time.
    label : str or None
        X or Y for all of them.
    size : (int, int) or None
        Width and height to resize to.
    on_progress : callable
        Called with (done, total) files.

    Raises
    ------
    UserError
        A path is missing or a recording, no picture can be read, or the session exists.
    """
    if label not in (None, "X", "Y"):
        raise UserError(f"--label must be X or Y, not {label!r}.")
    if session is not None and (not session.strip(" .") or set(session) & set('<>:"/\\|?*')):
        raise UserError(f"{session!r} cannot be the name of a session: give a plain folder name.")
    target = out / (session or f"import-{time.strftime('%Y%m%d-%H%M%S')}")
    if target.exists():
        raise UserError(f"{target} exists already. Choose another --session, or remove it first.")
    files = find_pictures(paths, out)
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        (aside / "frames").mkdir(parents=True)
        frames, skipped = _bring_in(files, aside, size, on_progress)
        if not frames:
            raise UserError(f"None of {len(files)} files can be read, the first: {skipped[0]}", 1)
        with ManifestWriter(aside) as manifest:
            for frame in frames:
                manifest.append(replace(frame, label=label))
        write_session(aside, _facts(target.name, paths, skipped))
        os.rename(aside, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise UserError(f"{target} exists already. Choose another --session.") from error
        raise UserError(f"Cannot write {target}: {error.strerror}.", 1) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return ImportSummary(target, len(frames), tuple(skipped))


def find_pictures(paths: Sequence[Path], out: Path) -> list[Path]:
    """Readable picture files under the paths, in natural order, each once.

    What lies in ``out`` is left out: it has been recorded already.

    Raises
    ------
    UserError
        A path is missing or a recording, or there is no picture.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if path.suffix.lower() in VIDEOS and not path.is_dir():
            raise UserError(
                f"{path} is a recording; only pictures can be imported yet. Take its frames out "
                f'first: `mkdir shots && ffmpeg -i "{path}" -vf fps=5 shots/%06d.png`, then '
                "`cli import shots`."
            )
        if not path.exists():
            raise UserError(f"No such file or folder: {path}. Name pictures, or a folder of them.")
        for each in sorted(_pictures(path, out.resolve()), key=_natural):
            found.setdefault(each.resolve(), each)
    if not found:
        names = ", ".join(str(path) for path in paths)
        raise UserError(f"No pictures under {names}. Readable are {' '.join(READABLE)}.")
    return list(found.values())


def _pictures(path: Path, out: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path  # named by hand: tried, whatever it is called
        return
    for each in path.rglob("*"):
        if each.suffix.lower() not in READABLE or each.name.startswith("."):
            continue
        if each.is_file() and out not in each.resolve().parents:
            yield each


def _natural(path: Path) -> tuple[tuple[tuple[int, int, str], ...], ...]:
    """Sort key in which numbers count by value."""
    return tuple(
        tuple(
            (0, int(part), "") if part.isdecimal() else (1, 0, part.casefold())
            for part in re.split(r"(\d+)", name)
        )
        for name in path.parts
    )


def _bring_in(
    files: list[Path],
    session: Path,
    size: tuple[int, int] | None,
    on_progress: Callable[[int, int], None] | None,
) -> tuple[list[Frame], list[str]]:
    """Put the readable files into ``frames/``; their frames, and why the others were skipped."""
    frames: list[Frame] = []
    skipped: list[str] = []

    def convert(job: tuple[int, Path]) -> tuple[Path, Frame] | str:
        number, path = job
        aside = session / f"{number}.png"
        try:
            frame = _convert(path, aside, size)
            return aside, replace(frame, extra={"source": str(path)})
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for done, result in enumerate(pool.map(convert, enumerate(files)), start=1):
                if isinstance(result, str):
                    skipped.append(result)
                else:
                    aside, frame = result
                    name = f"frames/{len(frames):06d}.png"
                    os.replace(aside, session / name)
                    frames.append(replace(frame, index=len(frames), file=name))
                if on_progress is not None:
                    on_progress(done, len(files))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return frames, skipped


def _convert(path: Path, target: Path, size: tuple[int, int] | None) -> Frame:
    """Write one picture as PNG; its frame, still without index and file.

    ``UserError`` where it cannot be read; ``OSError`` where it cannot be written.
    """
    try:
        data = path.read_bytes()
        modified_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    image = decode(data, path)
    if size is None and _is_plain_png(data):
        _link(path, target)
    else:
        image = image if size is None else resize_area(image, size)
        data = encode_png(image)
        target.write_bytes(data)
    return _frame(image, data, modified_ns)


def _frame(image: Image, data: bytes, modified_ns: int) -> Frame:
    height, width = image.shape[:2]
    return Frame(
        index=0,
        file="",
        width=width,
        height=height,
        wall_ns=modified_ns,
        monotonic_ns=modified_ns,
        sha256=sha256(data),
        phash=phash(image),
    )


def _is_plain_png(data: bytes) -> bool:
    return data.startswith(PNG_HEADER) and data[24:26] == RGB8 and b"tRNS" not in data[:4096]


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)


def _facts(name: str, paths: Sequence[Path], skipped: list[str]) -> dict[str, object]:
    return {
        "format": 1,
        "session": name,
        "state": "ended",
        "imported": True,  # times are those of the files
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "paths": [str(path.absolute()) for path in paths],
        "skipped": skipped,
    }
