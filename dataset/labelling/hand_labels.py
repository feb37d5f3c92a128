"""Labels given in a review, each as it was given: ``captures/review.jsonl``.

For what a person said in a review the journal is the truth, and ``labels.csv`` follows it whoever
writes that. The last line about a frame counts; a label of null was taken back. Only a running
review appends lines (`review_store.py`), and nothing here writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dataset import gate
from dataset.errors import UserError
from dataset.gate import Name
from dataset.labelling.rules import LABELS, LabelRow
from dataset.sessions.manifest import FrameKey

REVIEW_JOURNAL = "review.jsonl"

Hand = dict[FrameKey, str | None]  # the label of a frame; None: it was taken back


@dataclass(frozen=True)
class _Given:
    """One line: the label of a frame."""

    session: Name
    file: Name
    label: str | None


def read_journal(captures: str | Path) -> Hand:
    """The last label of each frame in the journal; empty when there is none.

    A last line without an end is passed over: it is just being written, or a crash cut it off.

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
    return replace(row, label=label, source="review", threshold="")


def apply_hand_labels(known: Mapping[FrameKey, LabelRow], hand: Hand) -> dict[FrameKey, LabelRow]:
    """The table as the journal has it: its labels set, rows that rest on one taken back left out.

    Examples
    --------
    >>> known = {("s", "a"): LabelRow("s", "a", "Y", "review")}
    >>> apply_hand_labels(known, {("s", "a"): None, ("s", "b"): "X"})
    {('s', 'b'): LabelRow(session='s', file='b', label='X', source='review', \
clipped_fraction=None, largest_blob=None, p99=None, method='', threshold='')}
    """
    told = dict(known)
    for key, label in hand.items():
        if label is not None:
            told[key] = label_by_hand(key, told.get(key), label)
        elif key in told and told[key].source == "review":
            del told[key]
    return told
