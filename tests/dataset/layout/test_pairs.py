"""The third column of a list of pairs: how much brighter the over-exposed frame is."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.made_tables import SAVED, Saved

from dataset.errors import UserError
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


def test_a_line_without_its_gain_has_none_and_one_without_its_reference_is_damaged(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "over_exposed,reference,gain\na.png,b.png\n")
    assert list_pairs(path) == [Pair(tmp_path / "a.png", tmp_path / "b.png", None)]
    path = write(tmp_path, "over_exposed,reference,gain\na.png\n")
    with pytest.raises(UserError, match="line 2 is damaged: it has no reference"):
        list_pairs(path)


@pytest.mark.parametrize("saved", SAVED, ids=lambda each: each.__name__)
def test_a_list_is_read_as_spreadsheets_save_it(tmp_path: Path, saved: Saved) -> None:
    rows = [["over_exposed", "reference", "gain"], ["밝은.png", "b, c.png", "1.75"]]
    path = tmp_path / "pairs.csv"
    path.write_bytes(saved(rows))
    assert list_pairs(path) == [Pair(tmp_path / "밝은.png", tmp_path / "b, c.png", 1.75)]


@pytest.mark.parametrize("encoding", ["cp949", "cp1252"])
def test_a_list_in_another_encoding_says_how_to_save_it(tmp_path: Path, encoding: str) -> None:
    name = "밝은.png" if encoding == "cp949" else "übersonnt.png"
    path = tmp_path / "pairs.csv"
    path.write_bytes(f"over_exposed;reference\r\n{name};b.png\r\n".encode(encoding))
    with pytest.raises(UserError, match=r'another encoding; save it as "CSV UTF-8"'):
        list_pairs(path)
