"""Ctrl-C and SIGTERM become a command on the recorder's queue: they cut through no write."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from capture.commands import Command, Commands


@contextmanager
def signals_into(commands: Commands) -> Iterator[None]:
    """Catch the first signal while entered; a second one does what it did before.

    Outside the main thread, where no handler can be set, nothing is caught.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def receive(number: int, _: FrameType | None) -> None:
        commands.put(Command("interrupt", by="signal"))
        signal.signal(number, before[signal.Signals(number)])

    try:
        for number in before:
            signal.signal(number, receive)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
