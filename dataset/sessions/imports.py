"""Makes sessions from existing screenshots and recordings, which stay unchanged.

All pictures become one session; each recording becomes its own, so that the times of a session
come from one clock.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from dataset.errors import UserError, several
from dataset.files import move_over, part_of
from dataset.gate import plain
from dataset.names import check_name, safe_name
from dataset.parts import make_marked, move_finished, remove_marked, remove_part_folders
from dataset.pictures.formats import is_video
from dataset.pictures.images import resize_area
from dataset.pictures.limits import InFlight
from dataset.pictures.png import encode_png
from dataset.pictures.recordings import Reader, Shot
from dataset.pictures.taken import named_ns
from dataset.pictures.video_decoding import NS, Recording, describe
from dataset.sessions.conversion import frame_of, import_picture
from dataset.sessions.finding import find_importable
from dataset.sessions.imported import (
    TIMES_OF_FILES,
    TIMES_OF_PICTURES,
    TIMES_OF_RECORDING,
    have_times,
    told_sizes,
    told_times,
)
from dataset.sessions.manifest import Frame, ManifestWriter, write_session
from dataset.terminal import ProgressCallback

NOTE = "An import that did not end. It is removed by the next one."


@dataclass(frozen=True)
class ImportedSession:
    """One session that an import made."""

    session: Path
    frames: int
    missed: int = 0  # intervals in which a recording has no frame

    def __str__(self) -> str:
        missed = f", {self.missed} intervals missed" if self.missed else ""
        return f"{self.frames} frames{missed}: {self.session}"


@dataclass(frozen=True)
class ImportSummary:
    """The result of an import."""

    sessions: tuple[ImportedSession, ...]
    skipped: tuple[str, ...] = ()  # what could not be used, or not all of it, each with the reason
    notes: tuple[str, ...] = ()  # what frames do not keep of their pictures, and what was left out


@dataclass
class _Taken:
    """Frames of one source."""

    frames: list[Frame] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)  # for session.json


class _Progress:
    """Counts frames over several sources."""

    def __init__(self, report: ProgressCallback | None, total: int) -> None:
        self._report, self._total, self._before = report, total, 0

    def at(self, done: int) -> None:
        """``done`` frames of the current source are finished."""
        done += self._before
        if self._report is not None:
            self._report(done, max(self._total, done))

    def over(self, done: int) -> None:
        """The current source is finished and had ``done`` frames."""
        self.at(done)
        self._before += done


def import_files(
    paths: Sequence[Path],
    out: Path,
    session: str | None = None,
    label: str | None = None,
    size: tuple[int, int] | None = None,
    fps: float = 5.0,
    on_progress: ProgressCallback | None = None,
) -> ImportSummary:
    """Make sessions under ``out`` from pictures, recordings and folders of them.

    Folders are searched to the bottom, in natural order (``shot2`` before ``shot10``). A PNG of
    8-bit RGB keeps its bytes, hard-linked where that can be done; anything else is decoded and
    written as PNG, without alpha and in 8 bits. Recordings are thinned to ``fps`` by their own
    times. A session appears only when it is complete.

    Parameters
    ----------
    paths : sequence of Path
        Files, folders, and patterns that the shell did not expand.
    out : Path
        Folder of sessions.
    session : str or None
        Name; where there are several, each recording's own is added to it. None: pictures go by
        the date and time, recordings by their files.
    label : str or None
        X or Y for all of them.
    size : (int, int) or None
        Width and height to resize to.
    fps : float
        Frames a second to keep of recordings, at most.
    on_progress : callable
        Called with (done, total) frames; those of recordings are counted by their length.

    Raises
    ------
    UserError
        A path is missing, nothing can be read, or a session exists.
    """
    _check(session, label, fps)
    found = find_importable(paths, out)
    files = found.files
    videos = {each for each in files if is_video(each)}
    pictures = [each for each in files if each not in videos]
    films, skipped = _describe_all([each for each in files if each in videos])
    targets = _targets(out, session, bool(pictures), films, skipped)
    total = len(pictures) + sum(film.intervals(fps) for _, film in targets if film)
    progress = _Progress(on_progress, total)
    made, notes = [], found.notes
    for target, film in targets:
        if film is None:
            take = partial(_take_pictures, pictures, paths, size, progress)
        else:
            take = partial(_take_recording, film, fps, size, progress)
        taken = _build(target, label, take)
        skipped += taken.skipped
        notes += taken.notes
        if taken.frames:
            missed = sum(frame.missed_before for frame in taken.frames)
            made.append(ImportedSession(target, len(taken.frames), missed))
    if not made:
        raise UserError(several(f"None of {len(files)} files can be used", skipped), 1)
    return ImportSummary(tuple(made), tuple(skipped), tuple(notes))


def _check(session: str | None, label: str | None, fps: float) -> None:
    if label not in (None, "X", "Y"):
        raise UserError(f"--label must be X or Y, not {label!r}.")
    if session is not None:
        check_name(session, "a session")
    if not 0 < fps <= 1000:
        raise UserError(f"--fps must be over 0 and at most 1000, not {fps:g}.")


def _describe_all(paths: Sequence[Path]) -> tuple[list[Recording], list[str]]:
    """The recordings that can be opened, and why the others cannot."""
    films, skipped = [], []
    for path in paths:
        try:
            films.append(describe(path))
        except UserError as error:
            skipped.append(str(error))
    return films, skipped


def _targets(
    out: Path, session: str | None, pictures: bool, films: Sequence[Recording], skipped: list[str]
) -> list[tuple[Path, Recording | None]]:
    """The session of the pictures (None) and of each recording, each with a new name.

    A recording whose own session is there already is skipped, so that a folder can be imported
    again when it has grown.
    """
    sources: list[Recording | None] = [*([None] if pictures else []), *films]
    names: set[str] = set()
    targets: list[tuple[Path, Recording | None]] = []
    for film in sources:
        name = _name(session, film, len(sources) > 1)
        unique = next(each for each in _numbered(name) if each.casefold() not in names)
        names.add(unique.casefold())
        target = out / unique
        if not target.exists():
            targets.append((target, film))
        elif film is None or session is not None:
            raise UserError(_exists(target))
        else:
            skipped.append(f"{film.path}: {_exists(target)}")
    return targets


def _name(session: str | None, film: Recording | None, several: bool) -> str:
    if film is None:
        return session or f"import-{time.strftime('%Y%m%d-%H%M%S')}"
    own = safe_name(film.path.stem, "recording")
    if session is None:
        return own
    return f"{session}-{own}" if several else session


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in count(2))


def _exists(target: Path) -> str:
    return f"{target} exists already. Choose another --session, or remove it first."


def _build(target: Path, label: str | None, take: Callable[[Path], _Taken]) -> _Taken:
    """Make one session under a temporary name; rename it if it has frames."""
    aside = part_of(target)
    try:
        remove_part_folders(target.parent)
        make_marked(aside, NOTE)
        (aside / "frames").mkdir()
        taken = take(aside)
        if taken.frames:
            with ManifestWriter(aside) as manifest:
                for frame in taken.frames:
                    manifest.append(replace(frame, label=label))
            write_session(aside, _facts(target.name, taken))
            move_finished(aside, target)
        return taken
    except FileExistsError as error:
        raise UserError(_exists(target)) from error
    except OSError as error:
        raise UserError(f"Cannot write {target}: {error.strerror}.", 1) from error
    finally:
        with suppress(OSError, UserError):
            remove_marked(aside)


def _facts(name: str, taken: _Taken) -> dict[str, Any]:
    return {
        "format": 1,
        "session": name,
        "state": "ended",
        "imported": True,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **taken.facts,
        "skipped": [plain(each) for each in taken.skipped],
        "notes": [plain(each) for each in taken.notes],
    }


def _take_pictures(
    files: Sequence[Path],
    paths: Sequence[Path],
    size: tuple[int, int] | None,
    progress: _Progress,
    session: Path,
) -> _Taken:
    """Put the readable pictures into ``frames/``."""
    taken = _Taken(facts={"paths": [plain(each.absolute()) for each in paths]})
    in_flight, losses = InFlight(), Counter[str]()

    def take(job: tuple[int, Path]) -> tuple[Path, Frame, tuple[str, ...]] | str:
        number, path = job
        aside = session / f"{number}.png"
        try:
            frame, lost = import_picture(path, aside, size, in_flight)
            return aside, replace(frame, extra={"source": plain(path), **frame.extra}), lost
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for done, result in enumerate(pool.map(take, enumerate(files)), start=1):
                if isinstance(result, str):
                    taken.skipped.append(result)
                else:
                    aside, frame, lost = result
                    losses.update(lost)
                    index = len(taken.frames)
                    move_over(aside, session / _file(index))
                    taken.frames.append(replace(frame, index=index, file=_file(index)))
                progress.at(done)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    progress.over(len(files))
    taken.notes += [f"{count} of {len(files)} pictures: {lost}" for lost, count in losses.items()]
    taken.facts["times"] = TIMES_OF_PICTURES if have_times(taken.frames) else TIMES_OF_FILES
    taken.notes += [note for note in (told_times(taken.frames), told_sizes(taken.frames)) if note]
    return taken


def _take_recording(
    film: Recording, fps: float, size: tuple[int, int] | None, progress: _Progress, session: Path
) -> _Taken:
    """Put a thinned recording into ``frames/``."""
    reader, expected = Reader(film, fps), film.intervals(fps)
    taken = _Taken()
    try:
        # Closed here, since its threads must have ended when the folder is removed.
        with closing(_write_shots(reader.shots(), film.path, size, session)) as frames:
            for frame in frames:
                taken.frames.append(frame)
                done = int(frame.monotonic_ns * fps / NS) + 1
                progress.at(min(done, expected) if expected else done)
    except UserError as error:  # of reading; what fails in writing is an OSError
        return _Taken(skipped=[str(error)])
    progress.over(expected or len(taken.frames))
    begin_ns, known_from = _begin_ns(film, reader.duration_ns)
    taken.frames = [replace(each, wall_ns=begin_ns + each.monotonic_ns) for each in taken.frames]
    taken.skipped += [note] if (note := reader.note()) else []
    taken.notes += [f"{film.path}: {note}" for note in reader.changes()]
    taken.facts = {
        "times": TIMES_OF_RECORDING,
        "fps": fps,
        "recording": {**reader.facts(), "times_known_from": known_from},
    }
    return taken


def _begin_ns(film: Recording, duration_ns: int) -> tuple[int, str]:
    """Wall time of a recording's first frame, and where it is known from."""
    if film.created_ns is not None:
        return film.created_ns, "creation_time"
    if (named := named_ns(film.path.name)) is not None:
        return named, "name of the file"
    return film.path.stat().st_mtime_ns - duration_ns, "time of the file, less the duration"


def _write_shots(
    shots: Iterable[Shot], source: Path, size: tuple[int, int] | None, session: Path
) -> Generator[Frame, None, None]:
    """Encode frames on threads, a few at a time: a long recording does not fit in memory."""

    def write(index: int, shot: Shot) -> Frame:
        image = shot.image if size is None else resize_area(shot.image, size)
        data = encode_png(image)
        (session / _file(index)).write_bytes(data)
        extra = {"source": plain(source), "source_s": shot.source_s}
        frame = replace(frame_of(image, data, shot.time_ns), index=index, file=_file(index))
        return replace(frame, missed_before=shot.missed_before, extra=extra)

    threads = min(os.cpu_count() or 1, 8)
    waiting: deque[Future[Frame]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for index, shot in enumerate(shots):
            waiting.append(pool.submit(write, index, shot))
            if len(waiting) > threads + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _file(index: int) -> str:
    return f"frames/{index:06d}.png"
