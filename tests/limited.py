"""A process whose memory ends while a picture is being restored, for tests on Linux."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parent.parent
SPARE = 64 << 20  # bytes of address space: room for the picture, not for what becomes of it
LIMITED = f"""
import resource
import numpy as np
from dataset.errors import UserError
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + {SPARE}
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    restore(np.zeros((1000, 1000, 3), np.float32))
except UserError as error:
    print(error)
"""


def fault_without_memory(code: str) -> str:
    """What is said of a picture of 1000x1000, by the ``restore`` that some code makes."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(code) + LIMITED], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
