"""The frames that a split may use: manifests and ``labels.csv`` joined, as columns.

Checks that files exist, a folder at a time; opens none of them.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.errors import UserError
from dataset.labelling.labels import (
    FILLED,
    LABEL_COLUMNS,
    LABELS_FILE,
    label_captures,
    read_labels,
    session_name,
)
from dataset.labelling.rules import LABEL_SOURCES, LABELS, UNREADABLE, options_used
from dataset.options import SplitOptions
from dataset.sessions.columns import Bools, Columns, Ints, SessionColumns, read_columns
from dataset.sessions.imported import OWN_TIMES
from dataset.sessions.manifest import files_exist, find_sessions, read_session
from dataset.splitting.near_hashes import near_pairs, starts_of_runs
from dataset.tables import number, read_table
from dataset.terminal import ProgressCallback

X, Y, UNSURE, DROP = range(4)  # positions in LABELS
REPEATED = "repeated in another place"
ALIKE = "like a frame of another session"
MISSING_OR_BROKEN = "file missing or broken"


@dataclass(frozen=True)
class Labels:
    """``labels.csv`` as columns, (N,) each."""

    rows: dict[str, dict[str, int]]  # session -> file -> row
    label: NDArray[np.int8]  # position in LABELS
    source: NDArray[np.int8]  # position in LABEL_SOURCES
    unreadable: Bools
    p99: NDArray[np.float32]  # 0..255; NaN where nothing was measured
    fraction: NDArray[np.float32]  # clipped share, 0..1; NaN where nothing was measured


@dataclass(frozen=True)
class Table:
    """Usable frames labelled X or Y, in order of (session, index)."""

    keys: Columns
    file: list[str]  # path relative to the session folder
    domain: Ints  # (N,) X or Y
    source: list[str]  # who labelled it
    p99: NDArray[np.float32]
    fraction: NDArray[np.float32]
    reference: Bools  # its light is called the reference
    size: Ints  # (N, 2) width and height
    repeats: Bools  # looks like an earlier frame of another session and the same domain
    sessions: list[str]  # names
    folders: list[Path]
    broken: tuple[str, ...] = ()  # session/file of each frame that is missing or cannot be read

    def __len__(self) -> int:
        return len(self.file)

    def path(self, at: int) -> Path:
        return self.folders[self.keys.session[at]] / self.file[at]

    def session(self, at: int) -> str:
        return self.sessions[self.keys.session[at]]

    def take(self, chosen: Ints) -> Table:
        """The frames at these positions."""
        positions = chosen.tolist()
        return replace(
            self,
            keys=self.keys.take(chosen),
            file=[self.file[at] for at in positions],
            source=[self.source[at] for at in positions],
            domain=self.domain[chosen],
            p99=self.p99[chosen],
            fraction=self.fraction[chosen],
            reference=self.reference[chosen],
            size=self.size[chosen],
            repeats=self.repeats[chosen],
        )


def gather_frames(
    options: SplitOptions,
    on_progress: ProgressCallback | None = None,
    check_files: bool = True,
    on_stage: Callable[[str], None] = lambda _: None,
) -> tuple[Table, dict[str, int]]:
    """The usable frames, and why the others are left out.

    Parameters
    ----------
    options : SplitOptions
        `source`, `phash_bits` and `duplicates` are used.
    on_progress : callable, optional
        Called with (done, to do) while frames without a label are labelled.
    check_files : bool
        Whether to leave out frames whose file is missing.
    on_stage : callable
        Called with the name of each stage as it begins.

    Raises
    ------
    UserError
        No session; a damaged manifest or table.
    """
    on_stage("manifests")
    folders = find_sessions(options.source)
    names = [session_name(each) for each in folders]
    sessions = [read_columns(each) for each in folders]
    on_stage("labels")
    labels = read_label_columns(options.source)
    if not _cover(labels, names, sessions):
        label_captures(options_used(read_labels(options.source), options.source), on_progress)
        labels = read_label_columns(options.source)
    on_stage("joining")
    rows = np.concatenate(
        [
            np.fromiter(map(labels.rows.get(name, {}).__getitem__, each.file), np.int64)
            for name, each in zip(names, sessions, strict=True)
        ]
    )
    there = _present(folders, sessions) if check_files else np.ones(len(rows), np.bool_)
    table = _join(labels, rows, names, folders, sessions)
    return _usable(table, labels.label[rows], there & ~labels.unreadable[rows], options)


def read_label_columns(captures: Path) -> Labels:
    """``captures/labels.csv`` as columns; no rows if there is no such file.

    Raises
    ------
    UserError
        As for `labels.read_labels`.
    """
    blank = ("method", "p99", "clipped_fraction")
    try:
        return _parse(read_table(captures / LABELS_FILE, LABEL_COLUMNS[:FILLED], blank))
    except FileNotFoundError:
        return _parse(())
    except (OSError, ValueError, KeyError) as error:
        read_labels(captures)  # says which line is damaged
        raise UserError(f"{captures / LABELS_FILE} cannot be read ({error}).") from error


def _parse(table: Iterable[tuple[int, tuple[str, ...]]]) -> Labels:
    rows: dict[str, dict[str, int]] = {}
    label, source, unreadable = bytearray(), bytearray(), bytearray()
    p99, fraction, blank = array("f"), array("f"), [0, 0]
    label_codes = {name.casefold(): at for at, name in enumerate(LABELS)}
    source_codes = {name: at for at, name in enumerate(LABEL_SOURCES)}
    for _, (session, file, word, by, method, level, share) in table:
        rows.setdefault(session, {})[file] = len(label)
        label.append(label_codes[word.strip().casefold()])
        source.append(source_codes[by.strip().casefold()])
        unreadable.append(method == UNREADABLE)
        p99.append(number(level or "nan"))
        fraction.append(number(share or "nan"))
        blank[0] += not level
        blank[1] += not share
    return Labels(
        rows,
        np.frombuffer(label, np.int8),
        np.frombuffer(source, np.int8),
        np.frombuffer(unreadable, np.bool_),
        _checked(p99, 255, blank[0]),
        _checked(fraction, 1, blank[1]),
    )


def _checked(numbers: array[float], most: float, blank: int) -> NDArray[np.float32]:
    """As an array; ``ValueError`` if a number is not blank and not in 0..most."""
    values = np.frombuffer(numbers, np.float32)
    if int(((values >= 0) & (values <= most)).sum()) + blank < len(values):
        raise ValueError(f"a number is not between 0 and {most:g}")
    return values


def _cover(labels: Labels, names: list[str], sessions: list[SessionColumns]) -> bool:
    """Whether every frame has a row."""
    return all(
        labels.rows.get(name, {}).keys() >= set(each.file)
        for name, each in zip(names, sessions, strict=True)
    )


def _present(folders: list[Path], sessions: list[SessionColumns]) -> Bools:
    """Which frames have a file in their session's folder."""
    pairs = zip(folders, sessions, strict=True)
    return np.array(
        [there for folder, each in pairs for there in files_exist(folder, each.file)], np.bool_
    )


def _join(
    labels: Labels,
    rows: Ints,
    names: list[str],
    folders: list[Path],
    sessions: list[SessionColumns],
) -> Table:
    sizes = [len(each.file) for each in sessions]
    timed = [_has_times(folder, each) for folder, each in zip(folders, sessions, strict=True)]

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(each, name) for each in sessions])

    viewpoint = joined("viewpoint")
    scenes = [int(each.viewpoint.max(initial=-1)) + 1 for each in sessions]
    shift = np.repeat(np.cumsum([0, *scenes[:-1]]), sizes)
    keys = Columns(
        np.repeat(np.arange(len(names)), sizes),
        joined("index"),
        joined("time_ns"),
        np.where(viewpoint < 0, viewpoint, viewpoint + shift),
        np.repeat(np.array(timed, np.bool_), sizes),
        joined("sha256"),
        joined("phash"),
    )
    return Table(
        keys,
        [file for each in sessions for file in each.file],
        labels.label[rows].astype(np.int64),
        [LABEL_SOURCES[at] for at in labels.source[rows].tolist()],
        labels.p99[rows],
        labels.fraction[rows],
        joined("reference"),
        joined("size"),
        np.zeros(len(rows), np.bool_),
        names,
        folders,
    )


def _has_times(folder: Path, session: SessionColumns) -> bool:
    """Whether times are those of a grab: imported pictures may have those of their files.

    An imported recording has its own, and so have pictures whose EXIF or names say when.
    """
    facts = read_session(folder)
    if facts.get("imported", False):
        return facts.get("times") in OWN_TIMES
    return bool((session.wall_ns != session.time_ns).any())


def _usable(
    table: Table, label: NDArray[np.int8], whole: Bools, options: SplitOptions
) -> tuple[Table, dict[str, int]]:
    """The usable part of the table, and how many frames were left out for each reason."""
    left_out = Counter(
        {LABELS[at]: int((label == at).sum()) for at in (UNSURE, DROP) if (label == at).any()}
    )
    labelled = label <= Y
    broken = (f"{table.session(at)}/{table.file[at]}" for at in np.flatnonzero(~whole).tolist())
    table = replace(table, broken=tuple(broken))
    left_out[MISSING_OR_BROKEN] = int((labelled & ~whole).sum())
    table = table.take(np.flatnonzero(labelled & whole))
    twice = repeated_bytes(table)
    left_out[REPEATED] = int(twice.sum())
    table = table.take(np.flatnonzero(~twice))
    alike = repeated_looks(table, options.phash_bits)
    if options.duplicates == "drop":
        left_out[ALIKE] = int(alike.sum())
        table, alike = table.take(np.flatnonzero(~alike)), alike[~alike]
    return replace(table, repeats=alike), {why: count for why, count in left_out.items() if count}


def repeated_bytes(table: Table) -> Bools:
    """Frames whose bytes equal those of an earlier frame of their domain."""
    known = np.flatnonzero(table.keys.sha256 != b"")
    order = known[np.lexsort((table.domain[known], table.keys.sha256[known]))]
    first = starts_of_runs(table.keys.sha256[order], table.domain[order])
    repeats = np.zeros(len(table), np.bool_)
    repeats[order] = True
    repeats[order[first]] = False
    return repeats


def repeated_looks(table: Table, bits: int) -> Bools:
    """Frames that look like an earlier, kept frame of their domain in another session.

    Within a session, viewpoints, bursts and the guard handle similarity: frames of one scene under
    different lights hash alike and are no repeats.
    """
    repeats = np.zeros(len(table), np.bool_)
    for domain in (X, Y) if bits >= 0 else ():
        inside = np.flatnonzero((table.domain == domain) & table.keys.has_informative_hash)
        repeats[inside] = _repeated_hashes(
            table.keys.phash[inside], table.keys.session[inside], bits
        )
    return repeats


def _repeated_hashes(hashes: NDArray[np.uint64], session: Ints, bits: int) -> Bools:
    known, which = np.unique(hashes, return_inverse=True)
    first, last = np.full(len(known), np.iinfo(np.int64).max), np.full(len(known), -1)
    np.minimum.at(first, which, session)
    np.maximum.at(last, which, session)
    near: dict[int, list[int]] = {}
    for low, high in near_pairs(known, bits):
        # Where both are of one session they say nothing of repeats, and those are most.
        across = (first[low] != last[high]) | (first[high] != last[low])
        for one, two in zip(low[across].tolist(), high[across].tolist(), strict=True):
            near.setdefault(one, []).append(two)
            near.setdefault(two, []).append(one)
    doubtful = np.bincount(which, minlength=len(known)) > 1
    doubtful[list(near)] = True
    kept: dict[int, set[int]] = {}  # hash -> sessions of the frames that stay
    repeats = np.zeros(len(hashes), np.bool_)
    for at in np.flatnonzero(doubtful[which]).tolist():
        one, own = int(which[at]), {int(session[at])}
        repeats[at] = any(kept.get(each, own) - own for each in (one, *near.get(one, ())))
        if not repeats[at]:
            kept.setdefault(one, set()).update(own)
    return repeats
