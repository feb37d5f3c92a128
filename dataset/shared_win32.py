"""Windows: files and sockets of which others, too, have a say meanwhile, as on every other system.

Python opens files so that nobody else may rename or delete them. A handle of a child process, or
one that a C library has duplicated, then keeps a log from being renamed until it ends. And whoever
waits at a socket goes on waiting when another thread shuts it down.
"""

from __future__ import annotations

import ctypes
import msvcrt
import os
import sys
from ctypes import wintypes
from pathlib import Path

assert sys.platform == "win32"

FILE_APPEND_DATA, FILE_READ_ATTRIBUTES, SYNCHRONIZE = 0x4, 0x80, 0x100000
FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_SHARE_DELETE = 1, 2, 4
CREATE_NEW, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL = 1, 4, 0x80
INVALID_HANDLE = wintypes.HANDLE(-1).value

_kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
_create_file = _kernel32.CreateFileW
_create_file.restype = wintypes.HANDLE
_create_file.argtypes = [
    *(wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID),
    *(wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE),
]

_cancel_io = _kernel32.CancelIoEx
_cancel_io.argtypes = [wintypes.HANDLE, wintypes.LPVOID]


def stop_waiting(handle: int) -> None:
    """End what other threads are waiting for at a file or socket: ``OSError`` for them."""
    _cancel_io(handle, None)


def open_to_append(path: str | Path, new: bool) -> int:
    """A descriptor that writes at the end, whatever others write; ``OSError``.

    Parameters
    ----------
    path : str or Path
    new : bool
        Whether the file must not exist yet.
    """
    handle = _create_file(
        os.fspath(path),
        FILE_APPEND_DATA | FILE_READ_ATTRIBUTES | SYNCHRONIZE,
        FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
        None,
        CREATE_NEW if new else OPEN_ALWAYS,
        FILE_ATTRIBUTE_NORMAL,
        None,
    )
    if handle == INVALID_HANDLE:
        raise ctypes.WinError(ctypes.get_last_error())
    return msvcrt.open_osfhandle(handle, os.O_APPEND | os.O_NOINHERIT | os.O_BINARY)
