"""What a review remembers, and what the table says when others write it as well."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.made_sessions import frame, make_session
from helpers.processes import Thread
from helpers.reviews import AS_JUDGED, in_table, make_captures

from dataset.errors import UserError
from dataset.labelling import labels
from dataset.labelling.hand_labels import REVIEW_JOURNAL
from dataset.labelling.labels import hold_table, label_captures, read_labels, write_labels
from dataset.labelling.rules import LabelRow
from dataset.options import LabelOptions
from dataset.review import store as review_store
from dataset.review.store import open_review

pytestmark = pytest.mark.slow


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    return make_captures(tmp_path / "captures")


def test_a_link_out_of_its_session_is_no_frame(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    make_session(tmp_path, "flight", [frame(at, at) for at in range(2)], [0.2, 0.4])
    frames = tmp_path / "flight" / "frames"
    (frames / "000000.png").rename(secret)
    (frames / "000000.png").symlink_to(secret)
    with open_review(tmp_path) as store:
        assert [each.frame.file for each in store.frames] == ["frames/000001.png"]


def test_labels_end_in_the_table_and_can_be_taken_back(captures: Path) -> None:
    with open_review(captures) as store:
        store.set_labels([(0, "Y"), (1, "drop"), (3, "Y")])
        store.fold()
        assert in_table(captures) == ["Y review", "drop review", "Y clipping", "Y review"]
        store.set_labels([(1, None), (3, None)])
    assert in_table(captures) == ["Y review", *AS_JUDGED[1:]]
    with open_review(captures) as store:  # which never saw what the row was before
        store.set_labels([(0, None)])
    assert in_table(captures) == AS_JUDGED


def test_a_label_by_hand_beats_the_statistic(captures: Path) -> None:
    with open_review(captures) as store:
        store.set_labels([(0, "Y")])
    label_captures(LabelOptions(captures, y_fraction=0.2))
    assert in_table(captures)[0] == "Y review"


def test_frames_that_were_never_measured_can_be_labelled(tmp_path: Path) -> None:
    make_session(tmp_path, "flight", [frame(at, at) for at in range(2)], [0, 0.5])
    with open_review(tmp_path) as store:
        assert store.rows() == [None, None]
        store.set_labels([(1, "X"), (0, "Y")])
        store.set_labels([(0, None)])
    assert in_table(tmp_path) == ["X review"]


def test_a_table_written_meanwhile_keeps_both(captures: Path) -> None:
    old = read_labels(captures)
    with open_review(captures) as store:
        store.set_labels([(0, "Y")])
        store.fold()
        write_labels(captures, [replace(row, p99=7) for row in old])  # had read it before
    assert in_table(captures) == ["Y review", *AS_JUDGED[1:]]
    assert [row.p99 for row in read_labels(captures)] == [7] * 4


def test_a_second_review_is_refused(captures: Path) -> None:
    again = pytest.raises(UserError, match="Another review")
    with open_review(captures), again, open_review(captures):
        pass
    with open_review(captures) as store:
        assert store.summary().by_hand == 0


def test_a_torn_line_is_removed_and_a_damaged_one_named(captures: Path) -> None:
    line = json.dumps({"session": "day", "file": "frames/000000.png", "label": "Y", "wall_ns": 1})
    (captures / REVIEW_JOURNAL).write_text(f'{line}\n{{"session": "da')
    with open_review(captures) as store:
        store.set_labels([(1, "X")])
    assert in_table(captures)[:2] == ["Y review", "X review"]
    (captures / REVIEW_JOURNAL).write_text(f"nonsense\n{line}\n")
    with pytest.raises(UserError, match=r"review\.jsonl, line 1"), open_review(captures):
        pass


def journal_line(label: str) -> str:
    place = {"session": "day", "file": "frames/000000.png"}
    return json.dumps(place | {"label": label, "wall_ns": 1}) + "\n"


def test_what_stands_only_in_the_journal_counts_for_cli_label(captures: Path) -> None:
    with open_review(captures) as store:
        store.set_labels([(0, "Y"), (1, "drop"), (3, "Y")])
        label_captures(LabelOptions(captures, y_fraction=0.1))
        assert in_table(captures) == ["Y review", "drop review", "Y clipping", "Y review"]
        store.set_labels([(0, None), (3, None)])
        label_captures(LabelOptions(captures, y_fraction=0.1))
        assert in_table(captures) == ["X clipping", "drop review", "Y clipping", "X key"]


def test_what_is_given_while_cli_label_measures_is_in_its_table(captures: Path) -> None:
    with open_review(captures) as store:
        store.set_labels([(1, "X")])

        def label_meanwhile(done: int, total: int) -> None:
            if done == 1:
                store.set_labels([(0, "Y"), (1, None)])

        label_captures(LabelOptions(captures, 240, y_fraction=0.1), label_meanwhile)
        assert in_table(captures) == ["Y review", *AS_JUDGED[1:]]


def test_a_review_does_not_fold_into_a_table_that_is_being_written(
    captures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_review(captures) as store:
        folding = Thread(target=store.fold)

        def write_slowly(source: Path, rows: Sequence[LabelRow]) -> Path:
            store.set_labels([(0, "Y")])  # too late for these rows
            folding.start()
            folding.join(0.5)
            return write_labels(source, rows)

        monkeypatch.setattr(labels, "write_labels", write_slowly)
        label_captures(LabelOptions(captures, y_fraction=0.1))
        folding.join()
        assert in_table(captures) == ["Y review", *AS_JUDGED[1:]]


def test_cli_label_does_not_write_a_table_that_is_being_folded(
    captures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Thread(target=label_captures, args=(LabelOptions(captures, y_fraction=0.6),))

    def write_slowly(source: Path, rows: Sequence[LabelRow]) -> Path:
        other.start()
        other.join(0.5)
        return write_labels(source, rows)

    with open_review(captures) as store:
        store.set_labels([(0, "Y")])
        monkeypatch.setattr(review_store, "write_labels", write_slowly)
        store.fold()
        other.join()
        assert in_table(captures) == ["Y review", "unsure clipping", "unsure clipping", "X key"]


def test_a_table_that_is_held_for_long_is_named(
    captures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "TABLE_WAIT_S", 0.1)
    with hold_table(captures), pytest.raises(UserError, match=r"Another program .*labels\.csv"):
        label_captures(LabelOptions(captures))


def test_cli_label_leaves_a_line_alone_that_is_just_being_written(captures: Path) -> None:
    text = journal_line("Y") + journal_line("drop")[:-1]
    (captures / REVIEW_JOURNAL).write_text(text)
    label_captures(LabelOptions(captures, y_fraction=0.1))
    assert in_table(captures) == ["Y review", *AS_JUDGED[1:]]
    assert (captures / REVIEW_JOURNAL).read_text() == text


def test_a_damaged_journal_is_named_before_a_pixel_is_read(captures: Path) -> None:
    (captures / REVIEW_JOURNAL).write_text(journal_line("Y") + journal_line("Z"))
    with pytest.raises(UserError, match=r"review\.jsonl, line 2 is damaged"):
        label_captures(LabelOptions(captures, 240), lambda done, total: pytest.fail("measured"))


def test_a_label_by_hand_is_kept_while_its_session_is_away(captures: Path) -> None:
    with open_review(captures) as store:
        store.set_labels([(0, "Y"), (1, "X")])
        store.fold()
        store.set_labels([(1, None), (2, "drop")])
        (captures / "day").rename(captures.parent / "day")
        label_captures(LabelOptions(captures, y_fraction=0.1))
    by_hand = {(row.file, row.label) for row in read_labels(captures) if row.source == "review"}
    assert by_hand == {("frames/000000.png", "Y"), ("frames/000002.png", "drop")}
