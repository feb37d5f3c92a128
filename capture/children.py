"""Other processes that recorders and games start: no window of their own, and which one to end.

On Windows a console program gets a console window, over the game, unless it is told otherwise. And
the Python of a virtual environment there only starts the real one and waits: its number is not that
of the process which does the work, and to kill it need not end the work. So the real one is started
at once, as `multiprocessing` does it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dataset.errors import UserError

# Its own hidden console: what it starts in turn opens no window either.
NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)
NEW_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
LAUNCHED = "__PYVENV_LAUNCHER__"  # tells the real Python of which environment it is


def start(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    outlives: bool = False,
    **streams: Any,
) -> subprocess.Popen[Any]:
    """Start a process, whose ``pid`` is that of the program itself.

    Parameters
    ----------
    command : sequence of str
    env : mapping or None
        Its environment; None: this process's.
    outlives : bool
        Whether it goes on without this process's terminal, and hears no Ctrl-C there.
    **streams
        Of ``subprocess.Popen``.
    """
    program, env = command[0], dict(os.environ if env is None else env)
    if sys.platform == "win32" and program == sys.executable:
        program = getattr(sys, "_base_executable", program)
        if program != sys.executable:
            env[LAUNCHED] = sys.executable
    return subprocess.Popen(
        command,
        executable=program,
        env=env,
        creationflags=NO_WINDOW | (NEW_GROUP if outlives else 0),
        start_new_session=outlives and os.name == "posix",
        **streams,
    )


def run(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a program of the desktop to its end, and return what it printed and its exit code.

    Raises
    ------
    UserError
        It is not installed, or does not end.
    """
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            creationflags=NO_WINDOW,
        )
    except OSError as error:
        raise UserError(f"Cannot run {command[0]}: {error.strerror}.", 1) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{command[0]} did not end within {timeout_s:g} s.", 1) from error
