"""The .desktop file by which newer desktops know a program that asks for global keys.

From xdg-desktop-portal 1.21 on, a program that is not from Flatpak has to name such a file. It is
made at the user's word only.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.own_program import own_command

if TYPE_CHECKING:
    from capture.portal import Bus  # Linux only

APP_ID = "unclip.Recorder"
REGISTRY = "org.freedesktop.host.portal.Registry"


def desktop_file() -> Path:
    """Where the file is, if it is."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "applications" / f"{APP_ID}.desktop"


def install_desktop_file() -> Path:
    """Make the file, with this program's place of now; its path."""
    path = desktop_file()
    command = " ".join(_quoted(each) for each in own_command("capture", "--hotkey"))
    lines = [
        *("[Desktop Entry]", "Type=Application", "Name=unclip"),
        *("Comment=Record frames of a game", f"Exec={command}", "Terminal=true", "NoDisplay=true"),
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, "\n".join([*lines, ""]).encode())
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.", 1) from error
    return path


def register(bus: Bus) -> None:
    """Name this program to the portal, where the user has made the file, before all else."""
    if desktop_file().exists():
        with suppress(UserError):  # an older portal, which does without
            bus.call(REGISTRY, "Register", "sa{sv}", APP_ID, {})


def _quoted(word: str) -> str:
    """A word of ``Exec``, by the rules of the Desktop Entry Specification."""
    for mark in '\\"`$':
        word = word.replace(mark, f"\\{mark}")
    return '"{}"'.format(word.replace("\\", "\\\\").replace("%", "%%"))
