"""How much a video flickers, by numbers worked out by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.made_videos import film_of

import cli
from dataset.errors import UserError
from dataset.pictures.pixels import Pixels
from model.evaluation.evaluate import evaluate_run
from model.evaluation.flicker import Flicker, brightness_of, flicker_of, measure_flicker
from model.options import EvaluateOptions


def grey(path: Path, levels: list[int]) -> Path:
    """Grey frames with a darker disc, which stays."""
    rows, columns = np.mgrid[0:64, 0:96]
    disc = np.hypot(rows - 32, columns - 48) < 16
    images = []
    for level in levels:
        image = np.full((64, 96, 3), level, np.uint8)
        image[disc] = level // 2
        images.append(image)
    return film_of(path, images, "yuv444p")


def test_a_frame_stands_out_from_the_mean_of_those_beside_it() -> None:
    # Means of neighbours: 107 for 102, 104 for 114. Steps: 2, 12, -8.
    found = flicker_of([100, 102, 114, 106], [slice(0, 4)])
    assert found.largest == 10
    assert found.rms == pytest.approx(((25 + 100) / 2) ** 0.5)
    assert found.largest_step == 12
    assert found.rms_step == pytest.approx(((4 + 144 + 64) / 3) ** 0.5)


def test_what_goes_on_evenly_does_not_flicker() -> None:
    assert flicker_of([10, 13, 16, 19], [slice(0, 4)]) == Flicker(0, 0, 3, 3)
    assert flicker_of([50] * 4, [slice(0, 4)]) == Flicker(0, 0, 0, 0)


def test_a_cut_is_no_flicker() -> None:
    cut = [10.0, 12.0, 14.0, 90.0, 91.0, 92.0]
    assert flicker_of(cut, [slice(0, 3), slice(3, 6)]).largest == 0
    assert flicker_of(cut, [slice(0, 3), slice(3, 6)]).largest_step == 2
    assert flicker_of(cut, [slice(0, 6)]).largest == 37.5  # 90 beside 14 and 91
    assert flicker_of([7.0], [slice(0, 1)]) == Flicker(0, 0, 0, 0)


def test_brightness_is_luma() -> None:
    pixels = np.zeros((2, 2, 3), np.float32)
    pixels[0] = (1, 0, 0)
    pixels[1, 0] = (0, 1, 0)
    assert brightness_of(pixels) == pytest.approx(255 * (2 * 0.2126 + 0.7152) / 4, abs=1e-4)


@pytest.mark.slow
def test_videos_are_measured_as_they_are_and_restored(tmp_path: Path) -> None:
    source = grey(tmp_path / "a.mkv", [100, 100, 120, 100, 100])
    calls: list[tuple[int, int]] = []

    def half(pixels: Pixels) -> Pixels:
        return pixels / 2

    found = measure_flicker(source, {"half": half}, lambda *now: calls.append(now))
    disc = 0.5 * 797 / (64 * 96)  # of the pixels are half as bright
    assert found.frames == 5
    assert found.cuts == []
    assert found.found["input"].largest == pytest.approx(20 * (1 - disc), abs=0.7)
    assert found.found["half"].largest == pytest.approx(10 * (1 - disc), abs=0.4)
    assert found.found["half"].rms == pytest.approx(10 * (1 - disc) * (1.5 / 3) ** 0.5, abs=0.3)
    assert calls == [(number, 10) for number in range(1, 11)]


@pytest.mark.slow
def test_the_command_prints_a_table_and_json(tmp_path: Path) -> None:
    source = grey(tmp_path / "a.mkv", [100, 110, 100, 110])
    command = ["evaluate", "--video", str(source), "--methods", "gamma"]
    shown = CliRunner().invoke(cli.main, command)
    assert shown.exit_code == 0, shown.output
    assert "4 frames, cuts: 0" in shown.output
    rows = re.findall(
        r"^(input|gamma) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)$", shown.output, re.M
    )
    assert [row[0] for row in rows] == ["input", "gamma"]
    told = json.loads(CliRunner().invoke(cli.main, [*command, "--json"]).stdout)["flicker"]
    assert told["frames"] == 4
    assert told["input"]["largest"] == pytest.approx(float(rows[0][1]), abs=0.006)
    assert told["input"]["largest_step"] == pytest.approx(10 * (1 - 0.5 * 797 / 6144), abs=1.0)


def test_a_video_is_measured_by_itself(tmp_path: Path) -> None:
    for more in ({"pairs": tmp_path / "a.csv"}, {"out": tmp_path / "out"}):
        with pytest.raises(UserError, match="--video is measured by itself"):
            evaluate_run(EvaluateOptions(video=tmp_path / "a.mp4", **more))
    with pytest.raises(UserError, match=r"No such video: .*a\.mp4\. Check the name"):
        evaluate_run(EvaluateOptions(video=tmp_path / "a.mp4", methods=("gamma",)))
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"a\.png is no video .*--over-exposed FOLDER"):
        evaluate_run(EvaluateOptions(video=tmp_path / "a.png", methods=("gamma",)))
