"""Makes the n-th change to files that a command makes fail, or kills the command there.

A library in C (``faults.c``) stands between a process and the system, so that it sees what Python
and C libraries do alike. A process that has all modules loaded forks itself for each case, so that
a case takes some hundredths of a second.

Example
-------
>>> injector = Injector(tmp_path)                                               # doctest: +SKIP
>>> with injector.server("cli") as server:                                      # doctest: +SKIP
...     server.run(root, ["cli", "label"], Fault("ENOSPC", FULL), at=3)
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.processes import Process

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
COUNT, FAIL, FULL, HALF, KILL_BEFORE, KILL_AFTER, KILL_HALF, STOP = range(8)  # as in faults.c
KINDS = ["", "open", "write", "fsync", "rename", "link", "unlink", "mkdir", "truncate", "copy"]
HOMES = ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR")  # caches of others
LIMIT_S = 60.0  # no case may take longer, on a machine that has other things to do


@dataclass(frozen=True)
class Fault:
    """What happens at the n-th operation."""

    name: str
    mode: int
    kinds: frozenset[str]
    error: int = 0

    @property
    def kills(self) -> bool:
        return self.mode in (KILL_BEFORE, KILL_AFTER, KILL_HALF)


ALL = frozenset(KINDS[1:])
BYTES = frozenset({"write", "copy"})
FAULTS = [
    # A full disk stays full: everything that takes room fails from then on.
    Fault("ENOSPC", FULL, ALL - {"unlink"}, errno.ENOSPC),
    Fault("EIO", FAIL, ALL, errno.EIO),
    Fault("EACCES", FAIL, ALL - BYTES - {"fsync"}, errno.EACCES),
    Fault("half, then ENOSPC", HALF, BYTES, errno.ENOSPC),
    Fault("killed before", KILL_BEFORE, ALL),
    Fault("killed after", KILL_AFTER, ALL),
    Fault("killed after half", KILL_HALF, BYTES),
]


@dataclass(frozen=True)
class Operation:
    """One change of a file or folder."""

    kind: str
    name: str  # below the case's folder


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int  # negative: the signal that ended it
    said: str
    in_time: bool
    seconds: float
    operations: tuple[Operation, ...] = ()  # all of them when nothing was to fail, else that one
    count: int = 0
    hit: bool = False

    @property
    def killed(self) -> bool:
        return self.code == -9

    @property
    def faults(self) -> list[str]:
        """What no command may do, whatever fails."""
        found = []
        if not self.in_time:
            found.append("it did not end")
        if "Traceback" in self.said or self.code == 70:
            found.append("a traceback: " + (self.said.strip().splitlines() or ["?"])[-1][:300])
        elif self.code not in (0, 1, 2, 130, -9):
            found.append(f"exit code {self.code}: {self.last_line}")
        elif self.code in (1, 2) and "rror" not in self.said:
            found.append(f"exit code {self.code} without a word of the error: {self.last_line}")
        return found

    @property
    def last_line(self) -> str:
        return (self.said.strip().splitlines() or [""])[-1][:300]


class Server:
    """A process that forks itself for each case."""

    def __init__(self, library: Path, modules: Sequence[str]) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
        one = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        self._process = Process(
            [sys.executable, str(HERE / "fork_server.py"), str(library), *modules],
            life_s=None,  # each case has its own limit
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                **dict.fromkeys(one, "1"),
                "LD_PRELOAD": str(library),
                "PYTHONPATH": path,
                "PYTHONDONTWRITEBYTECODE": "1",
                "MPLBACKEND": "Agg",
                **{name: str(library.with_name("home")) for name in HOMES},
            },
        )
        self._lock = threading.Lock()
        self._ready = False

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.end()
            self._process.wait(10)
        self._process.stdout.close()

    def run(
        self,
        root: Path,
        call: Sequence[str],
        fault: Fault | None = None,
        at: int = -1,
        limit_s: float = LIMIT_S,
    ) -> Outcome:
        """Run a command in ``root/work``; the fault happens at its operation ``at``, from 0.

        Parameters
        ----------
        root : Path
            What is below it is counted; its temporary and its runtime folder lie there, too.
        call : sequence of str
            ``cli`` and its arguments, or ``module:function`` and what it is called with.
        """
        case = self._case(root, call, fault, at)
        answer = self._ask({"way": "alone", "case": case, "limit_s": limit_s})
        seen = tuple(Operation(KINDS[kind], name) for kind, name in answer.pop("seen"))
        return Outcome(**answer, operations=seen)

    def run_two(
        self,
        root: Path,
        calls: tuple[Sequence[str], Sequence[str]],
        at: int,
        patience_s: float = 2.0,
        limit_s: float = LIMIT_S,
    ) -> tuple[Outcome, Outcome]:
        """Stop a command at its operation ``at``, run the other, let the first go on.

        The other is given ``patience_s``: it may wait for the first one. With ``at`` under 0 both
        begin at the same moment.
        """
        stop = Fault("stopped", STOP, ALL) if at >= 0 else None
        request = {
            "way": "together" if at >= 0 else "at_once",
            "case": self._case(root, calls[0], stop, at),
            "other": self._case(root, calls[1], None, -1),
            "patience_s": patience_s,
            "limit_s": limit_s,
        }
        first, second = (Outcome(**each) for each in self._ask(request)["outcomes"])
        return first, second

    def _case(
        self, root: Path, call: Sequence[str], fault: Fault | None, at: int
    ) -> dict[str, Any]:
        mode, error = (fault.mode, fault.error) if fault else (COUNT, 0)
        return {"root": str(root), "call": list(call), "at": at, "mode": mode, "errno": error}

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with self._lock:
            if not self._ready:
                line = stdout.readline()
                assert line == "ready\n", f"the fork server did not start: {line!r}"
                self._ready = True
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            answer = stdout.readline()
        assert answer, "the fork server has ended"
        return dict(json.loads(answer))


class Injector:
    """The compiled library."""

    def __init__(self, folder: Path) -> None:
        self.library = folder / "faults.so"
        (folder / "home").mkdir(exist_ok=True)
        command = [
            "gcc",
            "-O1",
            "-shared",
            "-fPIC",
            "-o",
            str(self.library),
            str(HERE / "faults.c"),
        ]
        subprocess.run([*command, "-ldl"], check=True, timeout=60)

    def server(self, *modules: str) -> Server:
        """Begin to load modules in a process of their own."""
        return Server(self.library, modules)


def why_not() -> str:
    """Why nothing can be injected here; empty where it can be."""
    if sys.platform != "linux":
        return "faults are injected by LD_PRELOAD, on Linux"
    return "" if shutil.which("gcc") else "needs gcc"
