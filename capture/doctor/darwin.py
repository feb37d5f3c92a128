"""What only macOS knows: whether the screen is locked, and missing permissions.

Never run by us on macOS. HDR is not checked: macOS gives recorders an SDR picture.
"""

from __future__ import annotations

import ctypes
from ctypes import c_bool, c_char_p, c_uint32, c_void_p
from typing import Any

FRAMEWORKS = "/System/Library/Frameworks/{name}.framework/{name}"
UTF8 = 0x08000100  # kCFStringEncodingUTF8


def screen_locked() -> bool | None:
    """Whether the screen of this session is locked; None: the session has no screen."""
    graphics, core = _load("CoreGraphics"), _load("CoreFoundation")
    graphics.CGSessionCopyCurrentDictionary.restype = c_void_p
    core.CFStringCreateWithCString.restype = c_void_p
    core.CFStringCreateWithCString.argtypes = [c_void_p, c_char_p, c_uint32]
    core.CFDictionaryGetValue.restype = c_void_p
    core.CFDictionaryGetValue.argtypes = [c_void_p, c_void_p]
    core.CFBooleanGetValue.restype = c_bool
    core.CFBooleanGetValue.argtypes = [c_void_p]
    core.CFRelease.argtypes = [c_void_p]
    session = graphics.CGSessionCopyCurrentDictionary()
    if not session:
        return None
    key = core.CFStringCreateWithCString(None, b"CGSSessionScreenIsLocked", UTF8)
    value = core.CFDictionaryGetValue(session, key)  # missing unless it is locked
    is_locked = bool(value) and bool(core.CFBooleanGetValue(value))
    core.CFRelease(key)
    core.CFRelease(session)
    return is_locked


def hdr_displays() -> list[str]:
    """None: recorders get an SDR picture."""
    return []


def elevated_window(title: str | None) -> str | None:
    """None: macOS has no such windows."""
    return None


def missing_permissions() -> list[str]:
    """What the user must allow in System Settings, Privacy & Security."""
    graphics, services = _load("CoreGraphics"), _load("ApplicationServices")
    graphics.CGPreflightScreenCaptureAccess.restype = c_bool
    services.AXIsProcessTrusted.restype = c_bool
    missing = []
    if not graphics.CGPreflightScreenCaptureAccess():
        missing.append("Screen Recording")
    if not services.AXIsProcessTrusted():
        missing.append("Accessibility")
    return missing


def _load(name: str) -> Any:
    return ctypes.CDLL(FRAMEWORKS.format(name=name))
