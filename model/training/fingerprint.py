"""Which frames a run learns from, so that it goes on with the same ones and no others.

``options.json`` has their number and one SHA-256 over all, ``frames.csv`` beside it the name and
the SHA-256 of each file: the same on another machine and under another folder.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.gate import read_table

FRAMES_FILE = "frames.csv"
COLUMNS = ("domain", "file", "sha256")

Sums = Mapping[str, Mapping[str, str]]  # domain -> name of a file -> its SHA-256


class Fingerprint(msgspec.Struct, frozen=True):
    """The frames of both domains in short."""

    X: int  # frames
    Y: int
    sha256: str  # of ``frames.csv``


def fingerprint_of(sums: Sums) -> Fingerprint:
    """The frames of a run in short."""
    digest = hashlib.sha256(_table(sums)).hexdigest()
    return Fingerprint(len(sums["X"]), len(sums["Y"]), digest)


def write_frames(run: Path, sums: Sums) -> None:
    """Write ``frames.csv`` of a run; ``UserError`` where that cannot be done."""
    write_whole(run / FRAMES_FILE, _table(sums))


def check_frames(
    run: Path, noted: Fingerprint | None, sums: Sums, data: Path, on_message: Callable[[str], None]
) -> None:
    """Refuse to go on with other frames than a run was begun with.

    Parameters
    ----------
    run : Path
        The run's folder.
    noted : Fingerprint or None
        What its ``options.json`` says; None: it says nothing, as of older versions.
    sums : mapping
        The frames that are there now.
    data : Path
        Their data set.
    on_message : callable
        Called with a line where they cannot be compared.

    Raises
    ------
    UserError
        They are others; it says how many.
    """
    if noted is None:
        on_message(
            f"{run} does not say which frames it learned from, so nothing tells whether {data} "
            "still holds the same"
        )
    elif noted != fingerprint_of(sums):
        raise UserError(
            f"{data} holds other frames than {run} was begun with: {_difference(run, sums)}. Put "
            "the data set back as it was (name its folder with --data), or begin a new run with "
            "another --run.",
            1,
        )


def _table(sums: Sums) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((domain, *each) for domain in "XY" for each in sums[domain].items())
    return text.getvalue().encode("utf-8", "surrogateescape")


def _difference(run: Path, sums: Sums) -> str:
    """How many frames differ, and how."""
    now = {(domain, name): each for domain in "XY" for name, each in sums[domain].items()}
    try:
        rows = read_table(run / FRAMES_FILE, COLUMNS)
        before = {(domain, name): sha256 for _, (domain, name, sha256) in rows}
    except (OSError, ValueError):  # the list is for words only
        return f"now {len(sums['X']):,} X and {len(sums['Y']):,} Y"
    changed = sum(before[each] != now[each] for each in before.keys() & now.keys())
    counts = {
        "added": len(now.keys() - before.keys()),
        "missing": len(before.keys() - now.keys()),
        "changed": changed,
    }
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
