"""A process that has everything loaded, and forks itself for each case. Run by ``faults.py``.

Reads a request a line on its input, as JSON, and answers with a line on its output. Nothing here
may start a thread before a fork: what a child does, it does in its own.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

MOST, NAME = 8192, 112  # as faults.c has them
STOPPED, NAP_S = 7, 0.001


class Told(ctypes.Structure):
    """The memory that children write to: see faults.c."""

    class Seen(ctypes.Structure):
        _fields_ = (("kind", ctypes.c_int), ("name", ctypes.c_char * NAME))

    _fields_ = (("count", ctypes.c_long), ("hit", ctypes.c_long), ("seen", Seen * MOST))


class Child:
    """One forked process at work on a case."""

    def __init__(self, library: ctypes.CDLL, case: dict[str, Any]) -> None:
        self.begin, self.status = time.monotonic(), None
        self.said = os.memfd_create("said")
        self.pid = os.fork()
        if self.pid == 0:
            _work(library, case, self.said)
        self.stopped = False

    def ended(self) -> bool:
        """Whether it is over; notes when it has stopped itself."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                self.stopped = True
            elif pid:
                self.status = status
                self.seconds = time.monotonic() - self.begin
        return self.status is not None

    def wait(self, limit_s: float, until_stopped: bool = False) -> bool:
        end = time.monotonic() + limit_s
        while not self.ended() and not (until_stopped and self.stopped):
            if time.monotonic() > end:
                return False
            time.sleep(NAP_S)
        return True

    def outcome(self, limit_s: float) -> dict[str, Any]:
        """Wait, never for ever, and tell how it ended."""
        in_time = self.wait(limit_s)
        if not in_time:
            os.killpg(self.pid, signal.SIGKILL)
            os.kill(self.pid, signal.SIGCONT)
            self.wait(10)
        os.lseek(self.said, 0, os.SEEK_SET)
        said = os.read(self.said, 1 << 20).decode(errors="replace")
        os.close(self.said)
        code = os.waitstatus_to_exitcode(self.status) if self.status is not None else -99
        return {"code": code, "said": said, "in_time": in_time, "seconds": self.seconds}


def _work(library: ctypes.CDLL, case: dict[str, Any], said: int) -> None:
    """What a child does; does not return."""
    learnt = case["learnt"]
    code = 70
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for wanted, number in ((nothing, 0), (said, 1), (said, 2)):
            os.dup2(wanted, number)
        root = Path(case["root"])
        os.chdir(root / "work")
        places = {"TMPDIR": root / "tmp", "XDG_RUNTIME_DIR": root / "run"}
        os.environ.update({name: str(path) for name, path in places.items()})
        tempfile.tempdir = None
        call = _callable(case["call"][0])
        if case.get("wait"):
            os.read(case["wait"], 1)
        loaded = set(sys.modules)
        library.faults_arm(os.fsencode(root), case["at"], case["mode"], case["errno"])
        try:
            call(case["call"][1:])
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        threading._shutdown()  # type: ignore[attr-defined]  # as the interpreter does at its end
        atexit._run_exitfuncs()
        sys.stdout.flush()
        if learnt:
            os.write(learnt, b"\n" + "\n".join(sorted(set(sys.modules) - loaded)).encode())
    except BaseException:
        code = 70
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _callable(name: str) -> Any:
    if name == "cli":
        import cli

        return lambda arguments: cli.main(arguments, prog_name="cli")
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _alone(library: ctypes.CDLL, told: Told, request: dict[str, Any]) -> dict[str, Any]:
    library.faults_clear()
    learnt = os.memfd_create("learnt")
    outcome = Child(library, request["case"] | {"learnt": learnt}).outcome(request["limit_s"])
    _learn(learnt)
    seen = told.seen
    count = min(told.count, MOST)
    at = request["case"]["at"]
    names = range(count) if at < 0 else [at] if at < count else []
    return outcome | {
        "count": told.count,
        "hit": bool(told.hit),
        "seen": [(seen[n].kind, seen[n].name.decode(errors="replace")) for n in names],
    }


def _learn(learnt: int) -> None:
    """Load what a child had to load, so that the next one has it."""
    os.lseek(learnt, 0, os.SEEK_SET)
    names = os.read(learnt, 1 << 20).decode().split()
    os.close(learnt)
    for name in names:
        with suppress(Exception):  # some are loaded by half on purpose
            importlib.import_module(name)
    if names:
        gc.freeze()


def _together(library: ctypes.CDLL, told: Told, request: dict[str, Any]) -> dict[str, Any]:
    """Two at once: the first stops at an operation, until the second ends or waits for it."""
    library.faults_clear()
    first = Child(library, request["case"] | {"learnt": 0})
    first.wait(request["limit_s"], until_stopped=True)
    second = Child(library, request["other"] | {"learnt": 0})
    met = not second.wait(request["patience_s"])
    if first.status is None:
        os.kill(first.pid, signal.SIGCONT)
    outcomes = [each.outcome(request["limit_s"]) for each in (first, second)]
    return {"outcomes": outcomes, "stopped": first.stopped, "waited": met}


def _at_once(library: ctypes.CDLL, told: Told, request: dict[str, Any]) -> dict[str, Any]:
    """Two released at the same moment, as nearly as a pipe can do it."""
    library.faults_clear()
    ready, go = os.pipe()
    children = []
    for name in ("case", "other"):
        children.append(Child(library, request[name] | {"wait": ready, "learnt": 0}))
    time.sleep(request.get("lead_s", 0.02))
    os.write(go, b"gg")
    os.close(ready)
    os.close(go)
    return {"outcomes": [each.outcome(request["limit_s"]) for each in children]}


def main() -> None:
    library = ctypes.CDLL(sys.argv[1])
    library.faults_prepare.restype = ctypes.POINTER(Told)
    library.faults_arm.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int)
    told = library.faults_prepare().contents
    for name in sys.argv[2:]:
        module, _, function = name.partition(":")
        loaded = importlib.import_module(module)
        if function:
            getattr(loaded, function)()
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()
    ways = {"alone": _alone, "together": _together, "at_once": _at_once}
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(ways[request["way"]](library, told, request)), flush=True)


if __name__ == "__main__":
    main()
