"""The demo in small: the real game, recorded through a real screen, to a page of pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.tiny_physical import tiny_physical
from helpers.tiny_runs import tiny_options

from capture.game.record import record_game
from capture.options import StageOptions
from dataset.labelling.labels import label_captures
from dataset.layout.pairs import read_pairs
from dataset.options import LabelOptions, SplitOptions
from dataset.pictures.images import read_image
from dataset.sessions.manifest import read_frames
from dataset.splitting.split import split_captures
from model.evaluation.demo import demo_settings
from model.evaluation.demo_folder import DEMO_FILES, DEMO_FOLDERS, _walk
from model.evaluation.demo_page import DemoFacts, write_demo_page
from model.figures.page_folder import render_page, table_rows
from model.training.train import train


@pytest.fixture(scope="module")
def recorded(display: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "demo"
    stage = StageOptions(out=out / "captures", viewpoints=12, size=(96, 96))
    assert record_game(stage) == 24
    return out


def test_frames_of_a_viewpoint_differ_in_light_only(recorded: Path) -> None:
    frames = list(read_frames(recorded / "captures" / "demo"))
    assert len(frames) == 24
    for weak, strong in zip(frames[::2], frames[1::2], strict=True):
        assert weak.viewpoint == strong.viewpoint
        assert weak.light is not None
        assert weak.light.startswith("reference")
        dark, bright = (
            read_image(recorded / "captures" / "demo" / frame.file) for frame in (weak, strong)
        )
        assert dark.shape == bright.shape == (96, 96, 3)
        assert (dark.max(axis=2) >= 250).mean() < 0.001
        assert bright.mean() > dark.mean() + 5


def test_the_whole_way_ends_in_a_page_and_numbers(recorded: Path) -> None:
    label_captures(LabelOptions(source=recorded / "captures"))
    split = SplitOptions(
        source=recorded / "captures", out=recorded / "data", counts=(6, 4, 3, 2), fit=True
    )
    divided = split_captures(split)
    assert divided.pairs >= 1
    runs = {}
    for name, tiny in (("cyclegan", tiny_options), ("physical", tiny_physical)):
        run = demo_settings(name, recorded, 1, 0).run
        options = tiny(recorded, run=run, steps=2)
        runs[name] = train(replace(options, load_size=96, samples=2, sample_every=1)).run
    facts = DemoFacts(divided.table1, 24, ("a fact with <brackets>",))
    made = write_demo_page(recorded, recorded / "data", runs, facts, lambda: 1.5)
    result = made.values
    assert [*result["methods"]] == ["input", "cyclegan", "physical"]
    assert 0 <= result["physical_ahead"]["pairs"] <= result["pairs"]
    told = str(made).splitlines()
    assert told[0].startswith(f"24 frames, {result['pairs']} held-out pairs")
    assert told[1].split() == ["input", "CycleGAN", "physical"]
    assert [line.split()[0] for line in told[2:5]] == ["PSNR,", "SSIM", "ΔE2000"]
    wanted = {
        "frames",
        "pairs",
        "input_psnr",
        "restored_psnr",
        "input_ssim",
        "restored_ssim",
        "seconds",
    }
    assert wanted <= result.keys()
    assert json.loads((recorded / "result.json").read_text()) == result
    assert result["pairs"] == len(read_pairs(recorded / "data" / "pairs.csv")) == divided.pairs
    page = (recorded / "index.html").read_text(encoding="utf-8")
    assert "a fact with &lt;brackets&gt;" in page
    assert "http" not in page  # needs no network
    assert "<th>CycleGAN</th><th>physical</th>" in page
    for name in ("figure2", "figure3", "best_median_worst", "domain_X", "domain_Y"):
        assert f'src="{name}.png"' in page
        assert read_image(recorded / f"{name}.png").size > 0


def test_whatever_the_whole_way_writes_may_be_removed_by_the_next_demo(recorded: Path) -> None:
    files, folders = _walk(recorded)
    assert [each for each in files if not DEMO_FILES.fullmatch(each)] == []
    assert [each for each in folders if not DEMO_FOLDERS.fullmatch(each)] == []


def test_markdown_tables_become_html() -> None:
    rows = table_rows("| a | b |\n|---|---|\n| 1 | <2> |\n")
    figures = [{"heading": "", "caption": "", "table": rows}]
    page = "".join(render_page("figures", run="", figures=figures, missing=()).split("\n"))
    assert (
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>&lt;2&gt;</td></tr></table>" in page
    )
