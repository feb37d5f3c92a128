"""The state of a review: frames by number, hand labels, and their journal.

Every change is appended to ``captures/review.jsonl`` and flushed before it takes effect. It is
folded into ``labels.csv`` from time to time, at the end, and when the next review starts, so a
killed process loses nothing. The table is read again before each fold, because `cli label` or a
person may have written it, and locked until it is written. The journal is never shortened.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dataset.labelling.hand_labels import (
    REVIEW_JOURNAL,
    REVIEW_LOCK,
    Hand,
    append_labels,
    edited_rows,
    label_by_hand,
    open_journal,
    read_journal,
)
from dataset.labelling.labels import (
    LABELS_FILE,
    hold_table,
    label_captures,
    read_labels,
    session_name,
    told_of_edits,
    write_labels,
)
from dataset.labelling.rules import LABELS, LabelRow, label_frame, options_used
from dataset.locks import hold_lock
from dataset.options import LabelOptions
from dataset.sessions.manifest import (
    Frame,
    FrameKey,
    cut_tail,
    files_exist,
    find_sessions,
    read_frames,
)

Change = tuple[
    int, str | None
]  # number of a frame, its label or None: the hand label is taken back


@dataclass(frozen=True)
class Reviewed:
    """A frame as the review addresses it: by its place in a list."""

    session: str
    frame: Frame
    path: Path  # absolute, and known to lie in the session's folder
    folder: Path  # of the session, absolute

    @property
    def key(self) -> FrameKey:
        return self.session, self.frame.file


@dataclass(frozen=True)
class ReviewSummary:
    """The labels at the end of a review."""

    counts: dict[str, int]  # frames per label
    by_hand: int  # labels that were set in a review, this one or an earlier one
    path: Path  # the labels.csv written
    edited: int = 0  # labels that a person had changed in the table

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {label}" for label, count in self.counts.items())
        text = f"{counts} ({self.by_hand:,} by hand in a review): {self.path}"
        return text + told_of_edits(self.edited)


class ReviewStore:
    """Frames and labels of a folder of sessions. Thread-safe. Made by `open_review` only."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.frames = list(_find_frames(source))
        self._changes = threading.Lock()  # the journal and what follows from it
        self._table = threading.Lock()  # labels.csv: one folding at a time
        self._hand = _mend_journal(source)
        self._by_key = {each.key: each.frame for each in self.frames}
        self._journal = open_journal(source)
        self._rows: dict[FrameKey, LabelRow] = {}
        self._options = LabelOptions(source)
        self._edited = 0  # labels that a person had changed in the table

    @property
    def label_options(self) -> LabelOptions:
        """The limit and thresholds that the table was labelled with."""
        return self._options

    def rows(self) -> list[LabelRow | None]:
        """The row of each frame by number; None for frames without a label."""
        with self._changes:
            return [self._row(each.key) for each in self.frames]

    def set_labels(self, changes: Sequence[Change]) -> list[LabelRow | None]:
        """Write hand labels to the journal, then apply them; returns the resulting rows.

        Raises
        ------
        ValueError
            A number or a label that does not exist; nothing is changed.
        """
        for number, label in changes:
            if not 0 <= number < len(self.frames) or label not in (*LABELS, None):
                raise ValueError(f"no frame {number} or no label {label!r}")
        keys = [self.frames[number].key for number, _ in changes]
        with self._changes:
            self._give({key: label for key, (_, label) in zip(keys, changes, strict=True)})
            return [self._row(key) for key in keys]

    def apply_thresholds(self, x_fraction: float, y_fraction: float, y_blob: float) -> None:
        """Label again all frames without a hand label; ``UserError`` for impossible thresholds."""
        self.fold()
        with self._table:
            options = replace(
                self._options, x_fraction=x_fraction, y_fraction=y_fraction, y_blob=y_blob
            )
            label_captures(options)
            rows = {row.key: row for row in read_labels(self.source)}
            with self._changes:
                self._rows, self._options = rows, options
        self.fold()

    def fold(self) -> None:
        """Bring ``labels.csv`` up to date with the journal; does nothing if it is already."""
        with self._table, hold_table(self.source):
            known = {row.key: row for row in read_labels(self.source)}
            options = options_used(list(known.values()), self.source)
            with self._changes:
                edited = edited_rows(known, self._hand, self._by_key, lambda row: row.statistics)
                if edited:
                    self._give({row.key: row.label for row in edited})
                    self._edited += len(edited)
                self._rows, self._options = known, options
                folded = self._folded(known)
            if folded != known:
                with suppress(OSError, ValueError):  # closed, or a disk without such a call
                    self._journal.sync()
                write_labels(self.source, list(folded.values()))
                with self._changes:
                    self._rows = folded

    def summary(self) -> ReviewSummary:
        rows = [row for row in self.rows() if row is not None]
        counts = Counter(row.label for row in rows)
        return ReviewSummary(
            {label: counts[label] for label in LABELS},
            sum(row.source == "review" for row in rows),
            self.source / LABELS_FILE,
            self._edited,
        )

    def close(self) -> None:
        """Fold a last time."""
        try:
            self.fold()
        finally:
            self._journal.close()

    def _give(self, labels: Hand) -> None:
        """Write labels to the journal, then let them count; `_changes` is held."""
        append_labels(self.source, self._journal, labels)
        self._hand |= labels

    def _folded(self, known: dict[FrameKey, LabelRow]) -> dict[FrameKey, LabelRow]:
        """The table with the hand labels applied, in its own order, new rows last."""
        folded = dict(known)
        for key in self._hand:
            after = self._row(key)
            if after is not None:
                folded[key] = after
            else:
                folded.pop(key, None)
        return folded

    def _row(self, key: FrameKey) -> LabelRow | None:
        """The row of a frame with its hand label, or with that removed."""
        row = self._rows.get(key)
        if key not in self._hand:
            return row
        label = self._hand[key]
        if label is not None:
            return label_by_hand(key, row, label)
        return self._judged(key, row) if row is not None and row.source == "review" else row

    def _judged(self, key: FrameKey, row: LabelRow) -> LabelRow | None:
        """What a row would be without its hand label; None if nothing else labels it."""
        frame = self._by_key.get(key)
        if frame is None:  # its session is elsewhere
            return None
        return label_frame(key[0], frame, None, row.method, row.statistics, self._options)


@contextmanager
def open_review(source: Path) -> Iterator[ReviewStore]:
    """The store of a folder of sessions, for one review at a time.

    Raises
    ------
    UserError
        Another review is open on it, there are no sessions, or one of their files is damaged.
    """
    find_sessions(source)  # says so where there are none, before a lock is left there
    busy = f"Another review of {source} is running. End it with Ctrl-C in its terminal first."
    with hold_lock(source / REVIEW_LOCK, busy):
        store = ReviewStore(source)
        try:
            store.fold()
            yield store
        finally:
            store.close()


def _find_frames(source: Path) -> Iterator[Reviewed]:
    """All frames in the order of their sessions, without paths that leave the session's folder."""
    for folder in find_sessions(source):
        root, frames = folder.resolve(), list(read_frames(folder))
        there = files_exist(folder, [frame.file for frame in frames])
        for frame, is_there in zip(frames, there, strict=True):
            path = root / frame.file
            if is_there or not os.path.lexists(path):
                yield Reviewed(session_name(folder), frame, path, root)


def _mend_journal(source: Path) -> dict[FrameKey, str | None]:
    """The journal's labels; removes a line cut off by a crash, so that lines can be appended."""
    if os.path.lexists(source / REVIEW_JOURNAL):
        cut_tail(source, REVIEW_JOURNAL)
    return read_journal(source)
