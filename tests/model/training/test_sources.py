"""Supervised runs: true pairs read, cut alike, held out whole, resumed to the bit, and named so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.command_line import run_cli
from helpers.tiny_physical import SMALL_PHYSICAL, over_expose, scene, tiny_physical
from helpers.two_processes import train_by_two

from dataset.errors import UserError
from dataset.pictures.images import Image, write_png
from model.options import TrainOptions
from model.runs import STATE_FILE, read_best
from model.state_files import fingerprint
from model.training.batches import Domains
from model.training.best_epoch import BestEpoch
from model.training.held_out import HELD_OUT_FILE, choose_pairs, linked
from model.training.run_folder import resumed_options
from model.training.sources import find_pictures, open_sources
from model.training.train import describe_plan, train

ROOT = Path(__file__).parents[3]
slow = pytest.mark.slow


def make_pairs(root: Path, count: int = 6, side: int = 48) -> Path:
    """A list of pairs of scenes, whose names do not say what belongs together."""
    rows = ["over_exposed,reference"]
    for n in range(count):
        reference, over_exposed = f"dark/{n:03d}.png", f"bright/{count - n:03d}.png"
        for name, gain in ((reference, 1.0), (over_exposed, 3.0)):
            (root / name).parent.mkdir(exist_ok=True)
            write_png(root / name, over_expose(scene(n, side, side + 8), gain))
        rows.append(f"{over_exposed},{reference}")
    path = root / "truth.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def options_of(root: Path, **changed: Any) -> TrainOptions:
    return tiny_physical(root, pairs=root / "truth.csv", **changed)


def state_of(run: Path) -> str:
    state = torch.load(run / "checkpoints" / STATE_FILE, weights_only=True)
    return fingerprint(state["model"])


def log_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]


# -- what is read --------------------------------------------------------------------------------


@slow
def test_pairs_are_read_in_the_order_of_the_list_and_cached_beside_it(tmp_path: Path) -> None:
    make_pairs(tmp_path)
    options = options_of(tmp_path, size=32, load_size=0)
    for _ in range(2):
        x, y = open_sources(options)
        assert x.file is not None
        assert x.file.parent == tmp_path / ".cache"
        for n, (reference, over_exposed) in enumerate(zip(x, y, strict=True)):
            assert np.array_equal(reference, scene(n, 48, 56))
            assert np.array_equal(over_exposed, over_expose(scene(n, 48, 56), 3.0))
    assert list(x.sha256)[:2] == ["1: dark/000.png", "2: dark/001.png"]
    assert list(y.sha256)[:2] == ["1: bright/006.png", "2: bright/005.png"]


@slow
def test_one_reference_may_have_several_pairs(tmp_path: Path) -> None:
    path = make_pairs(tmp_path)
    path.write_text(
        "over_exposed,reference\nbright/006.png,dark/000.png\nbright/005.png,dark/000.png\n",
        encoding="utf-8",
    )
    x, y = open_sources(options_of(tmp_path))
    assert (len(x), len(x.sha256), len(set(x.sha256.values()))) == (2, 2, 1)
    assert len(y) == 2


@slow
def test_pictures_that_differ_in_size_are_no_pair(tmp_path: Path) -> None:
    make_pairs(tmp_path)
    write_png(tmp_path / "dark" / "002.png", scene(2, 48, 64))
    with pytest.raises(UserError, match=r"004\.png and .*002\.png differ in size"):
        train(options_of(tmp_path))


def test_a_file_that_is_missing_is_named_before_a_run_is_begun(tmp_path: Path) -> None:
    make_pairs(tmp_path)
    (tmp_path / "bright" / "003.png").unlink()
    with pytest.raises(UserError, match=r"003\.png, which cannot be read"):
        train(options_of(tmp_path))
    (tmp_path / "truth.csv").unlink()
    with pytest.raises(UserError, match="No list of pairs"):
        find_pictures(options_of(tmp_path))
    assert not (tmp_path / "runs").exists()


def marked(height: int, width: int, seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("way", [{}, {"resident": True}, {"ahead": 2}])
def test_both_pictures_of_a_pair_are_cut_and_mirrored_alike(way: dict[str, Any]) -> None:
    x = [marked(20 + n, 30 - n, n) for n in range(5)]
    y = [255 - frame for frame in x]
    with Domains(x, y, 16, 4, seed=3, flip=True, paired=True, **way) as domains:
        for step in range(4):
            references, over_exposed = domains.batch(2, step % domains.steps_per_epoch)
            assert torch.equal(references, 255 - over_exposed)
    with pytest.raises(ValueError, match="differ in size"):
        Domains(x, y[::-1], 16, 4, seed=3, flip=True, paired=True)


# -- what is held out ----------------------------------------------------------------------------


def test_no_picture_of_a_held_out_pair_is_in_another_one() -> None:
    pairs = [(f"y{n}", f"x{n // 3}") for n in range(240)]
    held = choose_pairs(pairs, 48)
    assert len(held) == 12
    learned = {each for n, pair in enumerate(pairs) if n not in held for each in pair}
    assert not learned & {each for n in held for each in pairs[n]}
    assert choose_pairs([(f"y{n}", f"x{n}") for n in range(240)], 48) == [*range(114, 126)]
    assert choose_pairs([(f"y{n}", "x") for n in range(240)], 48) == []
    assert choose_pairs(pairs[:20], 48) == []


def test_pairs_are_linked_over_either_picture() -> None:
    assert linked([("a", "1"), ("b", "2"), ("c", "1"), ("c", "3"), ("d", "d")]) == [0, 1, 0, 0, 2]


@slow
def test_held_out_pairs_are_restored_from_their_own_light(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BestEpoch, "pace", lambda *_: None)
    make_pairs(tmp_path, 64)
    said: list[str] = []
    run = train(options_of(tmp_path, held_out=48, batch_size=8), on_message=said.append).run
    assert any("8 of 64 true pairs are held out" in line for line in said)
    assert any("56 X and 56 Y frames" in line for line in said)
    rows = (run / HELD_OUT_FILE).read_text("utf-8").splitlines()[1:]
    assert rows[0] == "28,29: dark/028.png,0.0"
    assert len(rows) == 8
    assert read_best(run) is not None
    resumed = train(resumed_options(tmp_path / "runs", "tiny", {"epochs": 3}))
    assert [line["epoch"] for line in log_of(resumed.run) if "psnr_held_out" in line] == [1, 2, 3]


# -- runs ----------------------------------------------------------------------------------------


@slow
@pytest.mark.parametrize("cut_at", [3, 4])
def test_resumed_equals_uninterrupted_to_the_bit(tmp_path: Path, cut_at: int) -> None:
    make_pairs(tmp_path)
    whole = train(options_of(tmp_path, run="whole", ema=0.9))
    cut = train(options_of(tmp_path, run="cut", ema=0.9, steps=cut_at))
    assert state_of(whole.run) != state_of(cut.run)
    resumed = train(resumed_options(tmp_path / "runs", "cut", {}))
    assert state_of(whole.run) == state_of(resumed.run)
    assert log_of(whole.run)[-1] == log_of(resumed.run)[-1]
    assert "pairs" in log_of(whole.run)[0]


def reorder(root: Path) -> None:
    path = root / "truth.csv"
    head, *rows = path.read_text("utf-8").split()
    path.write_text("\n".join([head, *rows[::-1]]) + "\n", encoding="utf-8")


def repaint(root: Path) -> None:
    write_png(root / "bright" / "001.png", scene(77, 48, 56))


@slow
@pytest.mark.parametrize("change", [reorder, repaint])
def test_a_list_or_picture_that_changed_is_refused(tmp_path: Path, change: Any) -> None:
    make_pairs(tmp_path)
    train(options_of(tmp_path, steps=1))
    change(tmp_path)
    with pytest.raises(UserError, match=r"truth\.csv holds other frames"):
        train(resumed_options(tmp_path / "runs", "tiny", {}))


@slow
def test_the_list_may_have_moved_with_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").mkdir()
    make_pairs(tmp_path / "old")
    monkeypatch.chdir(tmp_path)
    begin = ("--run", "a", *SMALL_PHYSICAL)
    run_cli("train", "--pairs", "old/truth.csv", *begin, "--steps", "1")
    shutil.move("old", "new")
    assert "6 steps" in run_cli("train", "--run", "a", "--resume", "--pairs", "new/truth.csv")


@slow
def test_a_run_is_named_supervised_wherever_it_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pairs(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ("--pairs", "truth.csv", *SMALL_PHYSICAL)
    first = "supervised: this run learns from the true pairs"
    assert first in run_cli("train", *words, "--dry-run")
    said = run_cli("train", "--run", "upper", *words)
    assert said.splitlines()[0].startswith(first)
    settings = json.loads(Path("runs/upper/options.json").read_text("utf-8"))
    assert settings["supervised"] is True
    assert settings["options"]["pairs"] == str(tmp_path / "truth.csv")
    run_cli("export", "--run", "upper", "-o", "upper.safetensors")
    for network in ("upper", "upper.safetensors"):
        judged = ("evaluate", "--run", network, "--pairs", "truth.csv", "--device", "cpu")
        assert "The network is supervised" in run_cli(*judged, "--out", "page")
        page = Path("page/index.html").read_text("utf-8")
        assert "network F, supervised: an upper bound" in page
        assert json.loads(Path("page/evaluation.json").read_text("utf-8"))["supervised"] is True
        assert "supervised" not in run_cli(*judged, "--methods", "gamma")


@slow
def test_unpaired_runs_are_not_named_so_and_take_no_pairs_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pairs(tmp_path)
    for folder, source in (("trainA", "dark"), ("trainB", "bright")):
        shutil.copytree(tmp_path / source, tmp_path / "data" / folder)
    monkeypatch.chdir(tmp_path)
    assert "upervised" not in run_cli("train", "--run", "plain", *SMALL_PHYSICAL)
    settings = json.loads(Path("runs/plain/options.json").read_text("utf-8"))
    assert settings["supervised"] is False
    assert "upervised" not in run_cli("evaluate", "--run", "plain", "--pairs", "truth.csv")
    resume = ("train", "--run", "plain", "--resume", "--pairs", "truth.csv")
    assert "was begun without pairs" in run_cli(*resume, code=2)


@pytest.mark.parametrize("preset", ["paper", "cpu", "best"])
def test_other_presets_cannot_learn_from_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str
) -> None:
    make_pairs(tmp_path)
    monkeypatch.chdir(tmp_path)
    said = run_cli("train", "--pairs", "truth.csv", "--preset", preset, code=2)
    assert "--pairs belongs to --preset physical" in said
    assert not Path("runs").exists()


@slow
def test_plans_count_pairs(tmp_path: Path) -> None:
    make_pairs(tmp_path, 64)
    plan = describe_plan(options_of(tmp_path, held_out=48))
    assert "frames: 56 X, 56 Y; 8 X held out" in plan


@slow
def test_two_processes_share_the_pairs(tmp_path: Path) -> None:
    make_pairs(tmp_path)
    said = train_by_two(tmp_path, "--run", "two", "--pairs", "truth.csv", *SMALL_PHYSICAL)
    assert said.count("supervised: this run") == 1
    run = tmp_path / "runs"
    settings = {"epochs": 3, "pairs": tmp_path / "truth.csv"}
    assert train(resumed_options(run, "two", settings)).steps == 9
