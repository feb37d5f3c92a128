"""Windows of an X11 display, through python-xlib, which works without a window manager."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from Xlib import X, display, error
from Xlib.ext import shape
from Xlib.protocol import event, request

from capture.screens.own_terminal import starters
from capture.screens.target import (
    COVERED_SHARE,
    Candidate,
    NotVisible,
    Rectangle,
    display_gone,
    intersect,
    shared_fraction,
)
from dataset.errors import UserError
from dataset.gate import LONGEST_TEXT, plain

LOST = (error.ConnectionClosedError, OSError)  # what a dead server raises
TITLE_PROPERTIES = ("_NET_WM_NAME", "WM_NAME")  # that hold a title, the better one first
TRANSPARENT_DEPTH = 32  # bits: such a window may be invisible outside its input shape
FROM_PAGER = 2  # in _NET_ACTIVE_WINDOW: a request of the user, not of the program itself


class X11Window:
    """A window of an X11 display, followed over its own connection."""

    def __init__(self, connection: Any, found: Candidate, *others: Candidate) -> None:
        self.title, self.id, self.others = found.title, found.id, list(others)
        self._connection = connection
        self._window = found.handle
        self._root = connection.screen().root

    def rectangle(self) -> Rectangle:
        with self._asking():
            # All three are sent before the first answer is waited for.
            attributes = self._ask(request.GetWindowAttributes, window=self._window)
            size = self._ask(request.GetGeometry, drawable=self._window)
            place = self._ask(
                request.TranslateCoords, src_wid=self._window, dst_wid=self._root, src_x=0, src_y=0
            )
            for each in (attributes, size, place):
                each.reply()
        if attributes.map_state != X.IsViewable:
            raise NotVisible(f'The window "{self.title}" is minimised.')
        return place.x, place.y, size.width, size.height

    def covering(self) -> str | None:
        place = self.rectangle()
        with self._asking():
            for other in self._hiding(self._above(), place):
                if self._hides(other, place):
                    return (
                        _deep_title(other, self._atoms(*TITLE_PROPERTIES))
                        or "a window without a title"
                    )
        return None

    def has_focus(self) -> bool:
        with self._asking():
            ours = self._top_level(self._window)
            focus = self._connection.get_input_focus().focus
            if focus in (X.PointerRoot, self._root):
                return bool(self._root.query_pointer().child == ours)
            with suppress(error.XError):  # closed while we looked
                return focus != X.NONE and self._top_level(focus) == ours
        return False

    def focus(self) -> None:
        with self._asking():
            if self._manager_activates():
                self._ask_manager()
            else:
                ignored = error.CatchError()  # a window that cannot take the focus
                top = self._top_level(self._window)
                top.map(onerror=ignored)
                top.configure(stack_mode=X.Above, onerror=ignored)
                self._window.set_input_focus(X.RevertToParent, X.CurrentTime, onerror=ignored)
            self._connection.sync()

    def close(self) -> None:
        disconnect(self._connection)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            with _alive():
                yield
        except error.XError as problem:
            raise UserError(f'The window "{self.title}" was closed.', 1) from problem

    def _ask(self, kind: Any, **what: Any) -> Any:
        """Send a request without waiting, so that several are answered in one round trip."""
        return kind(display=self._connection.display, defer=True, **what)

    def _atoms(self, *names: str) -> list[int]:
        return [self._connection.intern_atom(name) for name in names]  # remembered by python-xlib

    def _top_level(self, window: Any) -> Any:
        """The window or that ancestor of it whose parent is the root, such as its frame."""
        while (parent := window.query_tree().parent) not in (self._root, X.NONE):
            window = parent
        return window

    def _above(self) -> list[Any]:
        """Top-level windows stacked over this one, the topmost first."""
        own = self._top_level(self._window)
        stack = self._root.query_tree().children  # bottom to top
        return list(reversed(stack[stack.index(own) + 1 :])) if own in stack else []

    def _hiding(self, windows: list[Any], place: Rectangle) -> Iterator[Any]:
        """Those that are shown and whose rectangles hide enough of ``place``."""
        asked = [
            (
                each,
                self._ask(request.GetWindowAttributes, window=each),
                self._ask(request.GetGeometry, drawable=each),
            )
            for each in windows
        ]
        for window, attributes, size in asked:
            try:
                attributes.reply()
                size.reply()
            except error.XError:
                continue  # closed while we looked
            shown = attributes.map_state == X.IsViewable and attributes.win_class == X.InputOutput
            border = 2 * size.border_width
            whole = (size.x, size.y, size.width + border, size.height + border)
            if shown and shared_fraction(place, whole) > COVERED_SHARE:
                yield window

    def _hides(self, window: Any, place: Rectangle) -> bool:
        """Whether a window's visible parts cover enough of ``place``."""
        opacity, kind, desktop = self._atoms(
            "_NET_WM_WINDOW_OPACITY", "_NET_WM_WINDOW_TYPE", "_NET_WM_WINDOW_TYPE_DESKTOP"
        )
        try:
            if _numbers(window, opacity) == [0] or desktop in _numbers(window, kind):
                return False
            parts = self._shape(window)
        except error.XError:
            return False  # closed while we looked
        shared = [intersect(place, each) for each in parts]
        hidden = sum(each[2] * each[3] for each in shared if each is not None)
        return hidden > COVERED_SHARE * place[2] * place[3]

    def _shape(self, window: Any) -> list[Rectangle]:
        """The rectangles of a window's shape; they do not overlap.

        Shadows and see-through overlays belong to windows with an alpha channel: only the part of
        those that takes clicks counts.
        """
        size = window.get_geometry()
        if not self._connection.has_extension("SHAPE"):
            return [(size.x, size.y, size.width, size.height)]
        see_through = size.depth == TRANSPARENT_DEPTH
        kind = shape.SK.Input if see_through else shape.SK.Bounding
        left, top = size.x + size.border_width, size.y + size.border_width
        return [
            (left + each.x, top + each.y, each.width, each.height)
            for each in window.shape_get_rectangles(kind).rectangles
        ]

    def _manager_activates(self) -> bool:
        """Whether a window manager is running that activates windows on request."""
        check, supported, active = self._atoms(
            "_NET_SUPPORTING_WM_CHECK", "_NET_SUPPORTED", "_NET_ACTIVE_WINDOW"
        )
        alive = False
        with suppress(error.XError):  # the property may outlive its manager
            for number in _numbers(self._root, check):
                self._connection.create_resource_object("window", number).get_geometry()
                alive = True
        return alive and active in _numbers(self._root, supported)

    def _ask_manager(self) -> None:
        [active] = self._atoms("_NET_ACTIVE_WINDOW")
        message = event.ClientMessage(
            window=self._client(),
            client_type=active,
            data=(32, [FROM_PAGER, X.CurrentTime, 0, 0, 0]),
        )
        mask = X.SubstructureRedirectMask | X.SubstructureNotifyMask
        self._root.send_event(message, event_mask=mask)

    def _client(self) -> Any:
        """The window that the manager manages: this one, or an ancestor inside the frame."""
        [state] = self._atoms("WM_STATE")
        window = self._window
        while window not in (self._root, X.NONE):
            if window.get_full_property(state, X.AnyPropertyType) is not None:
                return window
            window = window.query_tree().parent
        return self._window


def connect() -> Any:
    """A connection to the display that ``DISPLAY`` names."""
    try:
        return display.Display()
    except (error.DisplayError, *LOST) as problem:
        raise UserError(f"No display: {problem}", 1) from problem


def disconnect(connection: Any) -> None:
    """Close it, even if the server is gone."""
    with suppress(*LOST):
        connection.close()


def visible_windows(connection: Any) -> list[Candidate]:
    """Every viewable window with a title; those of the terminal that this runs in are marked."""
    terminal: set[int] = set()
    with _alive():
        found = list(_walk(connection, terminal))
    return [replace(each, own=each.top in terminal) for each in found]


def _walk(connection: Any, terminal: set[int]) -> Iterator[Candidate]:
    """Windows with a title; adds the numbers of the top-level ones that our terminal is in."""
    parents = starters()
    names = [connection.intern_atom(name) for name in TITLE_PROPERTIES]
    process = connection.intern_atom("_NET_WM_PID")
    root = connection.screen().root
    waiting = [(root, 0)]  # windows, each with the number of the top-level one that holds it
    while waiting:
        window, top = waiting.pop()
        try:
            children = window.query_tree().children
            waiting.extend((each, top or each.id) for each in children)
            if _is_terminal(window, parents, process):
                terminal.add(top)
            title = _title(window, names)
            if not title:
                continue
            attributes, size = window.get_attributes(), window.get_geometry()
        except error.XError:
            continue  # closed while we looked
        if attributes.map_state == X.IsViewable and attributes.win_class == X.InputOutput:
            sides = size.width, size.height
            area = size.width * size.height
            yield Candidate(title, area, window, sides, window.id, top)


def _is_terminal(window: Any, parents: set[int], process: int) -> bool:
    """Whether a window says that it is of our terminal; its frame and its title may be others."""
    if str(window.id) == os.environ.get("WINDOWID"):
        return True
    return bool(parents) and not parents.isdisjoint(_numbers(window, process))


def is_xwayland() -> bool:
    """Whether the X server on ``DISPLAY`` is XWayland, whose screen is black for other programs."""
    connection = connect()
    try:
        with _alive():
            return _names_xwayland(connection)
    finally:
        disconnect(connection)


@contextmanager
def _alive() -> Iterator[None]:
    try:
        yield
    except LOST as problem:
        raise display_gone() from problem


def _names_xwayland(connection: Any) -> bool:
    if "XWAYLAND" in connection.list_extensions():  # from Xwayland 23.1 on
        return True
    if not connection.has_extension("RANDR"):
        return False
    resources = connection.screen().root.xrandr_get_screen_resources()
    now = resources.config_timestamp
    names = [connection.xrandr_get_output_info(each, now).name for each in resources.outputs]
    return any(name.startswith("XWAYLAND") for name in names)  # before it


def _title(window: Any, names: list[int]) -> str:
    for name in names:
        found = window.get_full_property(name, X.AnyPropertyType)
        if found is not None and found.value:
            value = found.value
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            return plain(text[:LONGEST_TEXT])  # whatever a program calls its window
    return ""


def _deep_title(window: Any, names: list[int]) -> str:
    """The title of a window or of a child inside its frame."""
    waiting = [window]
    while waiting:
        window = waiting.pop(0)
        with suppress(error.XError):  # closed while we looked
            if title := _title(window, names):
                return title
            waiting.extend(window.query_tree().children)
    return ""


def _numbers(window: Any, name: int) -> list[int]:
    """A property of numbers; empty if it is not set."""
    found = window.get_full_property(name, X.AnyPropertyType)
    return [] if found is None or isinstance(found.value, bytes) else list(found.value)
