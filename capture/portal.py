"""The desktop's portal on the session bus: calls, requests, sessions. Only this imports jeepney.

It knows no interface of the portal: those that ask for the screen or for keys do. Linux only.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    MatchRule,
    Message,
    MessageType,
    Properties,
    new_method_call,
)
from jeepney.fds import FileDescriptor
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.low_level import Array, DictEntry, Struct, Variant, parse_signature

from capture.clock import now_s
from dataset.errors import UserError
from dataset.terminal import INTERRUPTED

PORTAL = "org.freedesktop.portal"
DESKTOP_NAME = f"{PORTAL}.Desktop"
DESKTOP_PATH = "/org/freedesktop/portal/desktop"
BUS_NAME = "org.freedesktop.DBus"
CONNECT_S = 5.0  # longest wait for the bus itself, which answers in a millisecond
ANSWER_S = 25.0  # longest wait for the reply to a call, as libdbus has it
CLOSE_S = 2.0  # longest wait for a reply that nobody needs
LOOK_S = 0.1  # between two looks at whether this program was asked to end
UNKNOWN = ("UnknownInterface", "UnknownMethod", "UnknownObject", "UnknownProperty")
NOBODY = ("ServiceUnknown", "NameHasNoOwner", "Spawn.", "NoServer")
RESTART = "Log out and in again, or run: systemctl --user restart xdg-desktop-portal"
ENDED = (OSError, ValueError, RuntimeError)  # of a connection that is gone or was closed

Options = dict[str, tuple[str, Any]]  # name -> signature and value, as of a{sv}


class PortalError(UserError):
    """The portal refused or could not be asked; ``name`` is the bus's name of the error, if any."""

    def __init__(self, what: str, name: str = "", *, remedy: str = "") -> None:
        super().__init__(what, 1, remedy=remedy)
        self.name = name


class Denied(PortalError):
    """The user said no, or closed the desktop's dialog."""


class NoAnswer(PortalError):
    """Nobody answered in time; the dialog, if there was one, was closed again."""


class Stopped(PortalError):
    """This program was asked to end while the user was being asked."""

    def __init__(self) -> None:
        super().__init__("Stopped: nothing was allowed in the desktop's dialog yet.")
        self.exit_code = INTERRUPTED


class Signals:
    """Signals that were subscribed to, in the order of their coming. A context manager."""

    def __init__(self, bus: Bus, rule: MatchRule) -> None:
        self._bus, self._rule = bus, rule
        self.queue: deque[Message] = deque()
        self._filter = bus.connection.filter(rule, queue=self.queue)
        bus.match("AddMatch", rule)

    def __enter__(self) -> Signals:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, timeout_s: float = 0.0) -> tuple[Any, ...] | None:
        """The next signal's body, its variants unwrapped; None if none comes in time.

        Raises
        ------
        PortalError
            The session bus is gone.
        """
        message = self._bus.wait_for([self], timeout_s)
        return None if message is None else body_of(message)

    def close(self) -> None:
        """Want no more of them. May be called twice."""
        if self._filter is not None:
            self._filter.close()
            self._filter = None
            with suppress(PortalError):
                self._bus.match("RemoveMatch", self._rule)


class Bus:
    """One connection to the session bus, for one thread. A context manager.

    Sessions and requests of the portal belong to the connection: they end with it.

    Raises
    ------
    PortalError
        There is no session bus.
    """

    def __init__(self) -> None:
        run = os.environ.get("XDG_RUNTIME_DIR", "")
        address = os.environ.get("DBUS_SESSION_BUS_ADDRESS") or f"unix:path={run}/bus"
        try:
            self.connection: DBusConnection = open_dbus_connection(
                address, enable_fds=True, auth_timeout=CONNECT_S
            )
        except (*ENDED, StopIteration) as error:
            raise PortalError(
                f"There is no session bus, through which the desktop's portal is asked ({error}).",
                remedy="Start this from a terminal of the desktop, not from ssh or a service.",
            ) from error
        self.name: str = self.connection.unique_name
        self._closed = False

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the bus. May be called twice."""
        if not self._closed:
            self._closed = True
            self.connection.close()

    def interrupt(self) -> None:
        """End the waits of another thread by an error; only `close` may follow."""
        with suppress(*ENDED):
            self.connection.sock.shutdown(socket.SHUT_RDWR)

    def properties(self, interface: str) -> dict[str, Any]:
        """All properties of an interface of the portal; empty if it has no such interface."""
        message = Properties(DBusAddress(DESKTOP_PATH, DESKTOP_NAME, interface)).get_all()
        try:
            [values] = self._ask(message, f"{interface}'s properties", ANSWER_S)
        except PortalError as error:
            if any(each in error.name for each in (*UNKNOWN, "InvalidArgs")):
                return {}
            raise
        return dict(values)

    def call(
        self,
        interface: str,
        method: str,
        signature: str = "",
        *args: Any,
        path: str = DESKTOP_PATH,
        timeout_s: float = ANSWER_S,
    ) -> tuple[Any, ...]:
        """Call a method of the portal and return what it answers, its variants unwrapped.

        File descriptors come as numbers; they are the caller's to close.

        Raises
        ------
        PortalError
            There is no portal, or it answers with an error; `NoAnswer`: not in time.
        """
        address = DBusAddress(path, DESKTOP_NAME, interface)
        return self._ask(new_method_call(address, method, signature, args), method, timeout_s)

    def request(
        self,
        interface: str,
        method: str,
        signature: str,
        *args: Any,
        options: Options | None = None,
        timeout_s: float = ANSWER_S,
        stopped: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any]:
        """Call a method that answers by a ``Response``, such as after a dialog, and wait for that.

        Parameters
        ----------
        signature : str
            Of all arguments, ``a{sv}`` of the options at its end.
        options : dict
            The last argument, without its ``handle_token``.
        timeout_s : float
            Longest wait for the response; after it the request, and so its dialog, is closed.
        stopped : callable
            Asked now and then while waiting: whether this program was asked to end.

        Returns
        -------
        dict
            The results, variants unwrapped.

        Raises
        ------
        Denied
            The user said no.
        NoAnswer
            Nobody answered in time.
        Stopped
            This program was asked to end.
        PortalError
            There is no portal, it ended meanwhile, or it failed.
        """
        token = new_token()
        path = f"{DESKTOP_PATH}/request/{self.name[1:].replace('.', '_')}/{token}"
        asked = {**(options or {}), "handle_token": ("s", token)}
        answers, ends = (
            self.signals(f"{PORTAL}.Request", "Response", path),
            self.endings(DESKTOP_NAME),
        )
        try:
            with answers, ends:
                self.call(interface, method, signature, *args, asked)
                message = self._response([answers, ends], method, timeout_s, stopped)
        except (NoAnswer, Stopped):
            with suppress(PortalError):
                self.call(f"{PORTAL}.Request", "Close", path=path, timeout_s=CLOSE_S)
            raise
        if message.header.fields[HeaderFields.member] != "Response":
            raise PortalError(
                f"The desktop's portal has ended while it was asked ({method}).", remedy=RESTART
            )
        code, results = body_of(message)
        if code == 1:
            raise Denied("You did not allow it in the desktop's dialog.")
        if code != 0:
            raise PortalError(
                f"The desktop's portal failed ({method}), and does not say why.", remedy=RESTART
            )
        return dict(results)

    def session(self, interface: str, **options: tuple[str, Any]) -> str:
        """Create a session of an interface; its object path."""
        asked = {"session_handle_token": ("s", new_token()), **options}
        return str(
            self.request(interface, "CreateSession", "a{sv}", options=asked)["session_handle"]
        )

    def close_session(self, session: str) -> None:
        """End a session, unless it has ended already."""
        with suppress(PortalError):
            self.call(f"{PORTAL}.Session", "Close", path=session, timeout_s=CLOSE_S)

    def signals(self, interface: str, member: str, path: str = DESKTOP_PATH) -> Signals:
        """Subscribe to a signal of the portal; ``get`` on what is returned waits for the next."""
        rule = MatchRule(type="signal", interface=interface, member=member, path=path)
        return Signals(self, rule)

    def endings(self, name: str) -> Signals:
        """Subscribe to the end of every program on the bus that has a name or one below it."""
        rule = MatchRule(
            type="signal",
            sender=BUS_NAME,
            interface=BUS_NAME,
            member="NameOwnerChanged",
            path="/org/freedesktop/DBus",
        )
        rule.add_arg_condition(0, name, kind="namespace")
        rule.add_arg_condition(2, "")  # its new owner
        return Signals(self, rule)

    def match(self, method: str, rule: MatchRule) -> None:
        """Tell the bus that signals are wanted (AddMatch), or no longer (RemoveMatch)."""
        address = DBusAddress("/org/freedesktop/DBus", BUS_NAME, BUS_NAME)
        self._ask(new_method_call(address, method, "s", (rule.serialise(),)), method, ANSWER_S)

    def wait_for(self, wanted: list[Signals], timeout_s: float) -> Message | None:
        """The first message of any of these; None if none comes in time."""
        found = self._first_of(wanted, timeout_s)
        return None if found is None else found[1]

    def next_of(
        self, wanted: list[Signals], timeout_s: float
    ) -> tuple[Signals, tuple[Any, ...]] | None:
        """The first signal of any of these and its body, as of `Signals.get`."""
        found = self._first_of(wanted, timeout_s)
        return None if found is None else (found[0], body_of(found[1]))

    def _first_of(self, wanted: list[Signals], timeout_s: float) -> tuple[Signals, Message] | None:
        deadline = now_s() + timeout_s
        while True:
            for each in wanted:
                if each.queue:
                    return each, each.queue.popleft()
            try:
                self.connection.recv_messages(timeout=max(0.0, deadline - now_s()))
            except TimeoutError:
                return None
            except ENDED as error:
                raise _bus_gone(error) from error

    def _response(
        self, wanted: list[Signals], method: str, timeout_s: float, stopped: Callable[[], bool]
    ) -> Message:
        end = now_s() + timeout_s
        while True:
            message = self.wait_for(wanted, min(LOOK_S, max(0.0, end - now_s())))
            if message is not None:
                return message
            if stopped():
                raise Stopped
            if now_s() >= end:
                raise NoAnswer(f"The desktop's portal was asked ({method}); nobody answered.")

    def _ask(self, message: Message, what: str, timeout_s: float) -> tuple[Any, ...]:
        try:
            reply = self.connection.send_and_get_reply(message, timeout=timeout_s)
        except TimeoutError as error:
            raise NoAnswer(
                f"The desktop's portal does not answer ({what}).",
                remedy=RESTART,
            ) from error
        except ENDED as error:
            raise _bus_gone(error) from error
        if reply.header.message_type == MessageType.error:
            raise _refused(reply, what)
        return body_of(reply)


def new_token() -> str:
    """A name for a request or a session that nobody else chooses."""
    return f"unclip_{secrets.token_hex(8)}"


def body_of(message: Message) -> tuple[Any, ...]:
    """A message's values: variants are what they hold, file descriptors are numbers."""
    kinds = list(message.header.fields.get(HeaderFields.signature, ""))
    return tuple(_plain(each, parse_signature(kinds)) for each in message.body)


def _plain(value: Any, kind: Any) -> Any:
    if isinstance(kind, Variant):
        signature, inner = value
        return _plain(inner, parse_signature(list(signature)))
    if isinstance(kind, Array) and isinstance(kind.elt_type, DictEntry):
        _, inner_kind = kind.elt_type.fields
        return {key: _plain(each, inner_kind) for key, each in value.items()}
    if isinstance(kind, Array) and isinstance(value, list):  # bytes come as such
        return [_plain(each, kind.elt_type) for each in value]
    if isinstance(kind, Struct):
        return tuple(_plain(each, part) for each, part in zip(value, kind.fields, strict=True))
    if isinstance(value, FileDescriptor):
        descriptor = value.to_raw_fd()
        os.set_inheritable(descriptor, False)
        return descriptor
    return value


def _refused(reply: Message, what: str) -> PortalError:
    """The error of an answer that is one."""
    name = str(reply.header.fields.get(HeaderFields.error_name, ""))
    if any(each in name for each in NOBODY):
        return PortalError(
            "This desktop has no portal, through which programs may ask for the screen and keys.",
            name,
            remedy="Install xdg-desktop-portal and the desktop's own part of it, such as "
            "xdg-desktop-portal-gnome, -kde or -wlr, and log in again.",
        )
    said = next((str(each) for each in reply.body if isinstance(each, str)), name)
    return PortalError(f"The desktop's portal refuses ({what}): {said}.", name)


def _bus_gone(error: Exception) -> PortalError:
    return PortalError(f"The session bus is gone: you were logged out, or it has ended ({error}).")
