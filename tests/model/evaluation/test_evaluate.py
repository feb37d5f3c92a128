"""Methods side by side: on pairs, without pairs, over thresholds, and the page about it."""

from __future__ import annotations

import csv
import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.processes import printed_by
from helpers.tiny_runs import make_data, picture

from dataset.errors import UserError
from dataset.layout.pairs import Pair, list_pairs, read_pairs
from dataset.layout.readers import list_pictures
from dataset.pictures.images import Image, read_image, write_png
from dataset.pictures.pixels import Pixels, to_image, to_pixels
from model.evaluation.evaluate import evaluate_run
from model.evaluation.page import CSV_FILE, JSON_FILE, THRESHOLDS_FILE
from model.evaluation.paired import INPUT_METHOD, PAIRED_METRICS, Evaluation, evaluate_pairs
from model.evaluation.threshold_sweep import RANGES, plot_thresholds, sweep_thresholds
from model.evaluation.unpaired import Unpaired, evaluate_unpaired
from model.figures.page_folder import PAGE_FILE
from model.metrics import Values
from model.options import EvaluateOptions
from model.restoring.baselines import BASELINES, ORACLES

pytestmark = pytest.mark.slow

QUICK: dict[str, Any] = {"methods": ("cielab", "gamma"), "oracles": False}  # no network


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path, count=3)


def halve(pixels: Pixels) -> Pixels:
    return pixels * np.float32(0.5)


def know(_: Pixels, reference: Pixels, gain: float) -> Pixels:
    assert gain > 0
    return reference


def mean_colour(image: Image) -> Values:
    return image.reshape(-1, 3).mean(axis=0) / 255


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n1,2\n", "over_exposed,reference\n", "over_exposed,reference\nno.png,no.png\n"],
)
def test_a_bad_list_of_pairs_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"pairs\.csv"):
        read_pairs(path)


def test_every_method_is_measured_on_every_pair_and_the_input_stands_first(data: Path) -> None:
    calls: list[tuple[int, int]] = []
    found = evaluate_pairs(
        read_pairs(data / "pairs.csv"),
        {"half": halve},
        {"know": know},
        lambda done, total: calls.append((done, total)),
    )
    assert list(found.found) == [INPUT_METHOD, "half", "know"]
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert found.values("know", "psnr").tolist() == [100.0] * 3
    assert found.values("know", "delta_e").tolist() == [0.0] * 3
    assert found.values(INPUT_METHOD, "change_p95").tolist() == [0.0] * 3
    assert found.restored == "half"
    assert found.gain("know").mean > found.gain("half").mean
    assert found.gain(INPUT_METHOD).mean == 0


def test_a_summary_keeps_its_keys_and_is_json(data: Path) -> None:
    found = evaluate_pairs(read_pairs(data / "pairs.csv"), {"half": halve})
    summary = json.loads(json.dumps(found.summary(), allow_nan=False))
    assert summary["pairs"] == 3
    assert summary["restored_psnr"] - summary["input_psnr"] == pytest.approx(
        summary["psnr_gain"], abs=2e-4
    )
    assert summary["psnr_gain_min"] <= summary["psnr_gain"] <= summary["psnr_gain_max"]
    assert {"input_ssim", "restored_ssim", "input_edges", "restored_edges"} <= summary.keys()
    psnr = summary["methods"]["half"]["psnr"]
    assert psnr["low"] <= psnr["mean"] == summary["restored_psnr"] <= psnr["high"]


def test_broken_pairs_are_named_and_the_rest_goes_on(data: Path) -> None:
    (data / "testB" / "000.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    write_png(data / "testA" / "001.png", np.zeros((9, 9, 3), np.uint8))
    calls: list[int] = []
    pairs = [*list_pairs(data / "pairs.csv"), Pair(data / "gone.png", data / "gone.png")]
    found = evaluate_pairs(pairs, {}, on_progress=lambda done, _: calls.append(done))
    assert [pair.over_exposed.name for pair in found.pairs] == ["002.png"]
    assert [
        name in line
        for name, line in zip(("000.png", "001.png", "gone.png"), found.skipped, strict=True)
    ] == [True] * 3
    assert calls == [1, 2, 3, 4]
    with pytest.raises(UserError, match=r"No pair.*000\.png"):
        evaluate_pairs(pairs[:1], {})


def test_without_references_the_input_is_what_it_is(data: Path) -> None:
    y, x = list_pictures(data / "testB"), list_pictures(data / "testA")
    found = evaluate_unpaired(y, x, {"half": halve}, mean_colour)
    before = found.interval(INPUT_METHOD, "clipped_before").mean
    assert found.interval(INPUT_METHOD, "clipped_after").mean == before > 0.1
    assert found.interval("half", "clipped_after").mean == 0
    assert found.interval(INPUT_METHOD, "identity_abs").mean == 0
    bright = np.mean([read_image(path).mean() for path in x]) / 255
    assert found.interval("half", "identity_abs").mean == pytest.approx(bright / 2, abs=0.003)
    assert found.interval("half", "change_median").mean > 5
    assert found.kid["half"] != found.kid[INPUT_METHOD]
    json.dumps(found.summary(), allow_nan=False)


def test_frames_of_x_are_not_needed(data: Path) -> None:
    (data / "testB" / "000.png").write_bytes(b"")
    found = evaluate_unpaired(list_pictures(data / "testB"), [], BASELINES)
    assert found.kid == {}
    assert len(found.skipped) == 1
    assert math.isnan(found.interval("gamma", "identity_median").mean)
    assert found.summary()["methods"]["gamma"]["identity_median"]["mean"] is None
    with pytest.raises(UserError, match=r"000\.png"):
        evaluate_unpaired([data / "testB" / "000.png"], [], BASELINES)


def test_a_method_that_makes_y_like_x_has_less_kid(data: Path) -> None:
    y, x = list_pictures(data / "testB"), list_pictures(data / "testA")
    found = evaluate_unpaired(y, x, {"dim": lambda pixels: pixels * np.float32(0.6)}, mean_colour)
    assert found.kid["dim"] < found.kid[INPUT_METHOD]


def test_thresholds_move_the_rivals(tmp_path: Path) -> None:
    ramp = np.linspace(40, 200, 48).astype(np.float32)[None, :, None].repeat(20, axis=0)
    reference = (ramp * np.array([1, 0.95, 0.9])).astype(np.uint8)
    pairs = [Pair(tmp_path / "y.png", tmp_path / "x.png")]
    write_png(pairs[0].reference, reference)
    write_png(pairs[0].over_exposed, to_image(1.6 * to_pixels(reference)))
    sweeps = {sweep.method: sweep for sweep in sweep_thresholds(pairs)}
    alone = evaluate_pairs(pairs, {"ycbcr": BASELINES["ycbcr"]})
    at = RANGES["ycbcr"].thresholds.index(RANGES["ycbcr"].default)
    assert sweeps["ycbcr"].psnr[at] == pytest.approx(alone.mean("ycbcr", "psnr"))
    assert sweeps["ycbcr"].delta_e_inside[at] == pytest.approx(
        alone.mean("ycbcr", "delta_e_inside")
    )
    assert np.ptp(sweeps["ycbcr"].psnr) > 0.5
    plot = plot_thresholds(
        list(sweeps.values()), {INPUT_METHOD: {"psnr": 10.0, "delta_e_inside": 9.0}}
    )
    assert plot.dtype == np.uint8
    assert 0.005 < (plot < 200).mean() < 0.5


def test_a_run_is_evaluated_on_its_pairs(trained: Path) -> None:
    calls: list[tuple[int, int]] = []
    options = EvaluateOptions(data=trained / "data", runs=trained / "runs", device="cpu")
    found = evaluate_run(options, lambda done, total: calls.append((done, total)))
    assert found.paired
    assert list(found.paired.found) == [INPUT_METHOD, "network", *BASELINES, *ORACLES]
    assert calls == [(done, 6) for done in range(1, 7)]
    summary = found.summary()
    assert summary["pairs"] == 6
    assert summary["restored_by"] == "network"
    assert 5 < summary["input_psnr"] < 20
    assert -1 <= summary["restored_ssim"] <= 1
    assert "network" in str(found)


def test_methods_without_a_network_need_no_run(data: Path, tmp_path: Path) -> None:
    found = evaluate_run(EvaluateOptions(data=data, runs=tmp_path / "none", **QUICK))
    assert found.summary()["restored_by"] == "cielab"
    built_in = evaluate_run(EvaluateOptions(data=data, runs=tmp_path / "none", frames=1))
    assert built_in.summary()["restored_by"] == "network"
    assert any("built-in network restores" in note for note in built_in.notes)


def test_what_cannot_be_evaluated_says_why(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="network, cielab, ycbcr, gamma"):
        evaluate_run(EvaluateOptions(data=data, methods=("magic",)))
    with pytest.raises(UserError, match=r"pairs\.csv.*--over-exposed"):
        evaluate_run(EvaluateOptions(data=tmp_path / "empty", **QUICK))
    with pytest.raises(UserError, match="No folder"):
        evaluate_run(EvaluateOptions(data=data, over_exposed=tmp_path / "empty", **QUICK))


@pytest.mark.parametrize("listed", [False, True])
def test_without_pairs_the_test_frames_are_taken(
    data: Path, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)  # as if it were not installed
    (data / "pairs.csv").unlink()
    if listed:  # as `cli split` leaves it where no viewpoint was recorded twice
        (data / "pairs.csv").write_text("over_exposed,reference\n")
    found = evaluate_run(EvaluateOptions(data=data, frames=2, **QUICK))
    assert found.paired is None
    assert isinstance(found.unpaired, Unpaired)
    assert len(found.unpaired.over_exposed[INPUT_METHOD]) == 2
    assert "metrics" in found.notes[0]
    assert found.summary()["notes"] == found.notes
    assert "F(x)" in str(found)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a page about everything, with one broken pair; tests only read it."""
    root = tmp_path_factory.mktemp("page")
    data = make_data(root, count=3)
    write_png(data / "testB" / "001.png", picture(1, 1.0)[:9])
    out = root / "평가"
    options = EvaluateOptions(
        data=data, pairs=data / "pairs.csv", over_exposed=data / "trainB", out=out, swept=1, **QUICK
    )
    assert evaluate_run(options).page == out / PAGE_FILE
    return out


def test_the_page_stands_alone_with_its_numbers(page: Path, open_page: Callable[..., Any]) -> None:
    opened = open_page((page / PAGE_FILE).as_uri(), viewport={"width": 1300, "height": 900})
    widths = opened.eval_on_selector_all("img", "all => all.map(each => each.naturalWidth)")
    assert len(widths) == 1 + 3 * 4  # the plot; input, two methods and reference, three times
    assert all(widths)
    rows = opened.locator("table").first.locator("tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == ["method", "input", "CIELAB", "gamma"]
    assert opened.locator("table").count() == 2
    for heading in ("FLIP", "PSNR, best factor", "log k, error"):
        assert heading in rows[0].split("\t")
    assert "Set aside: 1" in opened.inner_text("body")
    assert "http" not in (page / PAGE_FILE).read_text(encoding="utf-8")


def test_numbers_lie_beside_the_page(page: Path) -> None:
    summary = json.loads((page / JSON_FILE).read_text(encoding="utf-8"))
    assert summary["pairs"] == 2
    assert summary["unpaired"]["over_exposed"] == 3
    assert [sweep["method"] for sweep in summary["thresholds"]] == ["cielab", "ycbcr"]
    with open(page / CSV_FILE, encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["method"] for line in lines] == [INPUT_METHOD, "cielab", "gamma"] * 2
    assert set(PAIRED_METRICS) < set(lines[0])
    mean = np.mean([float(line["psnr"]) for line in lines if line["method"] == "gamma"])
    assert mean == pytest.approx(summary["methods"]["gamma"]["psnr"]["mean"], abs=1e-3)
    assert read_image(page / THRESHOLDS_FILE).shape[2] == 3


def test_a_page_of_somebody_else_is_left_alone(data: Path, page: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(page, tmp_path / "page"))
    again = EvaluateOptions(data=data, out=out, swept=0, **QUICK)
    assert evaluate_run(again).page == out / PAGE_FILE  # ours may be replaced
    (out / PAGE_FILE).write_text("<h1>holidays</h1>", encoding="utf-8")
    with pytest.raises(UserError, match="--out"):
        evaluate_run(again)


@pytest.mark.parametrize("name", [JSON_FILE, CSV_FILE, "best_gamma.png"])
def test_numbers_of_somebody_else_are_left_alone(data: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "notes"
    out.mkdir()
    (out / name).write_bytes(b"mine")
    with pytest.raises(UserError, match=f"already holds something else.*{name}"):
        evaluate_run(EvaluateOptions(data=data, out=out, swept=0, **QUICK))
    assert {each.name: each.read_bytes() for each in out.iterdir()} == {name: b"mine"}


def test_pixels_and_images_are_the_same_numbers() -> None:
    image = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert np.array_equal(to_image(to_pixels(image)), image)
    assert to_image(np.array([[[-0.1, 0.5, 1.2]]], np.float32)).tolist() == [[[0, 128, 255]]]


def made_pairs(folder: Path, gains: str) -> list[Pair]:
    """A reference, and the same 1.5 times as bright; the list says what ``gains`` does."""
    reference = np.random.default_rng(0).integers(20, 250, (24, 32, 3), dtype=np.uint8)
    write_png(folder / "x.png", reference)
    write_png(folder / "y.png", to_image(1.5 * to_pixels(reference)))
    (folder / "pairs.csv").write_text(f"over_exposed,reference{gains}\n", encoding="utf-8")
    return list_pairs(folder / "pairs.csv")


def test_the_gain_of_a_pair_is_measured_where_the_list_does_not_say_it(tmp_path: Path) -> None:
    found = evaluate_pairs(made_pairs(tmp_path, "\ny.png,x.png"), {"half": halve}, ORACLES)
    assert found.values(INPUT_METHOD, "log_k_error") == pytest.approx([math.log(1.5)], abs=0.01)
    assert found.values("half", "log_k_error") == pytest.approx([math.log(2 / 1.5)], abs=0.01)
    assert found.values("true_k", "log_k_error") == pytest.approx([0], abs=0.01)
    assert found.mean("true_k", "psnr_outside") > 45  # rounding alone
    assert found.mean("true_k_mean_colours", "psnr") > found.mean("true_k", "psnr")
    assert found.mean("true_k", "flip") < found.mean("half", "flip")
    assert found.mean("true_k", "psnr_best_factor") >= found.mean("true_k", "psnr")


def test_the_gain_that_a_list_says_is_believed(tmp_path: Path) -> None:
    found = evaluate_pairs(made_pairs(tmp_path, ",gain\ny.png,x.png,3"), {"half": halve}, ORACLES)
    assert found.values(INPUT_METHOD, "log_k_error") == pytest.approx([math.log(3)])
    assert found.values("half", "log_k_error") == pytest.approx([math.log(1.5)], abs=0.02)
    assert found.values("true_k", "log_k_error") == pytest.approx([0], abs=0.02)


def test_where_nothing_is_left_there_is_no_gain(tmp_path: Path) -> None:
    (pair,) = made_pairs(tmp_path, "\ny.png,x.png")
    write_png(pair.over_exposed, np.full((24, 32, 3), 255, np.uint8))
    found = evaluate_pairs([pair], {"half": halve}, ORACLES)
    assert np.isnan(found.values("half", "log_k_error")).all()
    assert found.summary()["methods"]["half"]["log_k_error"]["mean"] is None
    assert found.to_csv().splitlines()[1].endswith(",")


def test_without_flip_a_note_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_pairs(tmp_path, "\ny.png,x.png")
    options = EvaluateOptions(data=tmp_path, pairs=tmp_path / "pairs.csv", **QUICK)
    assert evaluate_run(options).notes == []
    monkeypatch.setattr("model.evaluation.evaluate.HAS_FLIP", False)
    monkeypatch.setattr("model.metrics.flip_evaluator", None)
    found = evaluate_run(options)
    assert "pip install flip-evaluator" in str(found)
    assert found.summary()["methods"]["gamma"]["flip"]["mean"] is None


def test_the_printed_table_has_all_that_judges(tmp_path: Path) -> None:
    made_pairs(tmp_path, "\ny.png,x.png")
    options = EvaluateOptions(
        data=tmp_path, pairs=tmp_path / "pairs.csv", methods=("reconstruct", "gamma")
    )
    lines = str(evaluate_run(options)).splitlines()
    for heading in ("PSNR dB", "dE2000", "FLIP", "PSNR dB, best factor", "log k, error"):
        assert any(heading in line for line in lines)
    names = [line.split()[0] for line in lines if not line.startswith(" ")][1:]
    assert names == [INPUT_METHOD, "reconstruct", "gamma", *ORACLES] * 2
    assert max(map(len, lines)) <= 120


def test_cells_of_the_printed_table_never_touch(data: Path) -> None:
    options = EvaluateOptions(data=data, pairs=data / "pairs.csv", **QUICK)
    for line in str(evaluate_run(options)).splitlines():
        assert ")" not in line.replace(") ", "").rstrip(")")


def test_an_evaluation_of_one_pair_has_no_interval(data: Path) -> None:
    found: Evaluation = evaluate_pairs(read_pairs(data / "pairs.csv")[:1], {"half": halve})
    assert found.summary()["methods"]["half"]["psnr"]["low"] is None
    assert found.summary()["psnr_gain_sd"] == 0


def test_measuring_loads_no_torch() -> None:
    names = ("paired", "unpaired", "threshold_sweep", "page")
    modules = ", ".join(f"model.evaluation.{name}" for name in names)
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    assert printed_by(code).strip() == "False"
