"""Finding one window by its title, and where it is now. Grabs nothing.

X11 is asked through python-xlib, which works without a window manager; Windows through user32.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from capture.target import Candidate, NothingToSee, Rectangle, Window
from dataset.errors import UserError


def find_window(title: str) -> Window:
    """The visible window whose title holds ``title``, in any case.

    Of several, a title that is equal comes before one that begins so, then the largest window.

    Raises
    ------
    UserError
        There is none (the candidates are named), or this system cannot be asked.
    """
    if sys.platform == "win32":
        from capture.window_win32 import open_window, visible_windows  # Windows only

        return open_window(choose(title, list(visible_windows())))
    if sys.platform == "darwin":
        raise UserError(
            "--window cannot find windows on macOS. Give the place instead: --region X,Y,W,H."
        )
    connection = _connect()
    try:
        return X11Window(connection, choose(title, list(_visible_x11_windows(connection))))
    except BaseException:
        connection.close()
        raise


def choose(title: str, candidates: list[Candidate]) -> Candidate:
    """The best match among the candidates; ``UserError`` naming them where none matches."""
    wanted = title.casefold().strip()
    if not wanted:
        raise UserError("--window needs a part of the window's title.")
    matching = [each for each in candidates if wanted in each.title.casefold()]
    if not matching:
        names = sorted({each.title for each in candidates})
        shown = ", ".join(f'"{name}"' for name in names[:12]) + (", ..." if names[12:] else "")
        there = f"There are: {shown}." if names else "No window is open: start the game first."
        raise UserError(f'No visible window has "{title}" in its title. {there}')

    def rank(each: Candidate) -> tuple[bool, bool, int]:
        name = each.title.casefold()
        return name == wanted, name.startswith(wanted), each.area

    return max(matching, key=rank)


class X11Window:
    """A window of an X11 display, followed over its own connection."""

    def __init__(self, connection: Any, found: Candidate) -> None:
        self.title = found.title
        self._connection = connection
        self._window = found.handle
        self._root = connection.screen().root

    def rectangle(self) -> Rectangle:
        from Xlib import X, error  # Linux only

        try:
            shown = self._window.get_attributes().map_state == X.IsViewable
            size = self._window.get_geometry()
            place = self._root.translate_coords(self._window, 0, 0)
        except (error.XError, error.ConnectionClosedError, OSError) as problem:
            raise UserError(f'The window "{self.title}" was closed.', 1) from problem
        if not shown:
            raise NothingToSee(f'The window "{self.title}" is minimised.')
        return place.x, place.y, size.width, size.height

    def close(self) -> None:
        from Xlib import error  # Linux only

        with suppress(error.ConnectionClosedError, OSError):  # the server went first
            self._connection.close()


def is_xwayland() -> bool:
    """Whether the X server on ``DISPLAY`` is XWayland, whose screen stays black for others."""
    connection = _connect()
    try:
        if "XWAYLAND" in connection.list_extensions():  # from Xwayland 23.1 on
            return True
        if not connection.has_extension("RANDR"):
            return False
        resources = connection.screen().root.xrandr_get_screen_resources()
        now = resources.config_timestamp
        names = [connection.xrandr_get_output_info(each, now).name for each in resources.outputs]
        return any(name.startswith("XWAYLAND") for name in names)  # before it
    finally:
        connection.close()


def _connect() -> Any:
    """A connection to the display that ``DISPLAY`` names."""
    from Xlib import display, error  # Linux only

    try:
        return display.Display()
    except (error.DisplayError, OSError) as problem:
        raise UserError(f"No display: {problem}", 1) from problem


def _visible_x11_windows(connection: Any) -> Iterator[Candidate]:
    """Every viewable window with a title, but the terminal that this was typed in."""
    from Xlib import X, error  # Linux only

    terminal = os.environ.get("WINDOWID", "")
    names = [connection.intern_atom(name) for name in ("_NET_WM_NAME", "WM_NAME")]
    waiting = [connection.screen().root]
    while waiting:
        window = waiting.pop()
        try:
            waiting.extend(window.query_tree().children)
            title = _x11_title(window, names)
            if not title or str(window.id) == terminal:
                continue
            attributes, size = window.get_attributes(), window.get_geometry()
        except error.XError:
            continue  # closed while we looked
        if attributes.map_state == X.IsViewable and attributes.win_class == X.InputOutput:
            yield Candidate(title, size.width * size.height, window)


def _x11_title(window: Any, names: list[int]) -> str:
    for name in names:
        found = window.get_full_property(name, 0)  # 0: of any type
        if found is not None and found.value:
            value = found.value
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return ""
