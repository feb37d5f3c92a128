"""The script that runs FlightGear without a screen: what it leaves open to other users."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.other_user import as_other_user, needs_other_user

SCRIPT = Path(__file__).parents[3] / "docs" / "flightgear" / "headless.sh"
# Stands for the game: takes connections on its port until it is ended.
GAME = """#!{python}
import socket, sys
port = next(each for each in sys.argv if each.startswith("--telnet=")).split(",")[4]
with socket.create_server(("127.0.0.1", int(port))) as server:
    while True:
        server.accept()[0].close()
"""
RUN = '#!/bin/sh\nshift\nexec "$@"\n'
KNOCK = r"""
with socket.socket(socket.AF_UNIX) as door:
    door.settimeout(20)
    door.connect(f"/tmp/.X11-unix/X{sys.argv[1]}")
    door.sendall(b"l\0\x0b\0\0\0\0\0\0\0\0\0")
    print(door.recv(1)[0])
"""

pytestmark = pytest.mark.skipif(
    shutil.which("Xvfb") is None or shutil.which("setsid") is None, reason="needs Xvfb and setsid"
)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The script's environment, with a stand-in for the game; whatever was started is stopped."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("fgfs", GAME.format(python=sys.executable)), ("dbus-run-session", RUN)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    found = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "STATE": str(tmp_path / "state"),
        "SCREEN": f":{1000 + os.getpid() % 50_000}",
        "PORT": str(20_000 + os.getpid() % 10_000),  # below those that systems give away
    }
    yield found
    run(found, "stop")


def run(settings: dict[str, str], order: str) -> tuple[int, str]:
    done = subprocess.run(
        [SCRIPT, order],
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


@pytest.mark.slow
@needs_other_user
def test_its_screen_is_closed_to_others_and_ends_with_stop(settings: dict[str, str]) -> None:
    state, screen = Path(settings["STATE"]), settings["SCREEN"]
    code, told = run(settings, "start")
    assert code == 0, told
    shown = dict(each.split("=") for each in told.splitlines()[-1].split())
    assert shown == {"DISPLAY": screen, "XAUTHORITY": str(state / "authority")}
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "authority").stat().st_mode) == 0o600
    assert as_other_user(KNOCK, screen[1:]).strip() == "0"
    for client in (["xdpyinfo"], [sys.executable, "-c", "import Xlib.display as x; x.Display()"]):
        if shutil.which(client[0]):
            environment = settings | shown
            subprocess.run(
                client, check=True, env=environment, stdout=subprocess.DEVNULL, timeout=60
            )
    assert run(settings, "stop") == (0, "")
    assert not Path(f"/tmp/.X11-unix/X{screen[1:]}").exists()
    assert not (state / "authority").exists()


def test_a_folder_that_others_can_write_to_is_refused(
    settings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    state = Path(settings["STATE"])
    state.symlink_to(tmp_path / "theirs")
    for order in ("start", "stop"):
        assert run(settings, order)[0] == 1
    state.unlink()
    state.mkdir()
    state.chmod(0o777)
    code, told = run(settings, "start")
    assert (code, "chmod 700" in told) == (1, True)
    assert list((tmp_path / "theirs").iterdir()) == list(state.iterdir()) == []
