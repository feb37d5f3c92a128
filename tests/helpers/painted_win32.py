"""A real window of Windows whose pixels a test chooses, and keys as a keyboard presses them."""

from __future__ import annotations

import ctypes
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import numpy as np
import pytest

assert sys.platform == "win32"

from ctypes import wintypes  # noqa: E402 - fails to import elsewhere on old Pythons

from dataset.closing_win32 import WindowClass, WindowProcedure, kernel32, user32  # noqa: E402
from dataset.pictures.images import Image  # noqa: E402
from helpers import ROOT  # noqa: E402
from helpers.processes import Process, Thread  # noqa: E402

WS_POPUP = 0x80000000  # without a title bar: all of it can be painted
SHOWS = {"hide": 0, "show": 4, "minimise": 6, "restore": 9}  # ShowWindow's numbers
SWP_NOSIZE, SWP_NOMOVE, SWP_NOACTIVATE = 1, 2, 16
HWND_TOP, HWND_BOTTOM = 0, 1
WM_DESTROY, WM_SETFOCUS, WM_KILLFOCUS, WM_PAINT, WM_CLOSE = 2, 7, 8, 15, 16
WM_KEYDOWN, WM_CHAR = 0x100, 0x102
VK_NEXT = 0x22
KEYEVENTF_KEYUP = 2
PRESS_S = 0.06  # how long a key is down
SHOWN_S = 0.1  # until what was drawn is on the screen
END_S = 20.0
REPEAT_S = 0.05  # between the presses that Windows makes of a key that is held
VIRTUAL_KEYS = {  # of modifiers the left one, as a keyboard sends them
    "ctrl": 0xA2, "shift": 0xA0, "alt": 0xA4, "super": 0x5B,
    "Escape": 0x1B, "space": 0x20, "Return": 0x0D,
    "plus": 0xBB, "minus": 0xBD, **{f"F{number}": 0x6F + number for number in range(1, 13)},
}  # fmt: skip

gdi32 = ctypes.WinDLL("gdi32")
user32.SetWindowPos.argtypes = [wintypes.HWND, wintypes.HWND, *[ctypes.c_int] * 4, wintypes.UINT]
user32.ShowWindow.argtypes = [wintypes.HWND, ctypes.c_int]
user32.RedrawWindow.argtypes = [wintypes.HWND, wintypes.LPVOID, wintypes.HRGN, wintypes.UINT]
user32.BeginPaint.restype = wintypes.HDC
RDW_INVALIDATE, RDW_UPDATENOW = 1, 256


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


user32.BeginPaint.argtypes = [wintypes.HWND, ctypes.POINTER(PaintStructure)]
user32.EndPaint.argtypes = [wintypes.HWND, ctypes.POINTER(PaintStructure)]
gdi32.SetDIBitsToDevice.argtypes = [
    wintypes.HDC, *[ctypes.c_int] * 2, *[wintypes.DWORD] * 2, *[ctypes.c_int] * 2,
    *[wintypes.UINT] * 2, ctypes.c_void_p, ctypes.POINTER(BitmapHeader), wintypes.UINT,
]  # fmt: skip


class PaintedWindow:
    """A window without a frame, in a process of its own as a game's is."""

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
        self.size = size
        words = [title, *map(str, (*place, *size))]
        self._process = Process(
            [sys.executable, __file__, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{ROOT};{ROOT / 'tests'}"},
        )
        self._lock = threading.Lock()
        self.id = int(self._answer())

    def __enter__(self) -> PaintedWindow:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self) -> None:
        self._tell("show")

    def hide(self) -> None:
        self._tell("hide")

    def minimise(self) -> None:
        self._tell("minimise")

    def restore(self) -> None:
        self._tell("restore")

    def move(self, x: int, y: int) -> None:
        self._tell("move", x, y)

    def lower(self) -> None:
        self._tell("lower")

    def focus(self) -> None:
        self._tell("focus")

    def paint(self, image: Image) -> None:
        """Show RGB uint8 (H, W, 3); returns when it is on the screen."""
        pixels = _bgrx(image, self.size)
        self._tell("paint", pixels.nbytes, data=pixels.tobytes())

    def close(self) -> None:
        with self._lock:
            if not self._process.stdin.closed:
                with suppress(OSError):
                    self._process.stdin.close()
                self._process.wait(timeout=END_S)
                self._process.stdout.close()

    def set_number(self, *_: object) -> NoReturn:
        pytest.skip("properties of windows are X11's")

    def take_clicks_in(self, *_: object) -> NoReturn:
        pytest.skip("input shapes of windows are X11's")

    def hide_frame(self) -> NoReturn:
        pytest.skip("frames around windows are X11's")

    def name_frame(self, *_: object) -> NoReturn:
        pytest.skip("frames around windows are X11's")

    def _tell(self, *words: object, data: bytes = b"") -> None:
        with self._lock:
            if self._process.stdin.closed:
                return  # a painter that goes on after the end
            self._process.stdin.write(" ".join(map(str, words)).encode() + b"\n" + data)
            self._process.stdin.flush()
            self._answer()

    def _answer(self) -> bytes:
        answer = self._process.stdout.readline()
        assert answer, "the window's process has ended"
        return bytes(answer)


class Painted:
    """The window itself, served by a thread: Windows gives each window to one."""

    def __init__(self, title: str, place: tuple[int, int], size: tuple[int, int]) -> None:
        self._title, self._place, self._size = title, place, size
        self._pixels = np.zeros((size[1], size[0], 4), np.uint8)
        self._procedure = WindowProcedure(self._serve)  # outlives the window, as its class does
        opened: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._thread = Thread(self._live, (opened,))
        self._thread.start()
        self.id = opened.get(timeout=END_S)
        self.obey("show")

    def obey(self, word: str, *numbers: int, pixels: bytes = b"") -> None:
        """Do one command, and return when it can be seen."""
        kept = SWP_NOSIZE | SWP_NOACTIVATE
        if word in SHOWS:
            user32.ShowWindow(self.id, SHOWS[word])
        elif word == "move":
            user32.SetWindowPos(self.id, HWND_TOP, *numbers, 0, 0, kept)
        elif word == "lower":
            user32.SetWindowPos(self.id, HWND_BOTTOM, 0, 0, 0, 0, kept | SWP_NOMOVE)
        elif word == "focus":
            user32.SetForegroundWindow(self.id)
        elif word == "paint":
            self._pixels = np.frombuffer(pixels, np.uint8).reshape(self._pixels.shape)
        self._redraw()
        time.sleep(SHOWN_S)

    def _redraw(self) -> None:
        user32.RedrawWindow(self.id, None, None, RDW_INVALIDATE | RDW_UPDATENOW)
        gdi32.GdiFlush()

    def _live(self, opened: queue.SimpleQueue[int]) -> None:
        """Open the window and serve its messages until the process ends."""
        instance = kernel32.GetModuleHandleW(None)
        known = WindowClass(procedure=self._procedure, instance=instance, name=f"unclip {id(self)}")
        user32.RegisterClassW(ctypes.byref(known))
        handle = user32.CreateWindowExW(
            0, known.name, self._title, WS_POPUP, *self._place, *self._size,
            None, None, instance, None,
        )  # fmt: skip
        opened.put(handle or 0)
        message = wintypes.MSG()
        while handle and user32.GetMessageW(ctypes.byref(message), None, 0, 0) > 0:
            user32.TranslateMessage(ctypes.byref(message))
            user32.DispatchMessageW(ctypes.byref(message))

    def _serve(self, handle: int, message: int, first: int, second: int) -> int:
        if message == WM_PAINT:
            self._draw(handle)
            return 0
        return int(user32.DefWindowProcW(handle, message, first, second))

    def _draw(self, handle: int) -> None:
        pixels, (width, height) = self._pixels, self._size
        header = BitmapHeader(ctypes.sizeof(BitmapHeader), width, -height, 1, 32)
        place = PaintStructure()
        context = user32.BeginPaint(handle, ctypes.byref(place))
        gdi32.SetDIBitsToDevice(
            context, 0, 0, width, height, 0, 0, 0, height,
            pixels.ctypes.data, ctypes.byref(header), 0,
        )  # fmt: skip
        user32.EndPaint(handle, ctypes.byref(place))


class PlayedWindow(Painted):
    """A window of this process that hears keys: each is named to ``on_key``, in its own thread."""

    def __init__(
        self,
        title: str,
        place: tuple[int, int],
        size: tuple[int, int],
        on_key: Callable[[str], None],
    ) -> None:
        self._on_key, self._focused = on_key, threading.Event()
        super().__init__(title, place, size)

    def paint(self, image: Image) -> None:
        """Show RGB uint8 (H, W, 3) of the window's size."""
        self._pixels = _bgrx(image, self._size)
        self._redraw()

    def focus(self) -> None:
        """Bring it to the front; returns when keys come here."""
        user32.SetForegroundWindow(self.id)
        assert self._focused.wait(END_S), "the window did not get the keyboard"

    def close(self) -> None:
        user32.PostMessageW(self.id, WM_CLOSE, 0, 0)
        self._thread.join()

    def _serve(self, handle: int, message: int, first: int, second: int) -> int:
        if message == WM_SETFOCUS:
            self._focused.set()
        elif message == WM_KILLFOCUS:
            self._focused.clear()
        elif message == WM_CHAR:
            self._on_key(chr(first))
        elif message == WM_KEYDOWN and first == VK_NEXT:
            self._on_key("page_down")
        elif message == WM_DESTROY:
            user32.PostQuitMessage(0)
        return super()._serve(handle, message, first, second)


def serve(title: str, *numbers: str) -> None:
    """Show a window and do what the test says, until it says no more."""
    x, y, width, height = map(int, numbers)
    window = Painted(title, (x, y), (width, height))
    commands, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(b"%d\n" % window.id)
    answers.flush()
    while line := commands.readline():
        word, *rest = line.decode().split()
        pixels = commands.read(int(rest[0])) if word == "paint" else b""
        window.obey(word, *map(int, rest), pixels=pixels)
        answers.write(b"done\n")
        answers.flush()


def press(*keys: str) -> None:
    """Press and release keys as a keyboard would; each as xdotool writes it, such as ctrl+F9."""
    for combination in keys:
        codes = [_code(name) for name in combination.split("+")]
        for code in codes:
            user32.keybd_event(code, 0, 0, 0)
        time.sleep(PRESS_S)
        for code in reversed(codes):
            user32.keybd_event(code, 0, KEYEVENTF_KEYUP, 0)
        time.sleep(PRESS_S)


@contextmanager
def held_down(key: str) -> Iterator[None]:
    """Hold a key, as a player does; Windows repeats it."""
    code, over = _code(key), threading.Event()

    def repeat() -> None:
        while not over.wait(REPEAT_S):
            user32.keybd_event(code, 0, 0, 0)

    user32.keybd_event(code, 0, 0, 0)
    thread = Thread(repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        user32.keybd_event(code, 0, KEYEVENTF_KEYUP, 0)


def own_server(*_: object) -> Any:
    """Windows has no X server that a test could change or kill."""
    pytest.skip("needs an X server of its own")


def resize_screen(*_: object) -> NoReturn:
    pytest.skip("needs an X server of its own")


def _bgrx(image: Image, size: tuple[int, int]) -> Image:
    """RGB (H, W, 3) at the top left of a picture of ``size`` as Windows draws it."""
    height, width = image.shape[:2]
    pixels = np.zeros((size[1], size[0], 4), np.uint8)
    pixels[:height, :width, :3] = image[..., ::-1]
    return pixels


def _code(name: str) -> int:
    """The virtual key of a key's name."""
    return VIRTUAL_KEYS.get(name) or ord(name.upper())


if __name__ == "__main__":
    serve(*sys.argv[1:])
