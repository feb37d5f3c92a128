"""What Windows tells a program when its user logs off."""

from __future__ import annotations

import sys

from helpers.waiting import soon


def end_users_session(process: int) -> None:
    """Send the messages of a log-off to the hidden window of one process of this program."""
    assert sys.platform == "win32"
    import ctypes
    from ctypes import wintypes

    from dataset.closing_win32 import WM_ENDSESSION, WM_QUERYENDSESSION

    user32 = ctypes.WinDLL("user32")
    user32.PostMessageW.argtypes = [
        *(wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM),
    ]
    window = soon(lambda: _window_of(process))
    assert not user32.IsWindowVisible(wintypes.HWND(window))
    assert user32.PostMessageW(window, WM_QUERYENDSESSION, 0, 0)
    assert user32.PostMessageW(window, WM_ENDSESSION, 1, 0)


def _window_of(process: int) -> int | None:
    assert sys.platform == "win32"
    import ctypes
    from ctypes import wintypes

    from dataset.closing_win32 import CLASS_NAME

    user32, window = ctypes.WinDLL("user32"), None
    user32.FindWindowExW.restype = wintypes.HWND
    user32.FindWindowExW.argtypes = [
        *(wintypes.HWND, wintypes.HWND, wintypes.LPCWSTR, wintypes.LPCWSTR),
    ]
    while window := user32.FindWindowExW(None, window, CLASS_NAME, None):
        owner = wintypes.DWORD()
        user32.GetWindowThreadProcessId(wintypes.HWND(window), ctypes.byref(owner))
        if owner.value == process:
            return int(window)
    return None
