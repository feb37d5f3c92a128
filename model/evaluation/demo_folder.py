"""The folder of a demo: what a demo wrote there, and removing it for the next one.

A marker lists the files of a complete demo. Only those are removed; of a demo that was stopped, the
files with names that a demo gives. If there is anything else, nothing is removed. Links are never
followed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from dataset import errors, files, gate, locks

MARKER, DEMO_LOCK = ".unclip-demo.json", ".unclip-demo.lock"
MARKER_PART = re.compile(rf"\.{re.escape(MARKER)}\.\d+\.part")  # of a killed demo
HASH = "[0-9a-f]{16}"
DEMO_FILES = re.compile(  # written by the steps of a demo
    "|".join(
        (
            r"(\w+\.png|result\.json|index\.html)",
            r"captures/[\w.-]+\.(csv|jsonl?|lock)",
            r"captures/demo/[\w.-]+\.(csv|jsonl?|lock)",
            r"captures/demo/frames/\d{6,}\.png",
            r"captures/demo/spool/[\w.-]+\.(h264|mkv|jsonl)",
            r"data/(\.split\.lock|[\w.-]+\.(json|csv|md))",
            r"data/(train|test)[AB]/demo_\d{6,}\.png",
            r"data/report/(leaks|clipped|sheet_[XY])\.png",
            rf"data/\.cache/train[AB](-{HASH}\.(frames|json)|\.lock)",
            r"runs/(demo|physical)/(\.lock|[\w.-]+\.(json|jsonl|csv))",
            r"runs/(demo|physical)/checkpoints/[\w.-]+\.(pth|json|damaged)",
            r"runs/(demo|physical)/samples/epoch_\d{3,}\.png",
            r"runs/(demo|physical)/tensorboard/events\.out\.tfevents\.[^/]+",
            r"([\w./-]+/)?\.[^/]+\.\d+\.part",
        )
    )
)
DEMO_FOLDERS = re.compile(
    r"captures(/demo(/frames|/spool)?)?"
    r"|data(/(train|test)[AB]|/report|/\.cache)?"
    r"|runs(/(demo|physical)(/checkpoints|/samples|/tensorboard)?)?"
)


class Marker(msgspec.Struct):
    """The contents of the marker."""

    tool: str
    complete: bool  # whether the demo was finished
    files: list[gate.Name]  # below the folder, with forward slashes


@contextmanager
def hold_demo(out: Path) -> Iterator[Callable[[], None]]:
    """A folder for a new demo; an earlier demo in it is removed, and nothing else.

    Yields
    ------
    callable
        To be called when the demo is complete: records what was written.

    Raises
    ------
    UserError
        The folder is a link, or holds something that no demo wrote (nothing is changed then), or
        another demo is using it.
    """
    find_old(out)
    with locks.hold_folder(out, DEMO_LOCK, f"Another `cli demo` is running in {out}. Wait for it."):
        old, folders = find_old(out)
        _write(out, Marker("unclip", False, []))
        with files.writing_in(out):
            for file in old:
                files.remove_file(out / file)
        for folder in sorted(folders, key=len, reverse=True):
            files.remove_empty(out / folder)
        yield lambda: _write(out, Marker("unclip", True, sorted(_ours_in(out))))


def find_old(out: Path) -> tuple[list[str], list[str]]:
    """Files and folders of an earlier demo; ``UserError`` if the folder holds anything else."""
    if gate.is_link(out):
        raise errors.UserError(
            f"{out} is a link, which a demo does not follow. Choose another --out."
        )
    if not os.path.lexists(out):
        return [], []
    if not out.is_dir():
        raise errors.UserError(f"{out} is a file. Choose another --out.")
    found, folders = _walk(out)
    if not found and not folders:
        return [], []
    marker = _read(out)
    if marker is None:
        raise errors.UserError(
            f"{out} holds something other than a demo of this version. Nothing was changed: remove "
            "it yourself if you do not need it, or choose another --out."
        )
    listed = set(marker.files)
    for file in found:
        known = not marker.complete or file in listed or MARKER_PART.fullmatch(file)
        if not DEMO_FILES.fullmatch(file) or not known:
            raise _foreign(out / file)
    for folder in folders:
        if not DEMO_FOLDERS.fullmatch(folder):
            raise _foreign(out / folder)
    return found, folders


def _foreign(path: Path) -> errors.UserError:
    return errors.UserError(
        f"{path} was not written by the demo, so nothing was changed. Move it away, or choose "
        "another --out."
    )


def _walk(out: Path) -> tuple[list[str], list[str]]:
    """Everything below a folder except marker and lock: files (links included), and folders."""
    found: list[str] = []
    folders: list[str] = []
    for place, below, names in os.walk(out, onerror=_refuse):
        for name in (*below, *names):
            path = Path(place, name)
            is_folder = name in below and not gate.is_link(path)
            (folders if is_folder else found).append(path.relative_to(out).as_posix())
    return [file for file in found if file not in (MARKER, DEMO_LOCK)], folders


def _refuse(error: OSError) -> None:
    raise errors.UserError(f"Cannot read {error.filename}: {error.strerror}.", 1) from error


def _ours_in(out: Path) -> set[str]:
    """Files with names that a demo gives, without links."""
    found, _ = _walk(out)
    return {file for file in found if DEMO_FILES.fullmatch(file) and not (out / file).is_symlink()}


def _read(out: Path) -> Marker | None:
    """The marker; None if there is none of ours."""
    if (out / MARKER).is_symlink():
        return None
    try:
        marker = gate.read_json(out / MARKER, Marker, gate.MOST_SPLIT)
    except (OSError, ValueError):
        return None
    return marker if marker.tool == "unclip" else None


def _write(out: Path, marker: Marker) -> None:
    text = json.dumps(msgspec.structs.asdict(marker), indent=1) + "\n"
    files.write_whole(out / MARKER, text.encode())
