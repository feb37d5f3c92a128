"""A real run of preset physical: its files, resuming to the bit, and every command on it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.command_line import run_cli
from helpers.made_videos import film, frames_of
from helpers.tiny_physical import PHYSICAL, SMALL_PHYSICAL, make_scenes, tiny_physical

from dataset.errors import UserError
from dataset.pictures.images import Image, read_image, write_png
from model.checkpoint import load_generator
from model.options import PRESETS, NetworkOptions, RestoreOptions, TrainOptions, check_settings
from model.physical_networks import ExposureSimulator, PhysicalRestorer
from model.restoring.methods import open_method
from model.runs import STATE_FILE
from model.state_files import fingerprint
from model.training.reporter import TrainingProgress
from model.training.run_folder import resumed_options
from model.training.train import describe_plan, train, tune

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def state_of(run: Path) -> str:
    """A digest of networks, averages, optimizer and random numbers."""
    state = torch.load(run / "checkpoints" / STATE_FILE, weights_only=True)
    return fingerprint(state["model"])


def log_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data`` and the run ``tiny``, from beginning to end."""
    root = tmp_path_factory.mktemp("finished")
    make_scenes(root)
    train(tiny_physical(root, ema=0.9))
    return root


@pytest.fixture
def here(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the working folder."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_has_g_and_f_and_neither_discriminators_nor_an_exposure(finished: Path) -> None:
    run = finished / "runs" / "tiny"
    names = {path.name for path in (run / "checkpoints").iterdir()}
    networks = {f"latest_{ema}net_G_{letter}.pth" for letter in "AB" for ema in ("", "ema_")}
    assert networks | {STATE_FILE, "1_net_G_B.pth", "2_net_G_B.pth"} <= names
    assert not any("net_D" in name for name in names)
    assert not (run / "exposure.json").exists()
    assert {path.name for path in (run / "samples").iterdir()} == {
        "epoch_001.png",
        "epoch_002.png",
    }
    assert list((run / "tensorboard").iterdir())
    settings = json.loads((run / "options.json").read_text("utf-8"))
    assert settings["options"]["network"]["physical"] is True
    losses, look, *_ = log_of(run)
    assert {"gain", "content", "order", "gain_error", "pairs_per_s"} <= losses.keys()
    assert {"clipped_before", "clipped_after", "identity", "psnr_pairs"} <= look.keys()


def test_a_run_says_how_bright_y_is_and_how_far_off_its_gains_are(tmp_path: Path) -> None:
    make_scenes(tmp_path)
    said: list[str] = []
    seen: list[TrainingProgress] = []
    train(tiny_physical(tmp_path), seen.append, said.append)
    assert any("frames of Y look like frames of X under" in line for line in said)
    assert "log k off by" in str(seen[-1])
    assert (seen[-1].done, seen[-1].total) == (6, 6)
    gains = load_generator(tmp_path / "runs" / "tiny", CPU, network="G")
    assert isinstance(gains, ExposureSimulator)
    assert gains.gains[0] < gains.gains[1]


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("cut_at", [3, 4])
def test_resumed_equals_uninterrupted_to_the_bit(tmp_path: Path, cut_at: int, linear: bool) -> None:
    make_scenes(tmp_path)
    settings = {"ema": 0.9, "network": replace(PHYSICAL, linear=linear)}
    whole = train(tiny_physical(tmp_path, run="whole", **settings))
    cut = train(tiny_physical(tmp_path, run="cut", steps=cut_at, **settings))
    assert state_of(whole.run) != state_of(cut.run)
    resumed = train(resumed_options(tmp_path / "runs", "cut", {}))
    assert (resumed.steps, resumed.interrupted) == (6, False)
    assert state_of(whole.run) == state_of(resumed.run)
    assert log_of(whole.run)[-1] == log_of(resumed.run)[-1]


@pytest.mark.parametrize("seed", range(6))
def test_small_batches_begin_whatever_is_drawn(tmp_path: Path, seed: int) -> None:
    make_scenes(tmp_path, gain=1.2)
    assert train(tiny_physical(tmp_path, seed=seed, batch_size=1, steps=1)).steps == 1


def test_divergence_is_explained_and_leaves_the_checkpoint_before_it(here: Path) -> None:
    run = here / "runs" / "tiny"
    before = state_of(run)
    mad = replace(resumed_options(here / "runs", "tiny", {}), learning_rate=1e30, epochs=30)
    with pytest.raises(UserError, match="diverged"):
        train(mad)
    assert state_of(run) == before


def test_plan_and_speed_are_printed_without_a_run(tmp_path: Path) -> None:
    make_scenes(tmp_path)
    plan = describe_plan(tiny_physical(tmp_path, epochs=100))
    assert "parameters: G 0, F " in plan
    assert "estimate: 300 steps" in plan
    assert "fp32" in tune(tiny_physical(tmp_path, compile="off"))
    assert not (tmp_path / "runs").exists()


# -- by the command line -------------------------------------------------------------------------


def test_the_command_line_trains_stops_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_scenes(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert "4 steps" in run_cli("train", "--run", "first", *SMALL_PHYSICAL, "--steps", "4")
    said = run_cli("train", "--run", "first", "--resume")
    assert "at epoch 2, step 1" in said
    assert "6 steps" in said
    assert "estimate" in run_cli("train", *SMALL_PHYSICAL, "--dry-run")
    assert "configuration" in run_cli("train", *SMALL_PHYSICAL, "--tune")
    encoded = run_cli("train", "--run", "filter", *SMALL_PHYSICAL, "--no-linear", "--steps", "1")
    assert "1 steps" in encoded
    assert not load_generator(Path("runs/filter"), CPU).linear


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--gan", "least-squares"), "--gan"),
        (("--minimax", "--cycle-weight", "3"), "--cycle-weight, --minimax"),
        (("--blocks", "3", "--residual"), "--blocks, --residual"),
        (("--discriminator-filters", "8", "--discriminator-every", "2"), "--discriminator-every"),
        (("--graphs", "on"), "--graphs"),
    ],
)
def test_settings_of_a_cyclegan_are_refused(here: Path, words: tuple[str, ...], named: str) -> None:
    for more in ((), ("--dry-run",), ("--tune",)):
        said = run_cli("train", "--run", "new", *SMALL_PHYSICAL, *words, *more, code=2)
        assert named in said
        assert "Preset physical has no discriminators" in said
    assert not Path("runs/new").exists()


def test_what_only_preset_physical_has_is_refused_elsewhere(here: Path) -> None:
    said = run_cli("train", "--preset", "cpu", "--run", "new", "--no-linear", code=2)
    assert "--no-linear belongs to --preset physical" in said
    other = ("--preset", "cpu", "--run", "new", "--init", "runs/tiny/checkpoints")
    assert "holds a network of preset physical" in run_cli("train", *other, code=2)
    assert not Path("runs/new").exists()


def test_every_preset_has_settings_of_its_own_kind() -> None:
    for make in PRESETS.values():
        check_settings(make())
    check_settings(TrainOptions(network=NetworkOptions(physical=True)))


def restored(weights: str, name: str = "made.png", *words: str) -> Image:
    run_cli(
        "restore", "data/testB/000.png", "--run", weights, "--device", "cpu", "-o", name, *words
    )
    return read_image(Path(name))


def test_a_run_restores_files_and_so_does_what_is_exported(here: Path) -> None:
    wanted = restored("tiny", "a.png")
    assert wanted.shape == read_image(Path("data/testB/000.png")).shape
    said = run_cli("export", "--run", "tiny", "-o", "f.safetensors")
    assert "the EMA of F of run tiny after 6 steps" in said
    assert np.array_equal(restored("f.safetensors", "b.png"), wanted)
    for detail in ("native", "guided", "mixed"):
        assert np.array_equal(restored("tiny", f"{detail}.png", "--detail", detail), wanted)
    half = restored("tiny", "half.png", "--strength", "0.5").astype(int)
    between = (wanted.astype(int) + read_image(Path("data/testB/000.png"))) / 2
    assert np.abs(half - between).max() <= 1


def test_g_adds_over_exposure_from_a_file_as_well(here: Path) -> None:
    run_cli("export", "--run", "tiny", "--network", "G", "-o", "g.safetensors")
    dark = np.full((20, 30, 3), 90, np.uint8)
    write_png(Path("dark.png"), dark)
    run_cli("restore", "dark.png", "--run", "g.safetensors", "--device", "cpu", "-o", "bright.png")
    bright = read_image(Path("bright.png"))
    assert (bright > dark).all()
    assert len(np.unique(bright)) == 1


def test_networks_without_their_run_are_refused_in_words(here: Path) -> None:
    for name in ("latest_ema_net_G_B.pth", "latest_net_G_A.pth"):
        words = ("restore", "data/testB/000.png", "--run", f"runs/tiny/checkpoints/{name}")
        said = run_cli(*words, "-o", "no.png", code=2)
        assert "name its run with --run" in said
    assert not Path("no.png").exists()


def test_it_is_judged_beside_the_others(here: Path) -> None:
    words = ("--run", "tiny", "--device", "cpu", "--swept", "1", "--out", "verdict")
    found = json.loads(run_cli("evaluate", *words, "--json"))
    assert {"input", "network", "cielab", "true_k"} <= found["methods"].keys()
    assert Path("verdict/index.html").is_file()


def test_its_figures_are_drawn_except_the_cycle(here: Path) -> None:
    said = run_cli("figures", "--run", "tiny", "--device", "cpu")
    assert "figure2.png, figure3.png, losses.png, table1.md" in said
    assert "not drawn: figure1.png" in said
    assert "preset physical has neither" in said


def test_videos_are_restored_and_progress_is_reported(here: Path) -> None:
    film(Path("flight.mp4"), times_ms=(0, 40, 80))
    run_cli("restore", "flight.mp4", "--run", "tiny", "--device", "cpu")
    assert len(frames_of(Path("flight_restored.mp4"))) == 3
    told: list[float] = []
    restore = open_method(RestoreOptions(run="tiny", device="cpu"), told.append)
    restore(np.full((40, 40, 3), 0.5, np.float32))
    assert told[-1] == 1


def test_its_f_is_of_the_kind_that_its_settings_say(here: Path) -> None:
    run = here / "runs" / "tiny"
    assert isinstance(load_generator(run, CPU), PhysicalRestorer)
    assert isinstance(load_generator(run, CPU, epoch=1), PhysicalRestorer)
    path = run / "options.json"
    values = json.loads(path.read_text("utf-8"))
    values["options"]["network"] |= {"physical": False, "generator_blocks": 1}
    path.write_text(json.dumps(values), "utf-8")
    with pytest.raises(UserError, match="another shape"):
        load_generator(run, CPU)
