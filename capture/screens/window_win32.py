"""Windows of other programs on Microsoft Windows, through user32 and dwmapi.

mss makes the process aware of each monitor's scaling before anything here is called, so all
numbers are real pixels. Covers and focus were never tried by us on Windows.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator

assert sys.platform == "win32"

from ctypes import wintypes  # noqa: E402 - fails to import elsewhere on old Pythons

from capture.screens.target import (  # noqa: E402
    COVERED_SHARE,
    Candidate,
    NotVisible,
    Rectangle,
    shared_fraction,
)
from dataset.errors import UserError  # noqa: E402
from dataset.gate import LONGEST_TEXT, plain  # noqa: E402

DWMWA_EXTENDED_FRAME_BOUNDS = 9  # the frame as it is drawn, without the invisible border
DWMWA_CLOAKED = 14  # set for windows that exist but are not shown, as suspended store apps
GW_HWNDPREV = 3  # the window above
GA_ROOT = 2  # the ancestor without a parent
GWL_EXSTYLE = -20
WS_EX_TRANSPARENT = 0x20  # clicks go through: overlays of recorders, chats and drivers
SW_RESTORE = 9

_user32 = ctypes.WinDLL("user32", use_last_error=True)
dwmapi = ctypes.WinDLL("dwmapi")
EnumWindowsProc = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.HWND, wintypes.LPARAM)
_user32.EnumWindows.argtypes = [EnumWindowsProc, wintypes.LPARAM]
for _name in (
    "IsWindow",
    "IsWindowVisible",
    "IsIconic",
    "GetWindowTextLengthW",
    "SetForegroundWindow",
):
    getattr(_user32, _name).argtypes = [wintypes.HWND]
for _name in ("GetForegroundWindow", "GetWindow", "GetAncestor"):
    getattr(_user32, _name).restype = wintypes.HWND
_user32.GetWindow.argtypes = [wintypes.HWND, wintypes.UINT]
_user32.GetAncestor.argtypes = [wintypes.HWND, wintypes.UINT]
_user32.GetWindowLongW.argtypes = [wintypes.HWND, ctypes.c_int]
_user32.ShowWindow.argtypes = [wintypes.HWND, ctypes.c_int]
_user32.GetWindowTextW.argtypes = [wintypes.HWND, wintypes.LPWSTR, ctypes.c_int]
_user32.GetClientRect.argtypes = [wintypes.HWND, ctypes.POINTER(wintypes.RECT)]
_user32.ClientToScreen.argtypes = [wintypes.HWND, ctypes.POINTER(wintypes.POINT)]
dwmapi.DwmGetWindowAttribute.argtypes = [
    wintypes.HWND,
    wintypes.DWORD,
    ctypes.c_void_p,
    wintypes.DWORD,
]


class Win32Window:
    """A window by its handle."""

    def __init__(self, found: Candidate, *others: Candidate) -> None:
        self.title, self.id, self.others = found.title, found.id, list(others)
        self._handle = found.handle

    def rectangle(self) -> Rectangle:
        self._check_open()
        if _user32.IsIconic(self._handle):
            raise NotVisible(f'The window "{self.title}" is minimised.')
        return _client_rectangle(self._handle)

    def covering(self) -> str | None:
        place = self.rectangle()
        for other in _above(_user32.GetAncestor(self._handle, GA_ROOT)):
            if _is_solid(other) and shared_fraction(place, _frame(other)) > COVERED_SHARE:
                return _title(other) or "a window without a title"
        return None

    def has_focus(self) -> bool:
        self._check_open()
        return bool(_user32.GetForegroundWindow() == _user32.GetAncestor(self._handle, GA_ROOT))

    def focus(self) -> None:
        # Windows allows it to the program that the user last worked with, and to few others.
        self._check_open()
        top = _user32.GetAncestor(self._handle, GA_ROOT)
        if _user32.IsIconic(top):
            _user32.ShowWindow(top, SW_RESTORE)
        _user32.SetForegroundWindow(top)

    def close(self) -> None:
        """Nothing to release."""

    def _check_open(self) -> None:
        if not _user32.IsWindow(self._handle):
            raise UserError(f'The window "{self.title}" was closed.', 1)


def visible_windows() -> Iterator[Candidate]:
    """Every visible top-level window with a title."""
    handles: list[int] = []

    def remember(handle: int, _: int) -> bool:
        handles.append(handle)
        return True

    _user32.EnumWindows(EnumWindowsProc(remember), 0)
    for handle in handles:
        title = _title(handle)
        if title and _user32.IsWindowVisible(handle) and not _is_cloaked(handle):
            _, _, width, height = _client_rectangle(handle)
            yield Candidate(title, width * height, handle, (width, height), handle, handle)


def _above(handle: int) -> Iterator[int]:
    """Top-level windows above one, the nearest first."""
    seen = {handle}  # windows may move in the stack meanwhile
    while (above := _user32.GetWindow(handle, GW_HWNDPREV)) and above not in seen:
        seen.add(above)
        yield above
        handle = above


def _is_solid(handle: int) -> bool:
    """Whether it is visible and not a see-through overlay."""
    shown = _user32.IsWindowVisible(handle) and not _user32.IsIconic(handle)
    style = _user32.GetWindowLongW(handle, GWL_EXSTYLE)
    return bool(shown) and not style & WS_EX_TRANSPARENT and not _is_cloaked(handle)


def _frame(handle: int) -> Rectangle:
    """A window as it is drawn, with its title bar; empty if that is unknown."""
    box = wintypes.RECT()
    dwmapi.DwmGetWindowAttribute(
        handle, DWMWA_EXTENDED_FRAME_BOUNDS, ctypes.byref(box), ctypes.sizeof(box)
    )
    return box.left, box.top, box.right - box.left, box.bottom - box.top


def _title(handle: int) -> str:
    text = ctypes.create_unicode_buffer(_user32.GetWindowTextLengthW(handle) + 1)
    _user32.GetWindowTextW(handle, text, len(text))
    return plain(text.value[:LONGEST_TEXT])  # whatever a program calls its window


def _is_cloaked(handle: int) -> bool:
    cloaked = wintypes.DWORD(0)
    dwmapi.DwmGetWindowAttribute(
        handle, DWMWA_CLOAKED, ctypes.byref(cloaked), ctypes.sizeof(cloaked)
    )
    return bool(cloaked.value)


def _client_rectangle(handle: int) -> Rectangle:
    inside, corner = wintypes.RECT(), wintypes.POINT(0, 0)
    _user32.GetClientRect(handle, ctypes.byref(inside))
    _user32.ClientToScreen(handle, ctypes.byref(corner))
    return corner.x, corner.y, inside.right, inside.bottom
