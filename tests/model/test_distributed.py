"""Two processes of torchrun's on one machine, over gloo, beside one process with the same batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import ROOT

from dataset.pictures.images import write_png
from model.distributed import Group

SETTINGS = [
    *("--preset", "cpu", "--epochs", "2", "--batch-size", "2", "--size", "32", "--filters", "4"),
    *("--blocks", "1", "--discriminator-filters", "4", "--device", "cpu", "--precision", "fp32"),
    *("--compile", "off", "--ema", "0.9", "--checkpoint-every", "2", "--load-size", "0"),
]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--"]


def make_textures(root: Path) -> None:
    """Frames without flat areas: there, instance norm makes large numbers of rounding errors."""
    random = np.random.default_rng(0)
    for folder, light in (("trainA", 120), ("trainB", 200)):
        (root / "data" / folder).mkdir(parents=True)
        for n in range(6):
            picture = random.integers(0, light, (40, 40, 3)).astype(np.uint8)
            write_png(root / "data" / folder / f"{n}.png", picture)


def train(folder: Path, run: str, *before: str, **environment: str) -> str:
    command = [sys.executable, *before, str(ROOT / "cli.py"), "train", "--run", run, *SETTINGS]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(folder: Path, run: str) -> list[dict[str, float]]:
    lines = (folder / "runs" / run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if "D_X" in line]


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    make_textures(tmp_path)
    train(tmp_path, "one")
    said = train(tmp_path, "two", *TORCHRUN)
    assert said.count("run folder") == 1  # one of them speaks
    one, two = losses(tmp_path, "one"), losses(tmp_path, "two")
    assert len(one) == len(two) == 2
    for alone, shared in zip(one, two, strict=True):
        for name in ("D_X", "D_Y", "G", "F", "cycle_X", "cycle_Y", "accuracy_X"):
            assert shared[name] == pytest.approx(alone[name], abs=2e-4), name
    states = [
        torch.load(tmp_path / "runs" / run / "checkpoints/latest_state.pth", weights_only=True)
        for run in ("one", "two")
    ]
    for one_value, other in zip(*(state_values(state) for state in states), strict=True):
        torch.testing.assert_close(one_value, other, atol=2e-3, rtol=0)


def state_values(state: dict) -> list[torch.Tensor]:
    networks = state["model"]["networks"]
    return [value for name in sorted(networks) for value in networks[name].values()]


def test_a_restarted_group_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    make_textures(tmp_path)
    train(tmp_path, "cut", *TORCHRUN)
    state = tmp_path / "runs" / "cut" / "checkpoints" / "latest_state.pth"
    position = torch.load(state, weights_only=True)["position"]
    # What torchrun tells the processes that it starts again after one has ended.
    said = train(tmp_path, "cut", TORCHELASTIC_RESTART_COUNT="1")
    assert f"resuming {Path('runs') / 'cut'} at epoch {position['epoch']}" in said


def test_a_group_of_one_sends_nothing() -> None:
    group = Group()
    pictures = torch.rand(2, 3)
    assert group.gather(pictures) is pictures
    assert torch.equal(group.part(pictures), pictures)
    assert group.mean(pictures) is pictures
    assert group.agree("word") == "word"
    assert group.leads
    assert group.any(True, torch.device("cpu"))
    assert not group.any(False, torch.device("cpu"))
