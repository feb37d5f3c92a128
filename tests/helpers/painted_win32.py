"""A real window of Windows whose pixels a test chooses, and keys as a keyboard presses them."""

from __future__ import annotations

import ctypes
import queue
import sys
import time
from typing import Any, NoReturn

import numpy as np
import pytest

assert sys.platform == "win32"

from ctypes import wintypes  # noqa: E402 - fails to import elsewhere on old Pythons

from dataset.pictures.images import Image  # noqa: E402
from helpers.processes import Thread  # noqa: E402

WS_POPUP = 0x80000000  # without a title bar: all of it can be painted
SW_HIDE, SW_SHOWNOACTIVATE, SW_MINIMIZE, SW_RESTORE = 0, 4, 6, 9
SWP_NOSIZE, SWP_NOMOVE, SWP_NOACTIVATE = 1, 2, 16
HWND_TOP, HWND_BOTTOM = 0, 1
WM_DESTROY, WM_PAINT, WM_CLOSE = 2, 15, 16
KEYEVENTF_KEYUP = 2
PRESS_S = 0.06  # how long a key is down
SHOWN_S = 0.1  # until what was drawn is on the screen
VIRTUAL_KEYS = {
    "ctrl": 0x11, "shift": 0x10, "alt": 0x12, "Escape": 0x1B, "space": 0x20, "Return": 0x0D,
    "plus": 0xBB, "minus": 0xBD, **{f"F{number}": 0x6F + number for number in range(1, 13)},
}  # fmt: skip

_user32 = ctypes.WinDLL("user32", use_last_error=True)
_gdi32 = ctypes.WinDLL("gdi32")
_kernel32 = ctypes.WinDLL("kernel32")
WindowProcedure = ctypes.WINFUNCTYPE(
    ctypes.c_ssize_t, wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM
)
_user32.DefWindowProcW.argtypes = WindowProcedure._argtypes_
_user32.DefWindowProcW.restype = ctypes.c_ssize_t
_user32.CreateWindowExW.restype = wintypes.HWND
_user32.CreateWindowExW.argtypes = [
    wintypes.DWORD, wintypes.LPCWSTR, wintypes.LPCWSTR, wintypes.DWORD,
    *[ctypes.c_int] * 4, wintypes.HWND, wintypes.HMENU, wintypes.HINSTANCE, wintypes.LPVOID,
]  # fmt: skip
_user32.SetWindowPos.argtypes = [wintypes.HWND, wintypes.HWND, *[ctypes.c_int] * 4, wintypes.UINT]
_user32.ShowWindow.argtypes = [wintypes.HWND, ctypes.c_int]
_user32.PostMessageW.argtypes = [wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM]
_user32.RedrawWindow.argtypes = [wintypes.HWND, wintypes.LPVOID, wintypes.HRGN, wintypes.UINT]
_user32.GetDC.argtypes = [wintypes.HWND]
_user32.GetDC.restype = wintypes.HDC
_user32.ReleaseDC.argtypes = [wintypes.HWND, wintypes.HDC]
_user32.BeginPaint.restype = wintypes.HDC
_kernel32.GetModuleHandleW.restype = wintypes.HMODULE
_kernel32.GetModuleHandleW.argtypes = [wintypes.LPCWSTR]
RDW_INVALIDATE, RDW_UPDATENOW = 1, 256


class WindowClass(ctypes.Structure):
    _fields_ = (
        ("style", wintypes.UINT),
        ("procedure", WindowProcedure),
        ("class_extra", ctypes.c_int),
        ("window_extra", ctypes.c_int),
        ("instance", wintypes.HINSTANCE),
        ("icon", wintypes.HICON),
        ("cursor", wintypes.HANDLE),
        ("background", wintypes.HBRUSH),
        ("menu", wintypes.LPCWSTR),
        ("name", wintypes.LPCWSTR),
    )


class PaintStructure(ctypes.Structure):
    _fields_ = (
        ("hdc", wintypes.HDC),
        ("erase", wintypes.BOOL),
        ("paint", wintypes.RECT),
        ("restore", wintypes.BOOL),
        ("update", wintypes.BOOL),
        ("reserved", wintypes.BYTE * 32),
    )


class BitmapHeader(ctypes.Structure):
    _fields_ = (
        ("size", wintypes.DWORD),
        ("width", wintypes.LONG),
        ("height", wintypes.LONG),  # negative: the top row comes first
        ("planes", wintypes.WORD),
        ("bits", wintypes.WORD),
        ("compression", wintypes.DWORD),
        ("rest", wintypes.DWORD * 5),
    )


_user32.BeginPaint.argtypes = [wintypes.HWND, ctypes.POINTER(PaintStructure)]
_user32.EndPaint.argtypes = [wintypes.HWND, ctypes.POINTER(PaintStructure)]
_user32.RegisterClassW.argtypes = [ctypes.POINTER(WindowClass)]
_gdi32.SetDIBitsToDevice.argtypes = [
    wintypes.HDC, *[ctypes.c_int] * 2, *[wintypes.DWORD] * 2, *[ctypes.c_int] * 2,
    *[wintypes.UINT] * 2, ctypes.c_void_p, ctypes.POINTER(BitmapHeader), wintypes.UINT,
]  # fmt: skip


class PaintedWindow:
    """A window without a frame, served by a thread of its own."""

    def __init__(
        self,
        title: str = "Painted",
        place: tuple[int, int] = (0, 0),
        size: tuple[int, int] = (96, 64),
        see_through: bool = False,
        inside: tuple[int, int] | None = None,
    ) -> None:
        if see_through or inside is not None:
            pytest.skip("windows of this kind are X11's")
        self.size, self.place = size, place
        self._pixels = np.zeros((size[1], size[0], 4), np.uint8)
        self._procedure = WindowProcedure(self._serve)  # outlives the window, as its class does
        opened: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._thread = Thread(self._live, (title, opened))
        self._thread.start()
        self.id = opened.get(timeout=20)
        assert self.id, "Windows opened no window"
        self.show()

    def __enter__(self) -> PaintedWindow:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self) -> None:
        _user32.ShowWindow(self.id, SW_SHOWNOACTIVATE)
        self._redraw()

    def hide(self) -> None:
        _user32.ShowWindow(self.id, SW_HIDE)
        time.sleep(SHOWN_S)

    def minimise(self) -> None:
        _user32.ShowWindow(self.id, SW_MINIMIZE)

    def restore(self) -> None:
        _user32.ShowWindow(self.id, SW_RESTORE)
        self._redraw()

    def move(self, x: int, y: int) -> None:
        _user32.SetWindowPos(self.id, HWND_TOP, x, y, 0, 0, SWP_NOSIZE | SWP_NOACTIVATE)
        self._redraw()

    def lower(self) -> None:
        kept = SWP_NOSIZE | SWP_NOMOVE | SWP_NOACTIVATE
        _user32.SetWindowPos(self.id, HWND_BOTTOM, 0, 0, 0, 0, kept)
        time.sleep(SHOWN_S)

    def paint(self, image: Image) -> None:
        """Show RGB uint8 (H, W, 3); returns when it is on the screen."""
        height, width = image.shape[:2]
        pixels = self._pixels.copy()
        pixels[:height, :width, :3] = image[..., ::-1]
        self._pixels = pixels
        self._redraw()

    def close(self) -> None:
        if self.id:
            _user32.PostMessageW(self.id, WM_CLOSE, 0, 0)
            self._thread.join()
            self.id = 0

    def set_number(self, *_: object) -> NoReturn:
        pytest.skip("properties of windows are X11's")

    def take_clicks_in(self, *_: object) -> NoReturn:
        pytest.skip("input shapes of windows are X11's")

    def hide_frame(self) -> NoReturn:
        pytest.skip("frames around windows are X11's")

    def _redraw(self) -> None:
        _user32.RedrawWindow(self.id, None, None, RDW_INVALIDATE | RDW_UPDATENOW)
        _gdi32.GdiFlush()
        time.sleep(SHOWN_S)

    def _live(self, title: str, opened: queue.SimpleQueue[int]) -> None:
        """Open the window and serve its messages until it is closed; a window has one thread."""
        instance = _kernel32.GetModuleHandleW(None)
        name = f"unclip painted {id(self)}"
        known = WindowClass(procedure=self._procedure, instance=instance, name=name)
        _user32.RegisterClassW(ctypes.byref(known))
        handle = _user32.CreateWindowExW(
            0, name, title, WS_POPUP, *self.place, *self.size, None, None, instance, None
        )
        opened.put(handle or 0)
        message = wintypes.MSG()
        while handle and _user32.GetMessageW(ctypes.byref(message), None, 0, 0) > 0:
            _user32.TranslateMessage(ctypes.byref(message))
            _user32.DispatchMessageW(ctypes.byref(message))

    def _serve(self, handle: int, message: int, first: int, second: int) -> int:
        if message == WM_PAINT:
            self._draw(handle)
            return 0
        if message == WM_DESTROY:
            _user32.PostQuitMessage(0)
            return 0
        return int(_user32.DefWindowProcW(handle, message, first, second))

    def _draw(self, handle: int) -> None:
        pixels, (width, height) = self._pixels, self.size
        header = BitmapHeader(ctypes.sizeof(BitmapHeader), width, -height, 1, 32)
        place = PaintStructure()
        context = _user32.BeginPaint(handle, ctypes.byref(place))
        _gdi32.SetDIBitsToDevice(
            context, 0, 0, width, height, 0, 0, 0, height,
            pixels.ctypes.data, ctypes.byref(header), 0,
        )  # fmt: skip
        _user32.EndPaint(handle, ctypes.byref(place))


def press(*keys: str) -> None:
    """Press and release keys as a keyboard would; each as xdotool writes it, such as ctrl+F9."""
    for combination in keys:
        codes = [_code(name) for name in combination.split("+")]
        for code in codes:
            _user32.keybd_event(code, 0, 0, 0)
        time.sleep(PRESS_S)
        for code in reversed(codes):
            _user32.keybd_event(code, 0, KEYEVENTF_KEYUP, 0)
        time.sleep(PRESS_S)


def own_server(*_: object) -> Any:
    """Windows has no X server that a test could change or kill."""
    pytest.skip("needs an X server of its own")


def resize_screen(*_: object) -> NoReturn:
    pytest.skip("needs an X server of its own")


def _code(name: str) -> int:
    """The virtual key of a key's name."""
    return VIRTUAL_KEYS.get(name) or ord(name.upper())
