"""Files in, restored files out: pictures and videos, one after the other.

``inputs`` decides which files are meant and how results are named, ``picture`` and ``video`` keep
what a file holds besides pixels, and ``methods`` restores. A file that cannot be restored is
reported and does not stop the others. HDR files are restored by their own light (``by_light``).
Loads no torch: ``--onnx`` needs none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.gate import MOST_PICTURE, read_regular
from dataset.parts import is_being_written, remove_parts
from dataset.pictures.encoding import write_picture
from dataset.pictures.images import Image
from dataset.pictures.montage import side_by_side
from dataset.pictures.picture import Picture, read_picture
from dataset.pictures.pixels import Pixels, to_image
from dataset.pictures.png import encode_png
from model.options import RestoreOptions
from model.restoring.by_light import ByLight, is_by_light, open_by_light
from model.restoring.inputs import COMPARED, Naming, RestoreTask, plan_tasks
from model.restoring.methods import Restore, check_numbers, open_method
from model.restoring.unfinished import Way, probe_of
from model.restoring.video import restore_video, some_frames

DECISIVE = ("method", "threshold", "strength", "keep", "together", "detail")
CUT_OFF = "input, cut off at white"  # of HDR
LOOKING = 0.2  # of the time that a video takes, where it is looked at before

# Called with files done (a file in progress counts by its share), files in total, and its name.
Method = Callable[[], Restore]  # opened when it is first asked for
RestoreProgress = Callable[[float, int, str], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    source: Path
    target: Path
    size: tuple[int, int] = (0, 0)  # width and height, pixels
    frames: int = 1  # of a video
    seconds: float = 0.0
    notes: tuple[str, ...] = ()  # for the user: what could not be kept
    by_light: bool = False  # it is HDR: no network and no method was asked
    fault: str = ""  # why nothing was written; empty on success

    def __str__(self) -> str:
        if self.fault:
            return self.fault
        width, height = self.size
        frames = f", {self.frames} frames" if self.frames > 1 else ""
        told = "".join(f"; {note}" for note in self.notes)
        return (
            f"{self.source} -> {self.target} ({width}x{height}{frames}, {self.seconds:.1f} s{told})"
        )


def restore_files(
    inputs: Sequence[str | Path],
    options: RestoreOptions,
    on_progress: RestoreProgress | None = None,
) -> Iterator[Outcome]:
    """Restore files one by one; yields each when its result is written or has failed.

    Raises
    ------
    UserError
        No input, no run, or an output that exists or would replace an input; raised before the
        first file is restored.
    """
    if options.resume and options.overwrite:
        raise UserError("--resume and --overwrite contradict each other. Leave one out.")
    check_numbers(options)
    naming = naming_of(options)
    tasks = plan_tasks(inputs, naming, options.recursive)
    if not tasks:  # all were restored earlier
        return
    check_compared(tasks, options)
    check_light(tasks, options)
    report = _Progress(on_progress, len(tasks))
    every = replace(naming, skip_existing=False, overwrite=True)
    method = cache(
        lambda: open_method(
            options, report.share, lambda: pictures_of(plan_tasks(inputs, every, options.recursive))
        )
    )
    if not all(map(_is_by_light, tasks)):
        method()  # what is wrong with it shows before the first file
    for task in tasks:
        report.begin(task)
        yield attempt(task, method, options, report)
        report.end()


def naming_of(options: RestoreOptions) -> Naming:
    """Where the results of a command go."""
    skips = options.skip_existing or options.resume
    return Naming(options.out, options.suffix, options.ext, options.overwrite, skips)


def pictures_of(tasks: Sequence[RestoreTask]) -> Iterator[Pixels]:
    """The pixels of all files that can be read, and of some frames of each video."""
    for task in tasks:
        with suppress(UserError):
            if task.is_video:
                yield from some_frames(task.source)
            else:
                yield read_picture(task.source).pixels


def attempt(
    task: RestoreTask, method: Method, options: RestoreOptions, report: _Progress
) -> Outcome:
    """Restore one file; an error becomes the `fault` of its outcome."""
    begin = time.perf_counter()
    if task.fault:
        return Outcome(task.source, task.target, fault=task.fault)
    try:
        task.target.parent.mkdir(parents=True, exist_ok=True)
        _claim(task.target)
        done = (
            _restore_video(task, method(), options, report)
            if task.is_video
            else _restore_picture(task, method, options)
        )
    except UserError as error:
        return Outcome(task.source, task.target, fault=str(error))
    except MemoryError:
        return Outcome(task.source, task.target, fault=f"{task.source}: not enough memory is free.")
    except OSError as error:
        return Outcome(task.source, task.target, fault=f"{task.source}: {error}.")
    return replace(done, seconds=time.perf_counter() - begin)


def _claim(target: Path) -> None:
    """Remove what a killed process left of a result; refuse a result that is being written."""
    remove_parts(target.parent, f"{target.name}.")
    if is_being_written(target):
        raise UserError(f"{target} is being written by another process. Wait for it.", 1)


def _restore_picture(task: RestoreTask, method: Method, options: RestoreOptions) -> Outcome:
    light = _light_of(task, options)
    picture = read_picture(task.source) if light is None else light.picture
    restore = method() if light is None else light.restore
    restored = replace(picture, pixels=restore(picture.pixels))
    notes = write_picture(task.target, restored, options.overwrite)
    if options.compare:
        path = compared_path(task.target)
        _claim(path)
        first = CUT_OFF if light is not None and light.is_cut_off else "input"
        shown = side_by_side(panels(picture, restored, options.reference, first))
        write_whole(path, encode_png(shown), options.overwrite)
        notes += (f"compared in {path.name}",)
    by_light = light is not None
    return Outcome(task.source, task.target, picture.size, notes=notes, by_light=by_light)


def _light_of(task: RestoreTask, options: RestoreOptions) -> ByLight | None:
    """An HDR file, with what restores it as the options say; None: it is SDR, or unreadable."""
    try:
        data = read_regular(task.source, MOST_PICTURE)
    except OSError:  # said by the reader of SDR pictures
        return None
    return open_by_light(data, task.source, options, task.target.suffix)


def _is_by_light(task: RestoreTask) -> bool:
    """Whether a file needs no method; one with a fault is not restored at all."""
    if task.is_video:
        return False
    try:
        return bool(task.fault) or is_by_light(read_regular(task.source, MOST_PICTURE))
    except OSError:
        return False


def check_light(tasks: Sequence[RestoreTask], options: RestoreOptions) -> None:
    """Refuse options of HDR files where there is none."""
    asked = (options.exposure, options.tone) != (RestoreOptions.exposure, RestoreOptions.tone)
    if asked and not any(map(_is_by_light, tasks)):
        raise UserError(
            "--exposure and --tone belong to HDR files, and there is none. Leave them out."
        )


def _restore_video(
    task: RestoreTask, method: Restore, options: RestoreOptions, report: _Progress
) -> Outcome:
    way = Way(settings_of(options), probe_of(method))
    done = restore_video(
        task.source,
        task.target,
        method,
        report.frames,
        options.overwrite,
        report.looks,
        options.resume,
        way,
    )
    size = done.width, done.height
    return Outcome(task.source, task.target, size, done.frames, notes=done.notes)


def settings_of(options: RestoreOptions) -> str:
    """What decides how frames are restored, beside the network."""
    return str({name: getattr(options, name) for name in DECISIVE})


def panels(
    picture: Picture, restored: Picture, reference: Path | None, first: str = "input"
) -> list[tuple[str, Image]]:
    """Labelled pictures for the comparison."""
    found = [(first, to_image(picture.pixels)), ("restored", to_image(restored.pixels))]
    if reference is not None:
        found.append(("reference", to_image(read_picture(reference).pixels)))
    return found


def compared_path(target: Path) -> Path:
    """Where ``--compare`` puts its picture: beside the result."""
    return target.with_name(f"{target.stem}{COMPARED}.png")


def check_compared(tasks: Sequence[RestoreTask], options: RestoreOptions) -> None:
    """Refuse what ``--compare`` cannot do, or would overwrite."""
    if options.reference is not None and len(tasks) > 1:
        raise UserError("--reference belongs to one picture, and there are several inputs.")
    if options.reference is not None and not options.reference.is_file():
        raise UserError(f"No such picture: {options.reference}.")
    if not options.compare:
        return
    if tasks[0].is_video and len(tasks) == 1:
        raise UserError("--compare is for pictures, not for videos. Leave it out.")
    compared: dict[Path, Path] = {}
    for task in (task for task in tasks if not task.is_video):
        path = compared_path(task.target)
        other = compared.setdefault(path, task.source)
        if other is not task.source:
            raise UserError(
                f"{other} and {task.source} would both be compared in {path}. Leave out "
                "--compare, or rename one of them."
            )
        if path.exists() and not options.overwrite:
            raise UserError(f"{path} exists. Say --overwrite to replace it, or choose another -o.")


class _Progress:
    """Progress over all files, for one bar; each file reports its own share."""

    def __init__(self, told: RestoreProgress | None, files: int) -> None:
        self.told, self.files, self.done = told, files, 0
        self.name, self.is_video, self.looked = "", False, False

    def begin(self, task: RestoreTask) -> None:
        self.name, self.is_video, self.looked = task.source.name, task.is_video, False
        self._tell(0.0)

    def share(self, share: float) -> None:
        """Progress within a picture; a video reports `frames` instead."""
        if not self.is_video:
            self._tell(share)

    def looks(self, done: int, total: int | None) -> None:
        """Frames of a video that were looked at before it is restored."""
        self.looked = True
        share = LOOKING * done / total if total else 0.0
        self._tell(share, f" looking at light, {done}/{total or '?'} frames")

    def frames(self, done: int, total: int | None) -> None:
        first = LOOKING if self.looked else 0.0
        share = first + (1 - first) * done / total if total else first
        self._tell(share, f" {done}/{total or '?'} frames")

    def end(self) -> None:
        self.done += 1
        self._tell(0.0)

    def _tell(self, share: float, more: str = "") -> None:
        if self.told is not None:
            self.told(round(self.done + min(share, 1.0), 3), self.files, self.name + more)
