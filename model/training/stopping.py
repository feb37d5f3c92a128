"""Ctrl-C and other signals as a wish that a loop grants between two steps. No training here."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

# A terminal that closes sends the last one, which Windows does not have.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


class StopRequest:
    """Notes the first signal; the same a second time interrupts at once.

    A terminal that closes may say so twice. Outside the main thread signals are left alone; so are
    those that are ignored: nohup asks for that.
    """

    def __init__(self) -> None:
        self._noted: set[int] = set()
        self._before: dict[int, Any] = {}

    @property
    def wanted(self) -> bool:
        """Whether a signal has come."""
        return bool(self._noted)

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number in self._noted and signal.Signals(number).name != "SIGHUP":
            raise KeyboardInterrupt
        self._noted.add(number)

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
