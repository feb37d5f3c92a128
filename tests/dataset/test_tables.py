"""Tables that a person may edit are read as any spreadsheet saves them; every reader of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.made_tables import SAVED, Saved, all_quoted, german_excel

from dataset.errors import UserError
from dataset.labelling.labels import LABEL_COLUMNS, read_labels
from dataset.labelling.rules import LabelRow
from dataset.labelling.statistics import STATISTICS_COLUMNS, StatisticsStore
from dataset.splitting.gather import read_label_columns
from dataset.tables import read_table

ROWS = [
    ("day", "frames/0.png", "X", "clipping", 0.0125, 0.001, 200, "max_rgb>=250", "X<=0.02"),
    ("밤; night", "frames/1.png", "Y", "key", None, None, None, "", ""),
]
TEXTS = [["" if cell is None else str(cell) for cell in row] for row in ROWS]


@pytest.mark.parametrize("saved", SAVED, ids=lambda each: each.__name__)
def test_labels_are_read_as_spreadsheets_save_them(tmp_path: Path, saved: Saved) -> None:
    (tmp_path / "labels.csv").write_bytes(saved([list(LABEL_COLUMNS), *TEXTS]))
    assert read_labels(tmp_path) == [LabelRow(*row) for row in ROWS]
    columns = read_label_columns(tmp_path)
    assert columns.rows == {"day": {"frames/0.png": 0}, "밤; night": {"frames/1.png": 1}}
    assert columns.label.tolist() == [0, 1]
    assert columns.fraction[0] == pytest.approx(0.0125)
    assert columns.p99[0] == 200


def test_labels_typed_in_other_capitals_are_the_same_labels(tmp_path: Path) -> None:
    rows = [[*TEXTS[0][:2], " x", "Clipping", *TEXTS[0][4:]]]
    (tmp_path / "labels.csv").write_bytes(german_excel([list(LABEL_COLUMNS), *rows]))
    assert read_labels(tmp_path) == [LabelRow(*ROWS[0])]
    assert read_label_columns(tmp_path).label.tolist() == [0]


def test_labels_in_another_encoding_say_how_to_save_them(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(
        ";".join(LABEL_COLUMNS).encode() + "\r\n밤;a.png;X;key;;;;;\r\n".encode("cp949")
    )
    for read in (read_labels, read_label_columns):
        with pytest.raises(UserError, match=r'labels\.csv: .*save it as "CSV UTF-8"'):
            read(tmp_path)


@pytest.mark.parametrize("saved", [german_excel, all_quoted], ids=lambda each: each.__name__)
def test_measurements_are_kept_although_a_spreadsheet_saved_them(
    tmp_path: Path, saved: Saved
) -> None:
    row = ["day", "frames/0.png", "max_rgb>=250", "0.0125", "0.001", "200"]
    (tmp_path / "statistics.csv").write_bytes(saved([list(STATISTICS_COLUMNS), row]))
    found = StatisticsStore(tmp_path, ["max_rgb>=250"]).get(("day", "frames/0.png"), "max_rgb>=250")
    assert found is not None
    assert (found.clipped_fraction, found.largest_blob, found.p99) == (0.0125, 0.001, 200)


def test_columns_may_stand_in_any_order_and_be_missing_if_optional(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("c,b,a\n1,2,3\n\n4,5,6\n", encoding="utf-8-sig")
    assert list(read_table(path, ("a", "c"))) == [(2, ("3", "1")), (4, ("6", "4"))]
    first = next(read_table(path, ("a", "b"), optional=("c", "d")))
    assert first == (2, ("3", "2", "1", ""))


def test_a_missing_column_and_an_empty_field_are_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a;b\n1;2\n;2\n")
    with pytest.raises(ValueError, match="line 1 has no column 'c'"):
        list(read_table(path, ("a", "c")))
    with pytest.raises(ValueError, match="line 3 is damaged: it has no a"):
        list(read_table(path, ("a", "b")))


@pytest.mark.parametrize("text", ["a;b" + "c" * 200_000, 'a;b\n1;"' + "c" * 200_000])
def test_a_field_that_never_ends_is_named_with_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"line [12] is damaged: field larger"):
        list(read_table(path, ("a", "b")))
