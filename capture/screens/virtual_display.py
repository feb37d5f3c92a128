"""A display to draw on and to record: the user's own, or a virtual one (Xvfb).

A virtual display is private: without the cookie in its authority file nobody can see it or press
its keys.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset.errors import UserError
from dataset.files import write_whole

QUIET = ("-nolisten", "tcp", "-noreset", "-s", "0")  # local, lasting, without a screen saver
SCREEN = "1280x800x24"  # width, height and colour depth of a virtual screen
PROTOCOL = b"MIT-MAGIC-COOKIE-1"
FAMILY_LOCAL, FAMILY_WILD = 256, 65535  # of addresses, as X's clients look them up
# Runs a program until a line or the end of its input comes, which also comes when the process at
# the other end is killed. Only the program keeps the output: it ends with the program.
KEEPER = """
folder=$1; shift
"$@" 2>/dev/null & child=$!
exec >&-
read -r _
kill "$child" 2>/dev/null; wait "$child"
rm -f "$folder/authority"; rmdir "$folder" 2>/dev/null
"""


@contextmanager
def virtual_display() -> Iterator[str]:
    """Start Xvfb on a free number, with ``DISPLAY`` pointing at it while in the context.

    Only this process and its children know the cookie, through ``XAUTHORITY``. Xvfb ends with this
    process, however that ends.

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
        raise UserError(
            "There is no display, and no Xvfb to make one.", remedy="Run: apt-get install xvfb."
        )
    folder = tempfile.mkdtemp(prefix="unclip-display-")  # 0700
    authority = Path(folder, "authority")
    write_whole(authority, make_authority(secrets.token_bytes(16)), mode=0o600)
    command = [server, "-displayfd", "1", "-auth", str(authority), "-screen", "0", SCREEN, *QUIET]
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", KEEPER, "sh", folder, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us: windows are closed before their screen is
    )
    assert keeper.stdout is not None
    changed = {"WAYLAND_DISPLAY": None, "XDG_SESSION_TYPE": "x11", "XAUTHORITY": str(authority)}
    try:
        number = keeper.stdout.readline().strip().decode()
        if not number:
            raise UserError("Xvfb did not start. Run it by hand to see why.", 1)
        with temporary_environment(DISPLAY=f":{number}", **changed):
            yield f":{number}"
    finally:
        # A line, because a forked process may still hold the input open.
        keeper.communicate(b"\n", timeout=10)


def make_authority(cookie: bytes) -> bytes:
    """An Xauthority file with one cookie for every local display.

    Two entries: python-xlib ignores wildcards, and the host name may change.

    References
    ----------
    xauth(1); Xauth.h of libXau: family, address, number, name, data; all but the family preceded by
    their length; 16-bit numbers, big-endian.
    """
    places = [(FAMILY_LOCAL, os.fsencode(socket.gethostname())), (FAMILY_WILD, b"")]
    return b"".join(
        struct.pack(">H", family)
        + b"".join(struct.pack(">H", len(each)) + each for each in (place, b"", PROTOCOL, cookie))
        for family, place in places
    )


@contextmanager
def temporary_environment(**wanted: str | None) -> Iterator[None]:
    """Set environment variables (None: unset) and restore the old ones afterwards."""
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
    """The user's own display if there is one that can be recorded, else a virtual one."""
    needs_x11 = sys.platform.startswith("linux")
    if needs_x11 and ("DISPLAY" not in os.environ or "WAYLAND_DISPLAY" in os.environ):
        with virtual_display():
            yield
    else:
        yield
