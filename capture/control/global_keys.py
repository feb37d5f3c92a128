"""Which way global keys are heard: through the desktop's portal under Wayland, else by pynput."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from capture.commands import CommandQueue
from capture.control.hotkeys import Hotkeys
from capture.screens.mss import has_x_screen, is_wayland


class GlobalKeys(AbstractContextManager["GlobalKeys"], Protocol):
    """Keys that are heard while in its context."""

    def watch(self) -> None:
        """Hear keys again, if they are not heard any more; call it now and then."""

    def news(self) -> str | None:
        """What the player should know of the keys, once; None: nothing new."""


def global_keys(commands: CommandQueue, keys: Mapping[str, str]) -> GlobalKeys:
    """What hears keys on this desktop; ``UserError`` as of `Hotkeys`."""
    if not keys_are_hidden():
        return Hotkeys(commands, keys)
    from capture.control.portal_shortcuts import PortalShortcuts  # Linux only

    return PortalShortcuts(commands, keys)


def keys_are_hidden() -> bool:
    """Whether this is a Wayland session, which tells programs no keys but their own.

    XWayland has those of its own windows only. A virtual screen of X11 inside has its own.
    """
    return is_wayland() and not has_x_screen()
