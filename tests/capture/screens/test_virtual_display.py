"""The virtual display: for this user alone, and gone with its process."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.other_user import as_other_user, needs_other_user
from helpers.processes import Process
from helpers.waiting import SOON_S, soon

from capture.screens.virtual_display import virtual_display

pytestmark = [
    pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb"),
    pytest.mark.slow,
]

# Asks for a connection as X's clients do, without a cookie; the first byte answered is 1 for yes.
KNOCK = r"""
for place in (f"/tmp/.X11-unix/X{sys.argv[1]}", f"\0/tmp/.X11-unix/X{sys.argv[1]}"):
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(20)
        door.connect(place)
        door.sendall(b"l\0\x0b\0\0\0\0\0\0\0\0\0")
        print(door.recv(1)[0])
try:
    open(sys.argv[2], "rb")
except PermissionError:
    print("unreadable")
"""


@needs_other_user
def test_another_user_can_neither_connect_nor_read_the_cookie() -> None:
    with virtual_display() as name:
        heard = as_other_user(KNOCK, name[1:], os.environ["XAUTHORITY"])
    assert heard.split() == ["0", "0", "unreadable"]


def test_whoever_has_the_cookie_connects() -> None:
    xlib = pytest.importorskip("Xlib.display")
    with virtual_display() as name:
        xlib.Display(name).close()  # python-xlib looks cookies up by itself, others by libXau
        if shutil.which("xdpyinfo"):
            subprocess.run(["xdpyinfo"], check=True, stdout=subprocess.DEVNULL, timeout=20)


def test_its_cookie_lies_in_a_private_folder_that_goes_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XAUTHORITY", "/of/the/user")
    with virtual_display():
        authority = Path(os.environ["XAUTHORITY"])
        assert stat.S_IMODE(authority.stat().st_mode) == 0o600
        assert stat.S_IMODE(authority.parent.stat().st_mode) == 0o700
    assert os.environ["XAUTHORITY"] == "/of/the/user"
    assert not authority.parent.exists()


def test_a_process_forked_meanwhile_does_not_hold_its_end_up() -> None:
    with virtual_display():
        folder = Path(os.environ["XAUTHORITY"]).parent
        forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        forked.start()
    assert not folder.exists()
    forked.kill()
    forked.join(SOON_S)


HOLD = """
import os, time
from capture.screens.virtual_display import virtual_display
with virtual_display() as name:
    print(name, os.environ["XAUTHORITY"], flush=True)
    time.sleep(60)
"""


def test_it_ends_with_a_process_that_is_killed() -> None:
    command = [sys.executable, "-c", HOLD]
    with Process(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name, authority = process.stdout.readline().split()
        door = Path(f"/tmp/.X11-unix/X{name[1:]}")
        assert door.exists()
        os.kill(process.pid, signal.SIGKILL)
    soon(lambda: not door.exists())
    soon(lambda: not Path(authority).parent.exists())
