"""A session of the ScreenCast portal: the user's consent becomes a stream of PipeWire.

The desktop asks the user, once, which monitor or window may be seen. What is received is in
``pipewire.py``.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, Literal

from capture.consent import keep_token, kept_token
from capture.options import CaptureOptions
from capture.portal import PORTAL, Bus, Denied, NoAnswer, Options, PortalError, Stopped
from dataset.errors import UserError

Kind = Literal["monitor", "window"]

SCREENCAST = f"{PORTAL}.ScreenCast"
TYPES = {"monitor": 1, "window": 2}  # of sources
HIDDEN_CURSOR = 1
UNTIL_REVOKED = 2  # how long consent lasts
PERSISTS = 4  # the first version of the portal that keeps consent
DIALOG_S = 120.0  # longest wait for an answer to the dialog
CAUSE_S = 0.2  # longest wait for the news of what has ended


def kind_of(options: CaptureOptions) -> Kind:
    """What the user chooses from in the desktop's dialog."""
    return "monitor" if options.window is None else "window"


class ScreenCast:
    """One session, for one thread: what the user chose, and who sends its pictures.

    Parameters
    ----------
    kind : str
        What the user may choose from: monitors, or windows.
    dialog_s : float
        Longest wait for the user's answer.
    stopped : callable
        As of `Bus.request`.

    Raises
    ------
    UserError
        There is no such portal, the user says no or nothing, or the portal fails.
    """

    def __init__(
        self, kind: Kind, dialog_s: float = DIALOG_S, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self.kind, self._dialog_s, self._stopped = kind, dialog_s, stopped
        self._session = ""  # its object path; empty: none
        self._was_closed = False  # by the desktop
        with ExitStack() as stack:
            self._bus = stack.enter_context(Bus())
            offered = self._bus.properties(SCREENCAST)
            self._check(offered)
            self.version = int(offered.get("version", 1))
            self._hides = bool(offered.get("AvailableCursorModes", 0) & HIDDEN_CURSOR)
            streams = self._ask()
            self._closed = self._bus.signals(f"{PORTAL}.Session", "Closed", self._session)
            self._ends = self._bus.endings("org.freedesktop.impl.portal")
            if not streams:
                raise PortalError("The desktop's portal gives no stream of what was chosen.")
            self.node: int = streams[0][0]
            self.about: dict[str, Any] = streams[0][1]  # size, position, source_type; all optional
            self._stack = stack.pop_all()

    def __enter__(self) -> ScreenCast:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> int:
        """A connection to PipeWire that may see this stream: a descriptor, the caller's own."""
        [descriptor] = self._bus.call(SCREENCAST, "OpenPipeWireRemote", "oa{sv}", self._session, {})
        return int(descriptor)

    def is_closed(self) -> bool:
        """Whether the desktop has ended the session, as by its own button."""
        try:
            self._was_closed = self._was_closed or self._closed.get() is not None
        except PortalError:
            return True  # the bus is gone, and sessions end with it
        return self._was_closed

    def cause(self) -> str:
        """Why a stream of this session has ended, as far as can be told afterwards."""
        if not _compositor_answers():
            return "the compositor has ended, or you were logged out"
        try:
            if self._was_closed or self._closed.get(CAUSE_S) is not None:
                return "it was ended there, as by its button for sharing the screen"
            if self._ends.get(CAUSE_S) is not None:
                return "its portal has ended"
        except PortalError:
            return "the session bus is gone, as when you are logged out"
        return "it was ended there, or what was recorded is no longer there"

    def close(self) -> None:
        """End the session. May be called twice."""
        with self._stack:
            if self._session:
                self._bus.close_session(self._session)
                self._session = ""

    def _check(self, offered: dict[str, Any]) -> None:
        types = offered.get("AvailableSourceTypes", 0)
        if not types:
            raise PortalError(
                "This desktop's portal cannot record the screen: it has no ScreenCast.",
                remedy="Install the desktop's own part of it, such as xdg-desktop-portal-gnome, "
                "-kde, -wlr or -hyprland, and log in again.",
            )
        if not types & TYPES[self.kind]:
            there = " and ".join(f"{name}s" for name, bit in TYPES.items() if types & bit)
            raise PortalError(
                f"This desktop's portal cannot record a {self.kind}, only {there or 'others'}.",
                remedy="Leave --window out and choose the game's screen; --region X,Y,W,H takes a "
                "part of it."
                if self.kind == "window"
                else "Record a window instead: --window TITLE.",
            )

    def _ask(self) -> list[Any]:
        """The streams that the user allows, by the consent that is kept if there is some."""
        token = kept_token(self.kind) if self.version >= PERSISTS else None
        if token is not None:
            try:
                return self._start(token)
            except (Denied, NoAnswer, Stopped):
                raise
            except PortalError:
                if not self._session:  # the portal itself fails, whatever the token
                    raise
                # Of another desktop, or damaged: the user is asked again.
                keep_token(self.kind, None)
                self._bus.close_session(self._session)
        return self._start(None)

    def _start(self, token: str | None) -> list[Any]:
        self._session = self._bus.session(SCREENCAST)
        options: Options = {"types": ("u", TYPES[self.kind]), "multiple": ("b", False)}
        if self._hides:
            options["cursor_mode"] = ("u", HIDDEN_CURSOR)
        if self.version >= PERSISTS:
            options["persist_mode"] = ("u", UNTIL_REVOKED)
        if token is not None:
            options["restore_token"] = ("s", token)
        results = self._chosen(options)
        if self.version >= PERSISTS:
            keep_token(self.kind, results.get("restore_token"))
        return list(results.get("streams", []))

    def _chosen(self, options: Options) -> dict[str, Any]:
        """What the user chooses; some desktops ask before ``Start``, most at it."""
        session, limit_s = self._session, self._dialog_s
        ask = partial(self._bus.request, SCREENCAST, timeout_s=limit_s, stopped=self._stopped)
        again = f"Start the recording again, and choose the game's {self.kind} there."
        try:
            ask("SelectSources", "oa{sv}", session, options=options)
            return ask("Start", "osa{sv}", session, "")
        except Denied as error:
            what = "You did not allow the recording in the desktop's dialog."
            raise Denied(what, remedy=again) from error
        except NoAnswer as error:
            what = f"The desktop's dialog got no answer within {limit_s:g} s."
            raise NoAnswer(what, remedy=again) from error


def _compositor_answers() -> bool:
    """Whether the compositor takes connections; True if nothing says where it is."""
    name = os.environ.get("WAYLAND_DISPLAY", "")
    path = os.path.join(os.environ.get("XDG_RUNTIME_DIR", ""), name)
    if not name or not os.path.isabs(path):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except TimeoutError:
            return True
        except OSError:
            return False
    return True


def lost(cause: str) -> UserError:
    """The error of a recording whose stream has ended."""
    return UserError(
        f"The desktop has ended the recording: {cause}. Everything recorded before is whole.",
        1,
        remedy="Start it again.",
    )
