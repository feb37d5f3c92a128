"""Programs that make a desktop of a test's own: started in their order, killed by name, ended.

Each lives in a private folder with a bus, and ends with the desktop, or with this process if that
is killed. What the programs are, `helpers.wayland_desktop` knows.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest

from capture.screens.virtual_display import temporary_environment
from helpers.processes import LIFE_S, Process
from helpers.waiting import SOON_S

KILL = 9  # SIGKILL, which Windows has no name for
NOBODY = 65534
READY_S = SOON_S  # for each program
SERVICES = "/usr/libexec:/usr/lib:/usr/lib/xdg-desktop-portal"  # where portals are
PACKAGES = {  # program -> package of Debian and Ubuntu
    "dbus-daemon": "dbus",
    "grim": "grim",
    "mutter": "mutter",
    "pipewire": "pipewire",
    "setpriv": "util-linux",
    "sway": "sway",
    "wireplumber": "wireplumber",
    "wtype": "wtype",
    "xdg-desktop-portal": "xdg-desktop-portal",
    "xdg-desktop-portal-wlr": "xdg-desktop-portal-wlr",
    "xdg-permission-store": "xdg-desktop-portal",
}


def needs(*programs: str) -> None:
    """Skip the test where programs are missing; with ``CI=true`` that is an error."""
    if not sys.platform.startswith("linux"):
        pytest.skip("Wayland desktops are Linux's")
    missing = sorted({PACKAGES[each] for each in programs if program(each) is None})
    if not missing:
        return
    reason = f"needs {', '.join(missing)}: apt-get install {' '.join(missing)}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def program(name: str) -> str | None:
    """Where a program is; portals are in no user's path."""
    return shutil.which(name) or shutil.which(name, path=SERVICES)


class Programs:
    """Programs that belong together, and the environment of their clients."""

    def __init__(self, folder: Path, life_s: float | None = LIFE_S) -> None:
        self.folder, self.run = folder, folder / "run"
        self._life_s = life_s
        self.processes: dict[str, Process] = {}
        for each in ("run", "config", "data", "state", "portals", "logs"):
            (folder / each).mkdir(mode=0o700)
        self.environment: dict[str, str | None] = {
            "XDG_RUNTIME_DIR": str(self.run),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_SESSION_TYPE": "wayland",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.run / 'bus'}",
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.run / 'none'}",  # no Bluetooth of the user
            **dict.fromkeys(["DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_SESSION_ID"]),
            **dict.fromkeys(["PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR"]),
        }

    def use(self) -> AbstractContextManager[None]:
        """This desktop is that of the block."""
        return temporary_environment(**self.environment)

    def start(
        self,
        name: str,
        *command: str | Path,
        ready: Callable[[], bool],
        as_nobody: bool = False,
        **changed: str | None,
    ) -> None:
        """Start a program and wait until it is ready; it ends with this process, however that ends.

        ``as_nobody``: not as root, where the tests run as root.
        """
        command = ("setpriv", "--pdeathsig", "KILL", "--", *command)
        if as_nobody and os.getuid() == 0:
            user = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
            command = (*command[:1], *user, *command[1:])
        wanted = {**os.environ, **self.environment, **changed}
        environment = {key: value for key, value in wanted.items() if value is not None}
        with open(self.log(name), "wb") as log:
            self.processes[name] = Process(
                list(map(str, command)), self._life_s, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=environment, cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        self.wait_for(name, ready)

    def wait_for(self, name: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + READY_S
        while not ready():
            if time.monotonic() > end or self.processes[name].poll() is not None:
                last = self.log(name).read_text(encoding="utf-8", errors="replace")[-2000:]
                raise AssertionError(f"{name} did not start:\n{last}")
            time.sleep(0.01)

    def log(self, name: str) -> Path:
        """What a program printed."""
        return self.folder / "logs" / name

    @property
    def pids(self) -> dict[str, int]:
        return {name: each.pid for name, each in self.processes.items()}

    @property
    def is_whole(self) -> bool:
        """Whether all that was started still runs."""
        return all(each.poll() is None for each in self.processes.values())

    def kill(self, name: str, number: int = KILL) -> None:
        """End one program, and wait for its end."""
        process = self.processes[name]
        process.send_signal(number)
        process.wait(READY_S)

    def end(self) -> None:
        """Kill whatever still runs, what was started last first."""
        for each in reversed(self.processes.values()):
            each.end()
            each.wait(READY_S)

    def listens(self, name: str) -> bool:
        """Whether a socket of this desktop takes connections."""
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.connect(str(self.run / name))
            return True
        return False

    def owns(self, name: str) -> bool:
        """Whether somebody on the bus has this name."""
        from jeepney import DBusAddress, new_method_call
        from jeepney.io.blocking import open_dbus_connection

        bus = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
        asked = new_method_call(bus, "NameHasOwner", "s", (name,))
        address = str(self.environment["DBUS_SESSION_BUS_ADDRESS"])
        with open_dbus_connection(address, auth_timeout=READY_S) as connection:
            return bool(connection.send_and_get_reply(asked, timeout=READY_S).body[0])

    def call(self, *command: str, **options: Any) -> bytes:
        """What a client of this desktop prints."""
        with self.use():
            done = subprocess.run(command, capture_output=True, timeout=READY_S, **options)
        assert done.returncode == 0, (command, done.stderr.decode(), done.stdout.decode())
        return bytes(done.stdout)
