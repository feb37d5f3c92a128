"""Which files `cli restore` takes, and where each result goes. Decodes nothing.

Anything that would lose a file, or cannot be done, is refused here, before any file is restored.
Errors inside a file are found when its turn comes, and do not stop the others.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from natsort import natsort_keygen, ns

from dataset import errors, gate
from dataset.names import fault_of, length_of
from dataset.pictures.folders import in_thumbnails, is_pattern, matches, told_thumbnails, walk
from dataset.pictures.formats import (
    HDR_ONLY,
    HEAD,
    PICTURES,
    SUFFIXES,
    VIDEOS,
    WRITTEN,
    WRITTEN_VIDEOS,
    format_for,
    format_of,
    is_readable,
    is_video,
)
from dataset.pictures.hdr import is_hdr
from dataset.pictures.left_out import advice_on, left_out

LONGEST_PART = 255  # bytes of one name
COMPARED = "_compared"  # after the stem of a result, where it stands beside its input
LONGEST_RESULT_NAME = (
    LONGEST_PART - len(".") - len(".4194304.part")
)  # it is written under a longer one

natural_key = natsort_keygen(alg=ns.PATH | ns.IGNORECASE)  # numbers count by value


@dataclass(frozen=True)
class Naming:
    """Where results go, and how they are named."""

    out: Path | None = None  # a file for one input, or a folder; None: beside each input
    suffix: str = "_restored"  # after the input's stem
    ext: str = "auto"  # of pictures, one of `model.options.EXTENSIONS`; auto: as the input
    overwrite: bool = False  # replace results that exist; an input is never replaced
    skip_existing: bool = False  # leave out files that have a result


@dataclass(frozen=True)
class RestoreTask:
    """One file to restore."""

    source: Path
    target: Path
    is_video: bool
    fault: str = ""  # why it cannot be restored; empty if nothing is known to be wrong


@dataclass(frozen=True)
class _Found:
    path: Path
    below: Path = Path()  # its folder, relative to the one that was given


def plan_tasks(
    given: Sequence[str | Path], naming: Naming = Naming(), recursive: bool = False
) -> list[RestoreTask]:
    """What to restore, and where to: in the order given, folders in natural order.

    Parameters
    ----------
    given : sequence of paths
        Files, folders (their pictures and videos, without results of earlier runs), and patterns
        that the shell did not expand.
    naming : Naming
    recursive : bool
        Include subfolders; results keep them under ``naming.out``.

    Raises
    ------
    UserError
        Nothing was given or found; a path does not exist or is not a file; a result exists, would
        replace an input or another result, or cannot be written.
    """
    found = list(_once(each for path in given for each in _find(Path(path), naming, recursive)))
    if not found:
        raise errors.UserError("Nothing to restore: name a picture, a video or a folder of them.")
    tasks = _apart([_plan(each, naming, len(found) > 1) for each in found], naming)
    _check_distinct(tasks)
    if naming.skip_existing:
        tasks = [task for task in tasks if not os.path.lexists(task.target)]
    tasks = [replace(task, fault=_fault_of(task.target)) for task in tasks]
    if len(tasks) == 1 and tasks[0].fault:
        raise errors.UserError(tasks[0].fault)
    _check_outputs([task for task in tasks if not task.fault], naming.overwrite)
    return tasks


def told_left_out(
    given: Sequence[str | Path], naming: Naming = Naming(), recursive: bool = False
) -> str:
    """Lines on what `plan_tasks` leaves out of folders and patterns; empty if nothing."""
    seen: set[Path] = set()
    small: list[tuple[Path, Path]] = []
    for path in map(Path, given):
        if path.is_dir():
            found = _held_by(path, naming, recursive)
            small += [(each, path) for each in found if in_thumbnails(each, path)]
            seen |= {each for each in found if not in_thumbnails(each, path)}
        elif is_pattern(path):
            seen |= {each for each in matches(path) if not each.name.startswith(".")}
    others = [path for path in seen if not is_restored(path)]
    advice = f"Convert pictures to PNG, videos to MP4.{advice_on(others)}"
    told = [f"{left_out(others)}. {advice}" if others else ""]
    told.append(told_thumbnails(small))
    return "\n".join(f"Left out: {each}" for each in told if each)


def output_path(
    source: Path, naming: Naming = Naming(), several: bool = False, below: Path = Path()
) -> Path:
    """Where the result of one file goes: beside it, to a file, or into a folder.

    Parameters
    ----------
    source : Path
    naming : Naming
    several : bool
        Whether there are more inputs, so that ``naming.out`` is a folder.
    below : Path
        Folder under ``naming.out``.
    """
    out = naming.out
    if out is not None and not several and out.suffix and not os.path.isdir(out):
        return _checked_file(out, source, naming)
    _check_suffix(naming.suffix)
    name = source.stem + naming.suffix + _extension(source, naming.ext)
    if out is None:
        return source.with_name(name)
    if several and out.suffix.lower() in PICTURES + VIDEOS and not os.path.isdir(out):
        raise errors.UserError(f"-o {out} is a file, and there are several inputs. Name a folder.")
    return out / below / name


def _check_suffix(suffix: str) -> None:
    """Refuse what would lead to another folder, or what this system has in no name."""
    fault = fault_of(f"a{suffix}.png")
    if fault and ("/" in suffix or os.name == "nt"):
        raise errors.UserError(f"--suffix {suffix!r} cannot be in a name: {fault}.")


def _find(path: Path, naming: Naming, recursive: bool) -> Iterator[_Found]:
    """The files that one argument stands for."""
    if os.path.isdir(path):
        yield from _in_folder(path, naming, recursive)
    elif not is_pattern(path):
        if not os.path.exists(path):
            raise errors.UserError(f"No such file: {path}. Check the name.")
        if not os.path.isfile(path):
            raise errors.UserError(f"{path} is not a file. Name a picture, a video or a folder.")
        yield _Found(path)
    else:
        wanted = _wanted(matches(path), naming)
        if not wanted:
            raise errors.UserError(f"{path} matches no picture and no video. Check the pattern.")
        yield from (_Found(match) for match in wanted)


def _in_folder(folder: Path, naming: Naming, recursive: bool) -> Iterator[_Found]:
    found = _held_by(folder, naming, recursive)
    wanted = _wanted((each for each in found if not in_thumbnails(each, folder)), naming)
    if not wanted:
        raise errors.UserError(_holds_nothing(folder, found, naming, recursive))
    yield from (_Found(path, path.parent.relative_to(folder)) for path in wanted)


def _held_by(folder: Path, naming: Naming, recursive: bool) -> list[Path]:
    """The files of a folder, those in a folder of results left out."""
    return [each for each in walk(folder, recursive) if not _is_under(each, naming.out, folder)]


def _holds_nothing(folder: Path, found: list[Path], naming: Naming, recursive: bool) -> str:
    """Why nothing of a folder is restored, and what to do."""
    kinds = " ".join(PICTURES + HDR_ONLY + VIDEOS)
    others = [path for path in found if not is_restored(path)]
    held = f", only {left_out(others)}" if others else ""
    copies = told_thumbnails((each, folder) for each in found if is_restored(each))
    told = f"Left out: {copies}" if copies else "Name a folder that does."
    below = [] if recursive else _held_by(folder, naming, recursive=True)
    if _wanted((each for each in below if not in_thumbnails(each, folder)), naming):
        told = "Say --recursive to look in its folders too."
    return f"{folder} holds nothing to restore ({kinds}){held}. {told}{advice_on(others)}"


def is_restored(path: Path) -> bool:
    """Whether a file found in a folder is restored: a picture or a video by its suffix, or HDR."""
    if is_readable(path):
        return True
    return is_hdr(path)


def _wanted(paths: Iterable[Path], naming: Naming) -> list[Path]:
    """The readable files that are not results of earlier runs, in natural order."""
    readable = [path for path in paths if is_restored(path)]
    sources = {path.with_suffix("") for path in readable} | set(readable)

    def is_result(path: Path) -> bool:
        bare = path.stem.removesuffix(COMPARED)
        stem = bare.removesuffix(naming.suffix) if naming.suffix else bare
        return stem not in ("", bare) and path.with_name(stem) in sources

    return sorted((path for path in readable if not is_result(path)), key=natural_key)


def _is_under(path: Path, out: Path | None, folder: Path) -> bool:
    """Whether a file is in a result folder that is inside the input folder."""
    if out is None:
        return False
    place = Path(os.path.realpath(out))
    inside = Path(os.path.realpath(path)).parents
    return place in inside and place != Path(os.path.realpath(folder))


def _once(found: Iterable[_Found]) -> Iterator[_Found]:
    """Each file once, at its first position."""
    seen = set()
    for each in found:
        place = _place(each.path)
        if place not in seen:
            seen.add(place)
            yield each


def _plan(found: _Found, naming: Naming, several: bool) -> RestoreTask:
    target = output_path(found.path, naming, several, found.below)
    return RestoreTask(found.path, target, is_video(found.path))


def _apart(tasks: list[RestoreTask], naming: Naming) -> list[RestoreTask]:
    """Of results of one name, those of files of a format that is not written keep it in theirs.

    Windows saves an HDR shot twice: ``shot.jxr``, and ``shot.png`` for SDR screens.
    """
    counts = Counter(_place(task.target) for task in tasks)

    def renamed(task: RestoreTask) -> RestoreTask:
        source, target = task.source, task.target
        if counts[_place(target)] == 1 or source.suffix.lower() in WRITTEN + VIDEOS:
            return task
        return replace(task, target=target.with_name(source.name + naming.suffix + target.suffix))

    return [renamed(task) for task in tasks]


def _place(path: Path) -> str:
    return os.path.normcase(os.path.abspath(path))


def _checked_file(out: Path, source: Path, naming: Naming) -> Path:
    """The file of -o, if its suffix fits this input."""
    known = tuple(WRITTEN_VIDEOS) if is_video(source) else WRITTEN
    if out.suffix.lower() not in known:
        raise errors.UserError(f"{out} does not fit {source}. End it in one of: {' '.join(known)}.")
    asked = None if naming.ext == "auto" or is_video(source) else format_for(f".{naming.ext}")
    if asked not in (None, format_for(out.suffix)):
        raise errors.UserError(
            f"-o {out} and --ext {naming.ext} contradict each other. Leave one out."
        )
    return out


def _extension(source: Path, ext: str) -> str:
    """The suffix of the result; a wrong suffix of the input is corrected."""
    if is_video(source):
        return source.suffix if source.suffix.lower() in WRITTEN_VIDEOS else ".mp4"
    if ext != "auto":
        return f".{ext}"
    found = _format_in(source) or format_for(source.suffix) or "PNG"
    return source.suffix if source.suffix.lower() in SUFFIXES[found] else SUFFIXES[found][0]


def _format_in(source: Path) -> str | None:
    """The format by content, if it can be written."""
    try:
        with gate.open_regular(source, gate.MOST_TABLE) as file:
            found = format_of(file.read(HEAD))
    except OSError:  # reported when its turn comes
        return None
    return found if found in SUFFIXES else None


def _check_outputs(tasks: Sequence[RestoreTask], overwrite: bool) -> None:
    """Refuse what would lose a file or cannot be written."""
    sources = {os.path.realpath(task.source) for task in tasks}
    for source, target in ((task.source, task.target) for task in tasks):
        if os.path.realpath(target) in sources:
            raise errors.UserError(
                f"{target}, where {source} would go, is an input, and inputs are never replaced. "
                "Leave it out, or choose another -o."
            )
    _check_existing([task.target for task in tasks if os.path.lexists(task.target)], overwrite)
    for folder in sorted({task.target.parent for task in tasks}):
        _check_folder(folder)


def _check_distinct(tasks: Sequence[RestoreTask]) -> None:
    """Refuse two inputs of one result, whether or not that is there already."""
    writers: dict[str, Path] = {}
    for source, target in ((task.source, task.target) for task in tasks):
        other = writers.setdefault(_place(target), source)
        if other is not source:
            raise errors.UserError(
                f"{other} and {source} would both be written to {target}. "
                f"{_way_apart(other, source)}"
            )


def _way_apart(one: Path, other: Path) -> str:
    """What gives two inputs results of different names."""
    if one.parent != other.parent:
        return "Restore their folders with an -o each, or leave -o out."
    if _extension(one, "auto").lower() != _extension(other, "auto").lower():
        return "Leave out --ext, so that each keeps its format, or rename one of them."
    return "Rename one of them."


def _fault_of(target: Path) -> str:
    """Why a file cannot have this name, as a sentence; empty if it can."""
    *folders, name = map(length_of, target.parts)
    if name > LONGEST_RESULT_NAME or max(folders, default=0) > LONGEST_PART:
        return f"{target} is too long for a file. Choose a shorter name with -o."
    if os.path.isdir(target):
        return f"{target}, where a result would go, is a folder. Choose another -o."
    return ""


def _check_existing(existing: Sequence[Path], overwrite: bool) -> None:
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more exist" if len(existing) > 1 else " exists"
        raise errors.UserError(
            f"{existing[0]}{more}. Say --overwrite to replace, --skip-existing to restore only "
            "what has no result yet, or choose another -o."
        )


def _check_folder(folder: Path) -> None:
    """Refuse a folder that does not exist and cannot be made."""
    there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    if not there.is_dir():
        raise errors.UserError(f"{there} is not a folder. Choose another -o.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise errors.UserError(f"Cannot write in {there}. Choose another folder with -o.")
