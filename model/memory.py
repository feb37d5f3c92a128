"""How much memory a picture may take on this machine, measured when it is asked for."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

CGROUP = Path("/sys/fs/cgroup")  # a container's own limit, which the machine's figure ignores


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device now, bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min(int(psutil.virtual_memory().available), _free_in_container())


def _free_in_container() -> int:
    try:
        limit = int((CGROUP / "memory.max").read_text())
        return limit - int((CGROUP / "memory.current").read_text())
    except (OSError, ValueError):  # no container, or one without a limit
        return 2**63
