"""Networks from files: of a run, of CycleGAN's public code, or of `cli export`.

CycleGAN's files are bare state dicts that do not state their shape, so it is derived from keys and
sizes. Those of preset physical do not tell how light acts, so they are read with their run only. An
exported file is safetensors: it holds G or F and everything needed to build it; its header is
checked against an empty network before any tensor is read. What resuming needs is in
``checkpoint``; ``restoring.export`` writes the exported files.

References
----------
J.-Y. Zhu et al., pytorch-CycleGAN-and-pix2pix: ``N_net_G_A.pth`` and the like.
Hugging Face, safetensors: a header in JSON, then the tensors' bytes; no code can hide in it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Annotated

import msgspec
import safetensors.torch
import torch
from torch import Tensor, nn

from dataset import errors, gate
from model import checkpoint, facts, state_files
from model.exposure import Exposure, parse_exposure, read_exposure
from model.networks import CycleGANNetworks, Discriminator, Generator, build_generator
from model.options import NetworkOptions
from model.runs import NETWORK_FILES, generator_path, newest_run, read_options

FIRST_BLOCK = 10  # place of a generator's first residual block
SHOWN_DIFFERENCES = 3  # differences that an error names
MOST_HEADER = 1 << 20  # bytes; the largest network's has 40 kB
FLOAT_NAMES = ("F16", "BF16", "F32", "F64")  # safetensors' names of the types of weights
METADATA = "__metadata__"
# First words of the keys of preset physical.
PHYSICAL_PARTS = ("gain_error", "head", "content", "gains")

Sides = Annotated[list[gate.Count], msgspec.Meta(max_length=8)]


class Entry(msgspec.Struct):
    """A tensor as the header states it; where its bytes are, safetensors checks."""

    dtype: str
    shape: Sides


@dataclass(frozen=True)
class LoadedNetwork:
    """G or F of a run or a file, and what is known about it."""

    generator: nn.Module  # in evaluation mode
    path: Path  # the file of its weights
    options: NetworkOptions
    side: int  # shorter side of its training frames, pixels; 0: any
    exposure: Exposure | None  # how over-exposed pictures look; None: not learned
    averaged: bool = False  # an EMA of the weights


def load_network(runs: Path, run: str, device: torch.device, epoch: str = "") -> LoadedNetwork:
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
    epoch : str
        Of a run: ``best``, ``latest``, or a kept one; if empty, the best if there is one.

    Raises
    ------
    UserError
        There is no such run, epoch or file, or it cannot be read; or an epoch of a file.
    """
    path = Path(run)
    if epoch and path.suffix in (".safetensors", ".pth"):
        raise errors.UserError(f"--epoch belongs to a run, and {path} is a file. Leave it out.")
    if path.suffix == ".safetensors":
        return load_release(path, device)
    if path.suffix != ".pth":
        return load_run_network(newest_run(runs, run), device, epoch=epoch)
    network = read_network(path, device)
    if not isinstance(network, Generator):
        raise errors.UserError(
            f"{path} holds a discriminator, which restores nothing. Name a generator."
        )
    # The file does not say on what it was trained, so CycleGAN's usual size is assumed.
    return LoadedNetwork(
        network, path, generator_options(network.state_dict()), facts.USUAL_SIDE, None
    )


def load_run_network(
    run: Path, device: torch.device, network: str = "F", epoch: str = ""
) -> LoadedNetwork:
    """G or F of a run; the epoch and errors are those of `load_network`."""
    options, path = read_options(run), generator_path(run, network, epoch)
    is_kept = path.name[0].isdecimal()  # of an epoch, under a name that does not say
    return LoadedNetwork(
        checkpoint.load_generator(run, device, epoch, network),
        path,
        options.network,
        options.load_size,
        None if options.network.physical else read_exposure(run),
        averaged="_ema_" in path.name or (is_kept and options.ema > 0),
    )


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
        There are none, or one is damaged or another kind of network.
    """
    paths = find_cyclegan(folder, epoch)
    return {name: read_network(path, device) for name, path in paths.items()}


def find_cyclegan(folder: Path, epoch: str = "latest") -> dict[str, Path]:
    """The files that `load_cyclegan` reads, by our names; ``UserError`` where there are none."""
    paths = {name: folder / f"{epoch}_{file}" for name, file in NETWORK_FILES.items()}
    found = {name: path for name, path in paths.items() if path.is_file()}
    if not found:
        raise errors.UserError(
            f"{folder} has no checkpoint of CycleGAN: none of "
            f"{', '.join(path.name for path in paths.values())} is there. Name the folder that "
            "holds them: the checkpoints folder of a run."
        )
    return found


def read_network(path: Path, device: torch.device) -> Generator | Discriminator:
    """A network of any size from a bare state dict, ours or CycleGAN's.

    Raises
    ------
    UserError
        The file is missing, damaged, holds more than tensors, or a network that is built
        differently: the error names the differences.
    """
    state = state_files.read_network_state(path)
    try:
        network = shape_network(state)
    except ValueError as error:
        raise errors.UserError(
            f"{path} holds a network of a size that is not read ({error}). Take another."
        ) from error
    if network is None:
        first = gate.plain(next(iter(state))[:80])
        if first.split(".")[0] in PHYSICAL_PARTS:
            raise errors.UserError(
                f"{path} holds a network of preset physical, and does not say how light acts on "
                "its pictures. To restore with it, name its run with --run, or the .safetensors "
                "file that `cli export` writes of it; other trainings cannot start from it."
            )
        raise errors.UserError(
            f"{path} holds neither a ResNet generator nor a PatchGAN of CycleGAN: it starts with "
            f"{first}. Only networks of --netG resnet_* and --netD basic can be read."
        )
    check_fit(path, state, network)
    network.load_state_dict(state, assign=True)
    return network.to(device).eval()


def fill_from_cyclegan(
    networks: CycleGANNetworks, folder: Path, epoch: str = "latest"
) -> tuple[str, ...]:
    """Start a training from a folder of CycleGAN's checkpoints, or of a run.

    Parameters
    ----------
    networks : CycleGANNetworks
        To be filled, their EMA included.
    folder, epoch
        As for ``load_cyclegan``.

    Returns
    -------
    tuple of str
        Which of G, F, D_Y and D_X were there; the others keep their weights.

    Raises
    ------
    UserError
        There are none, or one is damaged or does not fit.
    """
    found = load_cyclegan(folder, torch.device("cpu"), epoch)
    ema = {"G": networks.ema_or_G, "F": networks.ema_or_F}
    for name, source in found.items():
        own, path = getattr(networks, name), folder / f"{epoch}_{NETWORK_FILES[name]}"
        check_fit(path, source.state_dict(), own)
        for network in {own, ema.get(name, own)}:
            network.load_state_dict(source.state_dict())
    return tuple(found)


def shape_network(state: Mapping[str, Tensor]) -> Generator | Discriminator | None:
    """An empty network whose size follows from a state dict; None if it is neither kind.

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
    return gate.settings_from(asdict(options), NetworkOptions)


def generator_options(state: Mapping[str, Tensor]) -> NetworkOptions:
    """Filters, blocks and variant of a generator, from its state dict."""
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
        shown, more = found[:SHOWN_DIFFERENCES], len(found) - SHOWN_DIFFERENCES
        named = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
        raise errors.UserError(
            f"{path} holds a {type(network).__name__.lower()} that is built otherwise than ours: "
            f"{named}. Networks must have 3 channels in and out, instance norm and no dropout, "
            "and where training starts from them, the size in the settings."
        )


def other_options(state: Mapping[str, Tensor], network: torch.nn.Module) -> Iterator[str]:
    """In words, where a generator's settings differ from those of a network."""
    if isinstance(network, Generator) and "model.1.weight" in state:
        ours, others = (asdict(generator_options(each)) for each in (network.state_dict(), state))
        for key, value in others.items():
            if value != ours[key]:
                yield f"{key} is {value} instead of {ours[key]}"


def differences(state: Mapping[str, Tensor], network: torch.nn.Module) -> Iterator[str]:
    """In words, where keys or shapes of a state dict differ from those of a network."""
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    for key, value in state.items():
        if key not in wanted:
            yield f"it has {gate.plain(key[:80])} as well"
        elif tuple(value.shape) != wanted[key]:
            yield f"{key} is {_sides(value.shape)} instead of {_sides(wanted[key])}"
    yield from (f"it lacks {key}" for key in wanted if key not in state)


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def load_release(path: Path, device: torch.device) -> LoadedNetwork:
    """G or F in a file that ``save_release`` wrote.

    Raises
    ------
    UserError
        The file is missing, damaged, or not written by us; or its weights are not finite.
    """
    metadata, entries = _read_header(path)
    options, side, exposure = _facts(path, metadata)
    which = metadata.get("network", "F")
    if which not in ("F", "G"):
        raise _foreign(path, f"it is of network {gate.plain(which[:20])}")
    with torch.device("meta"):
        network = checkpoint.build_either(options, which)
    _check_entries(path, entries, network)
    try:
        state = safetensors.torch.load(gate.read_regular(path, state_files.MOST_NETWORK_BYTES))
        state_files.check_finite_weights(path, state)
        network.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (safetensors.SafetensorError, RuntimeError, ValueError) as error:
        raise _damaged(path, error) from error
    checkpoint.check_gains(path, network)
    return LoadedNetwork(network.to(device).eval(), path, options, side, exposure)


def read_facts(path: Path) -> dict[str, str]:
    """What a ``.safetensors`` file says of its network; ``UserError`` as of `load_release`."""
    return _read_header(path)[0]


def _facts(path: Path, metadata: dict[str, str]) -> tuple[NetworkOptions, int, Exposure | None]:
    try:
        return (
            facts.parse_shape(metadata["options"]),
            facts.parse_side(metadata.get("side", str(facts.USUAL_SIDE))),
            parse_exposure(metadata.get("exposure", ""), path),
        )
    except KeyError as error:
        raise _foreign(path, "it does not say how") from error
    except ValueError as error:
        raise _foreign(path, state_files.first_line(error)) from error


def _read_header(path: Path) -> tuple[dict[str, str], dict[str, Entry]]:
    """A file's metadata, and its tensors by name."""
    try:
        with gate.open_regular(path, state_files.MOST_NETWORK_BYTES) as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MOST_HEADER:
                raise ValueError("its header is too large")
            header = gate.parse_json(file.read(length), dict[str, msgspec.Raw])
        metadata = gate.parse_json(bytes(header.pop(METADATA, b"{}")), dict[str, str])
        return metadata, {key: gate.parse_json(bytes(raw), Entry) for key, raw in header.items()}
    except FileNotFoundError as error:
        raise errors.UserError(f"No such file: {path}. `cli export` writes one.") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, struct.error) as error:
        raise _damaged(path, error) from error


def _check_entries(path: Path, entries: dict[str, Entry], network: nn.Module) -> None:
    """Refuse a file whose tensors are not those of its network, by name and shape."""
    wanted = {key: list(value.shape) for key, value in network.state_dict().items()}
    for key in wanted.keys() | entries.keys():
        if key not in entries or key not in wanted or entries[key].shape != wanted[key]:
            raise _foreign(path, f"{gate.plain(key[:80])} does not fit")
        if entries[key].dtype not in FLOAT_NAMES:
            raise _foreign(path, f"{key} is {gate.plain(entries[key].dtype[:20])}")


def _unreadable(path: Path, error: OSError) -> errors.UserError:
    return errors.UserError(
        f"Cannot read {path}: {error.strerror or state_files.first_line(error)}."
    )


def _damaged(path: Path, error: Exception) -> errors.UserError:
    why = state_files.first_line(error)
    return errors.UserError(f"{path} is damaged or not a safetensors file ({why}). Copy it again.")


def _foreign(path: Path, why: str) -> errors.UserError:
    return errors.UserError(
        f"{path} was not written by `cli export`: it does not say how its network is built, or "
        f"holds another ({why})."
    )
