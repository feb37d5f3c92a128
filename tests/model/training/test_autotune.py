"""The quick ways to run a step: that they compute the same, and that the choice is sound."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dataset.errors import UserError
from model.cyclegan import assert_learning
from model.options import NetworkOptions, TrainOptions
from model.training import autotune
from model.training.autotune import (
    StepConfig,
    StepTiming,
    build_model,
    build_step,
    candidates,
    count_flops,
    matmul_ceilings,
    measure,
    pick_config,
    tune_table,
)

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
TINY = NetworkOptions(generator_filters=4, generator_blocks=1, discriminator_filters=4)
OPTIONS = TrainOptions(size=32, batch_size=2, network=TINY, pool_size=3)
PLAIN = StepConfig()
compiles = pytest.mark.skipif(
    sys.platform == "win32" and not shutil.which("cl"), reason="no C++ compiler"
)


def two_steps(way: StepConfig) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The reports of two steps, and the weights after them."""
    model = build_model(OPTIONS, CPU, way)
    before = {name: value.detach().clone() for name, value in model.networks.named_parameters()}
    random = torch.Generator().manual_seed(0)
    reports = []
    for _ in range(2):
        x, y = (torch.rand(2, 3, 32, 32, generator=random) * 2 - 1 for _ in "xy")
        drawn = model.pools.draw(2)
        reports.append(build_step(model, way)(x, y, drawn))
        if len(reports) == 1:
            assert_learning(model.networks, before)
    return reports, [value.detach() for value in model.networks.parameters()]


def test_compiled_code_is_kept_in_no_shared_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # so that it is put back
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    build_model(OPTIONS, CPU, StepConfig(compiled=True))
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "torchinductor")
    chosen = str(tmp_path / "of the user")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", chosen)
    build_model(OPTIONS, CPU, StepConfig(compiled=True))
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == chosen


# Dynamo looks at an attribute of its inputs that warns where they come from another network.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize(
    ("way", "tolerance"),
    [
        (StepConfig(channels_last=True), 1e-4),
        (StepConfig(bf16=True), 2e-2),
        pytest.param(StepConfig(compiled=True), 1e-4, marks=compiles),
    ],
    ids=str,
)
def test_every_way_computes_the_same_step(way: StepConfig, tolerance: float) -> None:
    plain, _ = two_steps(PLAIN)
    quick, _ = two_steps(way)
    for one, other in zip(plain, quick, strict=True):
        # Not the accuracies: one patch on the other side of the border moves them by whole steps.
        torch.testing.assert_close(one[:7], other[:7], atol=tolerance, rtol=tolerance)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_captured_step_computes_the_same_and_leaves_no_trace_of_capturing() -> None:
    device = torch.device("cuda")
    plain, graph = (build_model(OPTIONS, device, StepConfig()) for _ in range(2))
    steps = plain.train_step, build_step(graph, StepConfig(graphs=True))
    random = torch.Generator().manual_seed(0)
    for _ in range(5):
        x, y = ((torch.rand(2, 3, 32, 32, generator=random) * 2 - 1).to(device) for _ in "xy")
        drawn = tuple(each.to(device) for each in plain.pools.draw(2))
        one, other = (step(x, y, drawn) for step in steps)  # type: ignore[arg-type]
        torch.testing.assert_close(one[:7], other[:7], atol=1e-3, rtol=1e-3)


def test_flops_are_those_of_the_convolutions() -> None:
    # CycleGAN's generator at 256x256: 56.8 G multiply-adds forward, by its layers' shapes. Four
    # passes, each with gradients of twice the cost, make 12 of them; the discriminators add little.
    forward = 2 * 56.8e9
    found = count_flops(replace(TrainOptions(), batch_size=1))
    assert 11 < found / forward < 12.5
    assert count_flops(TrainOptions()) == 4 * found


def test_what_is_asked_for_is_not_measured_against(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune, "has_bf16", lambda device: True)
    asked = replace(OPTIONS, precision="fp32", memory_format="contiguous", compile="off")
    assert candidates(asked, CPU, compiled=True) == [StepConfig()]
    assert len(candidates(OPTIONS, CPU, compiled=True)) == 4
    assert not any(each.graphs for each in candidates(replace(OPTIONS, graphs="on"), CPU, True))


@pytest.mark.parametrize(("slower", "ways"), [(1.5, {True, False}), (30.0, {False})])
def test_bf16_is_not_tried_where_it_is_emulated(
    slower: float, ways: set[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step of it can take minutes there."""
    times = {torch.float32: 1.0, torch.bfloat16: slower}
    monkeypatch.setattr(autotune, "_time_convolution", times.__getitem__)
    autotune.has_bf16.cache_clear()
    assert {each.bf16 for each in candidates(OPTIONS, CPU, compiled=False)} == ways
    asked = candidates(replace(OPTIONS, precision="bf16"), CPU, compiled=False)
    assert [each.bf16 for each in asked] == [True]
    autotune.has_bf16.cache_clear()


def test_a_way_that_fails_here_is_named_and_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(*arguments: object) -> None:
        raise RuntimeError("no C++ compiler\nand much more")

    monkeypatch.setattr(torch, "compile", no_compiler)
    failed = measure(OPTIONS, CPU, StepConfig(compiled=True))
    assert failed.failure == "no C++ compiler"
    assert "not here: no C++ compiler" in tune_table([failed], 1.0, {"fp32": 1.0, "bf16": 1.0})
    monkeypatch.setattr(autotune, "WORTH_COMPILING_S", {"cpu": 0.0})
    found = pick_config(OPTIONS, CPU, lambda seconds: 10)
    assert not found[0].config.compiled
    assert any(each.failure for each in found)


def test_compilation_is_tried_only_where_a_run_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[StepConfig] = []

    def fake_measure(options: TrainOptions, device: torch.device, way: StepConfig) -> StepTiming:
        tried.append(way)
        return StepTiming(way, 0.5 if way.compiled else 1.0, startup=60.0 if way.compiled else 0.0)

    monkeypatch.setattr(autotune, "measure", fake_measure)
    assert not pick_config(OPTIONS, CPU, lambda seconds: 100)[0].config.compiled
    assert not any(way.compiled for way in tried)
    assert pick_config(OPTIONS, CPU, lambda seconds: 10_000)[0].config.compiled


@pytest.mark.parametrize(
    ("failure", "advice"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", "smaller --batch-size"),
        ("could not create a primitive", "smaller --batch-size"),
        ("could not create a primitive descriptor for a convolution", "--compile and --graphs.$"),
    ],
)
def test_where_no_way_works_the_error_says_what_to_do(
    failure: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the CPU is another way."""
    monkeypatch.setattr(
        autotune,
        "measure",
        lambda options, device, way: StepTiming(way, float("inf"), failure=failure),
    )
    with pytest.raises(UserError, match=advice):
        pick_config(OPTIONS, CPU, lambda seconds: 100)
    if "batch-size" not in advice:
        with pytest.raises(UserError, match=f"{failure}.* or choose --device cpu.$"):
            pick_config(OPTIONS, torch.device("cuda"), lambda seconds: 100)


def test_start_up_counts_against_a_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune, "WORTH_COMPILING_S", {"cpu": 0.0})
    monkeypatch.setattr(
        autotune,
        "measure",
        lambda options, device, way: StepTiming(
            way, 0.9 if way.compiled else 1.0, way.compiled * 60
        ),
    )
    assert not pick_config(OPTIONS, CPU, lambda seconds: 100)[0].config.compiled
    assert pick_config(OPTIONS, CPU, lambda seconds: 1000)[0].config.compiled


def test_ceilings_are_positive_and_a_table_names_every_way() -> None:
    ceilings = matmul_ceilings(CPU, repeats=1)
    assert min(ceilings.values()) > 1e8  # bf16 is emulated on some machines, and they may be busy
    found = [measure(OPTIONS, CPU, way, repeats=1) for way in (StepConfig(), StepConfig(bf16=True))]
    table = tune_table(found, count_flops(OPTIONS), ceilings)
    assert "fp32" in table
    assert "bf16" in table
    assert "matrix products" in table
