"""What Windows lacks: a test that itself reaches for it is skipped, and says for what.

Only tests are excused. Where this program fails for want of the same thing, the test has failed.
``NOT_THERE`` has the tests that need more than that tells: whole modules and single ones.
"""

from __future__ import annotations

import os
import signal
import socket
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from helpers import ROOT

TESTS = str(ROOT / "tests")
LACKING = (os, signal, socket)  # modules that have less on Windows
MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "Xlib"}
NOT_THERE: dict[str, tuple[str, ...]] = {}  # reason -> beginnings of the names of tests


def reason_of(error: BaseException) -> str | None:
    """What this system does not have, if a test failed because it asked for that."""
    frames = traceback.extract_tb(error.__traceback__)
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
    """Skip a test whose symbolic link is refused, as by Windows, or not made, as by Wine."""
    link = os.symlink

    def symlink(source: Any, target: Any, *rest: Any, **options: Any) -> None:
        try:
            link(source, target, *rest, **options)
        except OSError:
            pytest.skip("no symbolic links here")
        if not os.path.lexists(target):
            pytest.skip("no symbolic links here")

    patch.setattr(os, "symlink", symlink)


def skipped_report(report: pytest.TestReport, item: pytest.Item, reason: str) -> None:
    """Make a skip of a failure."""
    report.outcome = "skipped"
    report.longrepr = (str(Path(item.path)), 0, f"Skipped: {reason}")
