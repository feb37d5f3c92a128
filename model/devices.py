"""Which device and which precision: found out on the machine at hand, not believed."""

from __future__ import annotations

import time

import torch

from dataset.errors import UserError
from model.cyclegan import CycleGAN
from model.options import TrainOptions


def pick_device(wanted: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` into a device that is there.

    Raises
    ------
    UserError
        The device is unknown or missing.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"--device {wanted} is not usable here. Leave it out to take what there is, "
            "or say --device cpu."
        ) from error
    return device


def measure_step(
    options: TrainOptions, device: torch.device, bf16: bool, repeats: int = 2
) -> float:
    """Seconds of one training step on random frames: the fastest of a few, after one to warm up."""
    model = CycleGAN(options, device, bf16)
    shape = (options.batch_size, 3, options.size, options.size)
    x, y = torch.rand(shape, device=device) * 2 - 1, torch.rand(shape, device=device) * 2 - 1
    times = []
    for _ in range(1 + repeats):
        begin = time.perf_counter()
        model.train_step(x, y).sum().item()  # reading the value waits for the device
        times.append(time.perf_counter() - begin)
    return min(times[1:])


def pick_precision(options: TrainOptions, device: torch.device) -> tuple[bool, dict[str, float]]:
    """Whether to run the convolutions in bfloat16, and the seconds a step that decided it.

    Returns
    -------
    (bool, dict)
        True for bfloat16; seconds of one step by precision, of those that were measured.
    """
    if options.precision != "auto":
        bf16 = options.precision == "bf16"
        return bf16, {options.precision: measure_step(options, device, bf16)}
    seconds = {name: measure_step(options, device, name == "bf16") for name in ("bf16", "fp32")}
    return seconds["bf16"] < seconds["fp32"], seconds
