"""Processes and threads of tests, which end by themselves: no test waits for one for ever.

A process is killed after ``LIFE_S`` with all that it started, so that whoever reads from it reads
its end, and waiting for it is an error. A thread is waited for that long, and never by the end of
the tests. ``tests/test_waits.py`` holds that tests start both here.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from helpers import ROOT

LIFE_S = 300.0  # half of what setup.cfg grants a test


class Process(subprocess.Popen[Any]):
    """A ``subprocess.Popen`` that lives for ``life_s`` at most, and not beyond the tests.

    One that serves many tests (None) may live as long as they take.
    """

    def __init__(
        self, command: Sequence[Any], life_s: float | None = LIFE_S, **options: Any
    ) -> None:
        self._overdue = False
        super().__init__(command, **options)
        self._watch = threading.Timer(life_s or 0, self._expire)
        self._watch.daemon = True
        if life_s is not None:
            self._watch.start()
        atexit.register(self.end)

    def end(self) -> None:
        """Kill it and all that it started."""
        with suppress(psutil.NoSuchProcess):
            if self.poll() is None:
                for each in psutil.Process(self.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        each.kill()
        self.kill()

    def _expire(self) -> None:
        self._overdue = self.poll() is None
        self.end()

    def wait(self, timeout: float | None = None) -> int:
        code = super().wait(timeout)
        self._watch.cancel()
        atexit.unregister(self.end)
        if self._overdue:
            raise subprocess.TimeoutExpired(self.args, self._watch.interval)
        return code

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.end()  # a test that failed waits for nobody
        super().__exit__(kind, value, trace)


class Thread(threading.Thread):
    """A ``threading.Thread`` whose end is waited for within a limit."""

    def __init__(
        self, target: Callable[..., object] | None = None, args: Sequence[Any] = ()
    ) -> None:
        super().__init__(target=target, args=args, daemon=True)

    def join(self, timeout: float | None = None) -> None:
        """Without a time: ``TimeoutError`` where it does not end."""
        super().join(LIFE_S if timeout is None else timeout)
        if timeout is None and self.is_alive():
            raise TimeoutError(f"a thread still runs after {LIFE_S:g} s: {self.name}")


def printed_by(code: str, *arguments: str | Path) -> str:
    """What a piece of Python prints in a process of its own, in the project's folder."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIFE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout
