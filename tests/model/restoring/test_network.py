"""Pictures of any size through a network: the same size out, and no more memory than there is."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from helpers.limited import fault_without_memory
from hypothesis import given, settings
from hypothesis import strategies as some

import model.restoring.network
from dataset.errors import UserError
from dataset.pictures.pixels import pad_reflected
from model.networks import Generator
from model.restoring.network import NetworkRestorer, plan, restore_image


def identity() -> Generator:
    network = Generator(4, 1, residual=True).eval()
    for value in network.parameters():
        torch.nn.init.zeros_(value)
    return network


@settings(max_examples=20, deadline=None)
@given(some.integers(1, 70), some.integers(1, 70))
def test_any_size_comes_back_as_it_went_in(height: int, width: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    padded = pad_reflected(image / np.float32(255), 4)
    assert padded.shape[0] % 4 == padded.shape[1] % 4 == 0
    assert np.array_equal(padded[:height, :width], image / np.float32(255))
    restored = restore_image(Generator(4, 1).eval(), image)
    assert restored.shape == image.shape
    assert restored.dtype == np.uint8


def test_an_identity_correction_gives_the_picture_back_exactly() -> None:
    image = np.random.default_rng(1).integers(0, 256, (21, 33, 3), dtype=np.uint8)
    assert np.array_equal(restore_image(identity(), image), image)


def test_what_does_not_fit_into_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.restoring.network, "free_device_bytes", lambda device: 1 << 20)
    with pytest.raises(UserError, match="--detail guided"):
        NetworkRestorer(Generator(64, 1).eval())(np.zeros((400, 400, 3), np.float32))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits a process as Linux does")
def test_memory_that_runs_out_meanwhile_is_told() -> None:
    code = """
        import torch
        from model.networks import Generator
        from model.restoring.network import NetworkRestorer
        torch.set_num_threads(1)
        restore = NetworkRestorer(Generator(64, 1).eval())
    """
    assert "takes more memory than is free" in fault_without_memory(code)


def test_large_features_are_kept_in_half_precision() -> None:
    network, cpu, free = Generator(64, 1), torch.device("cpu"), 24 << 30
    both = 2 * 4 * 256 * (4320 // 4) * (7680 // 4)  # 8K
    budget = plan(network, 4320, 7680, cpu, free)
    assert budget.kept_bytes < both
    assert 2 * budget.kept_bytes > both
    assert plan(network, 2160, 3840, cpu, free).kept_bytes >= both / 4
