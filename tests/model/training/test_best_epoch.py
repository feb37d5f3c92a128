"""Real runs that hold frames of X out: what is learned from, what is kept, and what restores."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.command_line import run_cli
from helpers.tiny_physical import make_scenes, tiny_physical
from helpers.tiny_runs import SMALL, make_data, tiny_options
from helpers.two_processes import train_by_two
from torch import Tensor

import model.training.train
from dataset.errors import UserError
from dataset.pictures.images import read_image, write_png
from model.checkpoint import Position, load_generator
from model.options import PRESETS, TrainOptions
from model.runs import BestNote, generator_path, read_best, saved_steps
from model.state_files import fingerprint
from model.training.batches import to_range
from model.training.best_epoch import ALIKE, BestEpoch, mean_psnr
from model.training.gain_range import matching_gain
from model.training.held_out import HELD_OUT_FILE, read_trials
from model.training.reporter import RunReporter, TrainingProgress
from model.training.run_folder import resumed_options
from model.training.train import describe_plan, train

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
FRAMES = 64  # of X and Y: the fewest of which some are held out
TIMES = {"pairs_per_s", "tflop_per_s", "waited"}  # what two equal runs may differ in
Options = Callable[..., TrainOptions]


def options_of(root: Path, **changed: Any) -> TrainOptions:
    """A tiny run of four epochs of eight steps that holds frames out."""
    return tiny_options(root, **({"held_out": 48, "batch_size": 8, "epochs": 4} | changed))


def measure_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure after every epoch, however busy the machine is, and take the light as known."""
    monkeypatch.setattr(BestEpoch, "pace", lambda *_: None)
    monkeypatch.setattr(model.training.train, "matching_gain", lambda *_: 0.9)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    measure_always(monkeypatch)


def log_of(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in line.keys() - TIMES} for line in lines]


def measured(run: Path) -> dict[int, float]:
    """Epoch -> PSNR of the held-out frames after it, as logged."""
    return {
        int(line["epoch"]): line["psnr_held_out"] for line in log_of(run) if "psnr_held_out" in line
    }


def latest_of_the_best(found: dict[int, float]) -> int:
    """The epoch that is kept, by the measurements of all."""
    highest = {epoch: max(found[n] for n in found if n <= epoch) for epoch in found}
    return max(epoch for epoch in found if found[epoch] > highest[epoch] - ALIKE)


def worse_from(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From this epoch on, a rate that spoils the networks."""
    monkeypatch.setattr(
        model.training.train,
        "decayed_rate",
        lambda options, now: options.learning_rate if now < epoch else 0.05,
    )


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data`` and a run ``tiny`` whose third and fourth epoch make it worse."""
    root = tmp_path_factory.mktemp("spoiled")
    make_data(root, FRAMES)
    with pytest.MonkeyPatch.context() as patch:
        measure_always(patch)
        worse_from(3, patch)
        train(options_of(root, learning_rate=1e-3))
    return root


@pytest.fixture
def here(spoiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the working folder."""
    shutil.copytree(spoiled, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- what is learned from ------------------------------------------------------------------------


def make_flat(root: Path) -> Path:
    """X of as many greys as frames, so that any crop tells which frame it is of; and a split."""
    data = make_data(root, FRAMES)
    for n in range(FRAMES):
        write_png(data / "trainA" / f"{n:03d}.png", np.full((40, 40, 3), n, np.uint8))
    listed = [{"path": f"trainA/{n:03d}.png", "group": n // 3} for n in range(FRAMES)]
    record = {"tool": "unclip", "complete": True, "files": listed}
    (data / "split.json").write_text(json.dumps(record), encoding="utf-8")
    return data


@pytest.mark.parametrize("options", [options_of, tiny_physical])
def test_held_out_scenes_are_never_learned_from(
    tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_flat(tmp_path)
    drawn: list[Tensor] = []

    def note(pictures: Tensor) -> Tensor:
        drawn.append(pictures)
        return to_range(pictures)

    monkeypatch.setattr(model.training.train, "to_range", note)
    run = train(options(tmp_path, held_out=48, batch_size=8, epochs=3)).run
    of_x = torch.cat(drawn[::2])
    seen = {int(each) for each in of_x.flatten(1).unique()}
    held = {frame for frame, _ in read_trials(run, FRAMES)}
    assert len(held) == 7  # two scenes of three, and the last frame: nine would be more than eight
    assert seen == set(range(FRAMES)) - held
    assert not {n // 3 for n in seen} & {n // 3 for n in held}


def test_with_few_frames_all_are_learned_from_and_the_last_epoch_restores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(tmp_path)
    said: list[str] = []
    run = train(options_of(tmp_path, batch_size=2, epochs=1), on_message=said.append).run
    assert any("6 X frames are too few" in line and "the last one" in line for line in said)
    assert not (run / HELD_OUT_FILE).exists()
    assert generator_path(run, "F").name == "latest_net_G_B.pth"
    monkeypatch.chdir(tmp_path)
    words = ("restore", "data/testB/000.png", "--run", "tiny", "--device", "cpu")
    told = run_cli(*words, "--epoch", "best", code=2)
    assert "has no best epoch" in told
    assert "--held-out" in told
    assert not Path("data/testB/000_restored.png").exists()
    assert train(resumed_options(tmp_path / "runs", "tiny", {})).steps == 3


def test_the_paper_learns_from_every_frame_of_x(tmp_path: Path) -> None:
    assert {name: make().held_out for name, make in PRESETS.items()} == {
        "paper": 0,
        "cpu": 48,
        "best": 48,
        "physical": 48,
    }
    make_data(tmp_path, FRAMES)
    assert "frames: 64 X, 64 Y\n" in describe_plan(options_of(tmp_path, held_out=0))
    assert "frames: 56 X, 64 Y; 8 X held out" in describe_plan(options_of(tmp_path))


# -- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "epoch"), [((20, 21, 20.6, 20.4), 3), ((20, 19.8, 19.6, 19.4), 3), ((9, 8, 9, 10), 4)]
)
def test_of_epochs_that_are_alike_the_latest_is_kept(
    found: Sequence[float], epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = iter(found)
    monkeypatch.setattr(BestEpoch, "measure", lambda _: next(made))
    make_data(tmp_path, FRAMES)
    note = read_best(train(options_of(tmp_path)).run)
    assert note == BestNote(epoch, 8 * epoch, found[epoch - 1], max(found[:epoch]))


def test_a_run_that_gets_worse_restores_with_its_best_epoch(here: Path) -> None:
    run = here / "runs" / "tiny"
    found = measured(run)
    assert sorted(found) == [1, 2, 3, 4]
    best = latest_of_the_best(found)
    assert best < 3
    note = read_best(run)
    assert note is not None
    assert (note.epoch, note.steps) == (best, 8 * best)
    assert note.psnr == pytest.approx(found[best], abs=1e-5)
    assert found[4] < note.psnr - 1

    def restored(name: str, *words: str) -> np.ndarray:
        run_cli("restore", "data/testB/000.png", "--device", "cpu", "-o", name, *words)
        return read_image(Path(name))

    by_default = restored("default.png")
    assert np.array_equal(by_default, restored("best.png", "--epoch", "best"))
    assert np.array_equal(by_default, restored("kept.png", "--epoch", str(best)))
    assert not np.array_equal(by_default, restored("latest.png", "--epoch", "latest"))


def test_every_command_takes_the_best_epoch_unless_told_otherwise(here: Path) -> None:
    run = here / "runs" / "tiny"
    note = read_best(run)
    assert note is not None
    assert f"F of run tiny after {note.steps} steps" in run_cli("export", "-o", "f.safetensors")
    latest = run_cli("export", "-o", "g.safetensors", "--epoch", "latest", "--network", "G")
    assert "G of run tiny after 32 steps" in latest
    assert saved_steps(run, 1) is None
    judged = ("evaluate", "--device", "cpu", "--json", "--frames", "4", "--methods", "network")
    psnr = [
        json.loads(run_cli(*judged, *more))["methods"]["network"]["psnr"]
        for more in ((), ("--epoch", "best"), ("--epoch", "latest"))
    ]
    assert psnr[0] == psnr[1] != psnr[2]
    said = run_cli("figures", "--device", "cpu", "--epoch", "latest")
    latest_figure = read_image(run / "figures" / "figure2.png")
    assert "figure1.png" in said
    assert "not drawn" not in said
    run_cli("figures", "--device", "cpu")
    assert not np.array_equal(latest_figure, read_image(run / "figures" / "figure2.png"))


@pytest.mark.parametrize("words", [("restore", "data/testB/000.png"), ("evaluate",), ("figures",)])
def test_an_epoch_that_is_not_there_is_refused_in_words(here: Path, words: tuple[str, ...]) -> None:
    told = run_cli(*words, "--device", "cpu", "--epoch", "17", code=2)
    assert "epoch 17 was not kept. F is kept of: 1, 2, 3, 4" in told.replace("\n", " ")
    assert "say best, latest, or" in run_cli(
        *words, "--device", "cpu", "--epoch", "../../7", code=2
    )


def test_an_epoch_of_a_file_is_refused_in_words(here: Path) -> None:
    run_cli("export", "-o", "f.safetensors")
    words = ("restore", "data/testB/000.png", "--device", "cpu", "--epoch", "best")
    for name in ("f.safetensors", "runs/tiny/checkpoints/best_net_G_B.pth"):
        assert "belongs to a run" in run_cli(*words, "--run", name, code=2)
    assert "belongs to a run" in run_cli(*words, "--onnx", "f.onnx", code=2)


def test_the_average_is_measured_and_kept_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.training.train, "matching_gain", matching_gain)
    make_scenes(tmp_path, FRAMES)
    seen: list[TrainingProgress] = []
    said: list[str] = []
    settings = {"held_out": 48, "batch_size": 8, "ema": 0.9}
    run = train(tiny_physical(tmp_path, **settings), seen.append, said.append).run
    best = measured(run)
    assert sorted(best) == [1, 2]
    assert "8 of 64 X frames are held out" in "\n".join(said)
    kept = latest_of_the_best(best)
    assert f"best {best[kept]:.2f} dB in epoch {kept}" in said[-1]
    assert "held out" in str(seen[-1])
    path = generator_path(run, "F")
    assert path.name == "best_ema_net_G_B.pth"
    note = read_best(run)
    assert note is not None
    kept = load_generator(run, CPU, note.epoch)
    assert fingerprint(load_generator(run, CPU)) == fingerprint(kept)
    assert math.exp(read_trials(run, FRAMES)[-1][1]) > 1
    assert load_generator(run, CPU, network="G").gains[0] > 0  # type: ignore[index]
    assert not (path.parent / "best_net_G_B.pth").exists()


# -- resumed -------------------------------------------------------------------------------------


class Killed(Exception):
    """Stands in for the end of a process."""


@pytest.mark.parametrize(("cut_at", "every"), [(12, 1), (8, 3), (19, 3)])
def test_a_resumed_run_keeps_the_best_epoch_of_an_uninterrupted_one(
    tmp_path: Path, cut_at: int, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(tmp_path, FRAMES)
    monkeypatch.setattr(BestEpoch, "pace", lambda best, _: setattr(best, "every", every))
    worse_from(3, monkeypatch)
    whole = train(options_of(tmp_path, run="whole", learning_rate=1e-3)).run
    train(options_of(tmp_path, run="cut", learning_rate=1e-3, steps=cut_at))
    cut = train(resumed_options(tmp_path / "runs", "cut", {})).run
    assert list(measured(whole)) == ([1, 2, 3, 4] if every == 1 else [3, 4])
    check_equal(whole, cut)


def check_equal(one: Path, other: Path) -> None:
    assert read_best(one) == read_best(other)
    assert measured(one) == measured(other)
    for network in "GF":
        files = [fingerprint(load_generator(run, CPU, "best", network)) for run in (one, other)]
        assert files[0] == files[1]


def test_killed_between_the_best_epoch_and_the_checkpoint_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(tmp_path, FRAMES)
    whole = train(options_of(tmp_path, run="whole")).run
    save = RunReporter.save

    def kill(reporter: RunReporter, at: Position, *more: object, **named: object) -> None:
        if at.done == 24:
            raise Killed  # the third epoch is measured and kept, and no checkpoint tells
        save(reporter, at, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(RunReporter, "save", kill)
    with pytest.raises(Killed):
        train(options_of(tmp_path, run="cut"))
    monkeypatch.setattr(RunReporter, "save", save)
    check_equal(whole, train(resumed_options(tmp_path / "runs", "cut", {})).run)


def test_frames_that_were_held_out_have_to_be_known_to_resume(here: Path) -> None:
    (here / "runs" / "tiny" / HELD_OUT_FILE).unlink()
    with pytest.raises(UserError, match=r"held_out\.csv cannot be read"):
        train(resumed_options(here / "runs", "tiny", {"epochs": 5}))


def test_a_run_of_an_earlier_version_goes_on_without_held_out_frames(tmp_path: Path) -> None:
    make_data(tmp_path, FRAMES)
    run = train(options_of(tmp_path, held_out=0, epochs=1)).run
    settings = json.loads((run / "options.json").read_text("utf-8"))
    del settings["options"]["held_out"]
    (run / "options.json").write_text(json.dumps(settings), "utf-8")
    train(resumed_options(tmp_path / "runs", "tiny", {"epochs": 2}))
    assert measured(run) == {}
    assert read_best(run) is None


def test_what_an_earlier_start_left_is_not_taken_for_the_best(tmp_path: Path) -> None:
    make_data(tmp_path, FRAMES)
    folder = tmp_path / "runs" / "tiny" / "checkpoints"
    folder.mkdir(parents=True)
    for name in ("best_ema_net_G_B.pth", "best_net_G_A.pth", "best_networks.json"):
        (folder / name).write_bytes(b"old")
    run = train(options_of(tmp_path, held_out=0, epochs=1)).run
    assert generator_path(run, "F").name == "latest_net_G_B.pth"
    assert not list(folder.glob("best_*"))


# -- by several processes ------------------------------------------------------------------------


def test_of_two_processes_one_measures_and_both_leave_the_same_frames_out(tmp_path: Path) -> None:
    make_data(tmp_path, FRAMES)
    options = ["--preset", "cpu", "--device", "cpu", "--epochs", "1", "--batch-size", "8", *SMALL]
    said = train_by_two(tmp_path, "--run", "two", *options)
    assert said.count("8 of 64 X frames are held out") == 1  # one of them speaks
    assert "56 X and 64 Y frames" in said
    run = tmp_path / "runs" / "two"
    assert list(measured(run)) == [1]
    settings = {"epochs": 2, "data": tmp_path / "data"}
    train(resumed_options(tmp_path / "runs", "two", settings))
    assert list(measured(run)) == [1, 2]
    note = read_best(run)
    assert note is not None
    found = measured(run)
    assert note.psnr == pytest.approx(found[latest_of_the_best(found)], abs=1e-5)


# -- how well ------------------------------------------------------------------------------------


def test_a_frame_that_stays_as_it_is_does_not_outweigh_the_others() -> None:
    grey = torch.full((2, 3, 4, 4), 0.5)
    assert mean_psnr(grey, grey) == 40
    # 20 dB for an error of a tenth; values beyond white are white.
    assert mean_psnr(grey + 0.1, grey) == pytest.approx(20, abs=1e-4)
    assert mean_psnr(grey + 0.7, torch.ones_like(grey)) == 40


def test_it_is_measured_as_seldom_as_the_share_of_the_time_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    best = object.__new__(BestEpoch)
    clock = iter((0.0, 1.9, 2.0, 3.0, 4.0, 5.5, 6.0, 16.0))  # seconds: 1.9, 1, 1.5, then 10
    monkeypatch.setattr(BestEpoch, "measure", lambda _: 20.0)
    monkeypatch.setattr("model.training.best_epoch.time.perf_counter", lambda: next(clock))
    best.pace(epoch_s=10.0)
    assert best.every == 4  # one second in forty is under 3 %
    best.pace(epoch_s=1000.0)
    assert best.every == 1  # ten seconds in a thousand


def test_a_note_that_is_damaged_is_no_note(here: Path) -> None:
    run = here / "runs" / "tiny"
    path = run / "checkpoints" / "best_networks.json"
    assert isinstance(read_best(run), BestNote)
    path.write_text('{"epoch": 1, "steps": 8, "psnr": NaN}', encoding="utf-8")
    assert read_best(run) is None
    assert saved_steps(run) is None
    assert generator_path(run, "F").name == "best_net_G_B.pth"
