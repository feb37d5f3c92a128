"""Keys through the desktop's portal: the real front end, and a back end whose user is the test."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from helpers.waiting import SOON_S, soon
from helpers.wayland_desktop import Desktop, start_fake_portal, wayland_desktop

from capture.commands import Command, CommandQueue
from capture.control import global_keys
from capture.control.keys import keys_of
from capture.options import CaptureOptions
from capture.screens import mss
from dataset.errors import UserError

portal_shortcuts = pytest.importorskip("capture.control.portal_shortcuts")
PortalShortcuts, PortalError = portal_shortcuts.PortalShortcuts, portal_shortcuts.PortalError
KEYS = keys_of(CaptureOptions())

pytestmark = pytest.mark.slow


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desktop]:
    """A desktop of a user who says yes, and whose portal is asked again at once."""
    monkeypatch.setattr(portal_shortcuts, "RETRY_S", 0.2)
    with wayland_desktop(fake="GlobalShortcuts") as desktop:
        yield desktop


def heard(commands: CommandQueue) -> str:
    command = commands.get(timeout=SOON_S)
    assert command.by == "key"
    return " ".join(filter(None, (command.name, command.value)))


def test_every_key_becomes_its_command(desktop: Desktop, caplog: pytest.LogCaptureFixture) -> None:
    commands: CommandQueue = queue.SimpleQueue()
    with caplog.at_level(logging.INFO), PortalShortcuts(commands, KEYS) as keys:
        assert keys.alive
        assert keys.news() == "to record and pause: F9"
        assert keys.news() is None
        for each in KEYS:
            desktop.fake.trigger(each.replace(" ", "-"))
            assert heard(commands) == each
        desktop.fake.trigger("toggle")
        desktop.fake.trigger("toggle")
        assert [heard(commands), heard(commands)] == ["toggle", "toggle"]
    assert "toggle: F9, snap: F10" in caplog.text
    [[_, _, bound, *_]] = desktop.fake.calls("BindShortcuts")
    asked = {name: (about["description"], about["preferred_trigger"]) for name, about in bound}
    assert asked["toggle"] == ("Start, pause, resume", "F9")
    assert asked["stop"] == ("End the session", "CTRL+F12")
    assert asked["label-X"][0].startswith("Frames from now on are X")


def test_the_session_ends_with_the_context_and_commands_too(desktop: Desktop) -> None:
    commands: CommandQueue = queue.SimpleQueue()
    with PortalShortcuts(commands, KEYS) as keys:
        keys.close()
        keys.close()
        soon(lambda: not keys._thread.is_alive())
    soon(lambda: desktop.fake.calls("Close"))
    desktop.fake.trigger("toggle")
    assert commands.empty()


@pytest.mark.parametrize(
    ("answer", "why"), [("no", "You did not allow it"), ("error", "failed (BindShortcuts)")]
)
def test_who_says_no_is_asked_once_and_told_the_other_way(
    answer: str, why: str, desktop: Desktop, caplog: pytest.LogCaptureFixture
) -> None:
    desktop.fake.answer(answer)
    with PortalShortcuts(queue.SimpleQueue(), KEYS) as keys:
        assert not keys.alive
        assert "cli capture shortcuts" in keys.news()
        time.sleep(0.5)  # more than two attempts would take
        assert keys.news() is None
    assert len(desktop.fake.calls("BindShortcuts")) == 1
    assert why in caplog.text
    assert "`cli capture toggle` records and pauses" in caplog.text


def test_a_desktop_without_such_a_portal_is_told_of(
    wayland: Desktop, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    with PortalShortcuts(queue.SimpleQueue(), KEYS) as keys:
        assert time.monotonic() - began < portal_shortcuts.CONSENT_S / 2
        assert "cli capture shortcuts" in keys.news()
    assert "has no global keys (GlobalShortcuts)" in caplog.text


def test_no_bus_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus")
    with PortalShortcuts(queue.SimpleQueue(), KEYS) as keys:
        assert "cli capture shortcuts" in keys.news()
    assert "There is no session bus" in caplog.text


def test_a_portal_that_ended_is_asked_again(
    desktop: Desktop, caplog: pytest.LogCaptureFixture
) -> None:
    commands: CommandQueue = queue.SimpleQueue()
    with PortalShortcuts(commands, KEYS) as keys:
        keys.news()
        desktop.kill("portal")
        soon(lambda: not keys.alive)
        assert "no keys are heard" in keys.news()
        time.sleep(0.5)
        assert keys.news() is None, "said once only"
        desktop.start_portal()
        soon(lambda: keys.alive)
        assert keys.news() == "to record and pause: F9"
        desktop.fake.trigger("snap")
        assert heard(commands) == "snap"
    assert "The desktop has ended its global keys" in caplog.text


def test_who_sees_that_no_key_is_heard_finds_out_why(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = PortalShortcuts(queue.SimpleQueue(), KEYS)
    heard: list[bool] = []
    keys._state = "heard"
    monkeypatch.setattr(keys, "_news", SimpleNamespace(put=lambda news: heard.append(keys.alive)))
    keys._tell_lost(PortalError("The desktop has ended its global keys."))
    assert heard == [True], "the news came after the state"
    assert not keys.alive


def test_the_desktops_own_part_that_ended_is_asked_again(desktop: Desktop) -> None:
    commands: CommandQueue = queue.SimpleQueue()
    with PortalShortcuts(commands, KEYS) as keys:
        keys.news()
        desktop.kill("xdpw")  # which has no keys
        desktop.fake.trigger("snap")
        assert heard(commands) == "snap"
        soon(lambda: desktop.fake.calls("ListShortcuts"))
        assert keys.alive
        desktop.kill("fake")
        soon(lambda: not keys.alive)
        assert "no keys are heard" in keys.news()
        start_fake_portal(desktop, "GlobalShortcuts")
        soon(lambda: keys.alive)
        desktop.fake.trigger("toggle")
        assert heard(commands) == "toggle"


def test_a_dialog_without_an_answer_keeps_no_command_waiting(desktop: Desktop) -> None:
    desktop.fake.answer("silence")
    commands: CommandQueue = queue.SimpleQueue()
    commands.put(Command("interrupt"))
    began = time.monotonic()
    with PortalShortcuts(commands, KEYS) as keys:
        assert not keys.alive
    assert time.monotonic() - began < portal_shortcuts.CONSENT_S / 2
    soon(lambda: not keys._thread.is_alive())


def test_a_dialog_is_waited_for_no_longer_than_that(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(portal_shortcuts, "CONSENT_S", 0.5)
    desktop.fake.answer("silence")
    with PortalShortcuts(queue.SimpleQueue(), KEYS) as keys:
        soon(lambda: "nobody answered" in caplog.text)
        assert not keys.alive


def test_the_file_that_newer_portals_want_harms_no_older_one(desktop: Desktop) -> None:
    from capture.control.desktop_file import install_desktop_file

    path = install_desktop_file()
    assert path.is_relative_to(desktop.folder)
    with PortalShortcuts(queue.SimpleQueue(), KEYS) as keys:
        assert keys.alive


def test_a_portal_that_wants_to_know_who_asks_is_told_how() -> None:
    class Newer:  # than 1.20
        def properties(self, interface: str) -> dict[str, int]:
            return {"version": 1}

        def session(self, interface: str) -> str:
            raise PortalError("It refuses: An app id is required.", "Error.NotAllowed")

    with pytest.raises(PortalError, match=r"An app id is required.*--install-desktop-file"):
        portal_shortcuts.open_session(Newer())


def test_a_wrong_key_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(UserError, match="'<f99>' for 'toggle'"):
        PortalShortcuts(queue.SimpleQueue(), {"toggle": "<f99>"})


def test_wayland_takes_the_portal_and_a_virtual_screen_inside_does_not(
    display: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert not global_keys.keys_are_hidden()
    monkeypatch.setattr(mss, "is_xwayland", lambda: True)
    assert isinstance(global_keys.global_keys(queue.SimpleQueue(), KEYS), PortalShortcuts)
    monkeypatch.delenv("DISPLAY")
    assert global_keys.keys_are_hidden()
    monkeypatch.delenv("WAYLAND_DISPLAY")
    monkeypatch.delenv("XDG_SESSION_TYPE", raising=False)
    assert not global_keys.keys_are_hidden()
