"""Global keys through the desktop's portal become commands on a queue: the way of Wayland.

The desktop asks the user once whether this program may have the keys, and may give it others than
those that were asked for. A thread waits for them; it asks again when the portal has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue

from capture.clock import now_s
from capture.commands import Command, CommandQueue
from capture.control.desktop_file import register
from capture.control.keys import chords_of, what_keys_do
from capture.portal import DESKTOP_NAME, PORTAL, Bus, Denied, NoAnswer, PortalError
from capture.status import LOG
from dataset.errors import UserError

INTERFACE = f"{PORTAL}.GlobalShortcuts"
PARTS = "org.freedesktop.impl.portal.desktop"  # the beginning of the names of desktops' own parts
CONSENT_S = 120.0  # longest wait for the desktop's dialog
RETRY_S = 10.0  # after the portal has ended, and between two attempts to ask again
LISTEN_S = 3600.0  # one wait for a key; then the next one begins
END_S = 3.0  # longest wait for the thread to end
LOOK_S = 0.05  # between two looks at whether the dialog was answered

OTHER_WAY = (
    "The recorder waits for commands: `cli capture toggle` records and pauses, `cli capture stop` "
    "ends, and `cli capture shortcuts` shows how a key of the desktop runs them."
)
HINT = "no keys are heard: `cli capture toggle` records, see `cli capture shortcuts`"


class PortalShortcuts:
    """Hears keys through the portal while in the context.

    Without a portal, or where the user does not allow it, no key is heard: `news` says so.

    Parameters
    ----------
    commands : queue of Command
        Gets the command of each pressed key. Who waits for the dialog waits until one comes.
    keys : mapping
        Command -> key in pynput's notation: what the desktop is asked for.

    Raises
    ------
    UserError
        A key cannot be parsed, or two commands share one.
    """

    def __init__(self, commands: CommandQueue, keys: Mapping[str, str]) -> None:
        self._commands = commands
        self._chords = chords_of(keys)
        self._ids = {command.replace(" ", "-"): command for command in keys}
        self._news: SimpleQueue[str] = SimpleQueue()
        self._state = "asking"  # then heard | lost (for now) | none (for good)
        self._bus: Bus | None = None
        self._settled, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="portal keys", daemon=True)

    def __enter__(self) -> PortalShortcuts:
        self._thread.start()
        limit = now_s() + CONSENT_S
        # A command, such as that of Ctrl-C, is not kept waiting by the desktop's dialog.
        while not self._settled.wait(LOOK_S) and self._commands.empty() and now_s() < limit:
            pass
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether keys are heard."""
        return self._state == "heard"

    def watch(self) -> None:
        """Nothing to do: the thread asks again by itself."""

    def news(self) -> str | None:
        """What the player should know of the keys, once; None: nothing new."""
        with suppress(Empty):
            return self._news.get_nowait()
        return None

    def close(self) -> None:
        """Hear no more keys. May be called twice."""
        self._closing.set()
        bus = self._bus
        if bus is not None:
            bus.interrupt()
        if self._thread.is_alive():
            self._thread.join(END_S)

    def _run(self) -> None:
        """Hear keys; ask again when the portal or the bus has ended."""
        while not self._closing.is_set():
            try:
                with Bus() as self._bus:
                    self._hear(self._bus)
            except UserError as error:
                self._tell_lost(error)
            self._settled.set()
            if self._state == "none" or self._closing.wait(RETRY_S):
                return

    def _hear(self, bus: Bus) -> None:
        """Ask for the keys, then put commands on the queue; `PortalError` when that is over."""
        if self._closing.is_set():  # it was before `close` could interrupt this bus
            return
        session = open_session(bus)
        closed = bus.signals(f"{PORTAL}.Session", "Closed", session)
        ends, parts = bus.endings(DESKTOP_NAME), bus.endings(PARTS)
        with closed, ends, parts, bus.signals(INTERFACE, "Activated") as pressed:
            self._tell_bound(self._bind(bus, session))
            while True:
                source, body = bus.next_of([pressed, closed, ends, parts], LISTEN_S) or (None, ())
                if source in (closed, ends):
                    raise PortalError("The desktop has ended its global keys.")
                if source is parts:  # perhaps of other portals
                    bus.request(INTERFACE, "ListShortcuts", "oa{sv}", session)
                if source is pressed and body[0] == session:
                    self._press(body[1])

    def _press(self, identifier: str) -> None:
        if identifier in self._ids:
            name, _, value = self._ids[identifier].partition(" ")
            self._commands.put(Command(name, value or None, by="key"))

    def _bind(self, bus: Bus, session: str) -> list[tuple[str, dict[str, str]]]:
        """Ask for the keys; what the desktop gave: identifiers, and the keys in words."""
        told = what_keys_do()
        wanted = [
            (
                each,
                {
                    "description": ("s", told.get(command, command)),
                    "preferred_trigger": ("s", self._chords[command].written("portal")),
                },
            )
            for each, command in self._ids.items()
        ]
        answer = bus.request(
            INTERFACE, "BindShortcuts", "oa(sa{sv})sa{sv}", session, wanted, "",
            timeout_s=CONSENT_S,
        )  # fmt: skip
        return list(answer.get("shortcuts", []))

    def _tell_bound(self, bound: list[tuple[str, dict[str, str]]]) -> None:
        given = {each: about.get("trigger_description", "") for each, about in bound}
        keys = ", ".join(f"{each}: {key or 'no key yet'}" for each, key in given.items())
        LOG.info("Keys that the desktop gave: %s", keys or "none")
        if key := given.get("toggle"):
            self._news.put(f"to record and pause: {key}")
        else:
            self._news.put("give unclip's commands keys in the desktop's settings")
        self._state = "heard"
        self._settled.set()

    def _tell_lost(self, error: UserError) -> None:
        """Say why no key is heard, once, and decide whether to ask again."""
        if self._closing.is_set() or (self._state == "lost" and not isinstance(error, Denied)):
            return
        self._news.put(HINT)  # first: who sees that no key is heard finds out why
        self._state = "lost" if self._state == "heard" else "none"
        LOG.warning("No global keys are heard. %s %s", error, OTHER_WAY)


def open_session(bus: Bus) -> str:
    """A session of global keys; its object path.

    Raises
    ------
    PortalError
        There is no portal for keys, or it does not take this program.
    """
    register(bus)
    check_offered(bus)
    try:
        return bus.session(INTERFACE)
    except (Denied, NoAnswer):
        raise
    except PortalError as error:
        raise PortalError(
            error.what,
            error.name,
            remedy="Newer desktops want to know who asks: run `cli capture shortcuts "
            "--install-desktop-file` once, and again where the program was moved.",
        ) from error


def offered() -> int:
    """The version of the portal's global keys; `PortalError` where it has none."""
    with Bus() as bus:
        return check_offered(bus)


def check_offered(bus: Bus) -> int:
    """The version of the portal's global keys; `PortalError` where it has none."""
    version = bus.properties(INTERFACE).get("version")
    if not version:
        raise PortalError(
            "This desktop's portal has no global keys (GlobalShortcuts): KDE Plasma, GNOME from 48 "
            "on and Hyprland have them."
        )
    return int(version)
