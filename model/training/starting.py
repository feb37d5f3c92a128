"""Where the weights of a training start: new, those of the built-in network, or those of a file.

``--init`` says which; left out, preset physical starts from the built-in network where its shape is
the same, and the others from new weights. A resumed run starts from its checkpoint and asks nothing
here. Reads files of weights; writes none.
"""

from __future__ import annotations

from pathlib import Path

import torch

from dataset.errors import UserError
from model import weights
from model.built_in import BUILTIN, WEIGHTS_FILE
from model.networks import CycleGANNetworks, GeneratorPair
from model.options import NEW_WEIGHTS, RELEASE_SUFFIX, NetworkOptions, TrainOptions
from model.physical_networks import PhysicalNetworks, PhysicalRestorer

CPU = torch.device("cpu")


def check_start(options: TrainOptions) -> None:
    """Read what the weights start from, before measuring this machine takes minutes.

    Raises
    ------
    UserError
        There is nothing of that kind, it is damaged, or of another kind or size of network.
    """
    if options.init in (None, NEW_WEIGHTS):
        return
    if options.network.physical:
        _physical_start(options)
    elif options.init == BUILTIN or _is_weights(options.init):
        raise UserError(
            f"--init {options.init} is a network of --preset physical. Add that, or name a folder "
            "of CycleGAN's networks."
        )
    else:
        weights.load_cyclegan(Path(str(options.init)), CPU)


def start(networks: GeneratorPair, options: TrainOptions) -> str:
    """Fill networks, their EMA included; returns one line for the user, empty for new weights."""
    if options.init == NEW_WEIGHTS:
        return ""
    if isinstance(networks, PhysicalNetworks):
        source = _physical_start(options)
        if source is None:
            return "starting from new weights: the built-in network has other --filters"
        source.turn_into(networks.F.linear)
        for network in {networks.F, networks.ema_or_F}:
            network.load_state_dict(source.state_dict())
        name = "the built-in network" if options.init in (None, BUILTIN) else str(options.init)
        return f"starting from {name} (from new weights: --init {NEW_WEIGHTS})"
    if options.init is not None and isinstance(networks, CycleGANNetworks):
        found = weights.fill_from_cyclegan(networks, Path(options.init))
        return f"starting from {', '.join(found)}"
    return ""


def _physical_start(options: TrainOptions) -> PhysicalRestorer | None:
    """F of a file; None where the built-in one does not fit, and was not asked for."""
    path = WEIGHTS_FILE if options.init in (None, BUILTIN) else Path(str(options.init))
    if path.suffix != RELEASE_SUFFIX:
        raise UserError(
            f"--init {path}: preset physical starts from {BUILTIN}, {NEW_WEIGHTS}, or a "
            f"{RELEASE_SUFFIX} file of `cli export`."
        )
    loaded = weights.load_release(path, CPU)
    network = loaded.generator
    if not isinstance(network, PhysicalRestorer):
        raise UserError(f"{path} is no F of preset physical. Name one, or choose another --preset.")
    if _filters(loaded.options) == _filters(options.network):
        return network
    if options.init is None:
        return None
    raise UserError(
        f"--init {options.init} has --filters {_filters(loaded.options)}, and this training "
        f"{_filters(options.network)}. Leave one of them out."
    )


def _filters(options: NetworkOptions) -> int:
    return options.generator_filters


def _is_weights(path: str | None) -> bool:
    return Path(str(path)).suffix == RELEASE_SUFFIX
