"""Networks of preset physical that somebody else wrote: one sentence that names the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.odd_networks import damage, refusal, release_bytes

from model.checkpoint import Position, load_checkpoint, load_generator, save_checkpoint
from model.cyclegan import CycleGAN
from model.networks import Generator
from model.options import MOST_FILTERS, NetworkOptions, TrainOptions
from model.physical import Physical
from model.physical_networks import ExposureSimulator, build_restorer
from model.restoring.export import save_release
from model.runs import STATE_FILE, write_options
from model.state_files import bare_state
from model.weights import load_network, load_release

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
ONE = torch.zeros(1)
STATE = bare_state(Generator(4, 1).state_dict())
LIT = NetworkOptions(2, 0, physical=True)
F_STATE = bare_state(build_restorer(LIT).state_dict())
G_STATE = bare_state(ExposureSimulator().state_dict())


def make_physical_run(root: Path, which: str, state: dict[str, Any]) -> Path:
    """A run of preset physical with these tensors as one of its networks."""
    run = root / "runs" / "lit"
    (run / "checkpoints").mkdir(parents=True)
    states = {"F": F_STATE, "G": G_STATE} | {which: state}
    for name, letter in (("F", "B"), ("G", "A")):
        torch.save(states[name], run / "checkpoints" / f"latest_net_G_{letter}.pth")
    write_options(run, TrainOptions(network=LIT), {})
    return run


ODD_PHYSICAL = [
    ("G", {"gains": torch.tensor([0.5])}, "another shape"),
    ("G", {"gains": torch.tensor(0.5)}, "another shape"),
    ("G", {"gains": torch.tensor([0.5, float("nan")])}, "not finite"),
    ("G", {"gains": torch.tensor([0.5, 1e30])}, "must be from 0 to 6"),
    ("G", {"gains": torch.tensor([-0.5, 1.0])}, "must be from 0 to 6"),
    ("G", {"gains": torch.tensor([1, 2])}, "holds int64"),
    ("G", {**G_STATE, "more": ONE}, "another shape"),
    ("G", F_STATE, "another shape"),
    ("F", G_STATE, "another shape"),
    ("F", STATE, "another shape"),
    ("F", {**F_STATE, "head.local.0.weight": torch.zeros(2, 3, 3, 3)}, "another shape"),
    (
        "F",
        {
            **F_STATE,
            "content.last.bias": torch.full_like(F_STATE["content.last.bias"], float("inf")),
        },
        "not finite",
    ),
    ("F", {key: value for key, value in F_STATE.items() if "whole" not in key}, "another shape"),
]


@pytest.mark.parametrize(("which", "state", "words"), ODD_PHYSICAL, ids=range(len(ODD_PHYSICAL)))
def test_a_physical_network_of_other_tensors_is_refused(
    tmp_path: Path, which: str, state: dict[str, Any], words: str
) -> None:
    run = make_physical_run(tmp_path, which, state)
    file = f"latest_net_G_{'B' if which == 'F' else 'A'}.pth"
    assert words in refusal(lambda: load_generator(run, CPU, network=which), file)
    refusal(lambda: save_release(run, tmp_path / "a.safetensors", which), file)
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize(("which", "state", "words"), ODD_PHYSICAL, ids=range(len(ODD_PHYSICAL)))
def test_a_physical_release_of_other_tensors_is_refused(
    tmp_path: Path, which: str, state: dict[str, Any], words: str
) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(release_bytes(state, options=asdict(LIT), network=which))
    refusal(lambda: load_release(path, CPU), "odd.safetensors")


@pytest.mark.parametrize(
    "facts",
    [
        {"options": {**asdict(LIT), "physical": "yes"}},
        {"options": {**asdict(LIT), "linear": 2}},
        {"options": {**asdict(LIT), "physical": False}},
        {"options": {**asdict(LIT), "generator_filters": 3000}},
        {"options": {**asdict(LIT), "generator_filters": MOST_FILTERS}},
        {"network": "D_X"},
        {"network": ""},
        {"network": "G"},
    ],
    ids=range(8),
)
def test_what_a_physical_release_says_of_itself_is_checked(
    tmp_path: Path, facts: dict[str, Any]
) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(release_bytes(F_STATE, **{"options": asdict(LIT), "network": "F", **facts}))
    refusal(lambda: load_release(path, CPU), "odd.safetensors")


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("which", ["F", "G"])
def test_a_physical_release_computes_what_the_run_computes(
    tmp_path: Path, which: str, linear: bool
) -> None:
    run = make_physical_run(tmp_path, "G", {"gains": torch.tensor([0.7, 1.1])})
    write_options(run, TrainOptions(network=replace(LIT, linear=linear)), {})
    release = save_release(run, tmp_path / "a.safetensors", which)
    loaded = load_network(tmp_path, str(release.path), CPU)
    assert loaded.options == replace(LIT, linear=linear)
    assert loaded.exposure is None
    own = load_generator(run, CPU, network=which)
    picture = torch.rand(1, 3, 40, 50) * 2 - 1
    with torch.inference_mode():
        assert torch.equal(loaded.generator(picture), own(picture))


def new_physical() -> Physical:
    return Physical(TrainOptions(network=LIT, batch_size=2, size=32), CPU)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model["networks"].pop("G"),
        lambda model: model["networks"]["G"]["gains"].fill_(float("nan")),
        lambda model: model["networks"]["G"]["gains"].fill_(1e9),
        lambda model: model["networks"]["G"].update(gains=ONE),
        lambda model: model["networks"]["F"].update({"head.proposal.2.bias": ONE[0]}),
        lambda model: model.update(drawn=ONE),
        lambda model: model.update(drawn=None),
        lambda model: model.update(steps="many"),
        lambda model: model.update(unread=[None]),
        lambda model: model.update(averages=[F_STATE]),
        lambda model: model.update(generator_optimizer={}),
    ],
    ids=range(11),
)
def test_a_physical_learning_state_of_other_values_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    save_checkpoint(tmp_path, new_physical(), Position(1, 1, 1, 2, 0.5))
    damage(tmp_path, lambda state: change(state["model"]))
    refusal(lambda: load_checkpoint(tmp_path, new_physical(), CPU), STATE_FILE)


def new_cyclegan() -> CycleGAN:
    return CycleGAN(TrainOptions(network=NetworkOptions(4, 1, 4), pool_size=2), CPU)


def test_a_run_of_one_kind_is_not_resumed_as_the_other(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, new_physical(), Position(1, 1, 1, 2, 0.5))
    refusal(lambda: load_checkpoint(tmp_path, new_cyclegan(), CPU), STATE_FILE)
    save_checkpoint(tmp_path, new_cyclegan(), Position(1, 1, 1, 2, 0.5))
    refusal(lambda: load_checkpoint(tmp_path, new_physical(), CPU), STATE_FILE)
