"""The journal of labels given by hand: ``captures/review.jsonl``.

The journal is the source of truth for these labels; whoever writes ``labels.csv`` follows it. The
last line of a frame counts; null takes its label back. Lines are appended by who holds the lock:
a running review (`review.store`), or `adopt`, for labels that a person changed in ``labels.csv``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dataset import gate
from dataset.errors import UserError
from dataset.files import WholeLines
from dataset.gate import Name
from dataset.labelling.clipping import ClippingStatistics
from dataset.labelling.rules import GIVEN, LABELS, LabelRow, decided_label
from dataset.locks import hold_lock, is_held
from dataset.sessions.manifest import Frame, FrameKey, cut_tail

REVIEW_JOURNAL = "review.jsonl"
REVIEW_LOCK = ".review.lock"  # held by who may write the journal

Hand = dict[FrameKey, str | None]  # the label of a frame; None: it was taken back


@dataclass(frozen=True)
class _Given:
    """One line: the label of a frame."""

    session: Name
    file: Name
    label: str | None


def read_journal(captures: str | Path) -> Hand:
    """The last label of each frame in the journal; empty if there is no journal.

    An incomplete last line is skipped: it is being written, or a crash cut it off.

    Raises
    ------
    UserError
        A line is damaged, or the file cannot be read.
    """
    path = Path(captures) / REVIEW_JOURNAL
    found: Hand = {}
    try:
        for number, line in enumerate(gate.lines_of(path), start=1):
            if not line.endswith(b"\n"):
                break
            try:
                values = gate.parse_json(line, _Given)
                if values.label not in (*LABELS, None):
                    raise ValueError(f"no label {gate.plain(values.label)!r}")
            except ValueError as error:
                raise UserError(
                    f"{path}, line {number} is damaged ({error}). Remove that line."
                ) from error
            found[values.session, values.file] = values.label
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    return found


def label_by_hand(key: FrameKey, row: LabelRow | None, label: str) -> LabelRow:
    """A frame's row with the label that a person gave it in a review."""
    row = row or LabelRow(*key, label, "review")
    return replace(row, label=label, source="review", threshold=GIVEN + label)


def apply_hand_labels(known: Mapping[FrameKey, LabelRow], hand: Hand) -> dict[FrameKey, LabelRow]:
    """The table with the journal applied; rows whose review label was taken back are dropped.

    A label that a person changed in the table since it followed the journal stays.

    Examples
    --------
    >>> known = {("s", "a"): LabelRow("s", "a", "Y", "review")}
    >>> apply_hand_labels(known, {("s", "a"): None, ("s", "b"): "X"})
    {('s', 'b'): LabelRow(session='s', file='b', label='X', source='review', \
clipped_fraction=None, largest_blob=None, p99=None, method='', threshold='given X')}
    """
    labelled = dict(known)
    for key, label in hand.items():
        if key in labelled and _changed_since(labelled[key], label):
            continue
        if label is not None:
            labelled[key] = label_by_hand(key, labelled.get(key), label)
        elif key in labelled and labelled[key].source == "review":
            del labelled[key]
    return labelled


def _changed_since(row: LabelRow, given: str | None) -> bool:
    """Whether a row followed this line of the journal, and its label was changed afterwards."""
    return row.source == "review" and row.label != given and row.threshold == f"{GIVEN}{given}"


def edited_rows(
    table: Mapping[FrameKey, LabelRow],
    hand: Hand,
    frames: Mapping[FrameKey, Frame],
    statistics_of: Callable[[LabelRow], ClippingStatistics | None],
) -> list[LabelRow]:
    """The rows whose label a person changed in the table: it does not follow from their columns.

    Later labels of a review count more.

    Parameters
    ----------
    table : mapping
        ``labels.csv`` as it was read.
    hand : mapping
        The journal.
    frames : mapping
        The frames that are there.
    statistics_of : callable
        The statistics of a row's frame by the row's method, or None.
    """
    edited = []
    for key, row in table.items():
        if row.source != "review" and hand.get(key) is not None:
            continue
        if row.source == "review" and key in hand and not _changed_since(row, hand[key]):
            continue
        if decided_label(row, frames.get(key), statistics_of(row)) not in (None, row.label):
            edited.append(row)
    return edited


def adopt(captures: Path, edited: Iterable[LabelRow]) -> Hand:
    """Write labels that a person changed in the table to the journal; what it then says of them.

    While a review is running, which alone may write the journal, nothing is done: it adopts them.

    Raises
    ------
    UserError
        The journal cannot be written.
    """
    found: Hand = {row.key: row.label for row in edited}
    if not found or is_held(captures / REVIEW_LOCK):
        return {}
    with hold_lock(captures / REVIEW_LOCK, f"A review of {captures} has just begun. Try again."):
        if os.path.lexists(captures / REVIEW_JOURNAL):
            cut_tail(captures, REVIEW_JOURNAL)
        journal = open_journal(captures)
        try:
            append_labels(captures, journal, found)
            journal.sync()
        except OSError as error:
            raise _unwritable(captures, error) from error
        finally:
            journal.close()
    return found


def open_journal(captures: Path) -> WholeLines:
    """The journal, to append to; ``UserError`` where it cannot be written."""
    try:
        return WholeLines(captures / REVIEW_JOURNAL)
    except OSError as error:
        raise _unwritable(captures, error) from error


def append_labels(captures: Path, journal: WholeLines, labels: Hand) -> None:
    """Append all of these labels, or none: a refused change never takes effect later."""
    now = time.time_ns()
    lines = (
        {"session": session, "file": file, "label": label, "wall_ns": now}
        for (session, file), label in labels.items()
    )
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    try:
        journal.append(text.encode())
    except OSError as error:
        raise _unwritable(captures, error) from error


def _unwritable(captures: Path, error: OSError) -> UserError:
    return UserError(f"Cannot write {captures / REVIEW_JOURNAL}: {error.strerror}.", 1)
