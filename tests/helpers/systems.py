"""What Windows lacks: a test that itself reaches for it is skipped, and says for what.

Only tests are excused. Where this program fails for want of the same thing, the test has failed.
``NOT_THERE`` has the tests that need more than that tells: whole modules and single ones.
"""

from __future__ import annotations

import os
import signal
import socket
import traceback
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from helpers import ROOT

TESTS = str(ROOT / "tests")
LACKING = (os, signal, socket)  # modules that have less on Windows
MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "Xlib"}
DOCTOR, NOTICES = (
    "tests/capture/doctor/test_doctor.py::",
    "tests/capture/recording/test_notify.py::",
)
NOT_THERE = {  # reason -> beginnings of the names of tests
    "all of a sparse file is written out": (
        "tests/capture/recording/test_repair_hostile.py::test_a_frame_of_terabytes",
        "tests/dataset/test_gate.py::test_a_file_over_its_limit",
    ),
    "about displays of X11 and Wayland": (
        f"{DOCTOR}test_without_a_display",
        f"{DOCTOR}test_wayland",
        "tests/capture/screens/test_mss.py::test_no_display",
        "tests/capture/screens/test_mss.py::test_a_dead_display",
        "tests/capture/screens/test_mss.py::test_wayland",
        "tests/capture/screens/test_mss.py::test_xwayland",
    ),
    "about keys of Linux' desktops": (
        "tests/capture/control/test_shortcuts.py",
        "tests/capture/control/test_portal_shortcuts.py",
        "tests/capture/control/test_wayland_keys.py",
    ),
    "a script stands for a tool of Linux": (
        f"{DOCTOR}test_the_lock_hint",
        f"{NOTICES}test_title_and_text",
        f"{NOTICES}test_a_slow_tool",
        f"{NOTICES}test_a_sound",
        "tests/capture/control/test_daemon.py::test_a_locked_screen_is_warned_of_once",
    ),
}


def reason_of(error: BaseException) -> str | None:
    """What this system does not have, if a test failed because it asked for that."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, ValueError) and str(error).startswith("Unsupported signal"):
        return "no such signal for a single process"  # of subprocess, which only tests ask
    if not frames or not frames[-1].filename.startswith(TESTS):
        return None
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        return f"no {error.obj.__name__}.{error.name}" if error.obj in LACKING else None
    if isinstance(error, ModuleNotFoundError) and error.name in MODULES:
        return f"no module {error.name}"
    return None


def listed_reason(name: str) -> str | None:
    """Why a test, named as on the command line, cannot run on Windows; None if it can."""
    for reason, names in NOT_THERE.items():
        if name.startswith(names):
            return reason
    return None


def skip_instead_of_linking(patch: pytest.MonkeyPatch) -> None:
    """Skip a test whose symbolic link is refused, as by Windows, or not made, as by Wine.

    pytest's own links, which it can do without, skip nothing.
    """
    link = os.symlink

    def symlink(source: Any, target: Any, *rest: Any, **options: Any) -> None:
        with suppress(OSError):
            link(source, target, *rest, **options)
        callers = (each.filename for each in traceback.extract_stack(limit=4)[:-1])
        if not os.path.lexists(target) and any(each.startswith(str(ROOT)) for each in callers):
            pytest.skip("no symbolic links here")

    patch.setattr(os, "symlink", symlink)


def skipped_report(report: pytest.TestReport, item: pytest.Item, reason: str) -> None:
    """Make a skip of a failure."""
    report.outcome = "skipped"
    report.longrepr = (str(Path(item.path)), 0, f"Skipped: {reason}")
