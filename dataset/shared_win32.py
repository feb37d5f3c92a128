"""Windows: opens files that others may rename and delete meanwhile, as on every other system.

Python opens them so that nobody may. A handle of a child process, or one that a C library has
duplicated, then keeps a log from being renamed until it ends.
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

_create_file = ctypes.WinDLL("kernel32", use_last_error=True).CreateFileW
_create_file.restype = wintypes.HANDLE
_create_file.argtypes = [
    *(wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID),
    *(wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE),
]


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
