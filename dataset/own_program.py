"""This program itself: its version, how a module of it starts as a process, what it was put in.

It runs installed, from a clone, or as a bundle: one folder with its own Python, into which nothing
can be installed (docs/windows.md). Standard library only.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SCRIPTS = ("cli", "unclip")  # what pip makes of setup.cfg's entry points


def is_bundle() -> bool:
    """Whether this is a bundle, without an interpreter that runs other code."""
    return bool(getattr(sys, "frozen", False))


def module_command(module: str, *words: str) -> list[str]:
    """The command line that runs a module of this program in another process.

    A bundle's start file understands it too, for the modules that are started so: `.ci/windows`.
    """
    return [sys.executable, "-m", module, *words]


def own_command(*words: str) -> list[str]:
    """The command line that starts this program from any folder, as a key of the desktop does.

    The script that was started, or where it is none (`python -m cli`), Python and `cli.py`.
    """
    script = os.path.abspath(sys.argv[0])
    if is_bundle():
        return [sys.executable, *words]
    if Path(script).stem in SCRIPTS and not script.endswith(".py") and os.access(script, os.X_OK):
        return [script, *words]
    return [sys.executable, str(Path(__file__).resolve().parents[1] / "cli.py"), *words]


def version() -> str:
    """The version that is installed; what to say instead where a clone runs."""
    from importlib import metadata  # deferred: rarely asked for

    try:
        return metadata.version("unclip")
    except metadata.PackageNotFoundError:
        return "of a clone, not installed"


def how_to_install(extra: str) -> str:
    """What to do where a package is missing that not everybody needs; without a full stop."""
    if is_bundle():
        return "It is not in this bundle: install unclip with Python (windows.md)"
    return f"Install with: pip install 'unclip[{extra}]'"
