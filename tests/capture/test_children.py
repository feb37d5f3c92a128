"""Processes that recorders start: the real one, without a window, and ended with all they are."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import psutil
import pytest

from capture import children

OWN_NUMBER = "import os; print(os.getpid(), flush=True); input()"
# What a console program tells of its own window, and of that of a program which it starts.
SHOWN = """
import ctypes, subprocess, sys
def shown():
    return ctypes.windll.user32.IsWindowVisible(ctypes.windll.kernel32.GetConsoleWindow())
if len(sys.argv) > 1:
    print(shown(), flush=True)
else:
    below = subprocess.run([sys.executable, __file__, "below"], capture_output=True, text=True)
    print(shown(), below.stdout, flush=True)
"""


def started(code: str, **more: Any) -> subprocess.Popen[Any]:
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return children.start([sys.executable, "-c", code], **{**streams, **more})


@pytest.mark.parametrize("outlives", [False, True])
def test_a_child_is_the_process_that_does_the_work_and_ends_when_it_is_killed(
    outlives: bool,
) -> None:
    child = started(OWN_NUMBER, outlives=outlives)
    try:
        assert child.stdout is not None
        number = int(child.stdout.readline())
        assert child.pid == number  # no launcher of a virtual environment in between
    finally:
        child.kill()
        child.communicate(timeout=20)
    assert not psutil.pid_exists(number)


def test_a_child_is_of_the_same_environment() -> None:
    child = started("import sys, numpy; print(sys.prefix); print(sys.executable)")
    said, _ = child.communicate(timeout=60)
    prefix, executable = said.decode().split(os.linesep)[:2]
    assert (prefix, executable) == (sys.prefix, sys.executable)


def test_a_child_gets_its_environment_and_no_other() -> None:
    env = {**os.environ, "UNCLIP_TEST": "seen"}
    child = started("import os; print(os.environ['UNCLIP_TEST'])", env=env)
    assert child.communicate(timeout=60)[0].split() == [b"seen"]


@pytest.mark.skipif(sys.platform != "win32", reason="consoles of Windows")
@pytest.mark.parametrize("outlives", [False, True])
def test_neither_a_child_nor_what_it_starts_opens_a_console_over_the_game(
    outlives: bool, tmp_path: Any
) -> None:
    program = tmp_path / "shown.py"
    program.write_text(SHOWN)
    child = children.start(
        [sys.executable, str(program)], outlives=outlives, stdout=subprocess.PIPE
    )
    assert child.communicate(timeout=60)[0].split() == [b"0", b"0"]


@pytest.mark.skipif(os.name != "posix", reason="sessions of POSIX")
def test_a_child_that_outlives_the_terminal_has_a_session_of_its_own() -> None:
    child = started("import os; print(os.getsid(0) == os.getpid())", outlives=True)
    assert child.communicate(timeout=60)[0] == b"True\n"
