"""The .desktop file by which newer desktops know a program that asks for global keys.

From xdg-desktop-portal 1.21 on, a program that is not from Flatpak has to name such a file. It is
made at the user's word only.
"""

from __future__ import annotations

import os
from pathlib import Path

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.own_program import own_command

APP_ID = "unclip.Recorder"


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


def _quoted(word: str) -> str:
    """A word of ``Exec``, by the rules of the Desktop Entry Specification."""
    for mark in '\\"`$':
        word = word.replace(mark, f"\\{mark}")
    return '"{}"'.format(word.replace("\\", "\\\\").replace("%", "%%"))
