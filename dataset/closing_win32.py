"""Windows: a closing console, log-off and shutdown become SIGBREAK, which Windows does not send.

Windows ends this process when what it calls returns, or after a few seconds. So nothing here
returns while the main thread is ending its work: the process ends with that. Where nobody catches
SIGBREAK, Windows goes on as usual.

References
----------
SetConsoleCtrlHandler, HandlerRoutine, WM_ENDSESSION and SetProcessShutdownParameters in
Microsoft's documentation of Win32. A console program that has loaded user32.dll, as recorders do,
hears of log-off and shutdown by the messages of a window only.
"""

from __future__ import annotations

import _thread
import ctypes
import signal
import sys
import threading
from ctypes import wintypes

assert sys.platform == "win32"

CLOSING = {2, 5, 6}  # CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT
WM_QUERYENDSESSION, WM_ENDSESSION = 0x11, 0x16
LONGEST_S = 30.0  # Windows waits for about 5 s, at log-off for as long as its user does
FIRST = 0x3FF  # of the processes of a session to be ended: before the launchers that wait for it
CLASS_NAME = "unclip ends its work"

_HANDLER = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)
WindowProcedure = ctypes.WINFUNCTYPE(
    ctypes.c_ssize_t, wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM
)
kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
user32 = ctypes.WinDLL("user32", use_last_error=True)
user32.DefWindowProcW.argtypes = WindowProcedure._argtypes_  # type: ignore[attr-defined]
user32.DefWindowProcW.restype = ctypes.c_ssize_t
user32.CreateWindowExW.argtypes = [
    *(wintypes.DWORD, wintypes.LPCWSTR, wintypes.LPCWSTR, wintypes.DWORD),
    *[ctypes.c_int] * 4,
    *(wintypes.HWND, wintypes.HMENU, wintypes.HINSTANCE, wintypes.LPVOID),
]
user32.CreateWindowExW.restype = wintypes.HWND
kernel32.GetModuleHandleW.argtypes = [wintypes.LPCWSTR]
kernel32.GetModuleHandleW.restype = wintypes.HMODULE

_lock = threading.Lock()
_listening = False


class WindowClass(ctypes.Structure):
    """WNDCLASSW."""

    _fields_ = (
        ("style", wintypes.UINT),
        ("procedure", WindowProcedure),
        ("class_bytes", ctypes.c_int),
        ("window_bytes", ctypes.c_int),
        ("instance", wintypes.HINSTANCE),
        ("icon", wintypes.HICON),
        ("cursor", wintypes.HANDLE),
        ("background", wintypes.HBRUSH),
        ("menu", wintypes.LPCWSTR),
        ("name", wintypes.LPCWSTR),
    )


def listen() -> None:
    """Begin to hear of closing, once in this process."""
    global _listening
    with _lock:
        if _listening:
            return
        _listening = True
    kernel32.SetConsoleCtrlHandler(on_console_event, True)
    kernel32.SetProcessShutdownParameters(FIRST, 0)
    threading.Thread(target=_serve_window, name="closing", daemon=True).start()


def _end_work() -> bool:
    """Interrupt the main thread and wait until the process has ended; False if nobody listens."""
    if not callable(signal.getsignal(signal.SIGBREAK)):
        return False
    _thread.interrupt_main(signal.SIGBREAK)
    threading.Event().wait(LONGEST_S)
    return True


@_HANDLER
def on_console_event(event: int) -> bool:
    """What the console calls, on a thread of its own; whether nobody else need hear of it."""
    return event in CLOSING and _end_work()


@WindowProcedure
def on_message(window: int, message: int, word: int, more: int) -> int:
    """What the hidden window is told."""
    if message == WM_QUERYENDSESSION:
        return 1  # it may end
    if message == WM_ENDSESSION:
        if word:
            _end_work()
        return 0
    return int(user32.DefWindowProcW(window, message, word, more))


def _serve_window() -> None:
    """Make a window that is never shown, and hand its messages on."""
    instance = kernel32.GetModuleHandleW(None)
    kind = WindowClass(procedure=on_message, instance=instance, name=CLASS_NAME)
    user32.RegisterClassW(ctypes.byref(kind))
    user32.CreateWindowExW(0, CLASS_NAME, CLASS_NAME, 0, 0, 0, 0, 0, None, None, instance, None)
    message = wintypes.MSG()
    while user32.GetMessageW(ctypes.byref(message), None, 0, 0) > 0:
        user32.DispatchMessageW(ctypes.byref(message))
