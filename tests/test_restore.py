"""Any size in, the same size out, nothing overwritten; and a network that learned helps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from tiny_runs import make_data, tiny_options

from dataset.errors import UserError
from dataset.images import read_image, write_png
from model.evaluate import edge_correlation, evaluate_run, measure_quality, read_pairs
from model.networks import Generator
from model.options import RestoreOptions
from model.restore import pad_to_stride, restore, restore_files
from model.train import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    make_data(root)
    train(tiny_options(root, steps=2))
    return root


@settings(max_examples=20, deadline=None)
@given(some.integers(1, 70), some.integers(1, 70))
def test_any_size_comes_back_as_it_went_in(height: int, width: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    padded = pad_to_stride(image)
    assert padded.shape[0] % 4 == padded.shape[1] % 4 == 0
    assert np.array_equal(padded[:height, :width], image)
    restored = restore(Generator(4, 1).eval(), image)
    assert restored.shape == image.shape
    assert restored.dtype == np.uint8


def test_an_identity_correction_gives_the_picture_back_exactly() -> None:
    network = Generator(4, 1, residual=True)
    for value in network.parameters():
        torch.nn.init.zeros_(value)
    image = np.random.default_rng(1).integers(0, 256, (21, 33, 3), dtype=np.uint8)
    assert np.array_equal(restore(network, image), image)


def test_the_restored_picture_lies_beside_its_input(trained: Path, tmp_path: Path) -> None:
    source = tmp_path / "과다 노출.png"
    write_png(source, np.full((30, 50, 3), 255, np.uint8))
    before = source.read_bytes()
    done = list(restore_files([source], RestoreOptions(runs=trained / "runs")))
    assert done[0].target == tmp_path / "과다 노출_restored.png"
    assert read_image(done[0].target).shape == (30, 50, 3)
    assert source.read_bytes() == before


def test_outputs_and_inputs_are_never_overwritten_unasked(trained: Path, tmp_path: Path) -> None:
    source, other = tmp_path / "a.png", tmp_path / "a_restored.png"
    for path in (source, other):
        write_png(path, np.zeros((20, 20, 3), np.uint8))
    runs = trained / "runs"
    with pytest.raises(UserError, match="--overwrite"):
        list(restore_files([source], RestoreOptions(runs=runs)))
    with pytest.raises(UserError, match="never replaced"):
        list(restore_files([source], RestoreOptions(runs=runs, out=source, overwrite=True)))
    assert len(list(restore_files([source], RestoreOptions(runs=runs, overwrite=True)))) == 1


def test_several_inputs_go_into_a_folder(trained: Path, tmp_path: Path) -> None:
    sources = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in sources:
        write_png(path, np.zeros((20, 20, 3), np.uint8))
    options = RestoreOptions(runs=trained / "runs", run="tiny", out=tmp_path / "out")
    names = [done.target.name for done in restore_files(sources, options)]
    assert names == ["a_restored.png", "b_restored.png"]


def test_no_run_and_no_such_run_say_what_to_do(trained: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    write_png(source, np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(UserError, match="cli train"):
        list(restore_files([source], RestoreOptions(runs=tmp_path / "runs")))
    with pytest.raises(UserError, match="There are: tiny"):
        list(restore_files([source], RestoreOptions(runs=trained / "runs", run="other")))


def test_a_broken_picture_is_named(trained: Path, tmp_path: Path) -> None:
    source = tmp_path / "broken.png"
    source.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(UserError, match=r"broken\.png is not a readable picture"):
        list(restore_files([source], RestoreOptions(runs=trained / "runs")))


def test_quality_of_known_pictures() -> None:
    picture = np.random.default_rng(0).integers(0, 200, (40, 40, 3), dtype=np.uint8)
    brighter = picture + np.uint8(16)
    found = measure_quality(brighter, picture)
    assert found.psnr == pytest.approx(10 * np.log10(255**2 / 16**2))  # the definition
    assert found.edges == pytest.approx(1.0)  # a shift moves no edge
    assert measure_quality(picture, picture).ssim == 1.0


def test_a_smeared_picture_loses_its_edges() -> None:
    sharp = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((8, 8)))[..., None].repeat(3, 2)
    sharp = (sharp * 255).astype(np.uint8)
    flat = np.full_like(sharp, 127)
    assert edge_correlation(sharp, sharp) == pytest.approx(1.0)
    assert edge_correlation(flat, sharp) == 0.0


def test_a_run_is_evaluated_on_its_pairs(trained: Path) -> None:
    found = evaluate_run(trained / "data" / "pairs.csv", trained / "runs").summary()
    assert found["pairs"] == 6
    assert 5 < found["input_psnr"] < 20
    assert -1 <= found["restored_ssim"] <= 1


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n1,2\n", "over_exposed,reference\n", "over_exposed,reference\nno.png,no.png\n"],
)
def test_a_bad_list_of_pairs_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"pairs\.csv"):
        read_pairs(path)
