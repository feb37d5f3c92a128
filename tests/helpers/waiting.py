"""Waits until what a test is about has come true, however busy the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

SOON_S = 120.0  # a machine that works takes far less, also one that stands still for seconds
LOOK_S = 0.02  # between two looks

_T = TypeVar("_T")


def soon(told: Callable[[], _T], why: object = "not in time") -> _T:
    """What ``told`` says as soon as that is true; an error with ``why`` where it never is."""
    end = time.monotonic() + SOON_S
    while not (said := told()):
        assert time.monotonic() < end, why
        time.sleep(LOOK_S)
    return said
