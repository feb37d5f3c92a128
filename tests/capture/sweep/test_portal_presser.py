"""Keys pressed through the desktop's portal: the real front end, a back end whose user says yes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers.waiting import soon
from helpers.wayland_desktop import Desktop, wayland_desktop

from dataset.errors import UserError

portal_presser = pytest.importorskip("capture.sweep.portal_presser")
PortalPresser = portal_presser.PortalPresser

pytestmark = pytest.mark.slow


@pytest.fixture
def desktop() -> Iterator[Desktop]:
    with wayland_desktop(fake="RemoteDesktop") as desktop:
        yield desktop


def test_keys_are_pressed_and_released_in_order(desktop: Desktop) -> None:
    with PortalPresser() as presser:
        presser.tap(presser.parse("<ctrl>+<page_up>"))
        presser.tap(presser.parse("]"), times=2)
        assert presser.user_key() is None
    ctrl, page_up, bracket = 0xFFE3, 0xFF55, 0x5D
    pressed = [tuple(each[-2:]) for each in desktop.fake.calls("NotifyKeyboardKeysym")]
    assert pressed == [
        *((ctrl, 1), (page_up, 1), (page_up, 0), (ctrl, 0)),
        *[(bracket, 1), (bracket, 0)] * 2,
    ]
    [[*_, options]] = desktop.fake.calls("SelectDevices")
    assert options["types"] == portal_presser.KEYBOARD
    soon(lambda: desktop.fake.calls("Close"))


def test_who_says_no_is_told_the_other_ways(desktop: Desktop) -> None:
    desktop.fake.answer("no")
    with pytest.raises(UserError, match=r"You did not allow it.*--driver flightgear"):
        PortalPresser().__enter__()


def test_nobody_who_answers_is_told(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portal_presser, "CONSENT_S", 0.3)
    desktop.fake.answer("silence")
    with pytest.raises(UserError, match="nobody answered"):
        PortalPresser().__enter__()


def test_a_portal_that_ends_ends_the_pressing(desktop: Desktop) -> None:
    with PortalPresser() as presser:
        desktop.kill("portal")
        with pytest.raises(UserError, match="could not be pressed"):
            presser.tap([0x5D])


@pytest.mark.parametrize("key", ["<f99>", "", "<ctrl>", "ab"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(UserError, match="not a key that can be pressed"):
        PortalPresser().parse(key)


def test_a_desktop_that_presses_no_keys_is_told_with_the_other_ways(wayland: Desktop) -> None:
    with pytest.raises(UserError, match=r"RemoteDesktop.*--driver flightgear"):
        PortalPresser().__enter__()
