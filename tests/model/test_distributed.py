"""Two processes of torchrun's on one machine, over gloo, beside one process with the same batch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers.tiny_physical import SMALL_PHYSICAL
from helpers.two_processes import train_by_two

import cli
from dataset.pictures.images import write_png
from model.distributed import Group

pytestmark = pytest.mark.slow

SETTINGS = [
    *("--preset", "cpu", "--epochs", "2", "--batch-size", "2", "--size", "32", "--filters", "4"),
    *("--blocks", "1", "--discriminator-filters", "4", "--device", "cpu", "--precision", "fp32"),
    *("--compile", "off", "--ema", "0.9", "--checkpoint-every", "2", "--load-size", "0"),
]


def make_textures(root: Path) -> None:
    """Frames without flat areas: there, instance norm makes large numbers of rounding errors."""
    random = np.random.default_rng(0)
    for folder, light in (("trainA", 120), ("trainB", 200)):
        (root / "data" / folder).mkdir(parents=True)
        for n in range(6):
            picture = random.integers(0, light, (40, 40, 3)).astype(np.uint8)
            write_png(root / "data" / folder / f"{n}.png", picture)


def train(folder: Path, run: str) -> str:
    """What `cli train` says in a folder, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ["train", "--run", run, *SETTINGS]
        done = CliRunner().invoke(cli.main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def losses(folder: Path, run: str) -> list[dict[str, float]]:
    lines = (folder / "runs" / run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if "D_X" in line]


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a run ``two`` that two processes trained, and what they said."""
    folder = tmp_path_factory.mktemp("by_two")
    make_textures(folder)
    return folder, train_by_two(folder, "--run", "two", *SETTINGS)


def test_two_processes_learn_what_one_does(by_two: tuple[Path, str]) -> None:
    folder, said = by_two
    assert said.count("run folder") == 1  # one of them speaks
    train(folder, "one")
    one, two = losses(folder, "one"), losses(folder, "two")
    assert len(one) == len(two) == 2
    for alone, shared in zip(one, two, strict=True):
        for name in ("D_X", "D_Y", "G", "F", "cycle_X", "cycle_Y", "accuracy_X"):
            assert shared[name] == pytest.approx(alone[name], abs=2e-4), name
    states = [
        torch.load(folder / "runs" / run / "checkpoints/latest_state.pth", weights_only=True)
        for run in ("one", "two")
    ]
    for one_value, other in zip(*(state_values(state) for state in states), strict=True):
        torch.testing.assert_close(one_value, other, atol=2e-3, rtol=0)


def state_values(state: dict) -> list[torch.Tensor]:
    networks = state["model"]["networks"]
    return [value for name in sorted(networks) for value in networks[name].values()]


def test_a_restarted_group_goes_on_from_its_checkpoint(
    by_two: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(by_two[0], tmp_path, dirs_exist_ok=True)
    state = tmp_path / "runs" / "two" / "checkpoints" / "latest_state.pth"
    position = torch.load(state, weights_only=True)["position"]
    # What torchrun tells the processes that it starts again after one has ended.
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    said = train(tmp_path, "two")
    assert f"resuming {Path('runs') / 'two'} at epoch {position['epoch']}" in said


def test_two_processes_train_preset_physical_and_go_on(by_two: tuple[Path, str]) -> None:
    folder = by_two[0]
    said = train_by_two(folder, "--run", "lit", *SMALL_PHYSICAL, "--steps", "4")
    assert said.count("frames of Y look like frames of X") == 1  # one of them speaks
    assert "4 steps" in said
    said = train_by_two(folder, "--run", "lit", "--resume")
    assert "6 steps" in said
    lines = (folder / "runs/lit/log.jsonl").read_text(encoding="utf-8").splitlines()
    errors = [line["gain_error"] for line in map(json.loads, lines) if "gain_error" in line]
    assert len(errors) == 3  # both epochs' ends, and the stop between them
    assert all(0 <= each < 10 for each in errors)


def test_a_group_of_one_sends_nothing() -> None:
    group = Group()
    pictures = torch.rand(2, 3)
    assert group.gather(pictures) is pictures
    assert torch.equal(group.part(pictures), pictures)
    assert group.mean(pictures) is pictures
    assert group.broadcast(("word", 1.5)) == ("word", 1.5)
    assert group.is_main
    assert group.any_rank(True, torch.device("cpu"))
    assert not group.any_rank(False, torch.device("cpu"))
