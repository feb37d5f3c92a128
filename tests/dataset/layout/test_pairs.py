"""The third column of a list of pairs: how much brighter the over-exposed frame is."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset.errors import UserError
from dataset.gate import read_table
from dataset.layout.pairs import Pair, list_pairs


def write(folder: Path, text: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_may_say_the_gain_of_a_pair(tmp_path: Path) -> None:
    path = write(tmp_path, "over_exposed,reference,gain\na.png,b.png,1.75\nc.png,d.png,\n")
    assert list_pairs(path) == [
        Pair(tmp_path / "a.png", tmp_path / "b.png", 1.75),
        Pair(tmp_path / "c.png", tmp_path / "d.png", None),
    ]


def test_a_list_without_gains_and_one_of_other_columns_are_read_as_before(tmp_path: Path) -> None:
    path = write(tmp_path, "note,reference,over_exposed\nx,b.png,a.png\n")
    assert list_pairs(path) == [Pair(tmp_path / "a.png", tmp_path / "b.png")]


@pytest.mark.parametrize("gain", ["0", "-1.5", "nan", "inf", "bright"])
def test_a_gain_that_is_no_number_over_zero_is_refused(tmp_path: Path, gain: str) -> None:
    path = write(tmp_path, f"over_exposed,reference,gain\na.png,b.png,1\na.png,b.png,{gain}\n")
    with pytest.raises(UserError, match=r"pairs\.csv.*line 3.*gain"):
        list_pairs(path)


def test_a_line_without_its_gain_is_too_short(tmp_path: Path) -> None:
    path = write(tmp_path, "over_exposed,reference,gain\na.png,b.png\n")
    with pytest.raises(UserError, match="too short"):
        list_pairs(path)


def test_an_optional_column_comes_last_and_is_empty_if_missing(tmp_path: Path) -> None:
    path = write(tmp_path, "c,b,a\n1,2,3\n")
    assert list(read_table(path, ("a", "b"), optional="c")) == [(2, ("3", "2", "1"))]
    assert list(read_table(path, ("a", "b"), optional="d")) == [(2, ("3", "2", ""))]
