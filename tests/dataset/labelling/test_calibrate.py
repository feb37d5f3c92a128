"""Thresholds from the histogram and from hand labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.made_sessions import frame, make_session
from hypothesis import given
from hypothesis import strategies as st

import cli
from dataset.errors import UserError
from dataset.labelling.calibrate import (
    calibrate_captures,
    kernel_density,
    score,
    thresholds_by_hand,
    widest_valley,
)
from dataset.labelling.histogram import histogram
from dataset.labelling.labels import label_captures, read_labels, write_labels
from dataset.labelling.rules import LabelRow
from dataset.options import LabelOptions
from dataset.pictures.images import read_image

SHARES = [0.0] * 20 + [0.05] * 10 + [0.4] * 10 + [0.6] * 20


def captures_of(folder: Path) -> Path:
    make_session(folder, "flight", [frame(at, at) for at in range(len(SHARES))], SHARES)
    return folder


def rows_of(x: list[float], y: list[float]) -> list[LabelRow]:
    return [
        LabelRow("s", f"{label}{at}", label, "review", share, share, 255, "max_rgb>=250")
        for label, shares in (("X", x), ("Y", y))
        for at, share in enumerate(shares)
    ]


def test_the_valley_between_two_peaks_is_proposed(tmp_path: Path) -> None:
    found = calibrate_captures(LabelOptions(captures_of(tmp_path)))
    assert found.rule == "valley"
    assert 0 < found.x_fraction < 0.05  # the widest: from nothing to 5 %
    assert found.x_fraction < found.y_fraction <= 0.05
    assert (found.scores, found.by_hand) == ({}, {"X": 0, "Y": 0})
    plot = read_image(tmp_path / "calibration.png")
    assert plot.shape == (480, 960, 3)
    assert (plot != 255).any()


def test_hand_labels_come_before_the_histogram(tmp_path: Path) -> None:
    label_captures(LabelOptions(captures_of(tmp_path)))
    rows = read_labels(tmp_path)
    by_hand = [
        replace(row, label="Y" if (row.clipped_fraction or 0) > 0.3 else "X", source="review")
        for row in rows
    ]
    write_labels(tmp_path, by_hand)
    found = calibrate_captures(LabelOptions(tmp_path))
    assert (found.rule, found.x_fraction, found.y_fraction) == ("hand labels", 0.05, 0.4)
    assert {name: (each.precision, each.recall) for name, each in found.scores.items()} == {
        "X": (1.0, 1.0),
        "Y": (1.0, 1.0),
    }
    assert found.scores_now["Y"].precision == 0.75  # 10 of 40 are X by hand, at 5 %
    assert "now      Y: precision 75.0%, recall 100.0%" in str(found)


def test_one_peak_has_no_valley() -> None:
    assert widest_valley(histogram([0.1] * 100)) is None
    assert widest_valley(histogram([])) is None


def test_a_valley_has_enough_frames_on_both_sides() -> None:
    assert widest_valley(histogram([0.001] * 99 + [0.5])) is None


def two_modes(seed: int) -> tuple[list[float], float, float]:
    """40 to 100 shares of dim frames and of over-exposed ones, and what is usual among either.

    A quarter to three quarters of them are dim: half of the sets hold frames without any clipped
    pixel, the others some clipped pixels. The usual shares lie 1.5 to 2.5 decades apart, each with
    a standard deviation of a fifth of a decade.
    """
    random = np.random.default_rng(seed)
    total = int(random.integers(40, 101))
    dim = int(total * random.uniform(0.25, 0.75))
    bright = random.uniform(-0.9, -0.3)
    usual = bright - random.uniform(1.5, 2.5)
    low = 10 ** random.normal(usual, 0.2, dim) if seed % 2 else np.zeros(dim)
    shares = np.concatenate((low, 10 ** random.normal(bright, 0.2, total - dim)))
    return np.clip(shares, 0, 1).tolist(), 10**usual if seed % 2 else 0.0, 10**bright


@pytest.mark.slow
@given(st.integers(0, 2**32))
def test_thresholds_of_few_frames_lie_between_two_modes(seed: int) -> None:
    shares, dim, bright = two_modes(seed)
    valley = widest_valley(histogram(shares))
    assert valley is not None
    assert dim < valley[0] < valley[1] < bright


@pytest.mark.slow
def test_gaps_of_a_wide_mode_are_no_valley() -> None:
    # 20 frames without a clipped pixel, 40 whose shares spread evenly over a decade and a half.
    for seed in range(100):
        bright = 10 ** np.random.default_rng(seed).uniform(-1.5, 0, 40)
        valley = widest_valley(histogram([*[0.0] * 20, *bright]))
        assert valley is not None
        assert valley[1] <= 10**-1.5


@pytest.mark.slow
def test_few_frames_of_one_mode_give_no_threshold() -> None:
    found = [
        widest_valley(histogram((10 ** np.random.default_rng(seed).normal(-1.5, 0.5, 60)).tolist()))
        for seed in range(100)
    ]
    assert found == [None] * 100


@given(st.lists(st.floats(0, 1), max_size=200))
def test_smoothing_loses_no_frame(shares: list[float]) -> None:
    counts = histogram(shares)
    assert kernel_density(counts).sum() == pytest.approx(len(shares))
    assert kernel_density(counts).min() >= 0


def test_labels_that_cross_leave_the_crossing_unsure() -> None:
    x, y = [0.01] * 60 + [0.2] * 2, [0.1] * 3 + [0.5] * 60
    low, high = thresholds_by_hand(rows_of(x, y), LabelOptions()) or (0, 0)
    assert low < high
    found = score(rows_of(x, y), LabelOptions(x_fraction=low, y_fraction=high))
    assert min(each.precision or 0 for each in found.values()) >= 0.95


def test_labels_without_sense_give_no_threshold() -> None:
    assert thresholds_by_hand(rows_of([0.5] * 9, [0.01] * 9), LabelOptions()) is None


shares = st.lists(st.floats(0, 1), max_size=80)


@pytest.mark.slow
@given(shares)
def test_proposed_shares_can_be_used(found: list[float]) -> None:
    valley = widest_valley(histogram(found))
    assert valley is None or 0 <= valley[0] < valley[1] <= 1
    assert histogram(found).sum() == len(found)


@given(shares, shares)
def test_hand_thresholds_can_be_used(x: list[float], y: list[float]) -> None:
    found = thresholds_by_hand(rows_of(x, y), LabelOptions())
    assert found is None or 0 <= found[0] < found[1]


def test_json_and_an_empty_folder(tmp_path: Path) -> None:
    arguments = ["label", "--source", str(captures_of(tmp_path)), "--calibrate", "--json"]
    shown = CliRunner().invoke(cli.main, arguments)
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["rule"] == "valley"
    for path in (tmp_path / "flight/frames").iterdir():
        path.unlink()
    for name in ("statistics.csv", "labels.csv"):
        (tmp_path / name).unlink()
    with pytest.raises(UserError, match="could be measured"):
        calibrate_captures(LabelOptions(tmp_path))
    assert np.sum(histogram([0, 1])) == 2
