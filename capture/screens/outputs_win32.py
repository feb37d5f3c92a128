"""The outputs of Windows' first graphics card, as DXGI numbers them: which monitor is which.

Desktop Duplication names a monitor by that number. Run under Wine.
"""

from __future__ import annotations

import ctypes
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from capture.screens.target import Rectangle

assert sys.platform == "win32"

from ctypes import wintypes  # noqa: E402 - fails to import elsewhere on old Pythons

NOT_FOUND = -2005270526  # DXGI_ERROR_NOT_FOUND
FACTORY = "770aae78-f26f-4dba-a829-253c83d1b387"  # IDXGIFactory1

# Methods by their place in the interfaces of dxgi.h; a failure raises OSError.
_method = ctypes.WINFUNCTYPE(ctypes.HRESULT, ctypes.c_uint, ctypes.c_void_p)
_enum_adapters = _method(7, "EnumAdapters")  # of IDXGIFactory
_enum_outputs = _method(7, "EnumOutputs")  # of IDXGIAdapter
_get_desc = ctypes.WINFUNCTYPE(ctypes.HRESULT, ctypes.c_void_p)(7, "GetDesc")  # of IDXGIOutput
_release = ctypes.WINFUNCTYPE(ctypes.c_ulong)(2, "Release")  # of IUnknown


class Output(NamedTuple):
    """One output."""

    device: str  # as Windows calls it, such as \\.\DISPLAY1
    rectangle: Rectangle  # on the desktop, in pixels
    quarters: int  # quarter turns clockwise that its pictures need to be upright


class Description(ctypes.Structure):
    """DXGI_OUTPUT_DESC."""

    _fields_ = (
        ("device", ctypes.c_wchar * 32),
        ("rectangle", wintypes.RECT),
        ("attached", wintypes.BOOL),
        ("rotation", ctypes.c_uint32),  # 0: not known, 1: none, 2: a quarter turn
        ("monitor", wintypes.HMONITOR),
    )


def outputs() -> list[Output]:
    """The outputs, in DXGI's order; ``OSError`` if there is no graphics card."""
    with _factory() as factory, _got(_enum_adapters, factory, 0) as card:
        found: list[Output] = []
        while True:
            try:
                with _got(_enum_outputs, card, len(found)) as output:
                    found.append(_described(output))
            except OSError as error:
                if error.winerror == NOT_FOUND:
                    return found
                raise


def _described(output: ctypes.c_void_p) -> Output:
    told = Description()
    _get_desc(output, ctypes.byref(told))
    place = told.rectangle
    size = place.right - place.left, place.bottom - place.top
    return Output(told.device, (place.left, place.top, *size), max(0, told.rotation - 1))


@contextmanager
def _factory() -> Iterator[ctypes.c_void_p]:
    name = (ctypes.c_ubyte * 16).from_buffer_copy(uuid.UUID(FACTORY).bytes_le)
    factory = ctypes.c_void_p()
    ctypes.OleDLL("dxgi").CreateDXGIFactory1(ctypes.byref(name), ctypes.byref(factory))
    try:
        yield factory
    finally:
        _release(factory)


@contextmanager
def _got(method: Any, owner: ctypes.c_void_p, number: int) -> Iterator[ctypes.c_void_p]:
    """What a method gives of a number, released afterwards."""
    found = ctypes.c_void_p()
    method(owner, number, ctypes.byref(found))
    try:
        yield found
    finally:
        _release(found)
