"""Keys of the desktop that run the control commands: how to set them, in the desktop's own words.

They work wherever global keys are not heard, such as under Wayland. What a desktop's settings are
changed by is in `shortcuts_gnome.py` and `shortcuts_sway.py`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from capture.control import shortcuts_gnome, shortcuts_sway
from capture.control.desktop_file import install_desktop_file
from capture.control.keys import Shortcut, wanted_shortcuts
from capture.options import CaptureOptions, ShortcutOptions
from dataset.errors import UserError

DESKTOPS = {  # a word of XDG_CURRENT_DESKTOP -> whose settings it has
    "gnome": "gnome",
    "unity": "gnome",
    "kde": "kde",
    "sway": "sway",
}
GNOME = (
    "GNOME: Settings, Keyboard, View and Customize Shortcuts, Custom Shortcuts. Add each:",
    "Or all at once: cli capture shortcuts --desktop gnome --set",
)
KDE = (
    "KDE Plasma: System Settings, Keyboard, Shortcuts, Add New, Command or Script. Add each:",
    "Its settings have no command that adds keys: --set is for GNOME and sway.",
)
SWAY = (
    "sway: add these lines to ~/.config/sway/config, then run `swaymsg reload`:",
    "Or until the next reload: cli capture shortcuts --desktop sway --set",
)
ANSWERS = (
    "A recorder must run: cli capture --background. The keys answer by a notification (not while "
    "frames are recorded, which would show it)."
)


def shortcuts(options: ShortcutOptions, capture: CaptureOptions) -> str:
    """Do what was asked for, and say what was done or is to do.

    Raises
    ------
    UserError
        The desktop has no command for it, or refuses; nothing was changed then.
    """
    if options.install_desktop_file:
        return f"Written: {install_desktop_file()}"
    if options.desktop is None and sys.platform != "linux":
        raise UserError(
            "These are keys of desktops of Linux. Here `cli capture --hotkey` hears keys itself.",
            remedy="Where it does not, as with games that run as administrator, docs/recording.md "
            "says how a shortcut of Windows runs `cli capture toggle`.",
        )
    desktop = options.desktop or desktop_here(os.environ.get("XDG_CURRENT_DESKTOP", ""))
    wanted = wanted_shortcuts(capture)
    if options.set and options.unset:
        raise UserError("--set and --unset cannot be had together.")
    if options.set or options.unset:
        return _changes(desktop)[options.unset](wanted)
    shown = [desktop] if desktop else list(EXPLAINED)
    return "\n\n".join([*(EXPLAINED[each](wanted) for each in shown), ANSWERS])


def desktop_here(names: str) -> str | None:
    """The desktop that ``XDG_CURRENT_DESKTOP`` names; None: another one.

    >>> desktop_here("ubuntu:GNOME"), desktop_here("KDE"), desktop_here("Hyprland")
    ('gnome', 'kde', None)
    """
    known = (DESKTOPS.get(each) for each in names.lower().split(":"))
    return next(filter(None, known), None)


def _changes(desktop: str | None) -> tuple[Callable[..., str], Callable[..., str]]:
    """What sets keys, and what takes them back."""
    if desktop == "gnome":
        return shortcuts_gnome.set_keys, shortcuts_gnome.unset_keys
    if desktop == "sway":
        return shortcuts_sway.set_keys, shortcuts_sway.unset_keys
    raise UserError(
        "KDE Plasma has no command that sets keys."
        if desktop == "kde"
        else "This desktop is neither GNOME nor sway, whose keys can be set by a command.",
        remedy="`cli capture shortcuts` prints what to enter in the desktop's settings, "
        "--desktop says which one is meant.",
    )


def _listed(wanted: list[Shortcut], words: tuple[str, str]) -> str:
    lines = [words[0]]
    for each in wanted:
        lines += [f"  {each.chord.written('shown'):12} {each.what}", f"{'':15}{each.line}"]
    return "\n".join([*lines, words[1]])


def _sway(wanted: list[Shortcut]) -> str:
    lines = (f"  {shortcuts_sway.config_line(each.chord, each.line)}" for each in wanted)
    return "\n".join([SWAY[0], *lines, SWAY[1]])


EXPLAINED: dict[str, Callable[[list[Shortcut]], str]] = {
    "gnome": lambda wanted: _listed(wanted, GNOME),
    "kde": lambda wanted: _listed(wanted, KDE),
    "sway": _sway,
}
