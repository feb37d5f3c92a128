"""A real run of small networks: files, resuming, stopping, refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import make_data, tiny_options

from dataset.errors import UserError
from dataset.images import read_image
from model.checkpoint import STATE_FILE, load_network, load_restorer
from model.networks import Generator
from model.options import TrainOptions, cpu_preset
from model.train import (
    Progress,
    describe_plan,
    kept_epochs,
    plan_epochs,
    plan_rest,
    resumed_options,
    train,
)

ROOT = Path(__file__).parent.parent


def state_of(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / STATE_FILE, weights_only=True)["networks"]


def test_a_run_leaves_options_log_samples_and_checkpoints(tmp_path: Path) -> None:
    make_data(tmp_path)
    seen: list[Progress] = []
    summary = train(tiny_options(tmp_path), seen.append)
    run = tmp_path / "runs" / "tiny"
    assert (summary.run, summary.steps, summary.epoch, summary.interrupted) == (run, 6, 3, False)
    options = json.loads((run / "options.json").read_text(encoding="utf-8"))
    assert options["options"]["epochs"] == 2
    assert options["torch"] == torch.__version__
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    assert {"D_X", "D_Y", "G", "F", "cycle_X", "cycle_Y"} <= lines[0].keys()
    assert (seen[-1].done, seen[-1].total) == (6, 6)
    names = {path.name for path in (run / "checkpoints").iterdir()}
    assert {f"latest_net_{net}.pth" for net in ("G_A", "G_B", "D_A", "D_B")} <= names
    assert {"1_net_G_B.pth", "2_net_G_B.pth", STATE_FILE} <= names
    grid = read_image(run / "samples" / "epoch_002.png")
    assert grid.shape == (6 * (40 + 2) + 2, 4 * (40 + 2) + 2, 3)  # make_grid pads by 2 pixels


def test_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    make_data(tmp_path)
    whole = train(tiny_options(tmp_path, run="whole"))
    cut = train(tiny_options(tmp_path, run="cut", steps=4))
    assert (cut.epoch, cut.step) == (2, 1)
    assert not all(
        torch.equal(a, b)
        for a, b in zip(state_of(whole.run).values(), state_of(cut.run).values(), strict=True)
    )
    said: list[str] = []
    resumed = train(resumed_options(tmp_path / "runs", "cut", {}), on_message=said.append)
    assert any("resuming" in line and "epoch 2, step 1" in line for line in said)
    assert resumed.steps == 6
    one, other = state_of(whole.run), state_of(resumed.run)
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_ctrl_c_saves_and_resume_goes_on_at_that_step(tmp_path: Path) -> None:
    make_data(tmp_path)
    command = [
        sys.executable,
        str(ROOT / "cli.py"),
        "train",
        "--preset",
        "cpu",
        "--run",
        "long",
        "--epochs",
        "500",
        "--batch-size",
        "1",
        "--size",
        "32",
        "--precision",
        "fp32",
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    )
    log = tmp_path / "runs" / "long" / "log.jsonl"
    for _ in range(600):
        if log.exists() and log.read_text().count("\n") >= 2:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--run long --resume" in output
    state = torch.load(log.parent / "checkpoints" / STATE_FILE, weights_only=True)
    done = (state["epoch"] - 1) * 6 + state["step"]
    assert done >= 12
    again = subprocess.run(
        [
            sys.executable,
            str(ROOT / "cli.py"),
            "train",
            "--run",
            "long",
            "--resume",
            "--steps",
            str(done + 2),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"at epoch {state['epoch']}, step {state['step']}" in again.stdout
    assert f"{done + 2} steps" in again.stdout


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    make_data(tmp_path)
    train(tiny_options(tmp_path, steps=1))
    with pytest.raises(UserError, match="--resume"):
        train(tiny_options(tmp_path))


def test_training_without_data_leaves_no_run_behind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cli split"):
        train(tiny_options(tmp_path))
    assert not (tmp_path / "runs").exists()


def test_resuming_other_networks_is_refused(tmp_path: Path) -> None:
    make_data(tmp_path)
    options = tiny_options(tmp_path, steps=1)
    train(options)
    wider = replace(options, resume=True, network=replace(options.network, generator_filters=8))
    with pytest.raises(UserError, match="does not fit"):
        train(wider)


def test_a_checkpoint_in_cyclegans_form_loads(tmp_path: Path) -> None:
    network = Generator(4, 1)
    state = {key: torch.randn_like(value) for key, value in network.state_dict().items()}
    extra = {"model.2.running_mean": torch.zeros(4), "model.2.num_batches_tracked": torch.tensor(1)}
    torch.save(state | extra, tmp_path / "latest_net_G_B.pth")
    load_network(network, tmp_path / "latest_net_G_B.pth", torch.device("cpu"))
    assert all(torch.equal(network.state_dict()[key], state[key]) for key in state)


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign", "pickle", "shape"])
def test_a_bad_checkpoint_gives_a_clear_error(tmp_path: Path, damage: str) -> None:
    make_data(tmp_path)
    run = train(tiny_options(tmp_path, steps=1)).run
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
        load_restorer(run, torch.device("cpu"))


def test_dry_run_describes_the_paper_and_writes_nothing(tmp_path: Path) -> None:
    make_data(tmp_path)
    text = describe_plan(replace(tiny_options(tmp_path), epochs=200))
    assert "frames: 6 X, 6 Y" in text
    assert "estimate: 600 steps" in text
    assert not (tmp_path / "runs").exists()


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


def test_minutes_become_epochs_and_figure_3_fits_into_them() -> None:
    planned = plan_epochs(replace(cpu_preset(), minutes=10), 50, seconds_per_step=1.0)
    assert planned.epochs == 12
    assert plan_rest(planned, 4, seconds=300).epochs == 8  # 75 s each, 300 s left
    assert kept_epochs(planned) == {1, 3, 7, 9, 12}
    assert kept_epochs(TrainOptions()) == {1, 5, 10, 14, 18}
