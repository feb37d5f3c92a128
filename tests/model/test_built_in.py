"""The files of the built-in network: small, alike, and described truly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from helpers import ROOT
from helpers.tiny_physical import over_expose, scene

from dataset.pictures.pixels import Pixels, to_pixels
from model.built_in import ONNX_FILE, WEIGHTS_FILE
from model.options import RestoreOptions, physical_preset
from model.physical_networks import FIRST_ERROR, PhysicalRestorer
from model.restoring.methods import open_method
from model.restoring.onnx import open_onnx
from model.restoring.physical import small_copy_restorer
from model.weights import load_release, read_facts

CPU = torch.device("cpu")
LEVEL = 1 / 255
MOST_BYTES = 8_000_000  # both together: they come with every installation


def bright(height: int, width: int, gain: float = 2.5) -> Pixels:
    return to_pixels(over_expose(scene(5, height, width), gain))


def test_both_files_are_small_and_describe_the_same_network() -> None:
    assert ONNX_FILE.stat().st_size + WEIGHTS_FILE.stat().st_size <= MOST_BYTES
    by_torch, by_onnx = read_facts(WEIGHTS_FILE), open_onnx(ONNX_FILE, "cpu").facts
    for name in ("options", "steps", "run", "averaged"):
        assert by_torch[name] == by_onnx[name]
    assert int(by_torch["steps"]) > 1000
    assert "supervised" not in by_torch
    loaded = load_release(WEIGHTS_FILE, CPU)
    assert isinstance(loaded.generator, PhysicalRestorer)
    assert loaded.options == physical_preset().network  # so that trainings can start from it
    error = float(loaded.generator.gain_error)
    assert error == pytest.approx(float(json.loads(by_onnx["gain_error"])), abs=1e-4)
    assert 0.02 < error < 0.4
    assert error != pytest.approx(FIRST_ERROR, abs=1e-4)  # measured


@pytest.mark.parametrize("size", [(150, 310), (256, 256), (40, 33), (1, 500)])
def test_onnxruntime_restores_as_torch_does(size: tuple[int, int]) -> None:
    loaded = load_release(WEIGHTS_FILE, CPU).generator
    assert isinstance(loaded, PhysicalRestorer)
    pixels = bright(*size)
    by_onnx, by_torch = open_onnx(ONNX_FILE, "cpu", 1)(pixels), small_copy_restorer(loaded)(pixels)
    assert np.abs(by_onnx - by_torch).max() <= LEVEL
    assert np.abs(by_onnx - by_torch).mean() <= LEVEL / 20


@pytest.mark.parametrize("name", ["chelsea", "coffee"])
def test_a_photograph_is_restored_if_over_exposed_and_left_alone_if_not(name: str) -> None:
    method = open_method(RestoreOptions(run="builtin", device="cpu"))
    photograph = getattr(skimage.data, name)()  # that it has not learned from
    wanted, over = to_pixels(photograph), to_pixels(over_expose(photograph, 2.5))
    before, after = (np.abs(each - wanted).mean() for each in (over, method(over)))
    assert before > 35 * LEVEL
    assert after < 0.3 * before
    assert np.abs(method(wanted) - wanted).mean() < LEVEL / 2


@pytest.mark.slow
def test_it_restores_without_torch(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["torch"] = None
from pathlib import Path
import numpy as np
from dataset.pictures.images import write_png
from model.options import RestoreOptions
from model.restoring.restore import restore_files
write_png(Path("a.png"), np.full((60, 90, 3), 255, np.uint8))
[outcome] = restore_files([Path("a.png")], RestoreOptions())
assert not outcome.fault, outcome.fault
"""
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (tmp_path / "a_restored.png").is_file()
