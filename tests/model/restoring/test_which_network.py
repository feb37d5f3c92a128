"""A run of the user's own comes first, then the built-in network, and it is said which restores."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from helpers.command_line import run_cli
from helpers.tiny_physical import over_expose, scene

from dataset.errors import UserError
from dataset.pictures.images import read_image, write_png
from model.built_in import BUILTIN, WEIGHTS_FILE
from model.options import EvaluateOptions, RestoreOptions
from model.restoring.methods import open_method
from model.restoring.which_network import is_builtin, told_of

BLOWN = over_expose(scene(5, 60, 90), 2.5)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_png(Path("image.png"), BLOWN)
    return tmp_path


def leave_run(folder: Path) -> None:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "latest_net_G_B.pth").write_bytes(b"damaged")


def test_without_a_run_it_restores_and_is_told_in_one_line(here: Path) -> None:
    said = run_cli("restore", "image.png")
    lines = [line for line in said.splitlines() if "built-in network" in line]
    assert len(lines) == 1
    assert lines[0].startswith("No trained run under runs")
    restored = read_image(Path("image_restored.png"))
    assert restored.mean() < BLOWN.mean() - 5
    asked = run_cli("restore", "image.png", "--run", "builtin", "-o", "asked.png")
    assert "No trained run" not in asked
    assert np.array_equal(read_image(Path("asked.png")), restored)


@pytest.mark.parametrize("name", ["none.png", "broken.png", "both", "image.png"])
def test_what_is_not_restored_has_no_network(here: Path, name: str) -> None:
    Path("broken.png").write_bytes(Path("image.png").read_bytes()[:99])
    Path("both").mkdir()
    Path("image_restored.png").write_bytes(b"an earlier result")
    said = run_cli("restore", name, code=1 if name == "broken.png" else 2)
    assert "built-in network" not in said


def test_a_broken_file_first_does_not_hide_which_network_restores(here: Path) -> None:
    Path("broken.png").write_bytes(Path("image.png").read_bytes()[:99])
    said = run_cli("restore", "broken.png", "image.png", code=1)
    assert said.count("the built-in network restores") == 1


def test_a_run_comes_first_even_a_damaged_one(here: Path) -> None:
    leave_run(here / "runs" / "mine")
    assert not is_builtin(RestoreOptions())
    said = run_cli("restore", "image.png", code=2)
    assert "mine" in said
    assert not Path("image_restored.png").exists()
    assert "image_restored.png" in run_cli("restore", "image.png", "--run", "builtin")


def test_where_torch_is_missing_a_run_says_what_restores_without(here: Path) -> None:
    leave_run(here / "runs" / "mine")
    code = "import sys; sys.modules['torch'] = None; import cli; cli.main(['restore', 'image.png'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    for word in ("The newest run", "pip install 'unclip[train]'", "--run builtin", "--onnx"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_named_is_never_replaced_by_it(here: Path) -> None:
    for options in (RestoreOptions(run="none"), RestoreOptions(onnx=Path("none.onnx"))):
        assert not is_builtin(options)
        assert told_of(options) == ""
        with pytest.raises(UserError, match="none"):
            open_method(options)
    assert told_of(RestoreOptions(method="cielab")) == ""
    assert told_of(RestoreOptions(run=BUILTIN)) == ""
    assert "built-in" in told_of(EvaluateOptions())


def test_an_epoch_belongs_to_a_run(here: Path) -> None:
    with pytest.raises(UserError, match=r"--epoch belongs to a run, and the built-in network is"):
        open_method(RestoreOptions(epoch="best"))


def test_pictures_can_be_restored_together_by_it(here: Path) -> None:
    pictures = [over_expose(scene(n, 60, 90), 1.5 + n) / np.float32(255) for n in range(4)]
    together = open_method(RestoreOptions(together=True), session=lambda: pictures)
    alone = open_method(RestoreOptions())
    assert max(np.abs(together(each) - alone(each)).max() for each in pictures) > 0.5 / 255


def test_torch_runs_it_where_a_device_of_torch_is_asked_for(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def load(runs: Path, run: str, device: object, epoch: str) -> None:
        asked.append(run)
        raise UserError("read enough")

    monkeypatch.setattr("model.devices.pick_device", lambda name: name)
    monkeypatch.setattr("model.weights.load_network", load)
    for device in ("cuda", "cuda:1", "mps"):
        with pytest.raises(UserError, match="read enough"):
            open_method(RestoreOptions(device=device))
    assert asked == [str(WEIGHTS_FILE)] * 3


def test_evaluate_judges_it_and_says_so(here: Path) -> None:
    for folder in ("testA", "testB"):
        (here / "data" / folder).mkdir(parents=True)
    write_png(here / "data" / "testA" / "0.png", scene(5, 60, 90))
    write_png(here / "data" / "testB" / "0.png", BLOWN)
    (here / "data" / "pairs.csv").write_text("over_exposed,reference\ntestB/0.png,testA/0.png\n")
    said = run_cli("evaluate", "--methods", "network,gamma")
    assert "built-in network restores" in said
    assert "built-in" not in run_cli("evaluate", "--methods", "network", "--run", "builtin")


def test_export_and_figures_still_need_a_run(here: Path) -> None:
    for command in ("export", "figures"):
        assert "No trained run under" in run_cli(command, code=2)
