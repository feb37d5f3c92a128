"""What asks this process to end: Ctrl-C, Ctrl-Break, SIGTERM, a closed terminal, log-off, shutdown.

Whatever asks, work hears of it as a signal, between two of its steps. Windows sends none when a
console closes or its user logs off; ``closing_win32`` makes a SIGBREAK of these.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

HANGUP = getattr(signal, "SIGHUP", None)  # the terminal was closed; missing on Windows
BREAK = getattr(signal, "SIGBREAK", None)  # Windows only
STOP_SIGNALS = [each for each in (signal.SIGINT, signal.SIGTERM, HANGUP, BREAK) if each is not None]


@contextmanager
def stops_caught(tell: Callable[[], object], if_ignored: bool = False) -> Iterator[None]:
    """Call ``tell`` at the first signal to end; the same signal again is a ``KeyboardInterrupt``.

    A closed terminal may send two signals, one through its shell, and both are told. Outside the
    main thread, where no handler can be set, nothing is caught.

    Parameters
    ----------
    tell : callable
    if_ignored : bool
        Whether Ctrl-C and SIGTERM are heard even where they are ignored, as a script's ``&`` makes
        it; a closed terminal is not, as ``nohup`` asks for that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: set[int] = set()

    def receive(number: int, _: FrameType | None) -> None:
        if number in heard and number != HANGUP:
            raise KeyboardInterrupt
        heard.add(number)
        tell()

    hear_of_closing()
    before: dict[int, Any] = {}
    try:
        for number in STOP_SIGNALS:
            heeded = if_ignored and number != HANGUP
            if heeded or signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, receive) or signal.SIG_DFL
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt_at_break() -> None:
    """On Windows, let Ctrl-Break and a closing console interrupt this program, as Ctrl-C does."""
    main = threading.current_thread() is threading.main_thread()
    if BREAK is not None and main and signal.getsignal(BREAK) == signal.SIG_DFL:
        signal.signal(BREAK, signal.default_int_handler)
        hear_of_closing()


def hear_of_closing() -> None:
    """On Windows, make a SIGBREAK of a closing console and of the end of the user's session."""
    if sys.platform == "win32":
        from dataset import closing_win32

        closing_win32.listen()
