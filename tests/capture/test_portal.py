"""The portal's client: values unwrapped, and every way that it can fail, without a desktop."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.processes import Thread
from helpers.waiting import SOON_S

import cli
from capture.consent import consent_folder, keep_token, kept_token
from dataset.errors import UserError

jeepney = pytest.importorskip("jeepney", reason="it is installed on Linux only")

from capture import portal  # noqa: E402

INTERFACE = "org.freedesktop.portal.Thing"


def test_variants_are_what_they_hold() -> None:
    address = jeepney.DBusAddress("/", "a.b", "a.b")
    inner = {"size": ("(ii)", (640, 480)), "names": ("as", ["a"]), "deep": ("v", ("u", 3))}
    message = jeepney.new_method_call(address, "M", "ua(ua{sv})ay", (7, [(5, inner)], b"ab"))
    parsed = jeepney.Parser()
    parsed.add_data(message.serialise(1))
    assert portal.body_of(parsed.get_next_message()) == (
        7,
        [(5, {"size": (640, 480), "names": ["a"], "deep": 3})],
        b"ab",
    )


def test_without_a_bus_the_user_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for address in ("", f"unix:path={tmp_path / 'none'}", "nonsense", "tcp:host=127.0.0.1"):
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        with pytest.raises(UserError, match="There is no session bus"):
            portal.Bus()


Answer = Callable[[jeepney.Message], "list[jeepney.Message]"]


class PlayedBus:
    """A session bus with a portal whose answers a test chooses."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.calls: list[str] = []
        self.answer: Answer = lambda asked: [jeepney.new_method_return(asked)]
        self._thread = Thread(self._serve, [])
        self._thread.start()

    def _serve(self) -> None:
        with self._listener.accept()[0] as client:
            self._client = client
            client.recv(1)
            words = b""
            while b"BEGIN\r\n" not in words:
                words = client.recv(4096)
                if words.startswith(b"AUTH"):
                    client.sendall(b"OK 1234deadbeef\r\n")
                elif words.startswith(b"NEGOTIATE"):
                    client.sendall(b"AGREE_UNIX_FD\r\n")
            parser = jeepney.Parser()
            parser.add_data(words.split(b"BEGIN\r\n", 1)[1])
            while True:
                while (asked := parser.get_next_message()) is not None:
                    self._reply(client, asked)
                if not (data := client.recv(4096)):
                    return
                parser.add_data(data)

    def _reply(self, client: socket.socket, asked: jeepney.Message) -> None:
        method = asked.header.fields[jeepney.HeaderFields.member]
        if method == "Hello":
            replies = [jeepney.new_method_return(asked, "s", (":1.7",))]
        elif method in ("AddMatch", "RemoveMatch"):
            replies = [jeepney.new_method_return(asked)]
        else:
            self.calls.append(method)
            replies = self.answer(asked)
        for number, each in enumerate(replies):
            client.sendall(each.serialise(serial=100 + number))

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[PlayedBus]:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path / 'bus'}")
    played = PlayedBus(tmp_path / "bus")
    yield played
    played.close()


def response(asked: jeepney.Message, code: int) -> list[jeepney.Message]:
    """The reply to a request, and its signal."""
    token = asked.body[-1]["handle_token"][1]
    path = f"/org/freedesktop/portal/desktop/request/1_7/{token}"
    emitter = jeepney.DBusAddress(path, interface="org.freedesktop.portal.Request")
    results = {"answer": ("u", 42)}
    return [
        jeepney.new_method_return(asked, "o", (path,)),
        jeepney.new_signal(emitter, "Response", "ua{sv}", (code, results)),
    ]


def ended(asked: jeepney.Message) -> list[jeepney.Message]:
    """The portal ends after it has taken a request."""
    dbus = jeepney.DBusAddress("/org/freedesktop/DBus", interface="org.freedesktop.DBus")
    body = ("org.freedesktop.portal.Desktop", ":1.3", "")
    signal = jeepney.new_signal(dbus, "NameOwnerChanged", "sss", body)
    signal.header.fields[jeepney.HeaderFields.sender] = "org.freedesktop.DBus"
    return [response(asked, 0)[0], signal]


def ask(connection: portal.Bus, timeout_s: float = SOON_S) -> dict[str, object]:
    return connection.request(INTERFACE, "Ask", "a{sv}", timeout_s=timeout_s)


def test_a_request_gives_its_results(bus: PlayedBus) -> None:
    bus.answer = lambda asked: response(asked, 0)
    with portal.Bus() as connection:
        assert ask(connection) == {"answer": 42}
        connection.close()
        connection.close()
        with pytest.raises(portal.PortalError, match="The session bus is gone"):
            ask(connection)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (lambda asked: response(asked, 1), portal.Denied, "did not allow"),
        (lambda asked: response(asked, 2), portal.PortalError, "does not say why"),
        (ended, portal.PortalError, "has ended while it was asked"),
        (lambda asked: response(asked, 0)[:1], portal.NoAnswer, "nobody answered"),
    ],
    ids=["no", "a failure", "the end of the portal", "silence"],
)
def test_a_request_that_fails_says_how(
    bus: PlayedBus, answer: Answer, kind: type[UserError], said: str
) -> None:
    silent = kind is portal.NoAnswer
    bus.answer = lambda asked: (
        answer(asked) if "Ask" in bus.calls[-1] else [jeepney.new_method_return(asked)]
    )
    with portal.Bus() as connection, pytest.raises(kind, match=said) as error:
        ask(connection, 0.3 if silent else SOON_S)
    assert error.type is kind
    assert bus.calls == (["Ask", "Close"] if silent else ["Ask"])


def test_a_program_that_is_asked_to_end_waits_no_longer(bus: PlayedBus) -> None:
    bus.answer = lambda asked: (
        response(asked, 0)[:1] if bus.calls[-1] == "Ask" else [jeepney.new_method_return(asked)]
    )
    with portal.Bus() as connection, pytest.raises(portal.Stopped) as error:
        connection.request(INTERFACE, "Ask", "a{sv}", timeout_s=60, stopped=lambda: True)
    assert error.value.exit_code == 130
    assert bus.calls == ["Ask", "Close"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("org.freedesktop.DBus.Error.ServiceUnknown", "This desktop has no portal"),
        ("org.freedesktop.DBus.Error.AccessDenied", "refuses .Ask.: not you"),
    ],
)
def test_an_error_of_the_bus_is_told(bus: PlayedBus, name: str, said: str) -> None:
    bus.answer = lambda asked: [jeepney.new_error(asked, name, "s", ("not you",))]
    with portal.Bus() as connection, pytest.raises(portal.PortalError, match=said) as error:
        ask(connection)
    assert error.value.name == name


def test_an_interface_that_is_not_there_has_no_properties(bus: PlayedBus) -> None:
    unknown = "org.freedesktop.DBus.Error.InvalidArgs"
    bus.answer = lambda asked: [jeepney.new_error(asked, unknown, "s", ("No such interface",))]
    with portal.Bus() as connection:
        assert connection.properties(INTERFACE) == {}
        bus.answer = lambda asked: [
            jeepney.new_method_return(asked, "a{sv}", ({"version": ("u", 4)},))
        ]
        assert connection.properties(INTERFACE) == {"version": 4}
        bus.answer = lambda asked: []
        with pytest.raises(portal.NoAnswer, match="does not answer"):
            connection.call(INTERFACE, "Slow", timeout_s=0.2)


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "unclip" / "consent"


def test_consent_is_kept_for_this_user_only_and_by_kind(state: Path) -> None:
    assert kept_token("monitor") is None
    before = os.umask(0)
    try:
        keep_token("monitor", "one")
        keep_token("window", "two")
        keep_token("window", "three")
    finally:
        os.umask(before)
    assert (kept_token("monitor"), kept_token("window")) == ("one", "three")
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in state.iterdir()} == {0o600}
    keep_token("window", None)
    assert kept_token("window") is None


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff\xfe", b"x" * 5000, b"a\0b"])
def test_a_token_that_is_damaged_counts_as_none(state: Path, content: bytes) -> None:
    state.mkdir(parents=True)
    (state / "monitor").write_bytes(content)
    assert kept_token("monitor") is None
    keep_token("monitor", content.decode("latin-1"))
    assert kept_token("monitor") is None


def test_a_folder_that_cannot_be_written_ends_nothing(state: Path) -> None:
    state.parent.mkdir(parents=True)
    state.write_text("in the way")
    keep_token("monitor", "one")
    assert kept_token("monitor") is None


def test_a_relative_folder_for_state_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    assert consent_folder() == Path.home() / ".local" / "state" / "unclip" / "consent"


def test_consent_is_forgotten_and_that_is_told(state: Path) -> None:
    keep_token("monitor", "one")
    keep_token("window", "two")
    told = CliRunner().invoke(cli.main, ["capture", "--forget-consent"])
    assert told.exit_code == 0
    assert told.output.startswith(f"Forgotten: consent for monitor, window, in {state}.")
    assert list(state.iterdir()) == []
    again = CliRunner().invoke(cli.main, ["capture", "--forget-consent"])
    assert again.output == f"There was no consent to forget in {state}.\n"


def test_a_page_of_help_names_the_portal() -> None:
    shown = CliRunner().invoke(cli.main, ["capture", "--help"]).output
    assert "[auto|mss|dxcam|hdr|portal]" in shown
    assert "--forget-consent" in shown
