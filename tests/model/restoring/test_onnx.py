"""What torch computes, onnxruntime computes from the file; and the file says all it takes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ROOT
from helpers.limited import fault_without_memory
from helpers.processes import printed_by

from dataset.errors import UserError
from dataset.pictures.pixels import Pixels, pad_reflected
from model.networks import Generator, initialize
from model.restoring import export
from model.restoring import onnx as onnx_run
from model.restoring.onnx import open_onnx

pytestmark = pytest.mark.slow

onnx = pytest.importorskip("onnx", reason="pip install 'unclip[onnx]'")
pytest.importorskip("onnxscript", reason="pip install 'unclip[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install 'unclip[onnx]'")

# Height, width. A picture of one colour is no test: instance norm divides rounding by nothing.
SIZES = [(1, 7), (3, 50), (16, 16), (21, 33), (64, 64), (97, 130)]
VARIANTS = [(residual, resize) for residual in (False, True) for resize in (False, True)]


def make_generator(residual: bool = True, resize: bool = True) -> Generator:
    network = Generator(6, 2, residual, resize).eval()
    initialize(network, torch.Generator().manual_seed(0))
    for each in network.parameters():
        each.data *= 8  # far from the identity, so that tanh bends and the clamp bites
    return network


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda v: f"residual={v[0]}-resize={v[1]}")
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Generator, Path]:
    network = make_generator(*request.param)
    path = tmp_path_factory.mktemp("복원") / "네트워크.onnx"
    export.write_onnx(path, network, {"run": "night"})
    return network, path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.onnx"
    export.write_onnx(path, make_generator())
    return path


def by_torch(network: Generator, pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    padded = torch.from_numpy(pad_reflected(pixels, 4)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        restored = (network(padded * 2 - 1)[0].permute(1, 2, 0) + 1) / 2
    return restored[:height, :width].clamp(0, 1).numpy()


def random_pixels(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_onnxruntime_gives_what_torch_gives(
    exported: tuple[Generator, Path], size: tuple[int, int]
) -> None:
    network, path = exported
    pixels = random_pixels(*size)
    before = pixels.copy()
    restored = open_onnx(path, "cpu", threads=1)(pixels)
    assert (restored.shape, restored.dtype) == (pixels.shape, np.float32)
    assert np.abs(restored - by_torch(network, pixels)).max() < 1 / 255
    assert 0 <= restored.min() <= restored.max() <= 1
    assert np.array_equal(pixels, before)


def test_the_network_in_the_test_does_something(exported: tuple[Generator, Path]) -> None:
    pixels = random_pixels(40, 40)
    assert np.abs(by_torch(exported[0], pixels) - pixels).mean() > 0.1


def test_the_file_says_how_it_is_run_and_nothing_of_this_machine(
    exported: tuple[Generator, Path],
) -> None:
    network, path = exported
    facts = open_onnx(path).facts
    assert facts["written_by"].startswith("unclip ")
    assert facts["run"] == "night"
    assert (facts["stride"], facts["range"], facts["colour"]) == ("4", "[-1, 1]", "sRGB")
    options = json.loads(facts["options"])
    assert (options["generator_filters"], options["generator_blocks"]) == (6, 2)
    assert options["residual"] == network.residual
    assert str(ROOT).encode() not in path.read_bytes()
    assert b".py" not in path.read_bytes()


def test_exporting_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    network = make_generator().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    export.write_onnx(tmp_path / "a.onnx", network)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_running_needs_no_torch(small: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from model.restoring.onnx import open_onnx\n"
        f"restored = open_onnx(Path({str(small)!r}))(np.zeros((5, 7, 3), np.float32))\n"
        "print(restored.shape, 'torch' in sys.modules)\n"
    )
    assert printed_by(code) == "(5, 7, 3) False\n"


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process as Linux does")
def test_memory_that_runs_out_meanwhile_is_told(small: Path) -> None:
    code = f"""
        from pathlib import Path
        from model.restoring.onnx import open_onnx
        restore = open_onnx(Path({str(small)!r}), "cpu", threads=1)
    """
    assert "takes more memory than is free" in fault_without_memory(code)


def test_a_picture_too_large_for_memory_is_refused_before(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_run, "free_memory", lambda: 1 << 20)
    with pytest.raises(UserError, match=r"100x90 takes .* --detail guided"):
        open_onnx(small, "cpu")(random_pixels(90, 100))


def test_the_same_network_is_exported_to_the_same_bytes(tmp_path: Path) -> None:
    for name, facts in (("a", {"run": "n", "side": "1"}), ("b", {"side": "1", "run": "n"})):
        export.write_onnx(tmp_path / f"{name}.onnx", make_generator(), facts)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_existing_files_and_other_names_are_refused(small: Path, tmp_path: Path) -> None:
    before = small.read_bytes()
    with pytest.raises(UserError, match=r"small\.onnx exists"):
        export.write_onnx(small, make_generator())
    with pytest.raises(UserError, match=r"ONNX files end in \.onnx"):
        export.write_onnx(tmp_path / "a.pth", make_generator())
    assert small.read_bytes() == before


@pytest.mark.parametrize("data", [b"", b"<html>", b"\x08\x07"], ids=["empty", "html", "no graph"])
def test_what_is_no_network_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"broken\.onnx is damaged"):
        open_onnx(path)


def test_a_file_cut_short_is_named(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "short.onnx"
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(small.read_bytes()[: int(small.stat().st_size * share)])
        with pytest.raises(UserError, match=r"short\.onnx"):
            open_onnx(path)


def test_a_network_of_others_is_refused(small: Path, tmp_path: Path) -> None:
    model: Any = onnx.load(small)
    del model.metadata_props[:]
    path = tmp_path / "other.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=r"other\.onnx was not written by `cli export`"):
        open_onnx(path)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.onnx.*cli export"):
        open_onnx(tmp_path / "none.onnx")


def test_a_device_that_is_not_there_is_named(small: Path) -> None:
    with pytest.raises(UserError, match=r"--device directml .* which has .*cpu"):
        open_onnx(small, "directml")
    with pytest.raises(UserError, match="--device abacus"):
        open_onnx(small, "abacus")
    assert open_onnx(small, "cpu").provider == "CPUExecutionProvider"


def test_missing_packages_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs onnx and onnxscript\. .*'unclip\[onnx\]'"):
        export.write_onnx(tmp_path / "a.onnx", make_generator())
