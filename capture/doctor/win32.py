"""What only Windows knows: HDR, the lock screen, and programs that run elevated.

Run under Wine, which has no HDR and no lock screen. The structures are those of ``winnt.h``.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

assert sys.platform == "win32"

from ctypes import wintypes  # noqa: E402 - fails to import elsewhere on old Pythons

from capture.screens.displays_win32 import active_paths, name_of, shows_hdr  # noqa: E402
from capture.screens.window_win32 import desktop_taken, process_of, visible_windows  # noqa: E402

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


def screen_locked() -> bool | None:
    """Whether the lock screen or the secure desktop has the input."""
    return desktop_taken()


def hdr_displays() -> list[str]:
    """The names of the monitors that show HDR."""
    return [name_of(path) for path in active_paths() if shows_hdr(path)]


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
