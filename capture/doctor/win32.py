"""What only Windows knows: HDR, the lock screen, and programs that run elevated.

Run under Wine, which has no HDR and no lock screen. The structures are those of ``wingdi.h`` and
``winnt.h``.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

assert sys.platform == "win32"

from ctypes import wintypes  # noqa: E402 - fails to import elsewhere on old Pythons

from capture.screens.window_win32 import desktop_taken, process_of, visible_windows  # noqa: E402

QDC_ONLY_ACTIVE_PATHS = 2
GET_TARGET_NAME = 2
GET_ADVANCED_COLOR_INFO = 9
ENABLED, WIDE_ENFORCED = 2, 4  # bits: HDR, or SDR whose colours Windows manages
PROCESS_QUERY_LIMITED_INFORMATION = 0x1000
TOKEN_QUERY = 8
TOKEN_ELEVATION = 20
ERROR_ACCESS_DENIED = 5

_user32 = ctypes.WinDLL("user32", use_last_error=True)
kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
advapi32 = ctypes.WinDLL("advapi32", use_last_error=True)
_user32.GetForegroundWindow.restype = wintypes.HWND
_user32.GetWindowTextW.argtypes = [wintypes.HWND, wintypes.LPWSTR, ctypes.c_int]
kernel32.OpenProcess.argtypes = [wintypes.DWORD, wintypes.BOOL, wintypes.DWORD]
kernel32.OpenProcess.restype = wintypes.HANDLE
kernel32.CloseHandle.argtypes = [wintypes.HANDLE]
kernel32.GetCurrentProcessId.restype = wintypes.DWORD
advapi32.OpenProcessToken.argtypes = [
    wintypes.HANDLE,
    wintypes.DWORD,
    ctypes.POINTER(wintypes.HANDLE),
]
advapi32.GetTokenInformation.argtypes = [
    wintypes.HANDLE,
    ctypes.c_int,
    ctypes.c_void_p,
    wintypes.DWORD,
    ctypes.POINTER(wintypes.DWORD),
]


class Luid(ctypes.Structure):
    _fields_ = (("low", wintypes.DWORD), ("high", wintypes.LONG))


class PathSource(ctypes.Structure):
    _fields_ = (
        ("adapter", Luid),
        ("id", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("status", ctypes.c_uint32),
    )


class PathTarget(ctypes.Structure):
    _fields_ = (
        ("adapter", Luid),
        ("id", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("technology", ctypes.c_uint32),
        ("rotation", ctypes.c_uint32),
        ("scaling", ctypes.c_uint32),
        ("refresh", ctypes.c_uint32 * 2),
        ("scan_line", ctypes.c_uint32),
        ("available", wintypes.BOOL),
        ("status", ctypes.c_uint32),
    )


class DisplayPath(ctypes.Structure):
    _fields_ = (("source", PathSource), ("target", PathTarget), ("flags", ctypes.c_uint32))


class DeviceInfoHeader(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("adapter", Luid),
        ("id", ctypes.c_uint32),
    )


class AdvancedColor(ctypes.Structure):
    _fields_ = (
        ("header", DeviceInfoHeader),
        ("value", ctypes.c_uint32),
        ("encoding", ctypes.c_uint32),
        ("bits", ctypes.c_uint32),
    )


class TargetName(ctypes.Structure):
    _fields_ = (
        ("header", DeviceInfoHeader),
        ("flags", ctypes.c_uint32),
        ("technology", ctypes.c_uint32),
        ("manufacturer", ctypes.c_uint16),
        ("product", ctypes.c_uint16),
        ("connector", ctypes.c_uint32),
        ("name", ctypes.c_wchar * 64),
        ("path", ctypes.c_wchar * 128),
    )


MODE_BYTES = 64  # of DISPLAYCONFIG_MODE_INFO, which is only passed through


def screen_locked() -> bool | None:
    """Whether the lock screen or the secure desktop has the input."""
    return desktop_taken()


def hdr_displays() -> list[str]:
    """The names of the monitors that show HDR."""
    return [_name(path) for path in _active_paths() if _shows_hdr(path)]


def elevated_window(title: str | None) -> str | None:
    """The title of the game's window if its program is elevated and we are not.

    Parameters
    ----------
    title : str or None
        Part of the game's title; None: the foreground window.
    """
    if _is_elevated(kernel32.GetCurrentProcessId()):
        return None
    for handle, name in _windows(title):
        process = process_of(handle)
        if process and _is_elevated(process):
            return name
    return None


def missing_permissions() -> list[str]:
    """None: Windows needs none."""
    return []


def _windows(title: str | None) -> list[tuple[Any, str]]:
    if title is not None:
        wanted = title.casefold().strip()
        found = [w for w in visible_windows() if not w.own and wanted in w.title.casefold()]
        return [(w.handle, w.title) for w in found]
    handle = _user32.GetForegroundWindow()
    text = ctypes.create_unicode_buffer(256)
    _user32.GetWindowTextW(handle, text, len(text))
    return [(handle, text.value)] if handle else []


def _is_elevated(process: int) -> bool:
    """Whether a process runs as administrator; one that we may not query does."""
    handle = kernel32.OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, False, process)
    if not handle:
        return ctypes.get_last_error() == ERROR_ACCESS_DENIED
    token = wintypes.HANDLE()
    try:
        if not advapi32.OpenProcessToken(handle, TOKEN_QUERY, ctypes.byref(token)):
            return ctypes.get_last_error() == ERROR_ACCESS_DENIED
        elevated, used = wintypes.DWORD(0), wintypes.DWORD(0)
        told = advapi32.GetTokenInformation(
            token,
            TOKEN_ELEVATION,
            ctypes.byref(elevated),
            ctypes.sizeof(elevated),
            ctypes.byref(used),
        )
        kernel32.CloseHandle(token)
        return bool(told and elevated.value)
    finally:
        kernel32.CloseHandle(handle)


def _active_paths() -> list[DisplayPath]:
    """The active outputs of all adapters; ``OSError`` if Windows does not tell."""
    paths, modes = ctypes.c_uint32(0), ctypes.c_uint32(0)
    sizes = (ctypes.byref(paths), ctypes.byref(modes))
    if code := _user32.GetDisplayConfigBufferSizes(QDC_ONLY_ACTIVE_PATHS, *sizes):
        raise ctypes.WinError(code)
    found = (DisplayPath * paths.value)()
    rest = ctypes.create_string_buffer(MODE_BYTES * modes.value)
    if code := _user32.QueryDisplayConfig(
        QDC_ONLY_ACTIVE_PATHS, sizes[0], ctypes.byref(found), sizes[1], rest, None
    ):
        raise ctypes.WinError(code)
    return list(found[: paths.value])


def _ask(path: DisplayPath, kind: int, answer: Any) -> bool:
    """Fill ``answer``; False if Windows does not support the query."""
    answer.header = DeviceInfoHeader(
        kind, ctypes.sizeof(answer), path.target.adapter, path.target.id
    )
    return not _user32.DisplayConfigGetDeviceInfo(ctypes.byref(answer))


def _shows_hdr(path: DisplayPath) -> bool:
    colour = AdvancedColor()
    if not _ask(path, GET_ADVANCED_COLOR_INFO, colour):
        return False
    return bool(colour.value & ENABLED) and not colour.value & WIDE_ENFORCED


def _name(path: DisplayPath) -> str:
    name = TargetName()
    known = _ask(path, GET_TARGET_NAME, name) and name.name
    return str(known) if known else "a monitor"
