"""Presses the game's own keys under Wayland, through the desktop's portal (RemoteDesktop).

The desktop asks the user for leave at each sweep. Keys go to whatever has the keyboard; Wayland
tells nobody which window that is, or what the user presses. Linux only.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from capture.control.desktop_file import register
from capture.control.keys import parse_chord
from capture.portal import PORTAL, Bus, Denied, NoAnswer, Options, PortalError
from capture.sweep.key_presser import GAP_S, HOLD_S, not_pressable
from dataset.errors import UserError

INTERFACE = f"{PORTAL}.RemoteDesktop"
KEYBOARD = 1  # of the types of devices
PRESSED, RELEASED = 1, 0
CONSENT_S = 120.0  # longest wait for the desktop's dialog
OTHER_WAYS = (
    "Sweep FlightGear, which needs no keys (--driver flightgear), or record by `cli capture "
    "--hotkey` while you move the light yourself."
)


class PortalPresser:
    """Presses keys while in the context; the same as `KeyPresser`, which hears keys besides.

    Raises
    ------
    UserError
        The portal presses no keys, or the user does not allow it.
    """

    def __enter__(self) -> PortalPresser:
        with ExitStack() as stack:
            self._bus = stack.enter_context(Bus())
            check_offered(self._bus)
            register(self._bus)
            self._session = self._bus.session(INTERFACE)
            options: Options = {"types": ("u", KEYBOARD)}
            self._bus.request(INTERFACE, "SelectDevices", "oa{sv}", self._session, options=options)
            self._start()
            self._releases = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._bus.close_session(self._session)
        self._releases.close()

    def parse(self, text: str) -> list[Any]:
        """As of `KeyPresser`: X keysyms."""
        try:
            return list(parse_chord(text).keysyms())
        except ValueError:
            raise not_pressable(text) from None

    def tap(self, keys: list[Any], times: int = 1) -> None:
        """Press and release keys together, ``times`` times; ``UserError`` once that is over."""
        for _ in range(times):
            for key in keys:
                self._notify(key, PRESSED)
            time.sleep(HOLD_S)
            for key in reversed(keys):
                self._notify(key, RELEASED)
            time.sleep(GAP_S)

    def user_key(self) -> str | None:
        """None: Wayland tells no keys."""
        return None

    def forget(self) -> None:
        """Nothing was heard."""

    def _start(self) -> None:
        """Ask the user for leave."""
        try:
            given = self._bus.request(
                INTERFACE, "Start", "osa{sv}", self._session, "", timeout_s=CONSENT_S
            )
        except (Denied, NoAnswer) as error:
            raise PortalError(
                f"The game's keys cannot be pressed. {error.what}", remedy=OTHER_WAYS
            ) from error
        if not given.get("devices", 0) & KEYBOARD:
            raise PortalError(
                "The game's keys cannot be pressed: the desktop's dialog gave no keyboard.",
                remedy=OTHER_WAYS,
            )

    def _notify(self, key: int, state: int) -> None:
        try:
            self._bus.call(
                INTERFACE, "NotifyKeyboardKeysym", "oa{sv}iu", self._session, {}, key, state
            )
        except UserError as error:
            raise UserError(f"The game's key could not be pressed: {error}", 1) from error


def check_offered(bus: Bus) -> None:
    """`PortalError` where the portal presses no keys."""
    if not bus.properties(INTERFACE).get("AvailableDeviceTypes", 0) & KEYBOARD:
        raise PortalError(
            "Under Wayland the game's keys can be pressed by the desktop's portal alone, and this "
            "desktop's presses none (RemoteDesktop): those of GNOME and KDE Plasma do.",
            remedy=OTHER_WAYS,
        )
