"""Another user of this machine, for tests: a process that gave root away."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NOBODY = 65534
# What a script may need is imported while it can still be read.
BECOME = f"""
import encodings.idna, glob, http.client, os, re, socket, sys, urllib.request
script = sys.argv.pop(1)
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
exec(script)
"""

needs_other_user = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user"
)


def as_other_user(script: str, *arguments: str) -> str:
    """What a script prints that runs as another user; it finds its arguments in ``sys.argv``."""
    done = subprocess.run(
        [sys.executable, "-c", BECOME, script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
