"""A Wayland desktop of a test's own, without a screen: bus, PipeWire, sway and the real portals.

It has everybody's programs but no user: who says yes or no in the dialog of consent is the test.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest

from dataset.pictures.images import Image
from helpers import ROOT
from helpers.fake_portal import FakePortal
from helpers.processes import LIFE_S
from helpers.wayland_programs import NOBODY, PACKAGES, READY_S, Programs, needs, program

Answer = Literal["yes", "no", "silence"]

FILTER, FAKE = (
    Path(__file__).with_name(f"{each}.py") for each in ("wayland_filter", "fake_portal")
)
MUTTER = "org.gnome.Mutter.ScreenCast"
MAGIC, HEAD = b"i3-ipc", struct.Struct("=6sII")  # sway-ipc(7)
OUTPUT = "HEADLESS-1"  # what sway calls its first screen without a screen
# Without service folders: nothing is started behind our back.
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
"""
SWAY = """
output {output} mode --custom {size}@{hz:g}Hz
default_border none
default_floating_border none
focus_follows_mouse no
xwayland disable
"""
XDPW = """
[screencast]
chooser_type=simple
chooser_cmd={chooser}
"""
# Notes that it was asked, waits as long as the user is silent, and names a screen or none.
CHOOSER = """#!/bin/sh
cd "{folder}" && echo asked >>questions || exit 1
for _ in $(seq 1200); do
    [ "$(cat answer)" = silence ] || break
    sleep 0.05
done
[ "$(cat answer)" = yes ] && echo {output}
"""
PORTAL = """
[portal]
DBusName=org.freedesktop.impl.portal.desktop.{name}
Interfaces={interfaces}
UseIn=sway
"""
IMPLEMENTED = "org.freedesktop.impl.portal."


class Desktop(Programs):
    """A desktop, and what its user does."""

    def answer(self, answer: Answer) -> None:
        """What the user says when next asked for consent, or now, after a silence."""
        part = self.folder / "answer.part"
        part.write_text(answer)
        part.replace(self.folder / "answer")

    @property
    def questions(self) -> int:
        """How often the user was asked for consent."""
        questions = self.folder / "questions"
        return len(questions.read_text().splitlines()) if questions.exists() else 0

    def press(self, *keys: str) -> None:
        """Press and release keys as a keyboard does, such as F9 or ctrl+F9 (xkbcommon's names)."""
        for key in keys:
            *held, last = key.split("+")
            down, up = ([way for each in held for way in (flag, each)] for flag in ("-M", "-m"))
            self.call("wtype", *down, "-k", last, *up)

    @property
    def fake(self) -> FakePortal:
        """The portals that sway lacks, if this desktop has them."""
        return FakePortal(str(self.environment["DBUS_SESSION_BUS_ADDRESS"]), self.folder / "fake")

    def start_portal(self) -> None:
        """Start the portal's front end, at first or after it was killed."""
        self.start(
            "portal", _service("xdg-desktop-portal"), "--replace",
            ready=lambda: self.owns("org.freedesktop.portal.Desktop"),
            XDG_DESKTOP_PORTAL_DIR=str(self.folder / "portals"),
        )  # fmt: skip

    def sway(self, *words: str) -> Any:
        """Carry out a command of sway's, such as ``output HEADLESS-1 disable``."""
        done = self._ask_sway(0, " ".join(words))
        assert all(each["success"] for each in done), (words, done)
        return done

    def sway_knows(self, what: str) -> Any:
        """What sway says of its outputs or tree."""
        return self._ask_sway({"outputs": 3, "tree": 4}[what])

    def _ask_sway(self, kind: int, text: str = "") -> Any:
        """A message of sway's IPC, and the answer; `swaymsg` would wait for it for 3 s at most."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(READY_S)
            connection.connect(str(self.environment["SWAYSOCK"]))
            body = text.encode()
            connection.sendall(HEAD.pack(MAGIC, len(body), kind) + body)
            with connection.makefile("rb") as answer:
                _, size, _ = HEAD.unpack(answer.read(HEAD.size))
                return json.loads(answer.read(size))

    def resize(self, size: str) -> None:
        """Change the size of the screen."""
        self.sway("output", OUTPUT, "mode", "--custom", f"{size}@60Hz")

    def grim(self) -> Image:
        """What is on the screen, RGB uint8 (H, W, 3)."""
        data = np.frombuffer(self.call("grim", "-o", OUTPUT, "-t", "ppm", "-"), np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)


@contextmanager
def started_desktop(
    size: str = "1280x720", hz: float = 60, fake: str = "", life_s: float | None = LIFE_S
) -> Iterator[Desktop]:
    """A desktop with sway; the environment stays as it is (`Desktop.use`).

    Parameters
    ----------
    fake
        Portals that are none of sway's, such as ``GlobalShortcuts;RemoteDesktop``, which
        `helpers.fake_portal` then plays behind the real front end.
    life_s
        How long each program lives at most; None: as long as the tests take.
    """
    needs(*(each for each in PACKAGES if each != "mutter"))
    with _folder() as folder, ExitStack() as stack:
        desktop = Desktop(folder, life_s)
        stack.callback(desktop.end)
        _start_bus(desktop)
        _start_sway(desktop, size, hz)
        _start_portals(desktop, fake)
        yield desktop


@contextmanager
def wayland_desktop(
    size: str = "1280x720", hz: float = 60, fake: str = "", life_s: float | None = LIFE_S
) -> Iterator[Desktop]:
    """`started_desktop`, which is the desktop of the block."""
    with started_desktop(size, hz, fake, life_s) as desktop, desktop.use():
        yield desktop


@contextmanager
def mutter_desktop(size: str = "1280x720", life_s: float | None = LIFE_S) -> Iterator[Desktop]:
    """A desktop with GNOME's compositor, without a portal: ``org.gnome.Mutter.ScreenCast``."""
    needs("dbus-daemon", "pipewire", "wireplumber", "setpriv", "mutter")
    with _folder() as folder, ExitStack() as stack:
        desktop = Desktop(folder, life_s)
        stack.callback(desktop.end)
        desktop.environment.update(
            XDG_CURRENT_DESKTOP="GNOME", GSETTINGS_BACKEND="memory", LIBGL_ALWAYS_SOFTWARE="1"
        )
        _start_bus(desktop)
        desktop.start(
            "mutter", "mutter", "--headless", "--wayland", "--no-x11", "--virtual-monitor", size,
            ready=lambda: desktop.listens("wayland-0") and desktop.owns(MUTTER),
        )  # fmt: skip
        desktop.environment["WAYLAND_DISPLAY"] = "wayland-0"
        with desktop.use():
            yield desktop


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that only this user can enter, and sway where it is nobody. Short: a socket's path
    may have about 100 bytes.
    """
    with tempfile.TemporaryDirectory(prefix="unclip-wayland-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _start_bus(desktop: Desktop) -> None:
    """The session bus and PipeWire."""
    bus = desktop.folder / "bus.conf"
    bus.write_text(BUS.format(socket=desktop.run / "bus"))
    desktop.start(
        "bus",
        "dbus-daemon",
        "--nofork",
        f"--config-file={bus}",
        ready=lambda: desktop.listens("bus"),
    )
    desktop.start("pipewire", "pipewire", ready=lambda: desktop.listens("pipewire-0"))
    desktop.start("wireplumber", "wireplumber", ready=lambda: True)


def _start_sway(desktop: Desktop, size: str, hz: float) -> None:
    """sway refuses to be root, so there it is nobody, to whom what it uses then belongs."""
    config = desktop.folder / "sway.conf"
    config.write_text(SWAY.format(output=OUTPUT, size=size, hz=hz))
    if os.getuid() == 0:
        for each in (desktop.folder, desktop.run, config):
            os.chown(each, NOBODY, NOBODY)
    desktop.environment.update(XDG_CURRENT_DESKTOP="sway", SWAYSOCK=str(desktop.run / "sway"))
    desktop.start(
        "sway", "sway", "--unsupported-gpu", "--config", config, as_nobody=True,
        ready=lambda: desktop.listens("wayland-1") and desktop.listens("sway"),
        WLR_BACKENDS="headless", WLR_LIBINPUT_NO_DEVICES="1", WLR_RENDERER="pixman",
    )  # fmt: skip
    desktop.environment["WAYLAND_DISPLAY"] = "wayland-1"
    desktop.wait_for("sway", lambda: any(each["active"] for each in desktop.sway_knows("outputs")))


def _start_portals(desktop: Desktop, fake: str) -> None:
    """The portal's front end, the store of its permissions, and what is behind it."""
    run, chooser = desktop.run, desktop.folder / "chooser"
    chooser.write_text(CHOOSER.format(folder=desktop.folder, output=OUTPUT))
    chooser.chmod(0o700)
    desktop.answer("yes")
    config = desktop.folder / "xdpw.conf"
    config.write_text(XDPW.format(chooser=chooser))
    desktop.start(
        "filter", sys.executable, FILTER, run / "filtered", run / "wayland-1",
        ready=lambda: desktop.listens("filtered"), PYTHONPATH=f"{ROOT / 'tests'}:{ROOT}",
    )  # fmt: skip
    desktop.start(
        "store", _service("xdg-permission-store"),
        ready=lambda: desktop.owns("org.freedesktop.impl.portal.PermissionStore"),
    )  # fmt: skip
    desktop.start(
        "xdpw", _service("xdg-desktop-portal-wlr"), "--replace", "--config", config,
        ready=lambda: desktop.owns(f"{IMPLEMENTED}desktop.wlr"), WAYLAND_DISPLAY="filtered",
    )  # fmt: skip
    _describe_portal(desktop, "wlr", "ScreenCast;Screenshot")
    if fake:
        start_fake_portal(desktop, fake)
    desktop.start_portal()
    for each in filter(None, fake.split(";")):
        _skip_unless_known(desktop, each)


def _skip_unless_known(desktop: Desktop, portal: str) -> None:
    """Skip the test where the front end is from before a portal, as Ubuntu 22.04's is."""
    from capture.portal import Bus  # Linux only, while all tests import this

    with desktop.use(), Bus() as bus:
        if not bus.properties(f"org.freedesktop.portal.{portal}"):
            pytest.skip(f"this xdg-desktop-portal is too old: it knows no {portal}")


def start_fake_portal(desktop: Desktop, portals: str) -> None:
    """Start the portals that sway lacks, at first or after they were killed."""
    desktop.start(
        "fake", sys.executable, FAKE, desktop.folder / "fake", portals,
        ready=lambda: desktop.owns(f"{IMPLEMENTED}desktop.fake"),
        PYTHONPATH=f"{ROOT / 'tests'}:{ROOT}",
    )  # fmt: skip
    _describe_portal(desktop, "fake", portals)


def _describe_portal(desktop: Desktop, name: str, interfaces: str) -> None:
    """Tell the front end who is behind these portals."""
    full = ";".join(IMPLEMENTED + each for each in interfaces.split(";"))
    file = desktop.folder / "portals" / f"{name}.portal"
    file.write_text(PORTAL.format(name=name, interfaces=full))


def _service(name: str) -> str:
    found = program(name)
    assert found is not None
    return found


class KeptDesktop:
    """One desktop for many tests; another where a test has killed a part of it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._desktop: Desktop | None = None

    def whole(self) -> Desktop:
        if self._desktop is None or not self._desktop.is_whole:
            self.close()
            self._desktop = self._stack.enter_context(started_desktop(life_s=None))
        return self._desktop

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def kept_desktop() -> Iterator[KeptDesktop]:
    """Starts nothing before it is asked."""
    kept = KeptDesktop()
    yield kept
    kept.close()


@pytest.fixture
def wayland(kept_desktop: KeptDesktop) -> Iterator[Desktop]:
    """A Wayland desktop of 1280x720 whose user says yes, and in which this test runs."""
    desktop = kept_desktop.whole()
    shutil.rmtree(desktop.folder / "state" / "unclip", ignore_errors=True)  # consent, kept
    (desktop.folder / "questions").unlink(missing_ok=True)
    desktop.answer("yes")
    desktop.resize("1280x720")
    with desktop.use():
        yield desktop
