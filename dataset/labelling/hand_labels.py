"""Reads the journal of labels given in a review: ``captures/review.jsonl``.

The journal is the source of truth for these labels; whoever writes ``labels.csv`` follows it. The
last line of a frame counts; null takes its label back. Only a running review appends lines
(`review.store`).
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
    return replace(row, label=label, source="review", threshold="")


def apply_hand_labels(known: Mapping[FrameKey, LabelRow], hand: Hand) -> dict[FrameKey, LabelRow]:
    """The table with the journal applied; rows whose review label was taken back are dropped.

    Examples
    --------
    >>> known = {("s", "a"): LabelRow("s", "a", "Y", "review")}
    >>> apply_hand_labels(known, {("s", "a"): None, ("s", "b"): "X"})
    {('s', 'b'): LabelRow(session='s', file='b', label='X', source='review', \
clipped_fraction=None, largest_blob=None, p99=None, method='', threshold='')}
    """
    labelled = dict(known)
    for key, label in hand.items():
        if label is not None:
            labelled[key] = label_by_hand(key, labelled.get(key), label)
        elif key in labelled and labelled[key].source == "review":
            del labelled[key]
    return labelled
