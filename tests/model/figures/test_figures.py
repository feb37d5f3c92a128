"""The figures of a real small run: right, readable, and what is missing is named."""

from __future__ import annotations

import base64
import math
import os
import re
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers.tiny_runs import make_data, picture, tiny_options

import cli
from dataset.errors import UserError
from dataset.options import PAPER_COUNTS
from dataset.pictures.images import read_image, write_png
from dataset.splitting.report import table1
from model.figures.curves import (
    BLIND,
    logged_steps_per_epoch,
    moving_average,
    plot_curves,
    smoothing_width,
)
from model.figures.figure1 import Cycle, figure1
from model.figures.figures import (
    HEADINGS,
    FiguresSummary,
    count_frames,
    figure2,
    figure3,
    make_figures,
    render_figures,
    shown_epochs,
)
from model.figures.page_folder import check_page_folder, page_folder
from model.losses import discriminator_loss
from model.physical import LOSS_NAMES
from model.training.train import train

pytestmark = pytest.mark.slow

ZERO = torch.zeros(1)
PICTURES = ("figure1.png", "figure2.png", "figure3.png", "losses.png")


@pytest.fixture(scope="module")
def trained(measured_once: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("학습")
    make_data(root)
    train(tiny_options(root, run="첫 실행", epochs=3, keep_epochs=(1, 2, 3)))
    return root


@dataclass(frozen=True)
class Drawn:
    """Figures in a folder, and the progress that was heard on the way."""

    summary: FiguresSummary
    heard: list[tuple[int, int]]

    def shape(self, name: str) -> tuple[int, ...]:
        return read_image(self.summary.out / name).shape


@pytest.fixture(scope="module")
def drawn(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """All figures of a run, drawn once; tests only read them."""
    heard: list[tuple[int, int]] = []
    out = tmp_path_factory.mktemp("그림") / "figures"
    summary = make(trained, out=out, on_progress=lambda done, total: heard.append((done, total)))
    return Drawn(summary, heard)


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def make(root: Path, **more: Any) -> FiguresSummary:
    return make_figures(root / "data", root / "runs", device="cpu", **more)


def line(step: int, **values: float | None) -> dict[str, Any]:
    return {"epoch": 1 + (step - 1) // 100, "step": step, **values}


def rgb(hexadecimal: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(hexadecimal.removeprefix("#")))


def test_cli_figures_draws_everything_of_a_trained_run(copied: Path) -> None:
    words = ["--data", str(copied / "data"), "--runs", str(copied / "runs"), "--device", "cpu"]
    result = CliRunner().invoke(cli.main, ["figures", *words])
    assert result.exit_code == 0, result.output
    out = copied / "runs" / "첫 실행" / "figures"
    shown = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert shown == {*PICTURES, "table1.md", "index.html"}
    assert str(out / "index.html") in result.output
    for name in PICTURES:
        image = read_image(out / name)
        assert min(image.shape[:2]) > 150
        assert image.std() > 10


def test_the_page_holds_every_figure_and_nothing_from_elsewhere(drawn: Drawn) -> None:
    summary = drawn.summary
    page = (summary.out / "index.html").read_text(encoding="utf-8")
    assert "Figures of 첫 실행" in page
    assert not re.search(r"https?://|<script", page)
    held = [base64.b64decode(each) for each in re.findall(r"data:image/png;base64,([^\"]+)", page)]
    assert held == [(summary.out / name).read_bytes() for name in PICTURES]
    assert "<td>Training</td><td>6</td><td>6</td><td>3,864</td><td>3,520</td>" in page


def test_figures_can_be_drawn_again(drawn: Drawn, trained: Path) -> None:
    first = {path.name: path.read_bytes() for path in drawn.summary.out.iterdir()}
    again = make(trained, out=drawn.summary.out).out
    assert first == {path.name: path.read_bytes() for path in again.iterdir()}


def test_progress_counts_the_figures(drawn: Drawn) -> None:
    assert drawn.heard == [(n, 5) for n in range(1, 6)]


def test_without_a_log_the_other_figures_are_made(copied: Path) -> None:
    (copied / "runs" / "첫 실행" / "log.jsonl").unlink()
    summary = make(copied)
    assert set(summary.missing) == {"losses.png"}
    assert "cli train" in summary.missing["losses.png"]
    assert "not drawn: losses.png" in str(summary)
    assert "Not drawn." in (summary.out / "index.html").read_text(encoding="utf-8")
    assert not (summary.out / "losses.png").exists()


def test_without_a_data_set_the_curves_are_made(copied: Path) -> None:
    shutil.rmtree(copied / "data")
    summary = make(copied)
    assert summary.made == ("losses.png", "index.html")
    assert all("cli split" in reason for reason in summary.missing.values())


def test_without_kept_epochs_only_figure_3_is_missing(copied: Path) -> None:
    for path in (copied / "runs" / "첫 실행" / "checkpoints").glob("[0-9]*"):
        path.unlink()
    summary = make(copied)
    assert set(summary.missing) == {"figure3.png"}
    assert "finish an epoch" in summary.missing["figure3.png"]


def test_without_a_test_frames_of_training_are_shown(copied: Path) -> None:
    for name in ("testA", "testB"):
        shutil.rmtree(copied / "data" / name)
    summary = make(copied)
    assert summary.missing == {}
    table = (summary.out / "table1.md").read_text(encoding="utf-8")
    assert "| Testing  |     0 |     0 |    1,212 |      780 |" in table


def test_without_pairs_figure_2_has_no_references(drawn: Drawn, copied: Path) -> None:
    with_references = drawn.shape("figure2.png")
    (copied / "data" / "pairs.csv").unlink()
    without = read_image(make(copied).out / "figure2.png").shape
    assert without[0] * 3 == with_references[0] * 2
    assert without[1] == with_references[1]


def test_no_run_says_what_to_do(tmp_path: Path) -> None:
    make_data(tmp_path)
    with pytest.raises(UserError, match="cli train"):
        make(tmp_path)
    (tmp_path / "runs" / "empty").mkdir(parents=True)
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(UserError, match=r"No figure could be drawn.*options\.json.*No log"):
        make(tmp_path, run="empty")
    assert list((tmp_path / "runs" / "empty").iterdir()) == []


def test_somebody_elses_page_is_not_replaced(copied: Path) -> None:
    out = copied / "site"
    out.mkdir()
    (out / "index.html").write_text("<h1>mine</h1>", encoding="utf-8")
    with pytest.raises(UserError, match="--out"):
        make(copied, out=out)
    assert [path.name for path in out.iterdir()] == ["index.html"]


def test_figure_3_prefers_the_epochs_of_the_paper() -> None:
    kept = [1, 2, 5, 10, 14, 18, 40]
    assert shown_epochs(kept, [1, 5, 10, 14, 18]) == [1, 5, 10, 14, 18]
    assert shown_epochs([1, 3, 7, 9, 12]) == [1, 3, 7, 9, 12]
    assert shown_epochs(list(range(1, 22)), [1, 99]) == [1, 21]
    assert shown_epochs([]) == []


def test_figure_3_has_a_column_for_the_input_and_each_output() -> None:
    image = np.full((40, 60, 3), 90, np.uint8)
    drawn = figure3(image, [("epoch 1", image), ("newest", image)], cell=80)
    assert drawn.shape == (22 + 80, 3 * 120 + 2 * 4, 3)


def test_figure_3_shows_the_newest_only_where_it_is_later(drawn: Drawn, copied: Path) -> None:
    def columns(shape: tuple[int, ...]) -> int:
        return (shape[1] + 4) // (200 + 4)

    # The input and epochs 1, 2 and 3, the last of all.
    assert columns(drawn.shape("figure3.png")) == 4
    folder = copied / "runs" / "첫 실행" / "checkpoints"
    (folder / "3_net_G_B.pth").unlink()
    shape = read_image(make(copied).out / "figure3.png").shape
    assert columns(shape) == 4  # the input, epochs 1 and 2, and the newest


def test_figure_2_fills_rows_of_different_width() -> None:
    wide, narrow = np.zeros((20, 40, 3), np.uint8), np.zeros((20, 20, 3), np.uint8)
    assert figure2([wide] * 2, [narrow] * 2, cell=20).shape == (2 * (22 + 20), 84, 3)


def test_figure_1_shows_the_pictures_where_they_belong() -> None:
    levels = [20, 50, 80, 110, 140, 170]  # x, G(x), F(G(x)), y, F(y), G(F(y))
    flat = [np.full((30, 50, 3), level, np.uint8) for level in levels]
    drawn = figure1([flat[0]] * 3, [flat[3]] * 3, Cycle(*flat[:3]), Cycle(*flat[3:]), (12, 3456))
    assert drawn.shape == (1120, 1710, 3)
    rows, columns = (140, 760), (770, 1125, 1480)
    middles = [drawn[row + 95, column + 95, 0] for row in rows for column in columns]
    assert middles == levels
    border = [tuple(drawn[row, column + 95].tolist()) for row in rows for column in columns]
    blue, orange = rgb("#0072B2"), rgb("#D55E00")
    assert border == [blue, orange, blue, orange, blue, orange]  # X, Y, X and Y, X, Y


def test_figure_1_takes_frames_of_any_shape() -> None:
    small, tall = picture(0, 0.9)[:20], np.full((300, 60, 3), 128, np.uint8)
    drawn = figure1([small], [tall], Cycle(small, tall, small), Cycle(tall, small, tall), (1, 1))
    assert drawn.std() > 10


def test_curves_have_a_panel_for_what_the_log_holds_and_no_other() -> None:
    few = [line(step, D_X=1.2, D_Y=0.9) for step in range(20, 400, 20)]
    more = [*few, line(400, clipped_before=0.3, clipped_after=0.1, identity=0.02)]
    assert plot_curves(few).shape[0] == plot_curves(more).shape[0]  # side by side
    whole = [*more, line(401, psnr_input=12.0, psnr_pairs=17.0), line(402, cycle_X=0.1)]
    assert plot_curves(whole).shape[0] > plot_curves(few).shape[0]


def test_curves_of_preset_physical_show_each_of_its_losses() -> None:
    few = [line(step, gain=0.5, order=0.2) for step in range(20, 400, 20)]
    drawn = plot_curves(few)
    for name in set(LOSS_NAMES) - {"gain", "order"}:
        more = [{**each, name: 0.3} for each in few]
        assert not np.array_equal(plot_curves(more), drawn), name


@pytest.mark.parametrize(
    "lines",
    [
        [line(1, D_X=1.0)],
        [line(20, D_X=None, G=1.0), line(40, D_X=None, G=None)],
        [line(20, surprise=1.0)],
        [line(step, G=1e6 if step == 20 else 1.0) for step in range(20, 4000, 20)],
    ],
    ids=["one line", "no numbers", "nothing known", "a spike"],
)
def test_any_log_can_be_drawn(lines: list[dict[str, Any]]) -> None:
    drawn = plot_curves(lines)
    assert drawn.dtype == np.uint8
    assert drawn.shape[1] > 1000


def test_the_line_of_a_blind_discriminator_depends_on_its_loss() -> None:
    assert BLIND["log"][0] == pytest.approx(discriminator_loss(ZERO, ZERO).item())
    half = torch.full((1,), 0.5)
    assert BLIND["least-squares"][0] == discriminator_loss(half, half, "least-squares").item()
    lines = [line(20 * n, D_X=0.3) for n in range(1, 60)]
    assert not np.array_equal(plot_curves(lines), plot_curves(lines, "least-squares"))


def test_the_identity_loss_is_not_taken_for_a_look_at_fixed_frames() -> None:
    lines = [line(20 * n, identity=0.5, D_X=1.0) for n in range(1, 10)]
    without = [{k: v for k, v in each.items() if k != "identity"} for each in lines]
    assert np.array_equal(plot_curves(lines), plot_curves(without))


def test_smoothing_keeps_a_constant_and_the_gaps() -> None:
    values = np.array([3.0, 3.0, math.nan, 3.0, 3.0, 3.0])
    assert np.allclose(moving_average(values, 5), values, equal_nan=True)
    assert np.allclose(moving_average(np.array([1.0, 2.0]), 99), 1.5)
    assert [smoothing_width(count) for count in (3, 39, 100, 10_000)] == [1, 1, 11, 101]


def test_steps_of_an_epoch_are_exact_once_one_is_done() -> None:
    lines = [{"epoch": 1 + (n - 1) // 46, "step": n} for n in (20, 40, 46, 66, 86, 92, 112)]
    assert logged_steps_per_epoch(lines) == 46
    assert logged_steps_per_epoch(lines[:2]) == 40


def test_table_1_counts_what_is_there(tmp_path: Path) -> None:
    make_data(tmp_path, count=3)
    write_png(tmp_path / "data" / "trainA" / "비행기.png", picture(1, 0.9))
    assert count_frames(tmp_path / "data") == (4, 3, 3, 3)
    assert "| Training |     4 |     3 |    3,864 |    3,520 |" in table1(
        (4, 3, 3, 3), PAPER_COUNTS
    )
    widths = {len(each) for each in table1((1_234_567, 3, 3, 3), PAPER_COUNTS).splitlines()}
    assert len(widths) == 1
    with pytest.raises(UserError, match="cli split"):
        count_frames(tmp_path / "nowhere")


def test_the_page_shows_names_as_text(tmp_path: Path) -> None:
    page = render_figures(tmp_path, {}, {"losses.png": "no <log>"}, "<b>&run")
    assert "&lt;b&gt;&amp;run" in page
    assert "no &lt;log&gt;" in page


@pytest.mark.parametrize("name", ["figure1.png", "table1.md"])
def test_figures_of_somebody_else_are_not_replaced(copied: Path, name: str) -> None:
    out = copied / "pictures"
    out.mkdir()
    (out / name).write_bytes(b"mine")
    with pytest.raises(UserError, match=f"already holds something else.*{name}"):
        make_figures(copied / "data", copied / "runs", out=out, device="cpu")
    assert {each.name: each.read_bytes() for each in out.iterdir()} == {name: b"mine"}


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("name", ["figures", "figures/index.html", "figures/losses.png"])
def test_figures_are_written_through_no_link(copied: Path, name: str) -> None:
    run = copied / "runs" / "첫 실행"
    victim = copied / "victim"
    if name == "figures":
        victim.mkdir()
    else:
        (run / "figures").mkdir()
        victim.write_bytes(b"mine")
    (run / name).symlink_to(victim)
    with pytest.raises(UserError, match="link"):
        make_figures(copied / "data", copied / "runs", device="cpu")
    assert victim.is_dir() is (name == "figures")
    assert victim.read_bytes() == b"mine" if victim.is_file() else not any(victim.iterdir())


def test_figures_that_were_stopped_can_be_drawn_again(tmp_path: Path) -> None:
    with page_folder(tmp_path, "figures", HEADINGS, "cli figures"):
        (tmp_path / "figure1.png").write_bytes(b"the first of them")
    check_page_folder(tmp_path, "figures", HEADINGS, "cli figures")
    with pytest.raises(UserError, match="is no page of `cli evaluate`"):
        check_page_folder(tmp_path, "evaluation", ["evaluation.json"], "cli evaluate")


def test_a_page_that_another_one_is_writing_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.figures.page_folder.PAGE_WAIT_S", 0.2)
    page = partial(page_folder, tmp_path, "figures", HEADINGS, "cli figures")
    with (
        page(),
        pytest.raises(UserError, match="Another `cli figures` has been writing"),
        page(),
    ):
        raise AssertionError("two at once")
    with page():
        pass
