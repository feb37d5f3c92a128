"""What Windows says of its monitors: whether each shows HDR, and how bright its SDR white is.

The structures are those of ``wingdi.h``. Run under Wine, whose monitors show no HDR.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from dataset.pictures.light import SCRGB_NITS

assert sys.platform == "win32"

from ctypes import wintypes  # noqa: E402 - fails to import elsewhere on old Pythons

QDC_ONLY_ACTIVE_PATHS = 2
GET_SOURCE_NAME = 1
GET_TARGET_NAME = 2
GET_ADVANCED_COLOR_INFO = 9
GET_SDR_WHITE_LEVEL = 11
ENABLED, WIDE_ENFORCED = 2, 4  # bits: HDR, or SDR whose colours Windows manages

_user32 = ctypes.WinDLL("user32", use_last_error=True)


class Luid(ctypes.Structure):
    _fields_ = (("low", wintypes.DWORD), ("high", wintypes.LONG))


class PathSource(ctypes.Structure):
    _fields_ = (
        ("adapter", Luid),
        ("id", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("status", ctypes.c_uint32),
    )


class PathTarget(ctypes.Structure):
    _fields_ = (
        ("adapter", Luid),
        ("id", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("technology", ctypes.c_uint32),
        ("rotation", ctypes.c_uint32),
        ("scaling", ctypes.c_uint32),
        ("refresh", ctypes.c_uint32 * 2),
        ("scan_line", ctypes.c_uint32),
        ("available", wintypes.BOOL),
        ("status", ctypes.c_uint32),
    )


class DisplayPath(ctypes.Structure):
    _fields_ = (("source", PathSource), ("target", PathTarget), ("flags", ctypes.c_uint32))


class DeviceInfoHeader(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("adapter", Luid),
        ("id", ctypes.c_uint32),
    )


class AdvancedColor(ctypes.Structure):
    _fields_ = (
        ("header", DeviceInfoHeader),
        ("value", ctypes.c_uint32),
        ("encoding", ctypes.c_uint32),
        ("bits", ctypes.c_uint32),
    )


class TargetName(ctypes.Structure):
    _fields_ = (
        ("header", DeviceInfoHeader),
        ("flags", ctypes.c_uint32),
        ("technology", ctypes.c_uint32),
        ("manufacturer", ctypes.c_uint16),
        ("product", ctypes.c_uint16),
        ("connector", ctypes.c_uint32),
        ("name", ctypes.c_wchar * 64),
        ("path", ctypes.c_wchar * 128),
    )


class SourceName(ctypes.Structure):
    _fields_ = (("header", DeviceInfoHeader), ("device", ctypes.c_wchar * 32))


class WhiteLevel(ctypes.Structure):
    _fields_ = (("header", DeviceInfoHeader), ("thousandths", ctypes.c_uint32))


MODE_BYTES = 64  # of DISPLAYCONFIG_MODE_INFO, which is only passed through


def active_paths() -> list[DisplayPath]:
    """The active outputs of all adapters; ``OSError`` if Windows does not tell."""
    paths, modes = ctypes.c_uint32(0), ctypes.c_uint32(0)
    sizes = (ctypes.byref(paths), ctypes.byref(modes))
    if code := _user32.GetDisplayConfigBufferSizes(QDC_ONLY_ACTIVE_PATHS, *sizes):
        raise ctypes.WinError(code)
    found = (DisplayPath * paths.value)()
    rest = ctypes.create_string_buffer(MODE_BYTES * modes.value)
    if code := _user32.QueryDisplayConfig(
        QDC_ONLY_ACTIVE_PATHS, sizes[0], ctypes.byref(found), sizes[1], rest, None
    ):
        raise ctypes.WinError(code)
    return list(found[: paths.value])


def _ask(path: DisplayPath, kind: int, answer: Any) -> bool:
    """Fill ``answer``; False if Windows does not support the query."""
    end = path.source if kind == GET_SOURCE_NAME else path.target
    answer.header = DeviceInfoHeader(kind, ctypes.sizeof(answer), end.adapter, end.id)
    return not _user32.DisplayConfigGetDeviceInfo(ctypes.byref(answer))


def shows_hdr(path: DisplayPath) -> bool:
    """Whether a monitor shows HDR."""
    return _colour(path) is True


def white_nits(device: str) -> float | None:
    """The light of SDR white on a monitor whose pictures are floats; None: Windows does not tell.

    Parameters
    ----------
    device : str
        As Windows calls it: ``device`` of `capture.screens.outputs_win32.Output`.
    """
    path = next((each for each in active_paths() if _device(each) == device), None)
    if path is None:
        return None
    if _colour(path) is False:  # SDR whose colours Windows manages
        return SCRGB_NITS
    level = WhiteLevel()
    if not _ask(path, GET_SDR_WHITE_LEVEL, level) or not level.thousandths:
        return None
    return float(SCRGB_NITS * level.thousandths / 1000)


def _device(path: DisplayPath) -> str:
    name = SourceName()
    return str(name.device) if _ask(path, GET_SOURCE_NAME, name) else ""


def _colour(path: DisplayPath) -> bool | None:
    """Whether a monitor shows HDR; None if Windows does not tell."""
    colour = AdvancedColor()
    if not _ask(path, GET_ADVANCED_COLOR_INFO, colour):
        return None
    return bool(colour.value & ENABLED) and not colour.value & WIDE_ENFORCED


def name_of(path: DisplayPath) -> str:
    """What a monitor is called."""
    name = TargetName()
    known = _ask(path, GET_TARGET_NAME, name) and name.name
    return str(known) if known else "a monitor"
