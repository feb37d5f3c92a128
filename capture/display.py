"""A display to draw on and record from: the user's own, or a virtual one (Xvfb)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dataset.errors import UserError

QUIET = ("-nolisten", "tcp", "-noreset", "-s", "0")  # local, lasting, without a screen saver
SCREEN = "1280x800x24"  # width, height and colour depth of a virtual screen


@contextmanager
def virtual_display() -> Iterator[str]:
    """Start Xvfb on a free number and point ``DISPLAY`` at it as long as the context lasts.

    Yields
    ------
    str
        The display, such as ``:99``.

    Raises
    ------
    UserError
        Xvfb is not installed or did not start.
    """
    server = shutil.which("Xvfb")
    if server is None:
        raise UserError("There is no display, and no Xvfb to make one: apt-get install xvfb.")
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [server, "-displayfd", str(writer), "-screen", "0", SCREEN, *QUIET],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    changed = {"WAYLAND_DISPLAY": None, "XDG_SESSION_TYPE": "x11"}
    try:
        with os.fdopen(reader) as answer:
            number = answer.readline().strip()
        if not number:
            raise UserError("Xvfb did not start. Run it by hand to see why.", 1)
        with environment(DISPLAY=f":{number}", **changed):
            yield f":{number}"
    finally:
        process.terminate()
        process.wait(timeout=10)


@contextmanager
def environment(**wanted: str | None) -> Iterator[None]:
    """Set environment variables (None: unset) and put the old ones back."""
    before = {name: os.environ.get(name) for name in wanted}
    _set_environment(wanted)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def any_display() -> Iterator[None]:
    """The user's own display where there is one that can be recorded, else a virtual one."""
    needs_x11 = sys.platform.startswith("linux")
    if needs_x11 and ("DISPLAY" not in os.environ or "WAYLAND_DISPLAY" in os.environ):
        with virtual_display():
            yield
    else:
        yield
