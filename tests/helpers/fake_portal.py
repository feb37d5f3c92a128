"""Portals that sway lacks, played behind the real front end: fake_portal.py TOLD INTERFACE...

Global shortcuts and remote control, with a user who says what a test chose. Each call is a line of
JSON in the file TOLD. A test acts through the bus: ``Answer`` sets what the user says, ``Trigger``
is a press of a bound shortcut (`FakePortal` is the test's end).

References
----------
org.freedesktop.impl.portal.GlobalShortcuts, RemoteDesktop and Session of xdg-desktop-portal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

IMPLEMENTED = "org.freedesktop.impl.portal."
NAME = f"{IMPLEMENTED}desktop.fake"
PATH = "/org/freedesktop/portal/desktop"
USER = "unclip.test.User"
KEYBOARD, POINTER = 1, 2
CODES = {"yes": 0, "no": 1, "error": 2}
VERSIONS = {"GlobalShortcuts": 1, "RemoteDesktop": 1}
Reply = tuple[str, tuple[Any, ...]]


class FakePortal:
    """The test's end: what was asked of the portal, and what its user does."""

    def __init__(self, address: str, told: Path) -> None:
        self._address, self._told = address, told

    @property
    def told(self) -> list[tuple[str, list[Any]]]:
        """Method and arguments of each call, in their order."""
        text = self._told.read_text(encoding="utf-8") if self._told.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()  # the last may be written just now
        return [(method, body) for method, body in map(json.loads, lines)]

    def calls(self, method: str) -> list[list[Any]]:
        """The arguments of each call of one method."""
        return [body for name, body in self.told if name == method]

    def answer(self, answer: str) -> None:
        """What the user says from now on: ``yes``, ``no``, ``error``, or ``silence``."""
        self._call("Answer", answer)

    def trigger(self, shortcut: str) -> None:
        """Press and release a shortcut that was bound."""
        self._call("Trigger", shortcut)

    def _call(self, method: str, text: str) -> None:
        from jeepney import DBusAddress, MessageType, new_method_call
        from jeepney.io.blocking import open_dbus_connection

        asked = new_method_call(DBusAddress(PATH, NAME, USER), method, "s", (text,))
        with open_dbus_connection(self._address, auth_timeout=20) as connection:
            reply = connection.send_and_get_reply(asked, timeout=20)
        assert reply.header.message_type is MessageType.method_return, reply.body


class Backend:
    """The back end of the portals."""

    def __init__(self, told: Path, interfaces: list[str]) -> None:
        from jeepney import DBusAddress, new_method_call
        from jeepney.io.blocking import open_dbus_connection

        self._told = told
        self._versions = {IMPLEMENTED + each: VERSIONS[each] for each in interfaces}
        self._answer = "yes"
        self._sessions: dict[str, list[Any]] = {}  # path -> its shortcuts
        self.connection = open_dbus_connection("SESSION", auth_timeout=20)
        bus = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
        name = new_method_call(bus, "RequestName", "su", (NAME, 0))
        self.connection.send_and_get_reply(name, timeout=20)

    def serve(self) -> None:
        """Answer calls until the bus is gone."""
        from jeepney import MessageType, new_error, new_method_return

        while True:
            message = self.connection.receive()
            if message.header.message_type is not MessageType.method_call:
                continue
            method = message.header.fields[_field("member")]
            answer: Callable[..., Reply | None] | None = getattr(self, f"on_{method}", None)
            if answer is None:
                unknown = "org.freedesktop.DBus.Error.UnknownMethod"
                self.connection.send(new_error(message, unknown, "s", (method,)))
                continue
            self._note(method, message.body)
            reply = answer(*message.body)
            if reply is not None:
                self.connection.send(new_method_return(message, *reply))

    def _note(self, method: str, body: tuple[Any, ...]) -> None:
        if method in ("Get", "GetAll"):
            return
        with open(self._told, "a", encoding="utf-8") as file:
            file.write(json.dumps([method, plain(body)]) + "\n")

    def on_GetAll(self, interface: str) -> Reply:
        values = {"version": ("u", self._versions.get(interface, 0))}
        if interface.endswith("RemoteDesktop"):
            values["AvailableDeviceTypes"] = ("u", KEYBOARD | POINTER)
        return "a{sv}", (values,)

    def on_CreateSession(self, handle: str, session: str, app: str, options: Any) -> Reply:
        self._sessions[session] = []
        return "ua{sv}", (0, {})

    def on_BindShortcuts(
        self, handle: str, session: str, shortcuts: list[Any], parent: str, options: Any
    ) -> Reply | None:
        bound = [(name, self._described(about)) for name, about in shortcuts]
        self._sessions[session] = bound
        return self._said({"shortcuts": ("a(sa{sv})", bound)})

    @staticmethod
    def _described(about: dict[str, tuple[str, Any]]) -> dict[str, tuple[str, Any]]:
        """The user takes the trigger that is preferred."""
        trigger = about.get("preferred_trigger", ("s", "none"))
        return {"description": about["description"], "trigger_description": trigger}

    def on_ListShortcuts(self, handle: str, session: str) -> Reply | None:
        return self._said({"shortcuts": ("a(sa{sv})", self._sessions[session])})

    def on_SelectDevices(self, handle: str, session: str, app: str, options: Any) -> Reply:
        return "ua{sv}", (0, {})

    def on_Start(
        self, handle: str, session: str, app: str, parent: str, options: Any
    ) -> Reply | None:
        return self._said({"devices": ("u", KEYBOARD)})

    def on_NotifyKeyboardKeysym(self, session: str, options: Any, key: int, state: int) -> Reply:
        return "", ()

    def on_NotifyKeyboardKeycode(self, session: str, options: Any, key: int, state: int) -> Reply:
        return "", ()

    def on_Close(self) -> Reply:
        return "", ()

    def _said(self, results: dict[str, Any]) -> Reply | None:
        """The user's answer; None: silence."""
        if self._answer == "silence":
            return None
        code = CODES[self._answer]
        return "ua{sv}", (code, {} if code else results)

    # What a test does.

    def on_Answer(self, answer: str) -> Reply:
        self._answer = answer
        return "", ()

    def on_Trigger(self, shortcut: str) -> Reply:
        from jeepney import DBusAddress, new_signal

        interface = f"{IMPLEMENTED}GlobalShortcuts"
        for session, bound in self._sessions.items():
            if shortcut in [name for name, _ in bound]:
                for number, member in enumerate(("Activated", "Deactivated")):
                    body = (session, shortcut, number, {})
                    emitter = DBusAddress(PATH, interface=interface)
                    self.connection.send(new_signal(emitter, member, "osta{sv}", body))
        return "", ()


def _field(name: str) -> Any:
    from jeepney import HeaderFields

    return HeaderFields[name]


def plain(value: Any) -> Any:
    """A D-Bus value for JSON, without the signatures of its variants."""
    if isinstance(value, dict):
        return {key: plain(each[1]) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def main() -> None:
    told, interfaces = sys.argv[1:]
    with suppress(ConnectionError, KeyboardInterrupt):
        Backend(Path(told), interfaces.split(";")).serve()


if __name__ == "__main__":
    main()
