"""Windows of other programs on Microsoft Windows, through user32, dwmapi and kernel32.

mss makes the process aware of each monitor's scaling before anything here is called, so all
numbers are real pixels. Tried under Wine, which has no cloaked windows and no Windows Terminal.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator

assert sys.platform == "win32"

from ctypes import wintypes  # noqa: E402 - fails to import elsewhere on old Pythons

from capture.screens.own_terminal import starters  # noqa: E402
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
GA_ROOTOWNER = 3  # of a console inside Windows Terminal: the terminal's window
GWL_EXSTYLE = -20
WS_EX_TRANSPARENT = 0x20  # clicks go through: overlays of recorders, chats and drivers
WS_EX_TOOLWINDOW = 0x80  # not in the taskbar
WS_EX_LAYERED = 0x80000  # drawn with an opacity, a see-through colour or an alpha channel
WS_EX_NOACTIVATE = 0x8000000  # never gets the keyboard
LWA_ALPHA = 2  # the window has one opacity for all of it
SW_RESTORE = 9
DESKTOP_READOBJECTS = 1

_user32 = ctypes.WinDLL("user32", use_last_error=True)
dwmapi = ctypes.WinDLL("dwmapi")
_kernel32 = ctypes.WinDLL("kernel32")
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
_user32.GetWindowRect.argtypes = [wintypes.HWND, ctypes.POINTER(wintypes.RECT)]
_user32.ClientToScreen.argtypes = [wintypes.HWND, ctypes.POINTER(wintypes.POINT)]
_user32.GetWindowThreadProcessId.argtypes = [wintypes.HWND, ctypes.POINTER(wintypes.DWORD)]
_user32.GetLayeredWindowAttributes.argtypes = [
    wintypes.HWND,
    ctypes.POINTER(wintypes.COLORREF),
    ctypes.POINTER(wintypes.BYTE),
    ctypes.POINTER(wintypes.DWORD),
]
_user32.OpenInputDesktop.argtypes = [wintypes.DWORD, wintypes.BOOL, wintypes.DWORD]
_user32.OpenInputDesktop.restype = wintypes.HANDLE
_user32.CloseDesktop.argtypes = [wintypes.HANDLE]
_kernel32.GetConsoleWindow.restype = wintypes.HWND
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
        top = _top_level(self._handle)
        if _user32.IsIconic(top):
            raise NotVisible(f'The window "{self.title}" is minimised.')
        inside = _client_rectangle(self._handle)
        if inside is None:  # closed since we asked
            raise self._closed()
        if not _user32.IsWindowVisible(top) or _is_cloaked(top):  # or on another virtual desktop
            raise NotVisible(f'The window "{self.title}" is minimised or hidden.')
        return inside

    def covering(self) -> str | None:
        place = self.rectangle()
        for other in _above(_top_level(self._handle)):
            if _is_solid(other) and shared_fraction(place, _frame(other)) > COVERED_SHARE:
                return _title(other) or "a window without a title"
        return None

    def has_focus(self) -> bool:
        self._check_open()
        return bool(_user32.GetForegroundWindow() == _top_level(self._handle))

    def focus(self) -> None:
        # Windows allows it to the program that the user last worked with, and to few others.
        self._check_open()
        top = _top_level(self._handle)
        if _user32.IsIconic(top):
            _user32.ShowWindow(top, SW_RESTORE)
        _user32.SetForegroundWindow(top)

    def close(self) -> None:
        """Nothing to release."""

    def _check_open(self) -> None:
        if not _user32.IsWindow(self._handle):
            raise self._closed()

    def _closed(self) -> UserError:
        return UserError(f'The window "{self.title}" was closed.', 1)


def visible_windows() -> Iterator[Candidate]:
    """Every visible top-level window with a title; those of our own terminal are marked."""
    parents, consoles = starters(), _consoles()
    for handle in _top_level_windows():
        title = _title(handle)
        if title and _user32.IsWindowVisible(handle) and not _is_cloaked(handle):
            inside = _client_rectangle(handle)
            if inside is not None:  # else closed since we asked
                own = handle in consoles or process_of(handle) in parents
                sides = inside[2:]
                yield Candidate(title, sides[0] * sides[1], handle, sides, handle, handle, own)


def process_of(handle: int) -> int:
    """The number of the process that a window belongs to; 0 if it was closed."""
    process = wintypes.DWORD(0)
    _user32.GetWindowThreadProcessId(handle, ctypes.byref(process))
    return process.value


def desktop_taken() -> bool:
    """Whether the lock screen or a question for permission (UAC) has the screen."""
    desktop = _user32.OpenInputDesktop(0, False, DESKTOP_READOBJECTS)
    if not desktop:
        return True
    _user32.CloseDesktop(desktop)
    return False


def _consoles() -> set[int]:
    """The window of our console, and of the terminal that shows it."""
    console = _kernel32.GetConsoleWindow()
    return {console, _user32.GetAncestor(console, GA_ROOTOWNER)} if console else set()


def _top_level_windows() -> list[int]:
    handles: list[int] = []

    def remember(handle: int, _: int) -> bool:
        handles.append(handle)
        return True

    if not _user32.EnumWindows(EnumWindowsProc(remember), 0):
        code = ctypes.get_last_error()
        why = f": {ctypes.FormatError(code).strip()}" if code else ""
        raise UserError(
            f"Windows does not tell which windows there are{why}.",
            1,
            remedy="Record the place instead: --region X,Y,W,H.",
        )
    return handles


def _top_level(handle: int) -> int:
    """The ancestor of a window without a parent; the window itself if it was closed."""
    return _user32.GetAncestor(handle, GA_ROOT) or handle


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
    if not shown or style & WS_EX_TRANSPARENT or _is_cloaked(handle):
        return False
    return not style & WS_EX_LAYERED or _layer_hides(handle, style)


def _layer_hides(handle: int, style: int) -> bool:
    """Whether a window that is drawn as a layer hides what is below it, if only by half.

    Where each pixel has an opacity of its own, or one colour is see-through, nobody tells how much
    is hidden: tool windows, and those that never get the keyboard, then count as overlays.
    """
    colour, alpha, flags = wintypes.COLORREF(), wintypes.BYTE(), wintypes.DWORD()
    whole = _user32.GetLayeredWindowAttributes(
        handle, ctypes.byref(colour), ctypes.byref(alpha), ctypes.byref(flags)
    )
    if whole and flags.value == LWA_ALPHA:
        return alpha.value != 0
    invisible = whole and flags.value & LWA_ALPHA and alpha.value == 0
    return not invisible and not style & (WS_EX_TOOLWINDOW | WS_EX_NOACTIVATE)


def _frame(handle: int) -> Rectangle:
    """A window as it is drawn, with its title bar; empty if it was closed."""
    box = wintypes.RECT()
    told = dwmapi.DwmGetWindowAttribute(
        handle, DWMWA_EXTENDED_FRAME_BOUNDS, ctypes.byref(box), ctypes.sizeof(box)
    )
    if told != 0 and not _user32.GetWindowRect(handle, ctypes.byref(box)):  # 0: S_OK
        return 0, 0, 0, 0
    return box.left, box.top, box.right - box.left, box.bottom - box.top


def _title(handle: int) -> str:
    text = ctypes.create_unicode_buffer(_user32.GetWindowTextLengthW(handle) + 1)
    _user32.GetWindowTextW(handle, text, len(text))
    return plain(text.value[:LONGEST_TEXT])  # whatever a program calls its window


def _is_cloaked(handle: int) -> bool:
    """Whether it exists but is not shown; a system that cannot say so has no such windows."""
    cloaked = wintypes.DWORD(0)
    told = dwmapi.DwmGetWindowAttribute(
        handle, DWMWA_CLOAKED, ctypes.byref(cloaked), ctypes.sizeof(cloaked)
    )
    return told == 0 and bool(cloaked.value)


def _client_rectangle(handle: int) -> Rectangle | None:
    """Where a window's picture is, without its frame; None if it was closed."""
    inside, corner = wintypes.RECT(), wintypes.POINT(0, 0)
    there = _user32.GetClientRect(handle, ctypes.byref(inside))
    if not there or not _user32.ClientToScreen(handle, ctypes.byref(corner)):
        return None
    return corner.x, corner.y, inside.right, inside.bottom
