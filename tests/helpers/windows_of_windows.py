"""Real windows on Microsoft Windows, whose place, layer and colour a test chooses."""

from __future__ import annotations

import ctypes
import sys
from itertools import count
from typing import Any

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or Wine", allow_module_level=True)

from ctypes import wintypes

from dataset.closing_win32 import WindowClass, WindowProcedure, user32

WS_POPUP, WS_OVERLAPPEDWINDOW, WS_VISIBLE = 0x80000000, 0xCF0000, 0x10000000
WS_EX_TRANSPARENT, WS_EX_TOOLWINDOW, WS_EX_LAYERED = 0x20, 0x80, 0x80000
SW_HIDE, SW_SHOWNA, SW_MINIMIZE, SW_RESTORE = 0, 8, 6, 9
LWA_COLORKEY, LWA_ALPHA = 1, 2
HWND_TOP, HWND_BOTTOM = 0, 1
SWP_NOSIZE, SWP_NOMOVE, SWP_NOACTIVATE = 1, 2, 16
PM_REMOVE = 1

gdi32 = ctypes.WinDLL("gdi32")
user32.SetWindowPos.argtypes = [wintypes.HWND, wintypes.HWND, *[ctypes.c_int] * 4, wintypes.UINT]
user32.SetLayeredWindowAttributes.argtypes = [
    wintypes.HWND,
    wintypes.COLORREF,
    wintypes.BYTE,
    wintypes.DWORD,
]
user32.ShowWindow.argtypes = [wintypes.HWND, ctypes.c_int]
user32.DestroyWindow.argtypes = [wintypes.HWND]
user32.GetDC.argtypes, user32.GetDC.restype = [wintypes.HWND], wintypes.HDC
user32.ReleaseDC.argtypes = [wintypes.HWND, wintypes.HDC]
user32.FillRect.argtypes = [wintypes.HDC, ctypes.POINTER(wintypes.RECT), wintypes.HANDLE]
user32.GetClientRect.argtypes = [wintypes.HWND, ctypes.POINTER(wintypes.RECT)]
user32.PeekMessageW.argtypes = [ctypes.POINTER(wintypes.MSG), wintypes.HWND, *[wintypes.UINT] * 3]
user32.DispatchMessageW.argtypes = [ctypes.POINTER(wintypes.MSG)]
gdi32.CreateSolidBrush.argtypes, gdi32.CreateSolidBrush.restype = (
    [wintypes.COLORREF],
    wintypes.HANDLE,
)
gdi32.DeleteObject.argtypes = [wintypes.HANDLE]

_procedure = WindowProcedure(user32.DefWindowProcW)
_numbers = count()


class RealWindow:
    """A window of this process. A place is that of its picture where it has no frame."""

    def __init__(
        self,
        title: str,
        place: tuple[int, int, int, int] = (100, 100, 96, 64),
        framed: bool = False,
        extended: int = 0,
    ) -> None:
        name = f"unclip test {next(_numbers)}"
        about = WindowClass(procedure=_procedure, name=name)
        assert user32.RegisterClassW(ctypes.byref(about))
        style = WS_VISIBLE | (WS_OVERLAPPEDWINDOW if framed else WS_POPUP)
        self.handle: Any = user32.CreateWindowExW(
            extended, name, title, style, *place, None, None, None, None
        )
        assert self.handle, ctypes.get_last_error()
        self._settle()

    def __enter__(self) -> RealWindow:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def paint(self, red: int, green: int, blue: int) -> None:
        box = wintypes.RECT()
        user32.GetClientRect(self.handle, ctypes.byref(box))
        drawing = user32.GetDC(self.handle)
        brush = gdi32.CreateSolidBrush(red | green << 8 | blue << 16)
        user32.FillRect(drawing, ctypes.byref(box), brush)
        gdi32.DeleteObject(brush)
        user32.ReleaseDC(self.handle, drawing)
        self._settle()

    def move(self, x: int, y: int) -> None:
        self._place(HWND_TOP, x, y, SWP_NOSIZE | SWP_NOACTIVATE)

    def lower(self) -> None:
        self._place(HWND_BOTTOM, 0, 0, SWP_NOSIZE | SWP_NOMOVE | SWP_NOACTIVATE)

    def show(self, how: int) -> None:
        """One of the ``SW_`` values."""
        user32.ShowWindow(self.handle, how)
        self._settle()

    def layer(self, alpha: int, flags: int = LWA_ALPHA) -> None:
        """The opacity of a layered window, 0 to 255; or black becomes see-through."""
        assert user32.SetLayeredWindowAttributes(self.handle, 0, alpha, flags)
        self._settle()

    def close(self) -> None:
        if self.handle is not None:
            user32.DestroyWindow(self.handle)
            self._settle()
            self.handle = None

    def _place(self, after: int, x: int, y: int, flags: int) -> None:
        assert user32.SetWindowPos(self.handle, after, x, y, 0, 0, flags)
        self._settle()

    def _settle(self) -> None:
        """Let the window take what Windows tells it."""
        message = wintypes.MSG()
        while user32.PeekMessageW(ctypes.byref(message), None, 0, 0, PM_REMOVE):
            user32.DispatchMessageW(ctypes.byref(message))
        gdi32.GdiFlush()
