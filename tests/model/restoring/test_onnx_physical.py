"""Preset physical as an ONNX file: what torch restores, onnxruntime restores, without torch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ROOT
from helpers.processes import printed_by
from helpers.tiny_physical import PHYSICAL, over_expose, restorer, scene

from dataset.errors import UserError
from dataset.pictures.pixels import Pixels, to_pixels
from model.options import NetworkOptions, RestoreOptions
from model.physical_networks import ExposureSimulator, PhysicalRestorer
from model.restoring import export, methods
from model.restoring import onnx as onnx_run
from model.restoring.onnx import OnnxSmallCopyRestorer, open_onnx
from model.restoring.physical import small_copy_restorer

onnx = pytest.importorskip("onnx", reason="pip install 'unclip[onnx]'")
pytest.importorskip("onnxscript", reason="pip install 'unclip[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install 'unclip[onnx]'")

LEVEL = 1 / 255
SIZES = [(150, 310), (40, 33), (256, 256), (300, 129), (1, 500)]


def facts(linear: bool = True) -> dict[str, str]:
    return {"options": json.dumps(asdict(NetworkOptions(4, 0, physical=True, linear=linear)))}


def drawn(linear: bool) -> PhysicalRestorer:
    """Gains that vary over a picture, and content that varies from the bound to white."""
    network = restorer(1.0, linear)
    random = torch.Generator().manual_seed(7)
    for last, spread in ((network.head.proposal[-1], 0.3), (network.content.last, 10.0)):
        last.weight.data.normal_(0, spread, generator=random)
    return network


@pytest.fixture(scope="module", params=[True, False], ids=["linear", "encoded"])
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PhysicalRestorer, Path]:
    network = drawn(request.param)
    path = tmp_path_factory.mktemp("물리") / "F.onnx"
    export.write_onnx(path, network, facts(request.param))
    return network, path


def bright(height: int, width: int) -> Pixels:
    return to_pixels(over_expose(scene(5, height, width), 2.5))


def by_torch(network: PhysicalRestorer, pixels: Pixels) -> Pixels:
    """The network itself on the whole picture."""
    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    with torch.inference_mode():
        return ((network(picture * 2 - 1)[0].permute(1, 2, 0) + 1) / 2).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_onnxruntime_restores_as_torch_does(
    exported: tuple[PhysicalRestorer, Path], size: tuple[int, int]
) -> None:
    network, path = exported
    pixels = bright(*size)
    before = pixels.copy()
    told: list[float] = []
    restored = open_onnx(path, "cpu", threads=1, on_progress=told.append)(pixels)
    assert (restored.shape, restored.dtype) == (pixels.shape, np.float32)
    assert np.abs(restored - by_torch(network, pixels)).max() < LEVEL
    assert np.abs(restored - small_copy_restorer(network)(pixels)).max() < LEVEL
    assert np.abs(restored - pixels).mean() > 0.02
    assert np.array_equal(pixels, before)
    assert told[-1] == 1


@pytest.mark.slow
def test_what_is_found_varies_over_the_picture(exported: tuple[PhysicalRestorer, Path]) -> None:
    network, _ = exported
    pixels = bright(256, 256)
    small = torch.from_numpy(onnx_run.full_size.small_planes(pixels))[None]
    with torch.inference_mode():
        gains = network.find_gains(small)
        content = network.draw(small, gains)
    assert gains.max() > 0.5
    assert content.std() > 0.05
    assert not network.linear or gains.std() > 0.05


@pytest.mark.slow
def test_it_restores_by_name_without_torch_and_without_scaling(
    exported: tuple[PhysicalRestorer, Path], tmp_path: Path
) -> None:
    network, path = exported
    pixels = bright(200, 300)
    np.save(tmp_path / "pixels.npy", pixels)
    code = f"""
import sys
from pathlib import Path
import numpy as np
from model.options import RestoreOptions
from model.restoring.methods import open_method
restore = open_method(RestoreOptions(onnx=Path({str(path)!r}), device="cpu", detail="native"))
restored = restore(np.load({str(tmp_path / "pixels.npy")!r}))
np.save({str(tmp_path / "restored.npy")!r}, restored)
print("torch" in sys.modules)
"""
    assert printed_by(code) == "False\n"
    restored = np.load(tmp_path / "restored.npy")
    assert np.abs(restored - by_torch(network, pixels)).max() < LEVEL
    method = methods.open_method(RestoreOptions(onnx=path, device="cpu", detail="guided"))
    np.testing.assert_allclose(method(pixels), restored, atol=1e-5)


@pytest.mark.slow
def test_the_file_says_what_it_takes(exported: tuple[PhysicalRestorer, Path]) -> None:
    _, path = exported
    opened = open_onnx(path, "cpu")
    assert isinstance(opened, OnnxSmallCopyRestorer)
    assert (opened.facts["stride"], opened.facts["range"]) == ("32", "[0, 1]")
    model: Any = onnx.load(path)
    assert [each.name for each in model.graph.output] == ["proposals", "content"]
    assert str(ROOT).encode() not in path.read_bytes()


@pytest.mark.slow
def test_a_picture_too_large_for_memory_is_refused_before(
    exported: tuple[PhysicalRestorer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_run, "free_memory", lambda: 1000)
    with pytest.raises(UserError, match=r"300x200 takes .* or make it smaller\.$"):
        open_onnx(exported[1], "cpu")(bright(200, 300))


@pytest.mark.slow
def test_g_is_written_as_a_network_of_whole_pictures(tmp_path: Path) -> None:
    network = ExposureSimulator().eval()
    export.write_onnx(tmp_path / "G.onnx", network, {"options": json.dumps(asdict(PHYSICAL))})
    pixels = scene(3, 33, 50) / np.float32(255)
    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    wanted = (network(picture * 2 - 1)[0].permute(1, 2, 0).numpy() + 1) / 2
    made = open_onnx(tmp_path / "G.onnx", "cpu")(pixels)
    assert np.abs(made - wanted).max() <= LEVEL  # one level where rounding goes the other way
    assert np.abs(made - wanted).mean() < LEVEL / 10


def foreign(
    proposals: tuple[int, ...], content: tuple[int, ...], linear: str = "true", error: str = "0.1"
) -> bytes:
    """A file with ends like ours that finds constants of these shapes."""
    names = (*onnx_run.LEAST_INPUTS, "proposals", "content")
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    ]
    values = {"a": np.zeros(proposals, np.float32), "b": np.zeros(content, np.float32)}
    made = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Identity", ["a"], ["proposals"]),
            onnx.helper.make_node("Identity", ["b"], ["content"]),
        ],
        "g", ends[:3], ends[3:],
        [onnx.numpy_helper.from_array(value, key) for key, value in values.items()],
    )  # fmt: skip
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(made, opset_imports=opset, ir_version=9)
    options = f'{{"generator_filters": 4, "physical": true, "linear": {linear}}}'
    told = {"written_by": "unclip 0.1.0", "stride": "32", "options": options, "gain_error": error}
    for key, value in told.items():
        model.metadata_props.add(key=key, value=value)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("proposals", "content"),
    [
        ((1, 4, 8, 8), (1, 3, 64, 64)),
        ((1, 3, 8, 8), (1, 3, 128, 128)),
        ((1, 4, 999, 8), (1, 3, 128, 128)),
        ((4, 8, 8), (1, 3, 128, 128)),
        ((1, 4, 0, 8), (1, 3, 128, 128)),
        ((), ()),
    ],
)
def test_what_is_found_must_be_of_the_size_of_the_copy(
    tmp_path: Path, proposals: tuple[int, ...], content: tuple[int, ...]
) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(foreign(proposals, content))
    with pytest.raises(UserError, match=r"odd\.onnx is no network of ours: .* another shape"):
        open_onnx(path, "cpu", threads=1)(bright(64, 64))


def test_zero_gain_and_black_content_leave_a_picture_as_it_is(tmp_path: Path) -> None:
    path, pixels = tmp_path / "same.onnx", bright(64, 64)
    path.write_bytes(foreign((1, 4, 1, 1), (1, 3, 128, 128)))
    assert np.abs(open_onnx(path, "cpu", threads=1)(pixels) - pixels).max() < 1e-6


@pytest.mark.parametrize("odd", [{"linear": '"yes"'}, {"error": "-1"}, {"error": "much"}])
def test_facts_that_make_no_sense_are_named(tmp_path: Path, odd: dict[str, str]) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(foreign((1, 4, 1, 1), (1, 3, 128, 128), **odd))
    with pytest.raises(UserError, match=r"odd\.onnx does not say correctly how to run it"):
        open_onnx(path, "cpu")


def test_a_file_of_an_earlier_version_is_to_be_exported_again(tmp_path: Path) -> None:
    model = onnx.load_from_string(foreign((1, 4, 1, 1), (1, 3, 128, 128)))
    for end, name in zip(model.graph.output, ("gains", "content"), strict=True):
        end.name = name
    model.graph.node[0].output[0] = "gains"
    del model.graph.input[2], model.graph.input[0]
    (tmp_path / "old.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=r"old\.onnx is of an earlier version\. Export"):
        open_onnx(tmp_path / "old.onnx", "cpu")


@pytest.mark.slow
def test_a_session_shares_its_light_without_torch(exported: tuple[PhysicalRestorer, Path]) -> None:
    network, path = exported
    pictures = [to_pixels(over_expose(scene(n, 60, 90), 1.5 + 0.5 * n)) for n in range(4)]
    options = RestoreOptions(onnx=path, device="cpu", together=True)
    together = methods.open_method(options, session=lambda: pictures)
    by_torch = small_copy_restorer(network)
    by_torch.learn_light(pictures)
    for picture in pictures:
        assert np.abs(together(picture) - by_torch(picture)).max() < LEVEL / 20
    alone = open_onnx(path, "cpu")
    assert max(np.abs(together(each) - alone(each)).max() for each in pictures) > LEVEL / 4
