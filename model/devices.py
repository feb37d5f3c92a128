"""Which device to compute on, and how much memory it has left."""

from __future__ import annotations

import torch

from dataset.errors import UserError
from dataset.memory import free_memory


def pick_device(wanted: str) -> torch.device:
    """The device for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

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
            f"--device {wanted} is not usable here. Leave it out to take what is available, "
            "or choose --device cpu."
        ) from error
    return device


def free_device_bytes(device: torch.device) -> int:
    """Free memory of a device, bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory()
