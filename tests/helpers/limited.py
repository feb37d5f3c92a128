"""A process whose memory ends early, for tests on Linux."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

from helpers import ROOT

SPARE = 64 << 20  # bytes of address space
LIMITED = """
import resource
import numpy as np
from dataset.errors import UserError
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + {spare}
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    {then}
except UserError as error:
    print(error)
"""
RESTORE = "restore(np.zeros((1000, 1000, 3), np.float32))"


def fault_without_memory(code: str, then: str = RESTORE, spare: int = SPARE) -> str:
    """What the error says of a statement that is run after some code, when memory is scarce."""
    source = dedent(code) + LIMITED.format(then=then, spare=spare)
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
