"""A real run of small networks: files, resuming, stopping, refusals."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from helpers import ROOT
from helpers.limited import fault_without_memory
from helpers.processes import Process
from helpers.tiny_runs import SMALL, make_data, tiny_options
from helpers.waiting import SOON_S, soon

import cli
import model.training.train
from dataset.errors import UserError
from dataset.pictures.images import read_image
from model.checkpoint import Position, fill_network, load_generator
from model.networks import Generator
from model.options import PRESETS, TrainOptions, automatic_preset, cpu_preset
from model.runs import STATE_FILE
from model.state_files import fingerprint
from model.training.autotune import StepConfig
from model.training.reporter import RunReporter, TrainingProgress
from model.training.run_folder import epochs_to_keep, plan_epochs, plan_rest, resumed_options
from model.training.train import describe_plan, describe_rate, train

pytestmark = pytest.mark.slow

RARE: dict[str, Any] = {"ema": 0.9, "discriminator_every": 2, "identity_weight": 0.5}
TIMES = {"pairs_per_s", "tflop_per_s", "waited"}  # what two equal runs may differ in


def position_of(run: Path) -> dict[str, int]:
    return torch.load(run / "checkpoints" / STATE_FILE, weights_only=True)["position"]


def state_of(run: Path) -> str:
    """A digest of networks, averages, optimizers and pools."""
    state = torch.load(run / "checkpoints" / STATE_FILE, weights_only=True)
    return fingerprint(state["model"])


def log_of(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in line.keys() - TIMES} for line in lines]


def test_a_run_leaves_options_log_samples_and_checkpoints(tmp_path: Path) -> None:
    make_data(tmp_path)
    seen: list[TrainingProgress] = []
    summary = train(tiny_options(tmp_path), seen.append)
    run = tmp_path / "runs" / "tiny"
    assert (summary.run, summary.steps, summary.epoch, summary.interrupted) == (run, 6, 3, False)
    options = json.loads((run / "options.json").read_text(encoding="utf-8"))
    assert options["options"]["epochs"] == 2
    assert Path(options["options"]["data"]) == tmp_path / "data"
    assert options["torch"] == torch.__version__
    losses, look, *later = log_of(run)
    assert [line["step"] for line in (losses, look, *later)] == [3, 3, 6, 6]
    assert {"D_X", "D_Y", "G", "F", "cycle_X", "cycle_Y", "accuracy_X"} <= losses.keys()
    assert {"clipped_before", "clipped_after", "psnr_pairs"} <= look.keys()
    assert list((run / "tensorboard").iterdir())
    assert (seen[-1].done, seen[-1].total) == (6, 6)
    names = {path.name for path in (run / "checkpoints").iterdir()}
    assert {f"latest_net_{net}.pth" for net in ("G_A", "G_B", "D_A", "D_B")} <= names
    assert {"1_net_G_B.pth", "2_net_G_B.pth", STATE_FILE} <= names
    grid = read_image(run / "samples" / "epoch_002.png")
    assert grid.shape == (6 * (40 + 2) + 2, 4 * (40 + 2) + 2, 3)  # make_grid pads by 2 pixels


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data`` and a whole run of ``RARE`` settings; tests copy it."""
    root = tmp_path_factory.mktemp("uninterrupted")
    make_data(root)
    train(tiny_options(root, run="whole", **RARE))
    return root


@pytest.mark.parametrize("cut_at", [3, 4])
def test_resumed_equals_uninterrupted_to_the_bit(
    uninterrupted: Path, tmp_path: Path, cut_at: int
) -> None:
    shutil.copytree(uninterrupted, tmp_path, dirs_exist_ok=True)
    whole = tmp_path / "runs" / "whole"
    cut = train(tiny_options(tmp_path, run="cut", steps=cut_at, **RARE))
    assert (cut.epoch, cut.step) == (2, cut_at - 3)
    assert state_of(whole) != state_of(cut.run)
    said: list[str] = []
    resumed = train(resumed_options(tmp_path / "runs", "cut", {}), on_message=said.append)
    assert any("resuming" in line and f"epoch 2, step {cut_at - 3}" in line for line in said)
    assert resumed.steps == 6
    assert state_of(whole) == state_of(resumed.run)


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A folder with ``data`` and the run ``tiny`` of two steps."""
    return Path(shutil.copytree(trained, tmp_path, dirs_exist_ok=True))


def test_resuming_what_is_complete_changes_nothing(tmp_path: Path) -> None:
    make_data(tmp_path)
    whole = train(tiny_options(tmp_path, epochs=3))
    before = state_of(whole.run)
    again = train(resumed_options(tmp_path / "runs", "tiny", {}))
    assert again.steps == whole.steps
    assert state_of(again.run) == before


def test_minutes_end_an_epoch_that_does_not_fit_into_them(tmp_path: Path) -> None:
    make_data(tmp_path)
    said: list[str] = []
    short = train(tiny_options(tmp_path, batch_size=1, minutes=1e-6), on_message=said.append)
    assert (short.steps, short.interrupted) == (1, False)
    assert any("time is over after 1 of 6 steps" in line for line in said)
    assert load_generator(short.run, torch.device("cpu"))
    options = resumed_options(tmp_path / "runs", "tiny", {"minutes": 0.0})
    assert train(options).steps == 6


class Killed(Exception):
    """Stands in for the end of a process."""


@pytest.mark.parametrize("where", ["report", "save"])
def test_log_of_a_killed_run_becomes_that_of_an_uninterrupted_one(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(tmp_path)
    settings = {"epochs": 4, "checkpoint_every": 3 if where == "save" else 2}
    whole = train(tiny_options(tmp_path, run="whole", **settings))
    proper = getattr(RunReporter, where)

    def kill(reporter: RunReporter, at: Position, *rest: object, **named: object) -> None:
        if where == "save" and at.epoch == 4 and at.step == 0:
            raise Killed  # the samples of the third epoch are in the log, and no checkpoint is
        proper(reporter, at, *rest, **named)
        if where == "report" and at.done == 9:
            raise Killed

    monkeypatch.setattr(RunReporter, where, kill)
    with pytest.raises(Killed):
        train(tiny_options(tmp_path, run="cut", **settings))
    monkeypatch.undo()
    resumed = train(resumed_options(tmp_path / "runs", "cut", {}))
    assert state_of(whole.run) == state_of(resumed.run)
    assert log_of(whole.run) == log_of(resumed.run)


def test_ctrl_c_saves_and_resume_goes_on_at_that_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(tmp_path)
    words = ["train", "--preset", "cpu", "--run", "long", "--epochs", "500", "--batch-size", "1"]
    command = [sys.executable, str(ROOT / "cli.py"), *words, *SMALL]
    process = Process(
        command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    )
    log = tmp_path / "runs" / "long" / "log.jsonl"
    soon(lambda: log.exists() and log.read_text().count("\n") >= 4)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=SOON_S)
    assert process.returncode == 130
    assert "--run long --resume" in output
    state = position_of(log.parent)
    done = state["done"]
    assert done == (state["epoch"] - 1) * 6 + state["step"]
    assert done >= 12
    monkeypatch.chdir(tmp_path)
    words = ["train", "--run", "long", "--resume", "--steps", str(done + 2)]
    again = CliRunner().invoke(cli.main, words, catch_exceptions=False)
    assert again.exit_code == 0
    assert f"at epoch {state['epoch']}, step {state['step']}" in again.output
    assert f"{done + 2} steps" in again.output


def test_a_run_is_never_overwritten(copied: Path) -> None:
    with pytest.raises(UserError, match="--resume"):
        train(tiny_options(copied))


def test_training_without_data_leaves_no_run_behind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cli split"):
        train(tiny_options(tmp_path))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("fault", ["init", "picture"])
def test_a_start_that_fails_leaves_no_run_behind(tmp_path: Path, fault: str) -> None:
    data = make_data(tmp_path)
    if fault == "picture":
        (data / "trainB" / "000.png").write_bytes(b"\x89PNG, cut off")
    init = str(tmp_path / "nowhere") if fault == "init" else None
    with pytest.raises(UserError, match="nowhere" if init else r"000\.png"):
        train(tiny_options(tmp_path, init=init))
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process as Linux does")
def test_steps_that_do_not_fit_into_memory_are_told(tmp_path: Path) -> None:
    make_data(tmp_path)
    code = f"""
        from pathlib import Path
        import torch
        from model.options import TrainOptions
        from model.training.train import train
        torch.set_num_threads(1)
        options = TrainOptions(
            data=Path({str(tmp_path / "data")!r}), runs=Path({str(tmp_path / "runs")!r}),
            size=256, batch_size=4, device="cpu", precision="fp32", compile="off",
        )
    """
    found = fault_without_memory(code, "train(options)", spare=512 << 20)
    assert "smaller --batch-size" in found
    assert not (tmp_path / "runs").exists()


def test_resuming_other_networks_is_refused(copied: Path) -> None:
    options = tiny_options(copied, steps=3)
    wider = replace(options, resume=True, network=replace(options.network, generator_filters=8))
    with pytest.raises(UserError, match="does not fit"):
        train(wider)


def test_a_checkpoint_in_cyclegans_form_loads(tmp_path: Path) -> None:
    network = Generator(4, 1)
    state = {key: torch.randn_like(value) for key, value in network.state_dict().items()}
    extra = {"model.2.running_mean": torch.zeros(4), "model.2.num_batches_tracked": torch.tensor(1)}
    torch.save(state | extra, tmp_path / "latest_net_G_B.pth")
    fill_network(network, tmp_path / "latest_net_G_B.pth")
    assert all(torch.equal(network.state_dict()[key], state[key]) for key in state)


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign", "pickle", "shape"])
def test_a_bad_checkpoint_gives_a_clear_error(copied: Path, damage: str) -> None:
    run = copied / "runs" / "tiny"
    path = run / "checkpoints" / "latest_net_G_B.pth"
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "foreign":
        path.write_bytes(b"no checkpoint at all")
    elif damage == "pickle":
        torch.save({"model": os.getcwd}, path)
    else:
        torch.save(Generator(8, 1).state_dict(), path)
    with pytest.raises(UserError, match=r"latest_net_G_B\.pth"):
        load_generator(run, torch.device("cpu"))


def test_divergence_is_explained_and_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    make_data(tmp_path)
    run = train(tiny_options(tmp_path, steps=3)).run
    before = state_of(run)
    mad = replace(resumed_options(tmp_path / "runs", "tiny", {}), learning_rate=1e30)
    with pytest.raises(UserError, match="diverged"):
        train(replace(mad, epochs=30))
    assert state_of(run) == before


def test_a_run_starts_from_the_networks_of_another(tmp_path: Path) -> None:
    make_data(tmp_path)
    first = train(tiny_options(tmp_path, run="first")).run
    said: list[str] = []
    options = tiny_options(tmp_path, run="second", init=str(first / "checkpoints"), steps=1)
    second = train(replace(options, learning_rate=1e-6), on_message=said.append).run
    assert any("starting from" in line for line in said)
    one, other = (load_generator(run, torch.device("cpu")).state_dict() for run in (first, second))
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=2e-6, rtol=0)


def test_a_run_goes_on_without_the_networks_that_it_started_from(tmp_path: Path) -> None:
    make_data(tmp_path)
    first = train(tiny_options(tmp_path, run="first", steps=1)).run
    train(tiny_options(tmp_path, run="second", init=str(first / "checkpoints"), steps=1))
    shutil.rmtree(first)
    assert train(resumed_options(tmp_path / "runs", "second", {})).steps == 6


def test_networks_to_start_from_are_missed_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(tmp_path)
    monkeypatch.setattr(model.training.train, "agree_on_config", lambda *_: pytest.fail("measured"))
    with pytest.raises(UserError, match="checkpoints folder of a run"):
        train(tiny_options(tmp_path, init=str(tmp_path)))
    assert not (tmp_path / "runs").exists()


def test_dry_run_describes_the_paper_and_writes_nothing(tmp_path: Path) -> None:
    make_data(tmp_path)
    text = describe_plan(replace(tiny_options(tmp_path), epochs=200))
    assert "frames: 6 X, 6 Y" in text
    assert "estimate: 600 steps" in text
    for sign in ("Options(", "None", "[", "("):
        assert not any(sign in line.partition(" = ")[2] for line in text.splitlines())
    assert "\ngenerator_filters = " in text
    assert not (tmp_path / "runs").exists()


def test_progress_by_time_names_no_number_of_epochs_that_changes(tmp_path: Path) -> None:
    make_data(tmp_path)
    lines: list[str] = []
    told: list[TrainingProgress] = []
    train(replace(tiny_options(tmp_path), epochs=0, minutes=0.02), told.append, lines.append)
    assert {each.total for each in told} == {0}
    assert all(re.match(r"0\.\d of 0\.0 min, epoch \d+ \d", str(each)) for each in told)
    [begun] = [line for line in lines if "run folder" in line]
    assert "0.02 minutes of epochs of 3 steps" in begun


def test_a_rate_is_set_beside_that_of_products_and_is_no_share_of_it() -> None:
    said = describe_rate(1.12e12, StepConfig(), {"fp32": 1e12, "bf16": 2e12})
    assert said == "1.12 TFLOP/s when measured alone; fp32 matrix products reach 1 here"


def test_the_defaults_are_the_papers() -> None:
    paper = TrainOptions()
    assert (paper.size, paper.epochs, paper.constant_epochs, paper.batch_size) == (
        256,
        200,
        100,
        4,
    )
    assert (paper.learning_rate, paper.beta1, paper.beta2) == (2e-4, 0.5, 0.999)
    assert (paper.cycle_weight, paper.identity_weight, paper.pool_size) == (10.0, 0.0, 50)
    assert not paper.minimax
    assert not paper.network.residual


@pytest.mark.parametrize(
    ("on_gpu", "asked", "preset", "minutes"),
    [
        (True, {}, "paper", 0.0),
        (True, {"init": "builtin"}, "physical", 30.0),
        (True, {"init": "none"}, "paper", 0.0),
        (False, {"data": Path("data"), "seed": 1}, "physical", 30.0),
        (False, {"steps": 5}, "physical", 0.0),
        (False, {"init": "a.safetensors"}, "physical", 30.0),
        (False, {"gan": "log"}, "cpu", 0.0),
        (False, {"init": "runs/a/checkpoints"}, "cpu", 0.0),
    ],
)
def test_auto_is_the_paper_on_a_gpu_and_what_is_asked_for_without(
    on_gpu: bool, asked: dict[str, Any], preset: str, minutes: float
) -> None:
    name, options = automatic_preset(on_gpu, asked)
    assert name == preset
    assert options == replace(PRESETS[preset](), minutes=minutes)


def test_best_keeps_the_papers_losses_and_sizes_of_networks() -> None:
    best, paper = PRESETS["best"](), TrainOptions()
    assert best.network == replace(paper.network, residual=True, resize=True)
    for name in ("gan", "minimax", "cycle_weight", "identity_weight", "pool_size", "epochs"):
        assert getattr(best, name) == getattr(paper, name)


def test_minutes_become_epochs_and_figure_3_fits_into_them() -> None:
    planned = plan_epochs(replace(cpu_preset(), minutes=10), 50, seconds_per_step=1.0)
    assert planned.epochs == 12
    assert plan_rest(planned, 4, seconds=300).epochs == 8  # 75 s each, 300 s left
    assert epochs_to_keep(planned) == {1, 3, 7, 9, 12}
    assert epochs_to_keep(TrainOptions()) == {1, 5, 10, 14, 18}
