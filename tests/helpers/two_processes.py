"""`cli train` in two processes of this machine, which share each batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from helpers import ROOT
from helpers.processes import Process

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--"]


def train_by_two(folder: Path, *words: str) -> str:
    """What it says in two processes of their own."""
    command, alone = [str(ROOT / "cli.py"), "train", *words], os.environ | {"OMP_NUM_THREADS": "1"}
    starts = [([*TORCHRUN, *command], alone)]
    if sys.platform == "win32":  # torchrun does not work there: what it tells its processes
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        told = alone | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        starts = [(command, told | {"RANK": rank, "LOCAL_RANK": rank}) for rank in "01"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [
        Process([sys.executable, *each], cwd=folder, env=environment, **pipes)
        for each, environment in starts
    ]
    outputs = [each.communicate(timeout=240) for each in processes]
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors
    return "".join(said for said, _ in outputs)
