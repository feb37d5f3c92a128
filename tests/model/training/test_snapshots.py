"""A look at fixed frames: what it measures is true, and it leaves the networks as they were."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny_runs import SIDE, make_data, picture, tiny_options
from torch import Tensor, nn

from dataset.labelling.clipping import measure_clipping
from dataset.pictures.images import read_image, write_png
from model.cyclegan import CycleGAN
from model.metrics import measure_quality
from model.networks import CycleGANNetworks
from model.training import snapshots
from model.training.batches import to_range
from model.training.snapshots import SnapshotFrames, evaluating, in_batches

CPU = torch.device("cpu")


class Darker(nn.Module):
    """Takes 0.5 off, on the scale of 0..1, and clips at black."""

    def forward(self, pictures: Tensor) -> Tensor:
        return (pictures - 1).clamp(-1, 1)


class Same(nn.Module):
    """Gives back what it gets, and counts how much came at once."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    def forward(self, pictures: Tensor) -> Tensor:
        self.most = max(self.most, len(pictures))
        return pictures


def networks(f: nn.Module) -> Any:
    return SimpleNamespace(ema_or_G=Same(), ema_or_F=f)


def test_clipping_before_and_after_is_that_of_the_shown_frames(tmp_path: Path) -> None:
    make_data(tmp_path)
    values = SnapshotFrames(tiny_options(tmp_path), CPU).take(networks(Darker()), False).values
    shown = [picture(200 + n, 2.5) for n in range(4)]
    wanted = np.mean([measure_clipping(image).clipped_fraction for image in shown])
    assert wanted > 0.1
    assert values["clipped_before"] == pytest.approx(wanted)
    assert values["clipped_after"] == 0


def test_identity_is_the_change_of_frames_that_need_none(tmp_path: Path) -> None:
    make_data(tmp_path)
    looking = SnapshotFrames(tiny_options(tmp_path), CPU)
    assert looking.take(networks(Same()), False).values["identity"] == 0
    x = np.stack([picture(200 + n, 0.9) for n in range(4)]).astype(float) / 255
    taken = looking.take(networks(Darker()), False).values["identity"]
    assert taken == pytest.approx(np.minimum(x, 0.5).mean(), abs=1e-6)


def test_quality_is_that_of_the_true_pairs(tmp_path: Path) -> None:
    make_data(tmp_path)
    values = SnapshotFrames(tiny_options(tmp_path), CPU).take(networks(Same()), False).values
    found = [measure_quality(picture(200 + n, 2.5), picture(200 + n, 0.9)) for n in range(6)]
    for measure in ("psnr", "ssim", "edges"):
        wanted = np.mean([getattr(each, measure) for each in found])
        assert values[f"{measure}_input"] == pytest.approx(wanted)
        assert values[f"{measure}_pairs"] == pytest.approx(wanted)


def test_no_more_than_sixteen_pairs_are_measured(tmp_path: Path) -> None:
    make_data(tmp_path, count=20)
    looking = SnapshotFrames(tiny_options(tmp_path), CPU)
    assert looking.over_exposed.shape == (16, 3, SIDE, SIDE)
    last = to_range(torch.from_numpy(picture(219, 2.5)).permute(2, 0, 1))
    assert torch.equal(looking.over_exposed[-1], last)


@pytest.mark.parametrize("rows", ["", "over_exposed,reference\n", "a,b\n1,2\n"])
def test_training_goes_on_without_true_pairs(tmp_path: Path, rows: str) -> None:
    data = make_data(tmp_path)
    if rows:
        (data / "pairs.csv").write_text(rows, encoding="utf-8")
    else:
        (data / "pairs.csv").unlink()
    looking = SnapshotFrames(tiny_options(tmp_path), CPU)
    values = looking.take(networks(Same()), False).values
    assert set(values) == {"clipped_before", "clipped_after", "identity"}
    assert bool(looking.note) == bool(rows)


def test_the_grid_shows_both_ways_round_and_is_saved(tmp_path: Path) -> None:
    make_data(tmp_path)
    looking = SnapshotFrames(tiny_options(tmp_path), CPU)
    snapshot = looking.take(networks(Darker()), False)
    looking.save(tmp_path / "실행", 7, snapshot)
    grid = read_image(tmp_path / "실행" / "samples" / "epoch_007.png")
    assert np.array_equal(grid, snapshot.grid)
    assert grid.shape == (6 * (SIDE + 2) + 2, 4 * (SIDE + 2) + 2, 3)
    squares = [grid[2 + row * (SIDE + 2) :][:SIDE, 2 : SIDE + 2] for row in range(6)]
    x, y = picture(200, 0.9), picture(200, 2.5)
    dark = [np.maximum(each.astype(int) - 127.5, 0).round() for each in (x, y)]
    # x, G(x), F(G(x)), y, F(y), G(F(y)) where G changes nothing and F darkens
    for square, wanted in zip(squares, (x, x, dark[0], y, dark[1], dark[1]), strict=True):
        assert np.abs(square.astype(int) - wanted).max() <= 1


def test_domains_of_different_length_still_make_a_grid(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    for path in sorted((data / "testA").iterdir())[2:]:
        path.unlink()
    (data / "pairs.csv").unlink()
    snapshot = SnapshotFrames(tiny_options(tmp_path), CPU).take(networks(Same()), False)
    assert snapshot.grid.shape == (6 * (SIDE + 2) + 2, 2 * (SIDE + 2) + 2, 3)


def test_frames_of_training_stand_in_where_there_is_no_test(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    for folder in ("testA", "testB"):
        for path in (data / folder).iterdir():
            path.unlink()
    (data / "pairs.csv").unlink()
    looking = SnapshotFrames(tiny_options(tmp_path), CPU)
    assert torch.equal(looking.x[0], to_range(torch.from_numpy(picture(0, 0.9)).permute(2, 0, 1)))


def test_wide_frames_are_looked_at_in_the_scale_of_training(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    for folder in ("testA", "testB"):
        for path in (data / folder).iterdir():
            write_png(path, np.tile(read_image(path), (2, 4, 1)))
    looking = SnapshotFrames(tiny_options(tmp_path), CPU)
    assert looking.x.shape == (4, 3, SIDE, SIDE)
    assert looking.references[0].shape == (SIDE, SIDE, 3)


def test_averaged_networks_are_looked_at_where_there_are_any(tmp_path: Path) -> None:
    make_data(tmp_path)
    looking = SnapshotFrames(tiny_options(tmp_path), CPU)
    model = CycleGANNetworks(tiny_options(tmp_path).network, 0, 0.9, CPU)
    before = looking.take(model, False).values["clipped_after"]
    for value in model.ema[1].parameters():
        value.data.fill_(-1)
    assert looking.take(model, False).values["clipped_after"] != before


@pytest.mark.parametrize("bf16", [False, True])
def test_a_look_leaves_networks_gradients_and_random_numbers_alone(
    tmp_path: Path, bf16: bool
) -> None:
    make_data(tmp_path)
    options = tiny_options(tmp_path)
    model = CycleGAN(options, CPU, bf16)
    nets = model.networks
    nets.F.model[1].eval()
    nets.D_X.requires_grad_(False)
    modes = [part.training for part in nets.modules()]
    wanted = [value.requires_grad for value in nets.parameters()]
    before = {key: value.clone() for key, value in nets.state_dict().items()}
    state = torch.get_rng_state()
    snapshot = SnapshotFrames(options, CPU).take(nets, bf16)
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in nets.modules()] == modes
    assert [value.requires_grad for value in nets.parameters()] == wanted
    assert all(value.grad is None for value in nets.parameters())
    assert all(torch.equal(nets.state_dict()[key], value) for key, value in before.items())
    assert all(np.isfinite(value) for value in snapshot.values.values())
    assert torch.is_grad_enabled()


def test_modes_come_back_even_if_a_network_fails() -> None:
    network = nn.Sequential(nn.Dropout(), nn.Linear(3, 1))
    network[0].eval()
    with pytest.raises(RuntimeError, match="shapes"), evaluating(network):
        network(torch.ones(1, 2))
    assert [part.training for part in network] == [False, True]


def test_large_frames_go_through_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Same()
    pictures = torch.rand(5, 3, 16, 16)
    assert torch.equal(in_batches(network, pictures), pictures)
    assert network.most == 5
    monkeypatch.setattr(snapshots, "BATCH_PIXELS", 100)
    narrow = Same()
    assert torch.equal(in_batches(narrow, pictures), pictures)
    assert narrow.most == 1
