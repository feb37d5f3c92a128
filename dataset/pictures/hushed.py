"""Keeps a C library, which cannot be told otherwise, from writing to the terminal.

What other threads write meanwhile is lost too, so only rare and short work is done like this.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ERRORS = 2  # file descriptor


class _Hush:
    """Standard error goes nowhere while at least one thread wants it so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted, self._kept = 0, -1

    def begin(self) -> None:
        with self._lock:
            if not self._wanted:
                self._kept = _redirect()
            self._wanted += 1

    def end(self) -> None:
        with self._lock:
            self._wanted -= 1
            if not self._wanted and self._kept >= 0:
                os.dup2(self._kept, ERRORS)
                os.close(self._kept)


def _redirect() -> int:
    """Where standard error went before; -1: it is closed."""
    try:
        kept = os.dup(ERRORS)
    except OSError:
        return -1
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, ERRORS)
    os.close(nowhere)
    return kept


_hush = _Hush()


@contextmanager
def hushed() -> Iterator[None]:
    """No thread's errors are shown within."""
    _hush.begin()
    try:
        yield
    finally:
        _hush.end()
