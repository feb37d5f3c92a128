"""HDR shots -> a session: each shot is a viewpoint, recorded under several exposures.

The frames are those of a light sweep: of one viewpoint they differ in their light only, and the
first, whose light is called the reference, shows what the others lost. Labels are left to the
labelling rules.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dataset.errors import UserError, first_of, several
from dataset.files import write_whole
from dataset.gate import MOST_PICTURE, plain, read_regular
from dataset.names import check_name, safe_name
from dataset.options import ExposeOptions
from dataset.pictures.exposing import develop, exposures, veil_of
from dataset.pictures.hashing import sha256
from dataset.pictures.hdr import HdrPicture, decode_hdr
from dataset.pictures.images import resize_area
from dataset.pictures.limits import MOST_FRAME_PIXELS
from dataset.pictures.png import encode_png
from dataset.pictures.taken import taken_ns
from dataset.sessions.conversion import FILE, TIME_FROM, frame_of
from dataset.sessions.finding import find_shots
from dataset.sessions.imported import TIMES_OF_FILES, TIMES_OF_PICTURES, have_times, told_sizes
from dataset.sessions.manifest import FRAMES_FILE, SHOTS, Frame
from dataset.sessions.unfinished import UnfinishedSession, finish, unfinished_session
from dataset.terminal import ProgressCallback

SHOT = "shot_sha256"  # in the manifest: of the HDR file
THREADS = 4  # exposures of a shot that are made at once, each with a copy of its light
ALONE = 1 << 25  # pixels of a shot, from which they are made one by one


@dataclass(frozen=True)
class ExposedSession:
    """The session that was made."""

    session: Path
    shots: int
    frames: int
    skipped: tuple[str, ...] = ()  # shots that cannot be used, each with the reason
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.frames} frames of {self.shots} shots: {self.session}"


class Stopped(KeyboardInterrupt):
    """Ctrl-C; the message says what is kept."""


@dataclass
class _Told:
    """What is said of shots."""

    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def expose_files(
    paths: Sequence[Path], options: ExposeOptions, on_progress: ProgressCallback | None = None
) -> ExposedSession:
    """Make a session of HDR shots. It appears only when it is complete.

    Parameters
    ----------
    paths : sequence of Path
        Files, folders, and patterns that the shell did not expand; HDR pictures among them count.
    options : ExposeOptions
    on_progress : callable
        Called with (done, total) shots.

    Raises
    ------
    UserError
        A path is missing, no shot can be used, the session exists or was stopped before, or the
        disk is full: what is done is kept for ``resume``.
    Stopped
        Ctrl-C; as well.
    """
    _check(options)
    found = find_shots(paths, options.out)
    target = options.out / (options.session or _name(found.files[0]))
    told = _Told()
    way = {key: value for key, value in asdict(options).items() if key in _OF_FRAMES}
    with unfinished_session(target, way, options.steps, options.resume) as kept:
        try:
            _expose_all(found.files, options, kept, told, on_progress)
        except KeyboardInterrupt as error:
            raise Stopped(f"{kept.groups} of {len(found.files)} shots are exposed") from error
        if not kept.frames:
            raise UserError(
                several(f"None of {len(found.files)} files can be used", told.skipped), 1
            )
        notes = [*found.notes, *told.notes, told_sizes(kept.frames)]
        made = ExposedSession(
            target, kept.groups, len(kept.frames), tuple(told.skipped), tuple(filter(None, notes))
        )
        finish(kept, target, _facts(made, paths, kept.frames, way))
    return made


_OF_FRAMES = ("steps", "first_stops", "last_stops", "flare", "size")  # what frames depend on


def _check(options: ExposeOptions) -> None:
    if options.session is not None:
        check_name(options.session, "a session")
    first, last = options.first_stops, options.last_stops
    if first is not None and last is not None and not last > first:
        raise UserError(f"--to must be brighter than --from, which is {first:+g} stops.")
    if options.steps < 2:
        raise UserError("--steps must be at least 2: well exposed, and clipped.")
    if options.size is not None and min(options.size) < 1:
        raise UserError("--size must be at least 1x1.")


def _name(first: Path) -> str:
    folder = first.resolve().parent
    if folder.name == SHOTS and (folder.parent / FRAMES_FILE).is_file():
        folder = folder.parent  # shots of a recording are called as it is
    return f"exposed-{safe_name(folder.name, 'shots')}"


def _facts(
    made: ExposedSession, paths: Sequence[Path], frames: Sequence[Frame], way: dict[str, Any]
) -> dict[str, Any]:
    return {
        "format": 1,
        "session": made.session.name,
        "state": "ended",
        "imported": True,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "paths": [plain(each.absolute()) for each in paths],
        "exposed": way,
        "times": TIMES_OF_PICTURES if have_times(frames) else TIMES_OF_FILES,
        "skipped": [plain(each) for each in made.skipped],
        "notes": [plain(each) for each in made.notes],
    }


def _expose_all(
    files: Sequence[Path],
    options: ExposeOptions,
    kept: UnfinishedSession,
    told: _Told,
    on_progress: ProgressCallback | None,
) -> None:
    known = {each.extra.get(SHOT): each.extra.get("source") for each in kept.frames}
    notes: list[str] = []
    for done, path in enumerate(files, start=1):
        _check_disk(options, kept)
        try:
            shot = _read(path, options, known)
        except UserError as error:
            told.skipped.append(str(error))
        else:  # what fails in writing is no fault of the shot
            if shot.picture is not None:
                kept.add(_expose(shot, options, kept))
                notes += [f"{path}: {each}." for each in shot.picture.notes]
            elif known[shot.digest] != plain(path):
                notes.append(f"{path} is the same as {known[shot.digest]}.")
            known.setdefault(shot.digest, plain(path))
        if on_progress is not None:
            on_progress(done, len(files))
    if notes:
        told.notes.append(f"{len(notes):,} of {len(files):,} shots: {first_of(notes)}")


@dataclass(frozen=True)
class _Shot:
    """An HDR file, and what is to be made of it."""

    path: Path
    digest: str
    picture: HdrPicture | None = None  # None: it was exposed before
    stops: tuple[float, ...] = ()
    time_ns: int = 0
    time_from: str = FILE


def _read(path: Path, options: ExposeOptions, known: Container[str | None]) -> _Shot:
    try:
        data = read_regular(path, MOST_PICTURE)
        modified_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    digest = sha256(data)
    if digest in known:
        return _Shot(path, digest)
    picture = decode_hdr(data, path)
    taken = taken_ns(data, path.name) or (modified_ns, FILE)
    return _Shot(path, digest, picture, _exposures(picture, path, options), *taken)


def _expose(shot: _Shot, options: ExposeOptions, kept: UnfinishedSession) -> list[Frame]:
    """Write the frames of one shot; the lines of the manifest."""
    picture, stops = shot.picture, shot.stops
    assert picture is not None
    about = {"source": plain(shot.path), SHOT: shot.digest, "kind": picture.kind}
    veil = veil_of(picture.light) if options.flare else None
    begin, viewpoint = len(kept.frames), f"v{kept.groups:05d}"

    def make(step: int) -> Frame:
        image = develop(picture.light, stops[step], veil, stops[0])
        image = image if options.size is None else resize_area(image, options.size)
        encoded = encode_png(image)
        file = f"frames/{begin + step:06d}.png"
        write_whole(kept.folder / file, encoded)
        return replace(
            frame_of(image, encoded, shot.time_ns),
            index=begin + step,
            file=file,
            light=f"{f'step {step}' if step else 'reference'}; exposure {stops[step]:+.2f} stops",
            viewpoint=viewpoint,
            extra={**about, TIME_FROM: shot.time_from, "exposure_stops": stops[step]},
        )

    width, height = picture.size
    threads = 1 if width * height > ALONE else min(THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(make, range(options.steps)))


def _exposures(picture: HdrPicture, path: Path, options: ExposeOptions) -> tuple[float, ...]:
    """The exposures of a shot; on a display, its diffuse white stays the brightest white."""
    width, height = picture.size
    if width * height > MOST_FRAME_PIXELS:
        raise UserError(
            f"{path} has {width}x{height} pixels, too many for a frame. Make it smaller."
        )
    if not picture.light.max(initial=0) > 0:
        raise UserError(f"{path} is black: there is nothing to expose.", 1)
    brightest = 0.0 if picture.white_nits is not None else float("inf")
    chosen = (options.steps, options.first_stops, options.last_stops)
    try:
        return tuple(exposures(picture.light, *chosen, brightest))
    except UserError as error:
        raise UserError(f"{path}: {error}", 1) from error


def _check_disk(options: ExposeOptions, kept: UnfinishedSession) -> None:
    if shutil.disk_usage(kept.folder).free < options.disk_floor_bytes:
        raise UserError(
            f"Less than {options.disk_floor_bytes / 1e9:g} GB are free on the disk of "
            f"{options.out}: {kept.groups} shots are exposed. Make room there, then go on with the "
            "same command and --resume.",
            1,
        )
