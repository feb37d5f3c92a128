"""What asks a process to end: every signal is told once, a closing console of Windows, too."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
from contextlib import nullcontext

import pytest
from helpers import ROOT
from helpers.closing import end_users_session
from helpers.processes import Process, Thread, printed_by

from capture.commands import CommandQueue
from capture.signals import signals_into
from dataset.stopping import BREAK, HANGUP, STOP_SIGNALS, interrupt_at_break, stops_caught

# Works until it is told to end, and says how; argv: how it is told, by a name below.
WORK = """
import sys, threading, time
from dataset.stopping import stops_caught, interrupt_at_break
told = []
def work():
    print("ready", flush=True)
    end = time.monotonic() + 20
    while not told and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.5)  # what is begun is finished
    print("whole" if told else "nothing came", flush=True)
"""
CLOSES = """
from dataset import closing_win32
def close(event):
    print("returned", closing_win32.on_console_event(event), flush=True)
"""


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
def test_the_first_signal_is_told_and_the_same_again_interrupts(number: signal.Signals) -> None:
    before, told = signal.getsignal(number), []
    with stops_caught(lambda: told.append(number)):
        signal.raise_signal(number)
        assert told == [number]
        with nullcontext() if number == HANGUP else pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
def test_a_recorder_hears_what_a_script_made_it_ignore(number: signal.Signals) -> None:
    commands: CommandQueue = queue.SimpleQueue()
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with signals_into(commands):
            signal.raise_signal(number)
        assert commands.empty() is (number == HANGUP)
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_windows_own_signal_is_among_them() -> None:
    assert (BREAK in STOP_SIGNALS) == (sys.platform == "win32")


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
def test_what_is_ignored_stays_ignored(number: signal.Signals) -> None:
    before, told = signal.signal(number, signal.SIG_IGN), []
    try:
        with stops_caught(lambda: told.append(number)):
            signal.raise_signal(number)
            assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)
    assert told == []


def test_outside_the_main_thread_nothing_is_caught_and_all_goes_on() -> None:
    done = []

    def work() -> None:
        with stops_caught(lambda: None):
            interrupt_at_break()
            done.append(True)

    thread = Thread(work)
    thread.start()
    thread.join()
    assert done == [True]


@pytest.mark.skipif(sys.platform != "win32", reason="consoles of Windows")
@pytest.mark.parametrize("event", [2, 5, 6], ids=["close", "log-off", "shutdown"])
def test_a_closing_console_waits_until_the_work_is_whole(event: int) -> None:
    told = printed_by(
        f"{WORK}{CLOSES}\n"
        f"threading.Timer(0.5, close, [{event}]).start()\n"
        "with stops_caught(lambda: told.append(1)):\n"
        "    work()\n"
        "import os; os._exit(0)  # the thread of the console waits for the end of the process\n"
    )
    assert told.split() == ["ready", "whole"]


@pytest.mark.skipif(sys.platform != "win32", reason="consoles of Windows")
@pytest.mark.parametrize("event", [0, 1], ids=["Ctrl-C", "Ctrl-Break"])
def test_keys_of_a_console_are_left_to_python(event: int) -> None:
    code = f"{CLOSES}\nfrom dataset.stopping import *\nwith stops_caught(print): close({event})"
    assert printed_by(code).split() == ["returned", "0"]


@pytest.mark.skipif(sys.platform != "win32", reason="consoles of Windows")
def test_where_nobody_listens_a_console_closes_as_usual() -> None:
    assert printed_by(f"{CLOSES}\nclosing_win32.listen(); close(2)").split() == ["returned", "0"]


@pytest.mark.skipif(sys.platform != "win32", reason="consoles of Windows")
def test_other_work_is_interrupted_as_by_ctrl_c() -> None:
    told = printed_by(
        f"{WORK}{CLOSES}\n"
        "interrupt_at_break()\n"
        "threading.Timer(0.5, close, [2]).start()\n"
        "try:\n    work()\nexcept KeyboardInterrupt:\n    print('in order', flush=True)\n"
        "import os; os._exit(0)\n"
    )
    assert told.split() == ["ready", "in", "order"]


@pytest.mark.skipif(sys.platform != "win32", reason="sessions of Windows")
def test_the_end_of_a_users_session_is_told_and_waits_for_the_work() -> None:
    code = (
        f"{WORK}\nimport os\nprint(os.getpid())\n"
        "with stops_caught(lambda: told.append(1)):\n    work()\n"
    )
    process = Process([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    number = int(process.stdout.readline())
    assert process.stdout.readline() == "ready\n"
    end_users_session(number)
    assert process.communicate(timeout=30)[0] == "whole\n"
    assert process.returncode == 0
