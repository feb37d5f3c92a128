"""Names for files and folders that every system can have; Windows has the most rules.

A session or a data set may be copied to a Windows PC later, so the names that we make are such
names everywhere. Paths that files name are checked by `dataset.paths`.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path, PureWindowsPath

from dataset.errors import UserError
from dataset.gate import CONTROLS, plain

NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*]|' + CONTROLS.pattern)
LONGEST_OLD_PATH = 259  # characters, where Windows' long paths are not switched on
ROOM_IN_FOLDER = 60  # characters of the longest names that we give to what is inside
ROOM_IN_FILE = 20  # characters that the name of a file has more while it is written
# Windows takes them for devices with any suffix, and so in every folder.
DEVICES = re.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\..*)?", re.IGNORECASE
)


def fault_of(name: str) -> str:
    """Why a file or folder cannot have this name on every system; empty if it can.

    Examples
    --------
    >>> fault_of("con.txt"), fault_of("서울 1")
    ('Windows keeps this name for a device', '')
    """
    if not name.strip(" ."):
        return "it is empty, or only dots and spaces"
    if odd := NOT_IN_NAMES.search(name):
        return f"it has {plain(odd[0])!r}"
    if name[-1] in " .":
        return "it ends with a dot or a space, which Windows leaves out"
    if DEVICES.fullmatch(name):
        return "Windows keeps this name for a device"
    return ""


def check_name(name: str, what: str) -> None:
    """``UserError`` if a new file or folder cannot have this name on every system.

    Parameters
    ----------
    name : str
    what : str
        What gets the name, with its article: "a session".
    """
    if fault := fault_of(name):
        raise UserError(
            f"{plain(name)!r} cannot be the name of {what}: {fault}. Give a plain folder name."
        )


def safe_name(name: str, instead: str) -> str:
    """The name itself, changed where `fault_of` finds a fault, and never hidden; else ``instead``.

    Examples
    --------
    >>> safe_name("a: b?", "film"), safe_name("NUL.old", "film"), safe_name("...", "film")
    ('a_ b_', 'NUL_.old', 'film')
    """
    plainer = NOT_IN_NAMES.sub("_", name).strip(" .") or instead
    device = DEVICES.fullmatch(plainer)
    return f"{device[1]}_{device[2] or ''}" if device else plainer


def check_windows_path(path: Path, option: str) -> None:
    """``UserError`` if Windows takes a part of a path for something else than a file or folder."""
    pure = PureWindowsPath(str(path))
    for part in pure.parts[1:] if pure.anchor else pure.parts:
        fault = "" if part == ".." else fault_of(part)
        if fault:
            raise UserError(
                f"{option} {path}: {plain(part)!r} cannot be a name: {fault}. Choose another path."
            )


def check_length(path: Path, option: str, folder: bool) -> None:
    """``UserError`` if a path, or what is put into a folder, is longer than Windows takes here."""
    room = ROOM_IN_FOLDER if folder else ROOM_IN_FILE
    place = os.path.abspath(path)
    if len(place) + room > LONGEST_OLD_PATH and not takes_long_paths():
        raise UserError(
            f"{option} {path} has {len(place)} characters. Files there would have more than "
            f"{LONGEST_OLD_PATH}, which Windows refuses. Choose a shorter path, or switch on "
            "LongPathsEnabled (Windows: Enable Win32 long paths)."
        )


def takes_long_paths() -> bool:
    """Whether this system opens files by paths of more than `LONGEST_OLD_PATH` characters."""
    if sys.platform != "win32":
        return True
    try:
        ask = ctypes.WinDLL("ntdll").RtlAreLongPathsEnabled
    except AttributeError:  # Windows before 2016
        return False
    ask.restype = ctypes.c_ubyte
    return bool(ask())


def length_of(name: str) -> int:
    """The length of a name as its limit of 255 counts it: bytes, on Windows UTF-16 units."""
    if os.name == "nt":
        return len(name.encode("utf-16-le", "surrogatepass")) // 2
    return len(os.fsencode(name))
