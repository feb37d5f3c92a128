"""Networks in and out: the files of CycleGAN's public code, and one file to give away.

CycleGAN's files are bare state dicts without a word on their shape, so the shape is told from keys
and sizes. A release is one safetensors file that holds G or F and what it takes to build it. What
resuming needs is the affair of ``checkpoint``, and reading a release that of ``released``.

References
----------
J.-Y. Zhu et al., pytorch-CycleGAN-and-pix2pix: ``N_net_G_A.pth`` and the like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from dataset import gate
from dataset.errors import UserError
from model.checkpoint import (
    NETWORK_FILES,
    Trainable,
    generator_path,
    load_generator,
    newest_run,
    read_network_options,
    read_training_side,
)
from model.cyclegan import build_generator
from model.exposure import read_exposure
from model.facts import USUAL_SIDE, Shape
from model.networks import Discriminator, Generator
from model.options import NetworkOptions
from model.released import LoadedNetwork, load_release
from model.state_files import read_network_state

FIRST_BLOCK = 10  # place of a generator's first residual block
SHOWN = 3  # differences that an error names


def load_cyclegan(
    folder: Path, device: torch.device, epoch: str = "latest"
) -> dict[str, Generator | Discriminator]:
    """The networks in a folder of CycleGAN's checkpoints.

    Parameters
    ----------
    folder : Path
        Holds ``latest_net_G_A.pth`` and the like; not all four need be there.
    device : torch.device
        Where to put them.
    epoch : str
        What the names start with: ``latest``, or a number.

    Returns
    -------
    dict
        By our names: G (``G_A``), F (``G_B``), D_Y (``D_A``), D_X (``D_B``). All in evaluation
        mode.

    Raises
    ------
    UserError
        There are none, or one is damaged or no such network.
    """
    paths = find_cyclegan(folder, epoch)
    return {name: read_network(path, device) for name, path in paths.items()}


def find_cyclegan(folder: Path, epoch: str = "latest") -> dict[str, Path]:
    """The files that `load_cyclegan` reads, by our names; ``UserError`` where there are none."""
    paths = {name: folder / f"{epoch}_{file}" for name, file in NETWORK_FILES.items()}
    found = {name: path for name, path in paths.items() if path.is_file()}
    if not found:
        raise UserError(
            f"{folder} has no checkpoint of CycleGAN: none of "
            f"{', '.join(path.name for path in paths.values())} is there. Name the folder that "
            "holds them: the checkpoints folder of a run."
        )
    return found


def read_network(path: Path, device: torch.device) -> Generator | Discriminator:
    """A network from a bare state dict, ours or CycleGAN's, of whatever size it is.

    Raises
    ------
    UserError
        The file is missing, damaged, holds more than tensors, or a network that is built
        otherwise: the error names what is different.
    """
    state = read_network_state(path)
    try:
        network = shape_network(state)
    except ValueError as error:
        raise UserError(
            f"{path} holds a network of a size that is not read ({error}). Take another."
        ) from error
    if network is None:
        first = gate.plain(next(iter(state))[:80])
        raise UserError(
            f"{path} holds neither a ResNet generator nor a PatchGAN of CycleGAN: it starts with "
            f"{first}. Only networks of --netG resnet_* and --netD basic can be read."
        )
    check_fit(path, state, network)
    network.load_state_dict(state, assign=True)
    return network.to(device).eval()


def fill_from_cyclegan(model: Trainable, folder: Path, epoch: str = "latest") -> tuple[str, ...]:
    """Start a model from a folder of CycleGAN's checkpoints, ours or its own.

    Parameters
    ----------
    model : Trainable
        Its networks are filled, and their averages with them.
    folder, epoch
        As for ``load_cyclegan``.

    Returns
    -------
    tuple of str
        Which of G, F, D_Y and D_X were there; the others keep their weights.

    Raises
    ------
    UserError
        There are none, or one is damaged or does not fit the model.
    """
    found = load_cyclegan(folder, torch.device("cpu"), epoch)
    targets = {
        "G": [model.G, model.adder],
        "F": [model.F, model.restorer],
        "D_Y": [model.D_Y],
        "D_X": [model.D_X],
    }
    for name, source in found.items():
        for network in targets[name]:
            check_fit(folder / f"{epoch}_{NETWORK_FILES[name]}", source.state_dict(), network)
            network.load_state_dict(source.state_dict())
    return tuple(found)


def shape_network(state: Mapping[str, Tensor]) -> Generator | Discriminator | None:
    """A network without values whose size follows from a state dict; None if it is neither kind.

    ``ValueError`` where it is larger than networks may be.
    """
    generator, discriminator = state.get("model.1.weight"), state.get("model.0.weight")
    with torch.device("meta"):
        if generator is not None and generator.ndim == 4:
            return build_generator(_limited(generator_options(state)))
        if discriminator is not None and discriminator.ndim == 4:
            options = _limited(NetworkOptions(discriminator_filters=discriminator.shape[0]))
            return Discriminator(options.discriminator_filters)
    return None


def _limited(options: NetworkOptions) -> NetworkOptions:
    return gate.to_typed(asdict(options), Shape).options()


def generator_options(state: Mapping[str, Tensor]) -> NetworkOptions:
    """Filters, blocks and variant of a generator, told from its state dict."""
    places = count(FIRST_BLOCK)
    after = next(n for n in places if f"model.{n}.conv_block.1.weight" not in state)
    last = state.get(f"model.{after + 7}.weight")  # behind two upsamplings and a padding
    return NetworkOptions(
        generator_filters=state["model.1.weight"].shape[0],
        generator_blocks=after - FIRST_BLOCK,
        residual=last is not None and last.shape[:1] == (6,),
        resize=f"model.{after}.2.weight" in state,
    )


def check_fit(path: Path, state: Mapping[str, Tensor], network: torch.nn.Module) -> None:
    """Refuse a file's tensors where they are not those of a network; the error names which."""
    found = list(other_options(state, network)) or list(differences(state, network))
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise UserError(
            f"{path} holds a {type(network).__name__.lower()} that is built otherwise than ours: "
            f"{', '.join(found[:SHOWN])}{more}. Networks must have 3 channels in and out, instance "
            "norm and no dropout, and where training starts from them, the size in the settings."
        )


def other_options(state: Mapping[str, Tensor], network: torch.nn.Module) -> Iterator[str]:
    """In words, where a generator's settings are not those of a network."""
    if isinstance(network, Generator) and "model.1.weight" in state:
        ours, others = (asdict(generator_options(each)) for each in (network.state_dict(), state))
        for key, value in others.items():
            if value != ours[key]:
                yield f"{key} is {value} instead of {ours[key]}"


def differences(state: Mapping[str, Tensor], network: torch.nn.Module) -> Iterator[str]:
    """In words, where keys or shapes of a state dict are not those of a network."""
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    for key, value in state.items():
        if key not in wanted:
            yield f"it has {gate.plain(key[:80])} as well"
        elif tuple(value.shape) != wanted[key]:
            yield f"{key} is {_sides(value.shape)} instead of {_sides(wanted[key])}"
    yield from (f"it lacks {key}" for key in wanted if key not in state)


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def load_network(runs: Path, run: str, device: torch.device) -> LoadedNetwork:
    """F with all that restoring needs, from a run or from a file. The run is looked up once.

    Parameters
    ----------
    runs : Path
        The folder of the runs.
    run : str
        A run's name; the newest if empty. Or the path of a file: a ``.safetensors`` of
        `cli export`, or a ``.pth`` of CycleGAN's public code.
    device : torch.device
        Where to put it.

    Raises
    ------
    UserError
        There is no such run or file, or it cannot be read.
    """
    path = Path(run)
    if path.suffix == ".safetensors":
        return load_release(path, device)
    if path.suffix != ".pth":
        return load_run_network(newest_run(runs, run), device)
    network = read_network(path, device)
    if not isinstance(network, Generator):
        raise UserError(f"{path} holds a discriminator, which restores nothing. Name a generator.")
    # The file does not say on what it was trained, so CycleGAN's usual size is assumed.
    return LoadedNetwork(network, path, generator_options(network.state_dict()), USUAL_SIDE, None)


def load_run_network(run: Path, device: torch.device, network: str = "F") -> LoadedNetwork:
    """G or F of a run's newest checkpoint; errors as of `load_network`."""
    return LoadedNetwork(
        load_generator(run, device, network=network),
        generator_path(run, network),
        read_network_options(run),
        read_training_side(run),
        read_exposure(run),
    )
