"""Where the weights of a training start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.command_line import run_cli
from helpers.tiny_physical import make_scenes, tiny_physical

from dataset.errors import UserError
from model.built_in import WEIGHTS_FILE
from model.checkpoint import load_generator
from model.options import TrainOptions, physical_preset
from model.physical_networks import PhysicalNetworks
from model.restoring.export import save_release
from model.training.run_folder import resumed_options
from model.training.starting import check_start, start
from model.training.train import train
from model.weights import load_release

CPU = torch.device("cpu")
Weights = dict[str, torch.Tensor]


def networks(**shape: Any) -> PhysicalNetworks:
    options = replace(physical_preset().network, **shape)
    return PhysicalNetworks(options, 0, 0.998, CPU)


def options(init: str | None, **shape: Any) -> TrainOptions:
    preset = physical_preset()
    return replace(preset, init=init, network=replace(preset.network, **shape))


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("init", [None, "builtin", str(WEIGHTS_FILE)])
def test_preset_physical_starts_from_the_built_in_network(init: str | None) -> None:
    wanted = load_release(WEIGHTS_FILE, CPU).generator
    found = networks()
    assert not same(found.F, wanted)
    check_start(options(init))
    said = start(found, options(init))
    assert said.startswith("starting from")
    assert said.endswith("(from new weights: --init none)")
    assert same(found.F, wanted)
    assert same(found.ema_or_F, wanted)


def test_new_weights_are_those_of_the_seed() -> None:
    found = networks()
    check_start(options("none"))
    assert start(found, options("none")) == ""
    assert same(found.F, networks().F)


def test_a_start_restores_alike_by_gains_of_light_and_of_encoded_values() -> None:
    found = networks(linear=False)
    start(found, options(None, linear=False))
    picture = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)).sqrt()
    bright = (1.5 * picture).clamp(max=1) * 2 - 1
    by_light = load_release(WEIGHTS_FILE, CPU).generator
    with torch.no_grad():
        shown, wanted = found.F(bright), by_light(bright)
    assert not found.F.linear
    assert (wanted - bright).abs().mean() > 0.1
    assert (shown - wanted).abs().mean() < 0.03


def test_other_filters_start_from_new_weights_unless_it_was_asked_for() -> None:
    small = networks(generator_filters=4)
    said = start(small, options(None, generator_filters=4))
    assert "new weights" in said
    assert same(small.F, networks(generator_filters=4).F)
    with pytest.raises(UserError, match=r"--init builtin has --filters 32, and this training 4"):
        check_start(options("builtin", generator_filters=4))


@pytest.mark.parametrize(
    ("init", "named"),
    [
        ("runs/a/checkpoints", "preset physical starts from builtin, none, or a .safetensors"),
        ("nowhere.safetensors", "No such file: nowhere.safetensors"),
    ],
)
def test_what_is_no_start_of_physical_is_refused(init: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        check_start(options(init))


@pytest.mark.parametrize("init", ["builtin", "a.safetensors"])
def test_cyclegan_does_not_start_from_it(init: str) -> None:
    with pytest.raises(UserError, match="is a network of --preset physical"):
        check_start(TrainOptions(init=init))
    check_start(TrainOptions())
    check_start(TrainOptions(init="none"))


def test_a_run_starts_where_an_exported_one_ended_and_is_resumed_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_scenes(tmp_path)
    first = train(tiny_physical(tmp_path, run="first")).run
    file = save_release(first, tmp_path / "first.safetensors").path
    said: list[str] = []
    second = tiny_physical(tmp_path, run="second", init=str(file), learning_rate=1e-6, steps=1)
    run = train(second, on_message=said.append).run
    assert f"starting from {file} (from new weights: --init none)" in said
    one, other = (load_generator(each, CPU).state_dict() for each in (first, run))
    for name, value in one.items():
        if name != "gain_error":  # measured again
            torch.testing.assert_close(value, other[name], atol=5e-6, rtol=0)
    file.unlink()
    train(resumed_options(tmp_path / "runs", "second", {}))


def test_the_name_of_the_built_in_network_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_scenes(tmp_path)
    said = run_cli("train", "--preset", "physical", "--run", "builtin", "--steps", "1", code=2)
    assert "--run builtin means the network that comes with the package" in said
