"""Labels that a person changed in labels.csv: they win, and it is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.made_sessions import frame, make_session
from helpers.made_tables import SAVED, Saved, unicode_text
from helpers.reviews import AS_JUDGED, in_table, make_captures

from dataset.labelling.calibrate import calibrate_captures
from dataset.labelling.hand_labels import REVIEW_JOURNAL, read_journal
from dataset.labelling.labels import LABEL_COLUMNS, label_captures, read_labels, write_labels
from dataset.options import LabelOptions, SplitOptions
from dataset.review.store import open_review
from dataset.splitting.gather import gather_frames

TOLD = "1 label was changed in labels.csv by hand, and kept: as in `cli review`"


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    return make_captures(tmp_path / "captures")


def edit(captures: Path, number: int, label: str, saved: Saved | None = None) -> None:
    """Change one label as somebody with a spreadsheet does."""
    rows = read_labels(captures)
    rows[number] = replace(rows[number], label=label)
    if saved is None:
        write_labels(captures, rows)
        return
    texts = [[str(getattr(row, name) or "") for name in LABEL_COLUMNS] for row in rows]
    (captures / "labels.csv").write_bytes(saved([list(LABEL_COLUMNS), *texts]))


def journal(captures: Path) -> list[str]:
    lines = (captures / REVIEW_JOURNAL).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["label"] for line in lines]


@pytest.mark.parametrize("label", ["Y", "unsure", "drop"])
def test_a_label_that_the_statistic_gave_and_a_person_changed_is_by_hand(
    captures: Path, label: str
) -> None:
    edit(captures, 0, label)
    summary = label_captures(LabelOptions(captures, y_fraction=0.3))
    assert in_table(captures) == [f"{label} review", *AS_JUDGED[1:]]
    assert read_journal(captures) == {("day", "frames/000000.png"): label}
    assert TOLD in str(summary)
    again = label_captures(LabelOptions(captures))
    assert again.edited == 0
    assert in_table(captures)[0] == f"{label} review"


@pytest.mark.parametrize("saved", SAVED, ids=lambda each: each.__name__)
def test_it_counts_whatever_the_spreadsheet_did_to_the_rest(captures: Path, saved: Saved) -> None:
    edit(captures, 1, "Y", saved)
    assert label_captures(LabelOptions(captures, y_fraction=0.1)).edited == 1
    assert in_table(captures) == [AS_JUDGED[0], "Y review", *AS_JUDGED[2:]]


def test_nothing_counts_as_changed_that_was_only_saved_again(captures: Path) -> None:
    with open_review(captures) as store:
        store.set_labels([(0, "Y"), (1, "drop"), (1, None)])
    edit(captures, 2, "Y", unicode_text)  # as it was
    assert label_captures(LabelOptions(captures, y_fraction=0.1)).edited == 0
    assert in_table(captures) == ["Y review", *AS_JUDGED[1:]]


def test_a_label_of_a_key_can_be_changed(captures: Path) -> None:
    edit(captures, 3, "drop")
    assert label_captures(LabelOptions(captures)).edited == 1
    assert in_table(captures)[3] == "drop review"


def test_a_label_by_the_light_can_be_changed(tmp_path: Path) -> None:
    make_session(tmp_path, "day", [frame(at, at, light="noon") for at in range(2)], [0, 0])
    options = LabelOptions(tmp_path, light_y="noon")
    label_captures(options)
    edit(tmp_path, 1, "unsure")
    assert label_captures(options).edited == 1
    assert in_table(tmp_path) == ["Y light", "unsure review"]


def test_a_label_of_a_review_can_be_changed_and_given_again(captures: Path) -> None:
    with open_review(captures) as store:
        store.set_labels([(0, "Y")])
    edit(captures, 0, "drop")
    assert label_captures(LabelOptions(captures)).edited == 1
    assert in_table(captures)[0] == "drop review"
    assert journal(captures) == ["Y", "drop"]
    with open_review(captures) as store:
        store.set_labels([(0, "unsure")])
    label_captures(LabelOptions(captures))
    assert in_table(captures)[0] == "unsure review"


def test_a_review_adopts_what_was_changed_before_and_while_it_runs(captures: Path) -> None:
    edit(captures, 0, "drop")
    with open_review(captures) as store:
        assert store.summary().counts["drop"] == 1
        edit(captures, 2, "unsure")
        store.set_labels([(1, "X")])
        store.fold()
        assert in_table(captures) == ["drop review", "X review", "unsure review", "X key"]
        edit(captures, 1, "Y")
    assert in_table(captures)[1] == "Y review"
    assert "3 labels were changed in labels.csv by hand" in str(store.summary())
    assert journal(captures) == ["drop", "X", "unsure", "Y"]


def test_cli_label_leaves_a_changed_label_to_a_review_that_is_running(captures: Path) -> None:
    with open_review(captures) as store:
        edit(captures, 0, "drop")
        summary = label_captures(LabelOptions(captures, y_fraction=0.1))
        assert summary.edited == 1
        assert in_table(captures) == ["drop clipping", *AS_JUDGED[1:]]
        assert journal(captures) == []
        store.fold()
        assert in_table(captures)[0] == "drop review"


def test_a_later_label_of_a_review_counts_more_than_the_table(captures: Path) -> None:
    with open_review(captures) as store:
        store.set_labels([(0, "Y")])
        store.fold()
        edit(captures, 0, "drop")
        store.set_labels([(0, "unsure")])
    assert in_table(captures)[0] == "unsure review"


def test_a_changed_label_is_kept_while_its_session_is_away(captures: Path) -> None:
    edit(captures, 0, "drop")
    (captures / "day" / "frames.jsonl").rename(captures / "kept")
    assert label_captures(LabelOptions(captures)).edited == 1
    assert in_table(captures) == ["X key", "drop review"]


def test_split_and_calibration_take_a_changed_label(captures: Path) -> None:
    edit(captures, 0, "Y")
    table, _ = gather_frames(SplitOptions(captures))
    assert table.domain.tolist() == [1, 1, 0]  # unsure is left out
    assert TOLD in str(calibrate_captures(LabelOptions(captures, y_fraction=0.1)))
    assert in_table(captures)[0] == "Y review"
