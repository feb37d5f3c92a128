"""What is said of global keys under Wayland: whether the desktop's portal has them."""

from __future__ import annotations

import pytest
from helpers.wayland_desktop import Desktop, wayland_desktop

from capture.doctor.doctor import _keys, warnings_at_start
from capture.options import CaptureOptions

WANTED = CaptureOptions(hotkey=True)

pytestmark = pytest.mark.slow


def test_a_portal_without_keys_is_told_at_the_start_with_the_way_on(wayland: Desktop) -> None:
    [finding] = [each for each in warnings_at_start(WANTED) if each.name == "keys"]
    assert finding.level == "warning", "a recorder waits for commands"
    assert "GlobalShortcuts" in finding.message
    assert "cli capture shortcuts" in str(finding.remedy)
    assert _keys(CaptureOptions()).message == finding.message
    assert "keys" not in [each.name for each in warnings_at_start(CaptureOptions())]


def test_a_portal_with_keys_is_well_and_nobody_is_asked_yet() -> None:
    with wayland_desktop(fake="GlobalShortcuts") as desktop:
        finding = _keys(WANTED)
        assert (finding.level, "version 1" in finding.message) == ("ok", True)
        assert "keys" not in [each.name for each in warnings_at_start(WANTED)]
        assert desktop.fake.calls("BindShortcuts") == []


def test_no_bus_is_told(wayland: Desktop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus")
    assert "There is no session bus" in _keys(WANTED).message
