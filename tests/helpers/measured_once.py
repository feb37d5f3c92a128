"""What training measures of the machine is measured once in a process, not at each start.

Products of large matrices and the count of a step's operations take most of the time of a tiny
run, and are the same for all of them. The functions themselves have their own tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

import pytest
import torch

import model.training.train
from model.options import TrainOptions
from model.training.autotune import count_flops, matmul_ceilings


@lru_cache
def _flops(network_and_losses: TrainOptions) -> float:
    return count_flops(network_and_losses)


def _flops_once(options: TrainOptions) -> float:
    """The same networks and losses have the same count, whatever the run's name and length."""
    plain = TrainOptions()
    kept = replace(
        plain,
        network=options.network,
        size=options.size,
        batch_size=options.batch_size,
        gan=options.gan,
        minimax=options.minimax,
        identity_weight=options.identity_weight,
        discriminator_every=options.discriminator_every,
    )
    return _flops(kept)


@lru_cache
def _ceilings_once(device: torch.device) -> dict[str, float]:
    return matmul_ceilings(device)


def measure_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(model.training.train, "count_flops", _flops_once)
    patch.setattr(model.training.train, "matmul_ceilings", _ceilings_once)


@contextmanager
def measuring_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        measure_once(patch)
        yield
