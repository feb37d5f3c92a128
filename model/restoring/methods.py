"""The ways to restore a picture, by name: the network, or what came before it.

Each becomes a function from pixels to restored pixels. Torch is loaded only where a network of
torch is asked for, so that a machine with onnxruntime alone can restore.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from dataset.errors import UserError
from dataset.pictures.pixels import Restore
from model.exposure import Exposure, Measured, parse_exposure
from model.options import RestoreOptions
from model.restoring.baselines import METHODS, THRESHOLD_METHODS
from model.restoring.guided import Scaled
from model.restoring.onnx import open_onnx


def open_method(
    options: RestoreOptions, on_share: Callable[[float], None] | None = None
) -> Restore:
    """What ``cli restore`` applies to each picture.

    Parameters
    ----------
    options : RestoreOptions
    on_share : callable, optional
        Called by the network with the share of the present picture that is done, 0 to 1.

    Returns
    -------
    callable
        (H, W, 3) float32 in [0, 1] -> the same.

    Raises
    ------
    UserError
        No such run, file or device; a threshold for a method that has none.
    """
    for flag, value in (("--threshold", options.threshold), ("--strength", options.strength)):
        if value is not None and not math.isfinite(value):
            raise UserError(f"{flag} {value} is no number to compute with. Choose a finite one.")
    if options.threshold is not None and options.method not in THRESHOLD_METHODS:
        raise UserError(
            f"--threshold belongs to --method {' or '.join(THRESHOLD_METHODS)}; the network has "
            "none. Leave it out."
        )
    if options.threshold is not None:
        threshold, by_threshold = options.threshold, THRESHOLD_METHODS[options.method]
        return lambda pixels: by_threshold(pixels, threshold)
    if options.method in METHODS:
        return METHODS[options.method]
    if options.onnx is not None:
        restorer = open_onnx(options.onnx, options.device)
        exposure = parse_exposure(restorer.facts.get("exposure", ""), options.onnx)
        return measured(Scaled(restorer, restorer.side, options.detail), exposure, options)
    return _open_network(options, on_share)


def _open_network(options: RestoreOptions, on_share: Callable[[float], None] | None) -> Restore:
    from model.devices import pick_device
    from model.restoring.network import Restorer
    from model.weights import load_network

    network = load_network(options.runs, options.run, pick_device(options.device))
    scaled = Scaled(Restorer(network.generator, on_share), network.side, options.detail)
    return measured(scaled, network.exposure, options)


def measured(restore: Restore, exposure: Exposure | None, options: RestoreOptions) -> Restore:
    """As much of a correction as was asked for, or as a picture needs, where that was learned."""
    if options.strength is not None:
        return Measured(restore, options.strength)
    return restore if exposure is None else Measured(restore, exposure)
