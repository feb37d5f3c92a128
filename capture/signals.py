"""Ctrl-C, SIGTERM and a closed terminal become commands on a queue: no write is interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from capture.commands import Command, CommandQueue

HANGUP = getattr(signal, "SIGHUP", None)  # the terminal was closed; missing on Windows


@contextmanager
def signals_into(commands: CommandQueue) -> Iterator[None]:
    """Catch the first signal while in the context; a second one has its usual effect.

    A closed terminal may send two signals, one through its shell, and both count as one; under
    ``nohup`` they are ignored. Outside the main thread, where no handler can be set, nothing is
    caught.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in _ending()}

    def receive(number: int, _: FrameType | None) -> None:
        commands.put(Command("interrupt", by="signal"))
        if number != HANGUP:
            signal.signal(number, before[signal.Signals(number)])

    try:
        for number in before:
            signal.signal(number, receive)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ending() -> list[signal.Signals]:
    """The signals that ask this process to end."""
    asking = [signal.SIGINT, signal.SIGTERM]
    if HANGUP is not None and signal.getsignal(HANGUP) != signal.SIG_IGN:
        asking.append(HANGUP)
    return asking
