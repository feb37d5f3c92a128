"""A file that another program has open, as Windows knows it: nobody may rename or delete it.

On Windows a real handle without FILE_SHARE_DELETE, elsewhere the error of one.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SHARING_VIOLATION = 32
CHANGES = ("open", "replace", "rename", "unlink")  # of `os`: what such a handle prevents
GENERIC_READ, FILE_SHARE_READ, FILE_SHARE_WRITE, OPEN_EXISTING = 0x80000000, 1, 2, 3


@contextmanager
def held(
    path: Path, for_s: float | None = None, shared: bool = False
) -> Iterator[Callable[[], None]]:
    """Hold a file that exists, for some seconds or in the context; yields what lets it go.

    One that is shared may be read and written by others meanwhile.
    """
    with _handle(path, shared) if sys.platform == "win32" else _simulated(path, shared) as let_go:
        timer = threading.Timer(for_s or 0, let_go)
        if for_s is not None:
            timer.start()
        try:
            yield let_go
        finally:
            timer.cancel()


def violation(path: str | Path) -> PermissionError:
    """The error of Windows where another program has a file open."""
    error = PermissionError(errno.EACCES, "Sharing violation", str(path))
    error.winerror = SHARING_VIOLATION  # type: ignore[attr-defined]
    return error


@contextmanager
def _simulated(path: Path, shared: bool) -> Iterator[Callable[[], None]]:
    open_there = threading.Event()

    def guarded(change: Callable[..., Any]) -> Callable[..., Any]:
        def attempt(*arguments: Any, **more: Any) -> Any:
            names = [os.fspath(each) for each in arguments[:2] if not isinstance(each, int)]
            if not open_there.is_set() and os.fspath(path) in names:
                raise violation(path)
            return change(*arguments, **more)

        return attempt

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES[shared:]:
            patch.setattr(os, name, guarded(getattr(os, name)))
        yield open_there.set


@contextmanager
def _handle(path: Path, shared: bool) -> Iterator[Callable[[], None]]:
    assert sys.platform == "win32"
    import ctypes
    from ctypes import wintypes

    kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel32.CreateFileW.restype = wintypes.HANDLE
    kernel32.CreateFileW.argtypes = [
        *(wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID),
        *(wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE),
    ]
    kernel32.CloseHandle.argtypes = [wintypes.HANDLE]
    share = FILE_SHARE_READ | FILE_SHARE_WRITE if shared else 0
    handle = kernel32.CreateFileW(str(path), GENERIC_READ, share, None, OPEN_EXISTING, 0, None)
    assert handle != wintypes.HANDLE(-1).value, ctypes.get_last_error()
    once = threading.Lock()

    def let_go() -> None:
        if once.acquire(blocking=False):
            kernel32.CloseHandle(handle)

    try:
        yield let_go
    finally:
        let_go()
