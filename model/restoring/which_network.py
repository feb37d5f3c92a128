"""Which network restores: that of a run, of a file, or the built-in one.

The built-in network restores where nobody has trained: after `cli train`, the newest run does. It
is run by onnxruntime, and by torch on a GPU that is asked for. Torch is loaded for runs and files
of weights only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dataset.errors import UserError
from dataset.own_program import how_to_install
from dataset.pictures.pixels import Pixels
from model import runs
from model.built_in import BUILTIN, ONNX_FILE, WEIGHTS_FILE
from model.exposure import Exposure, parse_exposure
from model.options import EvaluateOptions, RestoreOptions
from model.restoring import guided, onnx
from model.restoring.small_copy import SmallCopyRestorer

Restore = Callable[[Pixels], Pixels]  # any size in, the same size out
OnShare = Callable[[float], None]  # called with the share of a picture that is done, 0 to 1


@dataclass(frozen=True)
class OpenedNetwork:
    """A network, ready to restore, and what is known about it."""

    restore: Restore
    exposure: Exposure | None  # how over-exposed pictures look; None: not learned
    small_copy: SmallCopyRestorer | None = None  # of preset physical: what it sees of pictures


def is_builtin(options: RestoreOptions | EvaluateOptions) -> bool:
    """Whether the built-in network restores: it was asked for, or nothing was and nothing is there.

    Anything that a run has left counts, so that a damaged one is reported and not passed over.
    """
    if isinstance(options, RestoreOptions) and options.onnx is not None:
        return False
    return options.run == BUILTIN or (options.run == "" and not runs.trained_runs(options.runs))


def told_of(options: RestoreOptions | EvaluateOptions) -> str:
    """One line for the user where the built-in network stands in for a run; empty otherwise."""
    if options.run or not is_builtin(options):
        return ""
    if isinstance(options, RestoreOptions) and options.method != "network":
        return ""
    return (
        f"No trained run under {options.runs}: the built-in network restores. `cli train` makes "
        "one from frames of your own, which restores them better."
    )


def open_network(options: RestoreOptions, on_share: OnShare | None = None) -> OpenedNetwork:
    """The network that the options ask for.

    Parameters
    ----------
    options : RestoreOptions
    on_share : callable, optional
        Called with the share of the current picture that is done, where that is known.

    Raises
    ------
    UserError
        No such run, file or device; an epoch of what is no run; torch is missing.
    """
    builtin = is_builtin(options)
    if (builtin and options.device not in onnx.PROVIDERS) or (options.device == "cuda" and builtin):
        return _open_by_torch(options, str(WEIGHTS_FILE), on_share)
    file = ONNX_FILE if builtin else options.onnx
    if file is None:
        return _open_by_torch(options, options.run, on_share)
    if options.epoch:
        what = "the built-in network is none" if builtin else f"{file} is a file"
        raise UserError(f"--epoch belongs to a run, and {what}. Leave it out.")
    return _open_onnx(options, file, on_share)


def _open_onnx(options: RestoreOptions, file: Path, on_share: OnShare | None) -> OpenedNetwork:
    restorer = onnx.open_onnx(file, options.device, on_progress=on_share)
    exposure = parse_exposure(restorer.facts.get("exposure", ""), file)
    if isinstance(restorer, onnx.OnnxSmallCopyRestorer):
        return OpenedNetwork(restorer, exposure, restorer)
    return OpenedNetwork(guided.ScaledRestorer(restorer, restorer.side, options.detail), exposure)


def _open_by_torch(options: RestoreOptions, run: str, on_share: OnShare | None) -> OpenedNetwork:
    try:
        from model import devices, weights
        from model.restoring import network
    except ModuleNotFoundError as error:
        raise UserError(
            f"{run or 'The newest run'} restores by {error.name}, which is not installed. "
            f"{how_to_install('train')}. Or do without: --run builtin, or --onnx with a file that "
            "`cli export -o F.onnx` writes where you have trained."
        ) from error

    device = devices.pick_device(options.device)
    loaded = weights.load_network(options.runs, run, device, options.epoch)
    scaled = network.scaled_restorer_of(loaded.generator, loaded.side, options.detail, on_share)
    small_copy = scaled if isinstance(scaled, SmallCopyRestorer) else None
    return OpenedNetwork(scaled, loaded.exposure, small_copy)
