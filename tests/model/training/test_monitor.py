"""A healthy run is left in peace; one that goes wrong hears what to do, once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.processes import printed_by
from helpers.tiny_runs import make_data, tiny_options
from hypothesis import given
from hypothesis import strategies as some

from model.physical import LOSS_NAMES
from model.training.log import read_log
from model.training.monitor import BLIND_LOSS, MonitorThresholds, TrainingMonitor, diverged
from model.training.train import train

Line = dict[str, float]
HEALTHY: Line = {
    "D_X": 0.9,
    "D_Y": 0.9,
    "accuracy_X": 0.8,
    "accuracy_Y": 0.8,
    "G": 1.1,
    "F": 1.1,
    "cycle_X": 0.05,
    "cycle_Y": 0.05,
    "waited": 0.01,
    "pairs_per_s": 6.0,
}


def told(lines: Iterable[Line], monitor: TrainingMonitor | None = None) -> list[str]:
    monitor = monitor or TrainingMonitor()
    return [
        text
        for number, line in enumerate(lines, start=1)
        for text in monitor.check(1 + number // 40, 20 * number, line)
    ]


def like_a_true_run(seed: int, count: int) -> Iterator[Line]:
    """Losses that wander slowly, shake quickly, and now and then fall near 0 for some lines."""
    random = np.random.default_rng(seed)
    drift, dip = np.zeros(2), np.zeros(2)
    for number in range(count):
        drift = 0.97 * drift + random.normal(0, 0.08, 2)
        dip = np.where(random.random(2) < 0.01, random.integers(2, 12, 2), np.maximum(dip - 1, 0))
        start = np.exp(-number / 3)  # D is blind in the first lines
        losses = start * BLIND_LOSS + (1 - start) * 0.85 * np.exp(drift)
        losses = np.where(
            dip > 0, random.uniform(0.005, 0.06, 2), losses * random.normal(1, 0.1, 2)
        )
        losses = np.maximum(losses, 0.005)
        accuracy = np.clip(1 - losses / 2.8, 0.4, 1)
        yield {
            "D_X": losses[0],
            "accuracy_X": accuracy[0],
            "D_Y": losses[1],
            "accuracy_Y": accuracy[1],
            "waited": float(random.beta(1, 30)),
            "pairs_per_s": random.normal(6, 0.8),
        }


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_runs_fluctuation_is_no_news(seed: int) -> None:
    assert told(like_a_true_run(seed, 3000)) == []


@pytest.mark.slow
def test_a_real_run_that_learns_is_no_news(tmp_path: Path) -> None:
    make_data(tmp_path)
    quiet: dict[str, Any] = {"samples": 1, "sample_every": 30, "keep_epochs": ()}
    run = train(tiny_options(tmp_path, epochs=30, **quiet)).run
    lines = [line for line in read_log(run) if "D_X" in line]
    assert len(lines) >= 30
    assert [text for text in told(lines) if "slowed" not in text] == []


def test_a_discriminator_that_wins_for_long_is_told_once_with_what_to_do() -> None:
    random = np.random.default_rng(1)
    lines = [
        HEALTHY | {"D_Y": max(0.9 * 0.8**n, 0.01) * random.uniform(0.5, 1.5), "accuracy_Y": 0.997}
        for n in range(400)
    ]
    news = told(lines)
    assert len(news) == 1
    assert news[0].startswith("Epoch 1, step ")
    assert "D_Y has told" in news[0]
    assert "so G hardly learns" in news[0]
    for remedy in ("--discriminator-rate", "least-squares", "--learning-rate", "more frames of Y"):
        assert remedy in news[0]


def test_both_discriminators_winning_is_one_message() -> None:
    won = {"D_X": 0.01, "D_Y": 0.02, "accuracy_X": 0.999, "accuracy_Y": 0.998}
    news = told([HEALTHY | won] * 100)
    assert len(news) == 1
    assert "D_X and D_Y have told" in news[0]
    assert "F and G hardly learn from" in news[0]
    assert "for 500 steps (loss 0.010 and 0.020, right 99.9% and 99.8% of the time)" in news[0]


def test_spikes_in_a_collapse_do_not_hide_it() -> None:
    won = HEALTHY | {"D_X": 0.01, "accuracy_X": 0.999}
    lines = [HEALTHY if n % 8 == 7 else won for n in range(200)]
    assert len(told(lines)) == 1


def test_a_short_collapse_is_no_news_but_a_second_long_one_is() -> None:
    won = HEALTHY | {"D_X": 0.01, "accuracy_X": 0.999}
    assert told([won] * 20 + [HEALTHY] * 20 + [won] * 20) == []
    assert len(told([won] * 40 + [HEALTHY] * 40 + [won] * 40)) == 2


def test_between_bad_and_good_a_state_stays_told() -> None:
    won = HEALTHY | {"D_X": 0.01, "accuracy_X": 0.999}
    between = HEALTHY | {"D_X": 0.1}
    assert len(told([won] * 40 + [between] * 100 + [won] * 40)) == 1


def test_a_long_run_is_given_more_patience() -> None:
    won = HEALTHY | {"D_X": 0.01, "accuracy_X": 0.999}
    assert told([HEALTHY] * 4000 + [won] * 100) == []
    assert len(told([HEALTHY] * 4000 + [won] * 250)) == 1


def test_a_low_loss_without_high_accuracy_is_no_collapse() -> None:
    assert told([HEALTHY | {"D_X": 0.03, "accuracy_X": 0.95}] * 200) == []
    without = {key: value for key, value in HEALTHY.items() if "accuracy" not in key}
    assert len(told([without | {"D_X": 0.03}] * 200)) == 1


def test_a_blind_discriminator_is_told_after_a_while() -> None:
    random = np.random.default_rng(2)
    lines = [
        HEALTHY | {"D_X": BLIND_LOSS + random.normal(0, 0.004), "accuracy_X": 0.5}
        for _ in range(100)
    ]
    assert told(lines[:30]) == []  # as at the start of every run
    news = told(lines)
    assert len(news) == 1
    assert "D_X has not been able" in news[0]
    assert "F learns nothing" in news[0]
    assert "a guess has a loss of 1.386" in news[0]


def test_blindness_by_least_squares_has_a_limit_of_its_own() -> None:
    lines = [HEALTHY | {"D_X": 0.25, "accuracy_X": 0.5}] * 100
    assert told(lines) == []
    assert len(told(lines, TrainingMonitor(replace(MonitorThresholds(), blind_loss=0.25)))) == 1


def test_starvation_is_told_soon_and_again_after_a_pause() -> None:
    hungry = HEALTHY | {"waited": 0.6, "pairs_per_s": 1.0}
    assert told([hungry] * 3 + [HEALTHY] * 20) == []  # reading ahead gets going
    news = told([HEALTHY] * 10 + [hungry] * 60 + [HEALTHY] * 20 + [hungry] * 60)
    assert len(news) == 2  # and no word on the rate, which follows from it
    assert "waits for frames 60% of its time" in news[0]
    assert "--load-size" in news[0]


def test_a_rate_that_halves_for_long_is_told() -> None:
    slow = HEALTHY | {"pairs_per_s": 2.0}
    assert told([HEALTHY] * 30 + [slow] * 5 + [HEALTHY] * 30) == []
    news = told([HEALTHY] * 30 + [slow] * 60)
    assert len(news) == 1
    assert "slowed down to 2.0 pairs per second, from 6.0" in news[0]


def test_one_lucky_measurement_is_not_the_best_rate() -> None:
    assert told([HEALTHY | {"pairs_per_s": 600.0}] + [HEALTHY] * 100) == []


def test_what_is_missing_or_no_number_is_passed_over() -> None:
    assert told([{}] * 200) == []
    assert told([{"D_X": math.nan, "accuracy_X": math.nan, "waited": math.nan}] * 200) == []
    won = HEALTHY | {"D_X": 0.01, "accuracy_X": 0.999}
    assert len(told([won] * 20 + [HEALTHY | {"D_X": math.nan}] * 5 + [won] * 20)) == 1


@pytest.mark.slow
@given(
    some.lists(
        some.fixed_dictionaries(
            {},
            optional={
                key: some.floats(0, 2) | some.just(math.nan)
                for key in ("D_X", "D_Y", "accuracy_X", "accuracy_Y", "waited", "pairs_per_s")
            },
        ),
        max_size=80,
    )
)
def test_no_line_is_too_strange(lines: list[Line]) -> None:
    assert all(text.startswith("Epoch ") for text in told(lines))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_diverging_names_the_losses_and_what_to_do(value: float) -> None:
    assert diverged(HEALTHY | {"psnr_pairs": math.nan}) == ""
    text = diverged(HEALTHY | {"D_Y": value, "cycle_X": value})
    assert "D_Y and cycle_X are no longer finite numbers" in text
    assert "--precision fp32" in text
    assert "--learning-rate" in text


@pytest.mark.parametrize("name", sorted(set(LOSS_NAMES) - {"gain_error"}))
def test_losses_of_preset_physical_are_watched_as_well(name: str) -> None:
    assert f"{name} is no longer a finite number" in diverged({"gain": 0.1, name: math.nan})


def test_watching_needs_no_torch() -> None:
    code = "import sys, model.training.monitor; print({'torch', 'numpy'} & set(sys.modules))"
    assert printed_by(code).strip() == "set()"
