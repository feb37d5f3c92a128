"""Finds a window by its title, on any system. Grabs nothing.

``window_x11.py`` asks X11, ``window_win32.py`` Windows; each loads only where it works.
"""

from __future__ import annotations

import sys

from capture.screens.target import Candidate, Window
from dataset.errors import UserError


def find_window(title: str) -> Window:
    """The visible window whose title contains ``title``, ignoring case; or of this number, as 0x5f.

    Of several, an equal title comes first, then one that begins with it, then the largest window.
    The terminal that this runs in, whose title may hold the command, is found by its number only.

    Raises
    ------
    UserError
        There is none (the message lists the windows), or this system cannot be asked.
    """
    if sys.platform == "win32":
        from capture.screens import window_win32  # Windows only

        return window_win32.Win32Window(*matching(title, list(window_win32.visible_windows())))
    if sys.platform == "darwin":
        raise UserError(
            "--window cannot find windows on macOS.",
            remedy="Give the place instead: --region X,Y,W,H.",
        )
    from capture.screens import window_x11  # python-xlib is installed on Linux only

    connection = window_x11.connect()
    try:
        return window_x11.X11Window(
            connection, *matching(title, window_x11.visible_windows(connection))
        )
    except BaseException:
        window_x11.disconnect(connection)
        raise


def matching(title: str, candidates: list[Candidate]) -> list[Candidate]:
    """The candidates that may be meant, the best first; of parts of one window only the best.

    ``UserError`` that lists the candidates if none matches.
    """
    wanted = title.casefold().strip()
    if not wanted:
        raise UserError("--window needs a part of the window's title.")
    numbered = [each for each in candidates if wanted == f"{each.id:#x}"]
    if numbered:
        return numbered[:1]
    with_title = [each for each in candidates if wanted in each.title.casefold()]
    found = [each for each in with_title if not each.own]
    if not found:
        raise _not_found(title, candidates, with_title)

    def rank(each: Candidate) -> tuple[bool, bool, int]:
        name = each.title.casefold()
        return name == wanted, name.startswith(wanted), each.area

    best: dict[object, Candidate] = {}
    for each in sorted(found, key=rank, reverse=True):
        best.setdefault(each.top or id(each), each)
    return list(best.values())


def _not_found(title: str, candidates: list[Candidate], own: list[Candidate]) -> UserError:
    """What to say where only windows of our terminal match, or none."""
    if own:
        return UserError(
            f'Only the terminal that this runs in has "{title}" in its title: {own[0]}.',
            remedy="Start the game first. If that terminal is to be recorded, give its number: "
            f"--window {own[0].id:#x}.",
        )
    names = sorted({each.title for each in candidates if not each.own})
    shown = ", ".join(f'"{name}"' for name in names[:12]) + (", ..." if names[12:] else "")
    there = f"There are: {shown}." if names else "No window is open: start the game first."
    return UserError(f'No visible window has "{title}" in its title.', remedy=there)


def is_xwayland() -> bool:
    """Whether the X server on ``DISPLAY`` is XWayland, whose screen is black for other programs."""
    from capture.screens import window_x11  # python-xlib is installed on Linux only

    return window_x11.is_xwayland()
