"""Which processes started this one: their windows are our terminal, whose title has our command."""

from __future__ import annotations

from contextlib import suppress

import psutil

NOBODY = {0, 1}  # start everything on Windows and Linux, and have no windows


def starters() -> set[int]:
    """The numbers of the processes that this one was started by; empty if they cannot be asked."""
    with suppress(psutil.Error, OSError):
        return {each.pid for each in psutil.Process().parents()} - NOBODY
    return set()
