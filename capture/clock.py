"""The clock that recordings are timed by, and waits that end in time. Decides nothing.

``time.perf_counter`` and not ``time.monotonic``: before Python 3.13 the latter has steps of 15.6 ms
on Windows. Elsewhere the two are the same clock.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

now_s = time.perf_counter  # seconds since some moment; never set back
now_ns = time.perf_counter_ns
TICK_MS = 1  # of Windows' timer while waits are short; its own is 15.6 ms

if sys.platform == "win32":
    import ctypes

    winmm = ctypes.WinDLL("winmm")


@contextmanager
def short_waits() -> Iterator[None]:
    """Within it, waits with a time limit end within about `TICK_MS` on Windows, too.

    Those of queues, locks and events are rounded up to ticks of Windows' timer, and so is
    ``time.sleep`` before Python 3.11.
    """
    if sys.platform == "win32":
        quick = winmm.timeBeginPeriod(TICK_MS) == 0  # TIMERR_NOERROR
        try:
            yield
        finally:
            if quick:
                winmm.timeEndPeriod(TICK_MS)
    else:
        yield
