"""From statistics and hand labels to labels.csv."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.made_sessions import frame, make_session
from hypothesis import given
from hypothesis import strategies as st

from dataset.errors import UserError
from dataset.labelling.clipping import ClippingStatistics
from dataset.labelling.labels import label_captures, read_labels, write_labels
from dataset.labelling.rules import LabelRow, label_by_thresholds, options_used
from dataset.options import LabelOptions

ORDER = {"X": 0, "unsure": 1, "Y": 2}


def labels_in(captures: Path) -> list[str]:
    return [row.label for row in read_labels(captures)]


def three_frames(captures: Path, name: str = "flight", **values: object) -> Path:
    """No, some (5 %: one row of 20, of which 0.05 is the threshold) and much clipping."""
    return make_session(
        captures, name, [frame(at, at, **values) for at in range(3)], [0, 0.05, 0.5]
    )


def test_statistics_decide_where_nobody_has(tmp_path: Path) -> None:
    three_frames(tmp_path)
    summary = label_captures(LabelOptions(tmp_path, y_fraction=0.1))
    assert labels_in(tmp_path) == ["X", "unsure", "Y"]
    assert summary.counts == {"X": 1, "Y": 1, "unsure": 1, "drop": 0}
    assert summary.sources == {"clipping": 3}
    assert summary.measured == 3


def test_the_table_says_how_a_label_came_about(tmp_path: Path) -> None:
    three_frames(tmp_path)
    label_captures(LabelOptions(tmp_path))
    assert (tmp_path / "labels.csv").read_bytes().decode().splitlines()[::3] == [
        "session,file,label,source,clipped_fraction,largest_blob,p99,method,threshold",
        "flight,frames/000002.png,Y,clipping,0.5,0.5,255,max_rgb>=250,X<=0.005 Y>=0.05 blob>=0.02",
    ]


def test_a_key_beats_the_statistic(tmp_path: Path) -> None:
    three_frames(tmp_path, label="X")
    summary = label_captures(LabelOptions(tmp_path))
    assert labels_in(tmp_path) == ["X", "X", "X"]
    assert summary.sources == {"key": 3}
    assert [row.clipped_fraction for row in read_labels(tmp_path)] == [0, 0.05, 0.5]


def test_hand_labels_survive_relabelling(tmp_path: Path) -> None:
    three_frames(tmp_path)
    label_captures(LabelOptions(tmp_path))
    rows = read_labels(tmp_path)
    rows[0] = replace(rows[0], label="Y", source="review")
    rows[2] = replace(rows[2], label="drop", source="key")
    write_labels(tmp_path, rows)
    label_captures(LabelOptions(tmp_path, limit=200))
    assert labels_in(tmp_path) == ["Y", "Y", "drop"]


def test_thresholds_change_without_reading_a_pixel(tmp_path: Path) -> None:
    session = three_frames(tmp_path)
    label_captures(LabelOptions(tmp_path))
    for path in (session / "frames").iterdir():
        path.unlink()
    summary = label_captures(LabelOptions(tmp_path, x_fraction=0.05, y_fraction=0.6))
    assert labels_in(tmp_path) == ["X", "X", "unsure"]
    assert (summary.measured, summary.broken) == (0, [])


def test_another_limit_reads_the_pixels_again(tmp_path: Path) -> None:
    three_frames(tmp_path)
    label_captures(LabelOptions(tmp_path))
    summary = label_captures(LabelOptions(tmp_path, limit=90))  # the grey of the pictures is 90
    assert summary.measured == 3
    assert labels_in(tmp_path) == ["Y", "Y", "Y"]


def test_only_new_frames_are_measured(tmp_path: Path) -> None:
    three_frames(tmp_path, "first")
    label_captures(LabelOptions(tmp_path))
    three_frames(tmp_path, "second")
    calls: list[tuple[int, int]] = []
    summary = label_captures(
        LabelOptions(tmp_path), lambda done, total: calls.append((done, total))
    )
    assert summary.measured == 3
    assert summary.total == 6
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_broken_and_missing_files_are_named_and_dropped(tmp_path: Path) -> None:
    session = three_frames(tmp_path)
    whole = (session / "frames/000002.png").read_bytes()
    (session / "frames/000000.png").unlink()
    (session / "frames/000001.png").write_bytes(b"")
    (session / "frames/000002.png").write_bytes(whole[:20])
    summary = label_captures(LabelOptions(tmp_path))
    assert summary.broken == [f"flight/frames/00000{at}.png" for at in range(3)]
    assert summary.counts["drop"] == 3
    assert "Not readable, dropped: flight/frames/000000.png" in str(summary)
    (session / "frames/000002.png").write_bytes(whole)
    assert label_captures(LabelOptions(tmp_path)).counts["Y"] == 1


def test_a_label_given_by_hand_outlives_a_file_that_is_away(tmp_path: Path) -> None:
    session = three_frames(tmp_path)
    label_captures(LabelOptions(tmp_path))
    rows = read_labels(tmp_path)
    write_labels(tmp_path, [replace(rows[0], label="Y", source="review"), *rows[1:]])
    session.rename(tmp_path / "away")
    three_frames(tmp_path, "other")
    (tmp_path / "away" / "frames.jsonl").rename(tmp_path / "kept")
    label_captures(LabelOptions(tmp_path))
    assert [row.label for row in read_labels(tmp_path) if row.session == "flight"] == ["Y"]


def test_repeated_frames_are_dropped(tmp_path: Path) -> None:
    frames = [frame(0, 0), frame(1, 1, duplicate_of=0, label="Y")]
    make_session(tmp_path, "still", frames, [0, 0])
    assert label_captures(LabelOptions(tmp_path)).measured == 1
    assert [(row.label, row.method) for row in read_labels(tmp_path)] == [
        ("X", "max_rgb>=250"),
        ("drop", "duplicate"),
    ]


def test_names_in_any_script(tmp_path: Path) -> None:
    captures = tmp_path / "캡처 폴더"
    three_frames(captures, "과다 노출, 비행기")
    label_captures(LabelOptions(captures))
    assert {row.session for row in read_labels(captures)} == {"과다 노출, 비행기"}
    text = (captures / "labels.csv").read_text(encoding="utf-8")
    (captures / "labels.csv").write_text(text, encoding="utf-8-sig")  # as a spreadsheet saves it
    assert label_captures(LabelOptions(captures)).measured == 0


def test_stopped_half_way_it_keeps_what_was_measured(tmp_path: Path) -> None:
    three_frames(tmp_path)

    def stop_at_two(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label_captures(LabelOptions(tmp_path), stop_at_two)
    assert len(read_labels(tmp_path)) == 2
    assert label_captures(LabelOptions(tmp_path)).measured == 1


def test_later_frames_are_labelled_as_the_earlier_ones_were(tmp_path: Path) -> None:
    three_frames(tmp_path)
    asked = LabelOptions(tmp_path, 240, 0.001, 0.25, 0.125)
    label_captures(asked)
    assert options_used(read_labels(tmp_path), tmp_path) == asked
    assert options_used([], tmp_path) == LabelOptions(tmp_path)


@pytest.mark.parametrize(
    "line", ["flight,frames/0.png,Z,key,,,,,", "flight,frames/0.png,X,key,many,,,,", "flight"]
)
def test_a_damaged_table_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    write_labels(tmp_path, [LabelRow("flight", "frames/1.png", "X", "key")])
    with (tmp_path / "labels.csv").open("a", encoding="utf-8") as table:
        table.write(line + "\n")
    with pytest.raises(UserError, match=r"labels\.csv: line 3 is damaged"):
        read_labels(tmp_path)


def test_contradicting_thresholds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be less than"):
        label_captures(LabelOptions(tmp_path, x_fraction=0.3))


shares = st.floats(0, 1)


@given(shares, shares, shares, shares)
def test_more_clipping_never_leads_towards_x(
    low: float, high: float, blob_low: float, blob_high: float
) -> None:
    (low, high), (blob_low, blob_high) = sorted((low, high)), sorted((blob_low, blob_high))
    less = label_by_thresholds(ClippingStatistics(low, blob_low, 255), LabelOptions())
    more = label_by_thresholds(ClippingStatistics(high, blob_high, 255), LabelOptions())
    assert ORDER[less] <= ORDER[more]


@given(shares, shares, st.floats(0, 0.4), st.floats(0.5, 0.9))
def test_a_higher_threshold_never_leads_towards_y(
    fraction: float, blob: float, x_fraction: float, y_fraction: float
) -> None:
    found = ClippingStatistics(fraction, blob, 255)
    low = label_by_thresholds(found, LabelOptions(x_fraction=x_fraction, y_fraction=y_fraction))
    high = label_by_thresholds(
        found, LabelOptions(x_fraction=x_fraction + 0.05, y_fraction=y_fraction + 0.05)
    )
    assert ORDER[high] <= ORDER[low]
