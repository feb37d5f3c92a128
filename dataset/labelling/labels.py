"""Labels every frame X, Y, unsure or drop, and keeps the labels: ``captures/labels.csv``.

Each frame is measured once and its statistics are kept (`statistics`), so changing a threshold
reads no pixel again. `rules` decides a label; a label set by hand is never overruled, even if it
is only in the review's journal yet, or was changed in the table (`hand_labels`). No frame is moved.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

from dataset import gate
from dataset.errors import UserError
from dataset.files import write_whole
from dataset.labelling.hand_labels import adopt, apply_hand_labels, edited_rows, read_journal
from dataset.labelling.hud_mask import digest_of, read_session_mask, session_doubts
from dataset.labelling.rules import (
    BY_HAND,
    LABEL_SOURCES,
    LABELS,
    UNREADABLE,
    LabelRow,
    fault_of,
    label_frame,
    method_name,
)
from dataset.labelling.statistics import (
    HDR,
    MISSING,
    Found,
    StatisticsStore,
    StatisticsTask,
    measure_here,
    measure_on_cluster,
)
from dataset.locks import hold_lock
from dataset.options import LabelOptions
from dataset.parts import remove_parts
from dataset.pictures.dynamic_range import WAYS_OF_HDR
from dataset.sessions.manifest import HUD_MASK, Frame, files_exist, find_sessions, read_frames
from dataset.tables import number, read_table, table_text
from dataset.terminal import ProgressCallback

LABELS_FILE = "labels.csv"
FILLED = 4  # columns that are never empty
TABLE_LOCK = ".labels.lock"
LABEL_COLUMNS = tuple(each.name for each in fields(LabelRow))
TABLE_WAIT_S = 60.0  # for another writer of the table: a million rows take seconds


@dataclass(frozen=True)
class LabelSummary:
    """The result of `label_captures`."""

    counts: dict[str, int]  # frames per label: X, Y, unsure, drop
    sources: dict[str, int]  # frames per source
    measured: int  # frames whose pixels were read this time
    broken: list[str]  # session/file of each frame that could not be read
    path: Path  # the labels.csv written
    reasons: dict[str, int] = field(default_factory=dict)  # reason -> number of broken frames
    notes: list[str] = field(default_factory=list)  # what is odd about HUD masks
    edited: int = 0  # labels that a person had changed in the table

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {label}" for label, count in self.counts.items())
        sources = ", ".join(f"{count:,} by {source}" for source, count in self.sources.items())
        text = f"{counts} ({sources}; {self.measured:,} measured now): {self.path}"
        text += told_of_edits(self.edited)
        if self.broken:
            more = f" and {len(self.broken) - 5:,} more" if len(self.broken) > 5 else ""
            why = ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.items())
            text += f"\nNot readable, dropped: {', '.join(self.broken[:5])}{more} ({why})"
            if HDR in self.reasons:
                text += f". HDR: {WAYS_OF_HDR}"
        return "\n".join([text, *self.notes])


def told_of_edits(count: int) -> str:
    """A further line on labels that a person changed in the table; empty if there are none."""
    what = "1 label was" if count == 1 else f"{count:,} labels were"
    return (
        f"\n{what} changed in {LABELS_FILE} by hand, and kept: as in `cli review`" if count else ""
    )


def session_name(folder: Path) -> str:
    """A session's name in tables, even if its folder was given as ``.``."""
    return folder.name or folder.resolve().name


def read_labels(captures: str | Path) -> list[LabelRow]:
    """The rows of ``captures/labels.csv``; an empty list if there is no such file.

    Raises
    ------
    UserError
        The file is not ours or is damaged; the message names the line.
    """
    path = Path(captures) / LABELS_FILE
    rows: list[LabelRow] = []
    try:
        for line, values in read_table(path, LABEL_COLUMNS[:FILLED], LABEL_COLUMNS[FILLED:]):
            try:
                rows.append(_parse(values))
            except ValueError as error:
                raise ValueError(f"line {line} is damaged: {error}") from error
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}. Mend it, or remove the file.") from error
    return rows


def _parse(values: Sequence[str]) -> LabelRow:
    session, file, label, source, fraction, blob, p99, method, threshold = values
    return LabelRow(
        session,
        file,
        _word("label", label, LABELS),
        _word("source", source, LABEL_SOURCES),
        _number(fraction, 1),
        _number(blob, 1),
        None if not p99 else int(_number(p99, 255) or 0),
        method,
        threshold,
    )


def _word(what: str, text: str, known: Sequence[str]) -> str:
    """The one of these words that somebody typed, in capitals or not."""
    if text in known:
        return text
    for each in known:
        if each.casefold() == text.strip().casefold():
            return each
    raise ValueError(f"{what} {gate.plain(text[:40])!r} is none of {', '.join(known)}")


def _number(text: str, most: float) -> float | None:
    if not text:
        return None
    value = number(text)
    if not 0 <= value <= most:
        raise ValueError(f"{text[:40]} is not between 0 and {most:g}")
    return value


def write_labels(captures: str | Path, rows: Sequence[LabelRow]) -> Path:
    """Write ``captures/labels.csv`` atomically; returns its path."""
    lines = ([getattr(row, name) for name in LABEL_COLUMNS] for row in rows)
    path = Path(captures) / LABELS_FILE
    write_whole(path, table_text(LABEL_COLUMNS, lines).encode(errors="replace"))
    return path


@contextmanager
def hold_table(captures: str | Path) -> Iterator[None]:
    """Lock ``labels.csv`` between reading it and writing it again.

    Raises
    ------
    UserError
        It stays locked for a minute, or the folder is not writable.
    """
    busy = (
        f"Another program has been writing {Path(captures) / LABELS_FILE} for a minute. End it "
        "(`cli label` or `cli review`), then try again."
    )
    with hold_lock(Path(captures) / TABLE_LOCK, busy, TABLE_WAIT_S):
        with suppress(OSError):  # of processes that were killed: nobody else writes it now
            remove_parts(Path(captures), f"{LABELS_FILE}.", alive=False)
        yield


@dataclass(frozen=True)
class _Item:
    """A frame and the method that its session asks for."""

    session: str
    folder: Path
    frame: Frame
    method: str  # as `method_name` has it
    digest: str  # of the session's HUD mask
    is_there: bool  # a regular file in the session's own folder

    @property
    def key(self) -> tuple[str, str]:
        return self.session, self.frame.file


def label_captures(
    options: LabelOptions, on_progress: ProgressCallback | None = None
) -> LabelSummary:
    """Label every frame of every session and write ``labels.csv``.

    Hand labels come first (review journal, table, manifest), then the light, then the statistic. A
    label that a person changed in the table becomes a hand label.
    Journal and table are read again before the table is written, since a review may be running.
    Frames that repeat an earlier one or cannot be read become ``drop``. Measurements are saved as
    they are made, so an interrupted run continues where it stopped. White pixels of a session's
    ``hud_mask.png`` are ignored.

    Parameters
    ----------
    options : LabelOptions
    on_progress : callable, optional
        Called with (frames measured, frames to measure) while pixels are read.

    Raises
    ------
    UserError
        Contradictory thresholds, an unknown method, no sessions, a damaged manifest,
        table, journal or HUD mask, no answer from the scheduler.
    """
    if fault := fault_of(options):
        raise UserError(fault)
    known = _known(options.source)
    items = _find_items(options)
    unfit: dict[tuple[str, str], str] = {}
    measured = 0
    with StatisticsStore(options.source, {item.method for item in items}) as kept:
        for row in known.values():
            if row.statistics is not None:
                kept.add(row.key, row.method, row.statistics)
        todo = [
            item
            for item in items
            if item.frame.duplicate_of is None and kept.get(item.key, item.method) is None
        ]
        unfit |= {item.key: MISSING for item in todo if not item.is_there}
        todo = [item for item in todo if item.is_there]
        try:
            for measured, (item, found) in enumerate(
                zip(todo, _measure(todo, options), strict=True), start=1
            ):
                if isinstance(found, str):
                    unfit[item.key] = found
                else:
                    kept.append(item.key, item.method, found)
                if on_progress:
                    on_progress(measured, len(todo))
        finally:
            rows, path, edited = _write(items, kept, unfit, options)
    counts = Counter(row.label for row in rows)
    return LabelSummary(
        {label: counts[label] for label in LABELS},
        dict(sorted(Counter(row.source for row in rows).items())),
        measured,
        [f"{row.session}/{row.file}" for row in rows if row.method == UNREADABLE],
        path,
        dict(sorted(Counter(unfit.values()).items())),
        mask_notes(options.source),
        edited,
    )


def mask_notes(source: Path) -> list[str]:
    """What is odd about the HUD masks of all sessions, in sentences."""
    notes = []
    for folder in find_sessions(source):
        if os.path.lexists(folder / HUD_MASK):
            try:
                notes += session_doubts(folder, read_frames(folder))
            except UserError as error:
                notes.append(str(error))
    return notes


def _find_items(options: LabelOptions) -> list[_Item]:
    """All frames of all sessions, in order."""
    items = []
    for folder in find_sessions(options.source):
        mask = read_session_mask(folder)
        digest = digest_of(mask[1]) if mask else ""
        method = method_name(options.limit, options.method, digest)
        name = session_name(folder)
        frames = list(read_frames(folder))
        there = files_exist(folder, [frame.file for frame in frames])
        items += [
            _Item(name, folder, frame, method, digest, is_there)
            for frame, is_there in zip(frames, there, strict=True)
        ]
    return items


def _measure(todo: Sequence[_Item], options: LabelOptions) -> Iterator[Found]:
    """Statistics of each frame in order; for one that cannot be read, why."""
    root = Path.cwd()  # absolute paths: another process has another working folder
    jobs = [
        StatisticsTask(
            str(root / item.folder / item.frame.file),
            options.method,
            options.limit,
            str(root / item.folder / HUD_MASK) if item.digest else "",
            item.digest,
        )
        for item in todo
    ]
    if options.scheduler:
        return measure_on_cluster(jobs, options.scheduler)
    return measure_here(jobs, options.workers)


def _label(
    items: Sequence[_Item],
    known: dict[tuple[str, str], LabelRow],
    kept: StatisticsStore,
    unfit: dict[tuple[str, str], str],
    options: LabelOptions,
) -> list[LabelRow]:
    """Rows of the frames that have a label."""
    rows = []
    for item in items:
        statistics = kept.get(item.key, item.method)
        method = item.method if statistics else UNREADABLE if item.key in unfit else ""
        before = known.get(item.key)
        row = label_frame(item.session, item.frame, before, method, statistics, options)
        if row is not None:
            rows.append(row)
    return rows


def _known(source: Path) -> dict[tuple[str, str], LabelRow]:
    """The table with the journal applied, as they are now."""
    return apply_hand_labels(_table(source), read_journal(source))


def _table(source: Path) -> dict[tuple[str, str], LabelRow]:
    return {row.key: row for row in read_labels(source)}


def _write(
    items: Sequence[_Item],
    kept: StatisticsStore,
    unfit: dict[tuple[str, str], str],
    options: LabelOptions,
) -> tuple[list[LabelRow], Path, int]:
    """Label all frames and write the table.

    Returns
    -------
    (list of LabelRow, Path, int)
        Rows of the frames that are there, the table, and how many labels were changed in it.
    """
    with hold_table(options.source):
        table, hand = _table(options.source), read_journal(options.source)
        frames = {item.key: item.frame for item in items}
        edited = edited_rows(
            table, hand, frames, lambda row: kept.get(row.key, row.method) or row.statistics
        )
        adopted = adopt(options.source, edited)
        left = {row.key: row for row in edited if row.key not in adopted}
        known = apply_hand_labels(table, hand | adopted)
        rows = [left.get(row.key, row) for row in _label(items, known, kept, unfit, options)]
        present = {row.key for row in rows}
        # The session folder may just be elsewhere today: its hand labels are kept.
        by_hand = (row for row in known.values() if row.source in BY_HAND or row.key in left)
        absent = [row for row in by_hand if row.key not in present]
        return rows, write_labels(options.source, [*rows, *absent]), len(edited)
