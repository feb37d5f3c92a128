"""Tests end by themselves: every wait has a limit, and children hear Ctrl-C in any shell.

No limit is so short that a busy machine, which stands still for seconds, would make a test fail.
"""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import ROOT, processes
from helpers.limits import within
from helpers.processes import Process, Thread

TESTS = sorted((ROOT / "tests").rglob("*.py"))
BY_HAND = ROOT / "tests" / "fixtures" / "make.py"  # no test runs it
# What has no end of its own -> what has one, in helpers/processes.py.
STARTING = {"subprocess.Popen": "Process", "threading.Thread": "Thread"}
TIMED = {"run", "call", "check_call", "check_output", "urlopen", "create_connection"}
TIMED |= {"HTTPConnection", "HTTPSConnection"}
BARE = {"wait", "get", "acquire", "result"}  # wait for ever when they are given nothing
CLOCKS = {"monotonic", "perf_counter"}
SHORTEST_S = 20.0  # of a limit; helpers/waiting.py has the usual one


def endless_waits(text: str) -> Iterator[str]:
    """Each wait without a limit, as line and reason."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            reasons = [_instead(ast.unparse(each)) for each in node.bases]
        elif isinstance(node, ast.Call):
            reasons = [_instead(ast.unparse(node.func)), _without_time(node)]
        elif isinstance(node, ast.While):
            reasons = [_sleeps_for_ever(node)]
        else:
            continue
        yield from (f"{node.lineno}: {reason}" for reason in reasons if reason)


def short_limits(text: str) -> Iterator[str]:
    """Each limit that a busy machine exceeds, as line and reason; what waits on purpose is none."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            limit = _timeout(node)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            limit = node.right if _reads_clock(node.left) else None
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Lt | ast.LtE):
            limit = node.comparators[0] if _is_span(node.left) else None
        else:
            continue
        if isinstance(limit, ast.Constant) and limit.value < SHORTEST_S:
            yield f"{node.lineno}: {ast.unparse(node)}: at least {SHORTEST_S:g} s"


def _timeout(call: ast.Call) -> ast.expr | None:
    """The limit of what is over when it is ready: a program, a connection."""
    if ast.unparse(call.func).rpartition(".")[2] not in TIMED | {"communicate"}:
        return None
    return next((each.value for each in call.keywords if each.arg == "timeout"), None)


def _reads_clock(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in CLOCKS


def _is_span(node: ast.expr) -> bool:
    """Whether it is the time since something."""
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and _reads_clock(node.left)


def _instead(name: str) -> str:
    return f"{name}: use helpers.processes.{STARTING[name]}" if name in STARTING else ""


def _without_time(call: ast.Call) -> str:
    """Whether a call waits that was given no time."""
    owner, _, name = ast.unparse(call.func).rpartition(".")
    named = {each.arg for each in call.keywords}
    ours = owner in ("subprocess", "urllib.request", "socket", "http.client")
    if name in TIMED and ours and not named & {"timeout", None}:
        return f"{owner}.{name} without timeout="
    if name in BARE and owner and not call.args and not named:
        return f"{owner}.{name}() without a time"
    return ""


def _sleeps_for_ever(loop: ast.While) -> str:
    used = {each.attr for each in ast.walk(loop) if isinstance(each, ast.Attribute)}
    sleeps = "sleep" in used and not used & CLOCKS
    return "a loop that sleeps and sees no clock" if sleeps else ""


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_wait_of_the_tests_has_a_limit(path: Path) -> None:
    if path not in (BY_HAND, Path(processes.__file__)):
        assert list(endless_waits(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "subprocess.Popen(['a'])",
        "class Game(threading.Thread): pass",
        "threading.Thread(target=print).start()",
        "subprocess.run(['a'], check=True)",
        "http.client.HTTPConnection('a')",
        "urllib.request.urlopen('a')",
        "process.wait()",
        "commands.get()",
        "while not path.exists(): time.sleep(0.1)",
    ],
)
def test_a_wait_without_a_limit_is_seen(line: str) -> None:
    assert len(list(endless_waits(f"def test():\n    {line}\n"))) == 1


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_limit_of_the_tests_is_too_short_for_a_busy_machine(path: Path) -> None:
    if path != BY_HAND:
        assert list(short_limits(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("end = time.monotonic() + 5", 1),
        ("assert time.monotonic() - began < 0.25", 1),
        ("subprocess.run(['a'], timeout=10)", 1),
        ("process.communicate(timeout=10)", 1),
        ("http.client.HTTPConnection('a', timeout=10)", 1),
        ("assert time.monotonic() - began < daemon.RECORDER_START_S / 2", 0),
        ("assert 5 < time.monotonic() - began", 0),
        ("process.communicate(timeout=60)", 0),
        ("assert not gate.acquire(timeout=0.2)", 0),
    ],
)
def test_a_limit_that_is_too_short_is_seen(line: str, count: int) -> None:
    assert len(list(short_limits(f"def test():\n    {line}\n"))) == count


FOREVER = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("begun", flush=True)
time.sleep(60)
"""


def test_a_process_that_does_not_end_is_killed_with_its_children() -> None:
    began = time.monotonic()
    process = Process([sys.executable, "-c", FOREVER], 1.0, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.read().split() in ([b"begun"], [])  # its child holds the pipe, too
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(10)
    assert process.returncode != 0
    assert time.monotonic() - began < 30


def test_a_test_that_fails_waits_for_no_process() -> None:
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError), Process([sys.executable, "-c", FOREVER]):
        _ = 1 / 0
    assert time.monotonic() - began < 30


def test_a_thread_that_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LIFE_S", 0.05)
    over = threading.Event()
    thread = Thread(over.wait, [60])
    thread.start()
    with pytest.raises(TimeoutError, match="still runs"):
        thread.join()
    over.set()
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="POSIX only")
def test_a_limit_inside_a_test_leaves_that_of_the_test() -> None:
    before = signal.getitimer(signal.ITIMER_REAL)[0]
    assert before > 0, "pytest-timeout has set none: see setup.cfg"
    with within(5):
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 5
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= before


WAITS = """
import signal, time
try:
    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
    time.sleep(30)
except KeyboardInterrupt:
    print("stopped")
"""


def test_a_child_hears_ctrl_c() -> None:
    with Process([sys.executable, "-c", WAITS], 30, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "stopped\n"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="shells of POSIX")
def test_a_child_hears_ctrl_c_where_the_tests_run_in_the_background() -> None:
    name = f"{__file__}::{test_a_child_hears_ctrl_c.__name__}"
    command = f"{sys.executable} -m pytest -q -p no:cacheprovider '{name}' & wait $!"
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout + done.stderr or done.stdout.startswith(".")
