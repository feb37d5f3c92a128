"""The demo's two networks side by side: equal time, and numbers that say which is ahead."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.layout.pairs import Pair
from dataset.pictures.images import write_png
from model.evaluation import demo
from model.evaluation.demo_page import (
    DemoFacts,
    DemoResult,
    ahead,
    compared,
    describe_machine,
    draw_compared,
    ranked_pairs,
    render_demo,
)
from model.evaluation.paired import Evaluation
from model.metrics import Comparison


def measured(psnr: float) -> Comparison:
    values: dict[str, Any] = {each.name: 0.5 for each in fields(Comparison)}
    return Comparison(**values | {"psnr": psnr})


def evaluation() -> Evaluation:
    found = {"input": (10, 10, 10), "cyclegan": (20, 18, 19), "physical": (23, 17, 21)}
    pairs = [Pair(Path(f"{n}.png"), Path(f"{n}.png")) for n in range(3)]
    return Evaluation(pairs, {name: [*map(measured, psnr)] for name, psnr in found.items()})


def test_both_learn_from_the_same_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.time, "monotonic", lambda: 1000.0)
    settings = dict(demo.share_time(Path("demo"), 7, 1000.0 + 60 * 8))
    both = [(each.data, each.runs, each.seed, each.steps) for each in settings.values()]
    assert both[0] == both[1] == (Path("demo/data"), Path("demo/runs"), 7, 0)
    assert [each.run for each in settings.values()] == ["demo", "physical"]
    assert [each.network.physical for each in settings.values()] == [False, True]
    assert settings["physical"].network.linear  # the game's sun multiplies linear light


@pytest.mark.parametrize(("first_s", "second"), [(240, 4.0), (300, 3.0), (900, 0.1)])
def test_the_second_training_gets_the_time_that_the_first_leaves(
    monkeypatch: pytest.MonkeyPatch, first_s: float, second: float
) -> None:
    now = 1000.0
    monkeypatch.setattr(demo.time, "monotonic", lambda: now)
    shares = demo.share_time(Path("demo"), 0, now + 60 * 8)
    assert next(shares)[1].minutes == 4
    now += first_s
    assert next(shares)[1].minutes == pytest.approx(second)


def test_the_table_has_input_and_both_networks() -> None:
    result = {"frames": 6, "seconds": 1.0, **evaluation().summary()}
    rows = compared(result)
    assert rows[0] == ["", "input", "CycleGAN", "physical"]
    assert rows[1] == ["PSNR, dB", "10.00", "19.00", "20.33"]
    assert str(DemoResult(result)).splitlines()[0] == "6 frames, 3 held-out pairs, 1 s in all"


def test_who_is_ahead_is_counted() -> None:
    assert ahead(evaluation()) == {"psnr": 1.3333, "pairs": 2}


def test_pairs_are_ranked_by_both_networks() -> None:
    assert [pair.reference.stem for pair in ranked_pairs(evaluation())] == ["1", "2", "0"]


def test_the_figure_has_a_row_for_each_network(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.full((64, 64, 3), 200, np.uint8))
    pair = Pair(tmp_path / "a.png", tmp_path / "a.png")
    methods = {"cyclegan": lambda pixels: pixels, "physical": lambda pixels: pixels / 2}
    two, four = (draw_compared([pair], dict(list(methods.items())[:n])) for n in (0, 2))
    assert four.shape[0] > 1.9 * two.shape[0] - 20
    assert four.shape[1] == two.shape[1]


def test_the_page_says_in_words_what_trained() -> None:
    machine: dict[str, Any] = {
        "device": "cpu x86_64",
        "threads": 2,
        "speed": {"bf16": False},
        "matmul_tflop_per_s": {"fp32": 0.1},
        "torch": "2.9.0",
        "python": "3.12.3",
    }
    told = describe_machine(machine)
    assert told == "Trained on cpu x86_64, 2 threads, PyTorch 2.9.0, Python 3.12.3."
    assert describe_machine({}) == ""
    result = {
        "frames": 6,
        "seconds": 1.0,
        "physical_ahead": ahead(evaluation()),
        **evaluation().summary(),
    }
    page = render_demo(DemoFacts("| a |\n|---|\n| 1 |", 6, ("A fact.",)), result, machine)
    assert told in page
    body = page.partition("<body")[2]
    assert "{" not in body
    assert "&#39;" not in body
