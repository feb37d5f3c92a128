"""What only Linux knows: whether the screen is locked. Of HDR nothing can be asked."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

from capture.screens.mss import is_wayland

ASK_S = 1.0  # longest wait for the login manager


def screen_locked() -> bool | None:
    """Whether the screen of ``DISPLAY`` is locked or blanked; None: unknown."""
    answers = [_session_locked(), _saver_on()]
    if True in answers:
        return True
    return False if False in answers else None


def hdr_displays() -> list[str] | None:
    """None of X11, which is always SDR; None under Wayland, where it is not known."""
    return None if is_wayland() else []


def elevated_window(title: str | None) -> str | None:
    """None: X11 has no such windows."""
    return None


def missing_permissions() -> list[str]:
    """None: X11 needs none."""
    return []


def _session_locked() -> bool | None:
    """The lock hint that GNOME, KDE and others give to systemd's login manager."""
    session = os.environ.get("XDG_SESSION_ID")
    if not session:
        return None
    command = ["loginctl", "show-session", session, "-p", "LockedHint", "-p", "Display"]
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=ASK_S
        )
    except (OSError, subprocess.SubprocessError):
        return None
    facts = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if facts.get("Display") and facts["Display"] != os.environ.get("DISPLAY"):
        return None  # another session, as with a virtual display
    return {"yes": True, "no": False}.get(facts.get("LockedHint", ""))


def _saver_on() -> bool | None:
    """Whether X11's own screen saver hides the screen."""
    from Xlib import display, error
    from Xlib.ext import screensaver

    with suppress(error.DisplayError, error.XError, error.ConnectionClosedError, OSError):
        connection = display.Display()
        try:
            if not connection.has_extension(screensaver.extname):
                return None
            state = connection.screen().root.screensaver_query_info().state
            return bool(state == screensaver.StateOn)
        finally:
            connection.close()
    return None
