"""Networks go out and come in: CycleGAN's files both ways, and one file to give away."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load, load_file, save_file
from torch import Tensor
from torch.nn import functional

import cli
from dataset.errors import UserError
from model.networks import (
    CycleGANNetworks,
    Discriminator,
    Generator,
    build_generator,
    build_networks,
)
from model.options import NetworkOptions, TrainOptions
from model.restoring.export import save_release
from model.runs import read_options, write_options
from model.state_files import bare_state, fingerprint
from model.weights import (
    fill_from_cyclegan,
    generator_options,
    load_cyclegan,
    load_network,
    load_release,
    read_network,
)

CPU = torch.device("cpu")
SHAPE = NetworkOptions(4, 1, 4, residual=True)

# What stands at each place of the public code's networks with 64 filters and 9 blocks: the sides
# of the weight, (out, in, height, width), and (in, out, height, width) where it is transposed.
GENERATOR = {
    "1": (64, 3, 7, 7),
    "4": (128, 64, 3, 3),
    "7": (256, 128, 3, 3),
    **{f"{n}.conv_block.{k}": (256, 256, 3, 3) for n in range(10, 19) for k in (1, 5)},
    "19": (256, 128, 3, 3),
    "22": (128, 64, 3, 3),
    "26": (3, 64, 7, 7),
}
DISCRIMINATOR = {
    "0": (64, 3, 4, 4),
    "2": (128, 64, 4, 4),
    "5": (256, 128, 4, 4),
    "8": (512, 256, 4, 4),
    "11": (1, 512, 4, 4),
}
TRANSPOSED = ("19", "22")


def by_hand(places: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """A state dict of these keys and sizes, filled at random."""
    drawn = torch.Generator().manual_seed(seed)
    state = {}
    for place, sides in places.items():
        outputs = sides[1] if place in TRANSPOSED else sides[0]
        state[f"model.{place}.weight"] = torch.randn(sides, generator=drawn) * 0.05
        state[f"model.{place}.bias"] = torch.randn(outputs, generator=drawn) * 0.05
    return state


def generate(state: dict[str, Tensor], picture: Tensor) -> Tensor:
    """CycleGAN's generator written out layer by layer: (1, 3, H, W) -> the same."""

    def at(place: str) -> tuple[Tensor, Tensor]:
        return state[f"model.{place}.weight"], state[f"model.{place}.bias"]

    def reflect(x: Tensor, width: int) -> Tensor:
        return functional.pad(x, (width,) * 4, mode="reflect")

    def norm_relu(x: Tensor) -> Tensor:
        return functional.relu(functional.instance_norm(x))

    x = norm_relu(functional.conv2d(reflect(picture, 3), *at("1")))
    for place in ("4", "7"):
        x = norm_relu(functional.conv2d(x, *at(place), stride=2, padding=1))
    for n in range(10, 19):
        y = norm_relu(functional.conv2d(reflect(x, 1), *at(f"{n}.conv_block.1")))
        y = functional.conv2d(reflect(y, 1), *at(f"{n}.conv_block.5"))
        x = x + functional.instance_norm(y)
    for place in TRANSPOSED:
        up = functional.conv_transpose2d(x, *at(place), stride=2, padding=1, output_padding=1)
        x = norm_relu(up)
    return torch.tanh(functional.conv2d(reflect(x, 3), *at("26")))


def judge(state: dict[str, Tensor], picture: Tensor) -> Tensor:
    """CycleGAN's discriminator written out layer by layer: (1, 3, H, W) -> logits."""
    x = picture
    for place, stride in {"0": 2, "2": 2, "5": 2, "8": 1, "11": 1}.items():
        weight, bias = state[f"model.{place}.weight"], state[f"model.{place}.bias"]
        x = functional.conv2d(x, weight, bias, stride=stride, padding=1)
        if place in ("2", "5", "8"):
            x = functional.instance_norm(x)
        if place != "11":
            x = functional.leaky_relu(x, 0.2)
    return x


def picture(side: int = 64) -> Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(9)) * 2 - 1


def make_run(root: Path, ema: bool = True, shape: NetworkOptions = SHAPE) -> Path:
    """A run with networks, their EMA and a note of 12 steps."""
    run = root / "runs" / "mine"
    (run / "checkpoints").mkdir(parents=True)
    write_options(run, TrainOptions(network=shape), {})
    names = ("net_G_A", "net_G_B", "ema_net_G_A", "ema_net_G_B")[: 4 if ema else 2]
    networks = [network for seed in (0, 1) for network in build_networks(shape, seed)[:2]]
    for name, network in zip(names, networks, strict=False):
        torch.save(bare_state(network.state_dict()), run / "checkpoints" / f"latest_{name}.pth")
    (run / "checkpoints" / "latest_networks.json").write_text('{"steps": 12}', encoding="utf-8")
    return run


@pytest.mark.slow
def test_cyclegans_files_load_and_compute_what_its_code_computes(tmp_path: Path) -> None:
    states = {
        "latest_net_G_A.pth": by_hand(GENERATOR, 1),
        "latest_net_G_B.pth": by_hand(GENERATOR, 2),
        "latest_net_D_A.pth": by_hand(DISCRIMINATOR, 3),
        "latest_net_D_B.pth": by_hand(DISCRIMINATOR, 4),
    }
    for name, state in states.items():
        torch.save(state, tmp_path / name)
    found = load_cyclegan(tmp_path, CPU)
    assert list(found) == ["G", "F", "D_Y", "D_X"]
    with torch.inference_mode():
        for network, state in zip(found.values(), states.values(), strict=True):
            wanted = (generate if isinstance(network, Generator) else judge)(state, picture())
            assert torch.allclose(network(picture()), wanted, rtol=0, atol=1e-5)


def test_our_networks_have_the_keys_and_sizes_that_cyclegan_loads() -> None:
    ours = build_networks(NetworkOptions())
    for network, places in ((ours[1], GENERATOR), (ours[3], DISCRIMINATOR)):
        wanted = {key: value.shape for key, value in by_hand(places).items()}
        found = bare_state(network.state_dict())
        assert {key: value.shape for key, value in found.items()} == wanted
        assert list(found) == list(wanted)


def test_prefixes_and_the_buffers_of_old_files_are_dropped(tmp_path: Path) -> None:
    state = Generator(4, 2).state_dict()
    old = {f"module.{key}": value for key, value in state.items()}
    old |= {
        "module.model.2.running_mean": torch.zeros(4),
        "module.model.2.running_var": torch.ones(4),
    }
    old |= {"module.model.2.num_batches_tracked": torch.tensor(1)}
    torch.save(old, tmp_path / "200_net_G_B.pth")
    found = load_cyclegan(tmp_path, CPU, epoch="200")
    assert list(found) == ["F"]
    assert fingerprint(found["F"]) == fingerprint(state)


def new_networks(shape: NetworkOptions) -> CycleGANNetworks:
    """Networks with an EMA, as training has them."""
    return CycleGANNetworks(shape, 1, 0.9, CPU)


def test_training_can_start_from_cyclegans_files(tmp_path: Path) -> None:
    generator, discriminator = Generator(4, 2), Discriminator(4)
    torch.save(generator.state_dict(), tmp_path / "latest_net_G_B.pth")
    torch.save(discriminator.state_dict(), tmp_path / "latest_net_D_A.pth")
    model = new_networks(NetworkOptions(4, 2, 4))
    before = fingerprint(model.G), fingerprint(model.D_X)
    assert fill_from_cyclegan(model, tmp_path) == ("F", "D_Y")
    assert fingerprint(model.F) == fingerprint(model.ema_or_F) == fingerprint(generator)
    assert fingerprint(model.D_Y) == fingerprint(discriminator)
    assert (fingerprint(model.G), fingerprint(model.D_X)) == before
    with pytest.raises(UserError, match=r"G_B\.pth .* generator_blocks is 2 instead of 3\."):
        fill_from_cyclegan(new_networks(NetworkOptions(4, 3, 4)), tmp_path)
    with pytest.raises(
        UserError, match=r"D_A\.pth .* model\.0\.weight is 4x3x4x4 instead of 8x3x4x4"
    ):
        fill_from_cyclegan(new_networks(NetworkOptions(4, 2, 8)), tmp_path)


def test_files_of_before_the_zip_format_load(tmp_path: Path) -> None:
    network = Generator(4, 1)
    torch.save(network.state_dict(), tmp_path / "g.pth", _use_new_zipfile_serialization=False)
    assert fingerprint(read_network(tmp_path / "g.pth", CPU)) == fingerprint(network)


@pytest.mark.parametrize("filters", [3, 32])
@pytest.mark.parametrize("blocks", [0, 1, 6])
@pytest.mark.parametrize(("residual", "resize"), [(False, False), (True, False), (True, True)])
def test_the_size_of_a_generator_is_told_from_its_file(
    filters: int, blocks: int, residual: bool, resize: bool
) -> None:
    options = NetworkOptions(filters, blocks, residual=residual, resize=resize)
    with torch.device("meta"):
        assert generator_options(build_generator(options).state_dict()) == options


def changed(**keys: Any) -> dict[str, Tensor]:
    """A generator's state dict with keys added, replaced, or taken out (None)."""
    named = {key.replace("__", "."): value for key, value in keys.items()}
    state = Generator(4, 1).state_dict() | named
    return {key: value for key, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (changed(model__2__weight=torch.ones(4)), "it has model.2.weight as well"),
        (changed(model__18__bias=None), "it lacks model.18.bias"),
        (changed(model__1__weight=torch.ones(4, 1, 7, 7)), "model.1.weight is 4x1x7x7 instead of"),
        (changed(model__10__conv_block__5__weight=None), "model.10.conv_block.5.weight"),
        (changed(model__1__bias=torch.tensor(1.0)), "model.1.bias is a single number instead of 4"),
        ({"model.model.0.weight": torch.ones(4, 3, 4, 4)}, "starts with model.model.0.weight"),
        ({"model.1.weight": torch.ones(4)}, "neither a ResNet generator nor a PatchGAN"),
        ({"model.0.weight": torch.ones(4, 3, 1, 1)}, "a discriminator that is built otherwise"),
        ({"epoch": 3}, "not the file of one network"),
        ({}, "not the file of one network"),
    ],
)
def test_what_is_built_otherwise_is_named(
    tmp_path: Path, state: dict[str, Any], words: str
) -> None:
    path = tmp_path / "latest_net_G_B.pth"
    torch.save(state, path)
    with pytest.raises(UserError) as caught:
        read_network(path, CPU)
    assert words in str(caught.value)
    assert "latest_net_G_B.pth" in str(caught.value)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickled_object_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "latest_net_G_B.pth"
    state = {"model.1.weight": Trap(tmp_path / "sprung")}
    torch.save(state, path, pickle, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        load_cyclegan(tmp_path, CPU)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_without_checkpoints_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"5_net_G_A\.pth"):
        load_cyclegan(tmp_path, CPU, epoch="5")


@pytest.mark.parametrize("network", ["F", "G"])
@pytest.mark.parametrize("ema", [True, False])
def test_a_release_computes_what_the_run_computes(tmp_path: Path, network: str, ema: bool) -> None:
    run = make_run(tmp_path, ema)
    release = save_release(run, tmp_path / "out.safetensors", network)
    assert (release.averaged, release.steps, release.network) == (ema, 12, network)
    name = f"latest_{'ema_' if ema else ''}net_G_{'A' if network == 'G' else 'B'}.pth"
    twin = build_generator(read_options(run).network)
    twin.load_state_dict(torch.load(run / "checkpoints" / name, weights_only=True))
    loaded = load_release(release.path, CPU).generator
    assert not loaded.training
    with torch.inference_mode():
        assert torch.equal(loaded(picture(32)), twin(picture(32)))


def test_a_release_says_what_it_is(tmp_path: Path) -> None:
    release = save_release(make_run(tmp_path), tmp_path / "out.safetensors")
    data = release.path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    facts = header["__metadata__"]
    assert facts["format"] == "pt"
    assert facts["written_by"].startswith("unclip ")
    assert {key: facts[key] for key in ("network", "run", "averaged", "steps")} == {
        "network": "F",
        "run": "mine",
        "averaged": "true",
        "steps": "12",
    }
    assert NetworkOptions(**json.loads(facts["options"])) == SHAPE
    assert str(release) == f"the EMA of F of run mine after 12 steps -> {release.path}"
    assert load_file(release.path).keys() == build_generator(SHAPE).state_dict().keys()


def test_a_run_put_together_by_hand_can_be_released(tmp_path: Path) -> None:
    run = make_run(tmp_path, ema=False)
    (run / "checkpoints" / "latest_networks.json").unlink()
    release = save_release(run, tmp_path / "out.safetensors")
    assert str(release) == f"F of run mine -> {release.path}"


def test_a_release_replaces_nothing_and_is_named_for_what_it_is(tmp_path: Path) -> None:
    run, out = make_run(tmp_path), tmp_path / "out.safetensors"
    out.write_bytes(b"mine")
    with pytest.raises(UserError, match=r"out\.safetensors exists"):
        save_release(run, out)
    assert out.read_bytes() == b"mine"
    with pytest.raises(UserError, match=r"\.safetensors or \.onnx"):
        save_release(run, tmp_path / "out.pth")
    with pytest.raises(UserError, match=r"options\.json"):
        save_release(tmp_path / "none", tmp_path / "other.safetensors")


@pytest.mark.parametrize("damage", ["missing", "garbage", "cut", "bare", "other", "options"])
def test_a_bad_release_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "out.safetensors"
    data = save_release(make_run(tmp_path), path).path.read_bytes()
    state, options = load(data), {"options": json.dumps({"generator_filters": 4})}
    path.unlink()
    if damage == "garbage":
        path.write_bytes(b"no network at all")
    elif damage == "cut":
        path.write_bytes(data[:-100])
    elif damage == "bare":
        save_file(state, path)
    elif damage == "other":
        save_file(state, path, options)
    elif damage == "options":
        save_file(state, path, {"options": '{"colour": "red"}'})
    with pytest.raises(UserError, match=r"out\.safetensors"):
        load_release(path, CPU)


def test_a_restorer_comes_from_a_run_a_release_or_a_file_of_cyclegan(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    runs, average = run.parent, run / "checkpoints" / "latest_ema_net_G_B.pth"
    release = save_release(run, tmp_path / "out.safetensors").path
    wanted = fingerprint(torch.load(average, weights_only=True))
    for name in ("", "mine", str(release), str(average)):
        assert fingerprint(load_network(runs, name, CPU).generator) == wanted
    torch.save(Discriminator(4).state_dict(), tmp_path / "d.pth")
    with pytest.raises(UserError, match="holds a discriminator"):
        load_network(runs, str(tmp_path / "d.pth"), CPU)


def test_cli_export_writes_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(cli.main, ["export"])
    assert shown.exit_code == 0
    assert "the EMA of F of run mine after 12 steps -> mine_F.safetensors" in shown.output
    assert isinstance(load_release(Path("mine_F.safetensors"), CPU).generator, Generator)
    again = CliRunner().invoke(cli.main, ["export"])
    assert again.exit_code == 2
    assert "exists" in again.output
    other = CliRunner().invoke(cli.main, ["export", "--network", "G", "-o", "g.safetensors"])
    assert other.exit_code == 0
