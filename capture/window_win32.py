"""Windows of other programs on Microsoft Windows, through user32 and dwmapi.

mss makes the process aware of each monitor's scaling before anything here is called, so all
numbers are real pixels.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator

assert sys.platform == "win32"

from ctypes import wintypes  # noqa: E402 - fails to import elsewhere on old Pythons

from capture.target import Candidate, NothingToSee, Rectangle  # noqa: E402
from dataset.errors import UserError  # noqa: E402

DWMWA_CLOAKED = 14  # set for windows that exist but are not shown, as suspended store apps

user32 = ctypes.WinDLL("user32", use_last_error=True)
dwmapi = ctypes.WinDLL("dwmapi")
EnumWindowsProc = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.HWND, wintypes.LPARAM)
user32.EnumWindows.argtypes = [EnumWindowsProc, wintypes.LPARAM]
for _name in ("IsWindow", "IsWindowVisible", "IsIconic", "GetWindowTextLengthW"):
    getattr(user32, _name).argtypes = [wintypes.HWND]
user32.GetWindowTextW.argtypes = [wintypes.HWND, wintypes.LPWSTR, ctypes.c_int]
user32.GetClientRect.argtypes = [wintypes.HWND, ctypes.POINTER(wintypes.RECT)]
user32.ClientToScreen.argtypes = [wintypes.HWND, ctypes.POINTER(wintypes.POINT)]
dwmapi.DwmGetWindowAttribute.argtypes = [
    wintypes.HWND,
    wintypes.DWORD,
    ctypes.c_void_p,
    wintypes.DWORD,
]


class Win32Window:
    """A window by its handle."""

    def __init__(self, found: Candidate) -> None:
        self.title = found.title
        self._handle = found.handle

    def rectangle(self) -> Rectangle:
        if not user32.IsWindow(self._handle):
            raise UserError(f'The window "{self.title}" was closed.', 1)
        if user32.IsIconic(self._handle):
            raise NothingToSee(f'The window "{self.title}" is minimised.')
        return _client_rectangle(self._handle)

    def close(self) -> None:
        """Nothing is held."""


def open_window(found: Candidate) -> Win32Window:
    """The window of a candidate."""
    return Win32Window(found)


def visible_windows() -> Iterator[Candidate]:
    """Every top-level window with a title that is shown."""
    handles: list[int] = []

    def remember(handle: int, _: int) -> bool:
        handles.append(handle)
        return True

    user32.EnumWindows(EnumWindowsProc(remember), 0)
    for handle in handles:
        title = _title(handle)
        if title and user32.IsWindowVisible(handle) and not _is_cloaked(handle):
            _, _, width, height = _client_rectangle(handle)
            yield Candidate(title, width * height, handle)


def _title(handle: int) -> str:
    text = ctypes.create_unicode_buffer(user32.GetWindowTextLengthW(handle) + 1)
    user32.GetWindowTextW(handle, text, len(text))
    return text.value


def _is_cloaked(handle: int) -> bool:
    cloaked = wintypes.DWORD(0)
    dwmapi.DwmGetWindowAttribute(
        handle, DWMWA_CLOAKED, ctypes.byref(cloaked), ctypes.sizeof(cloaked)
    )
    return bool(cloaked.value)


def _client_rectangle(handle: int) -> Rectangle:
    inside, corner = wintypes.RECT(), wintypes.POINT(0, 0)
    user32.GetClientRect(handle, ctypes.byref(inside))
    user32.ClientToScreen(handle, ctypes.byref(corner))
    return corner.x, corner.y, inside.right, inside.bottom
