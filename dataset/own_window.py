"""A console window that opened for this program alone: by a double click or a shortcut.

Windows closes it with the program, before anybody has read what it says, so it is kept open until
Enter. In a shell's window, in a pipe and on other systems nothing here does anything.
"""

from __future__ import annotations

import ntpath
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dataset.terminal import echo

MOST_PROCESSES = 16  # in a console; more are no double click
NAME_CHARACTERS = 32_768
QUERY_LIMITED_INFORMATION = 0x1000
Menu = Sequence[tuple[str, list[str]]]  # what can be done, and the words that do it


class Closed(SystemExit):
    """The user has closed the window already, as it were."""


def is_own() -> bool:
    """Whether every process in this console is a part of this program, and none a shell.

    Part of it are the launchers that pip makes (``unclip.exe``), the Python of a virtual
    environment, which starts another one, and that one.
    """
    if sys.platform != "win32" or not (_is_console(sys.stdin) and _is_console(sys.stdout)):
        return False
    names = _names_in_console()
    return bool(names) and names <= parts_of_program()


def parts_of_program() -> set[str]:
    """Names of the executables that this program may consist of, in lower case."""
    base = getattr(sys, "_base_executable", sys.executable)
    launcher = f"{ntpath.splitext(sys.argv[0])[0]}.exe"
    return {ntpath.basename(each).lower() for each in (sys.executable, base, launcher, "py.exe")}


def recordings() -> Path:
    """Where a recording goes if no shell has a folder: a short path that OneDrive does not move."""
    return Path.home() / "unclip" / "captures"


@contextmanager
def kept_open(wanted: bool = True) -> Iterator[None]:
    """Within it, the end of the program waits for Enter if the window is the program's own."""
    if not (wanted and is_own()):
        yield
        return
    try:
        yield
    except Closed:
        raise
    except Exception:  # a bug's traceback would be printed after the wait
        sys.excepthook(*sys.exc_info())
        _wait()
        raise Closed(1) from None
    except BaseException:  # the end of every command
        _wait()
        raise


def choose(menu: Menu) -> list[str]:
    """Ask what to do; `Closed` for nothing."""
    echo("unclip records games and restores over-exposed pictures.\n")
    for number, (what, _) in enumerate(menu, 1):
        echo(f"  {number}  {what}")
    echo(f"\nRecordings go to {recordings()}.")
    echo("A picture that you drop on the program's icon is restored.")
    echo("In a terminal, `unclip --help` shows everything else.\n")
    known = {str(number): words for number, (_, words) in enumerate(menu, 1)}
    while (answer := _asked("A number, or Enter to close: ").strip()) not in known:
        if not answer:
            raise Closed(0)
    return known[answer]


def _wait() -> None:
    _asked("\nPress Enter to close this window. ")


def _asked(question: str) -> str:
    print(question, end="", flush=True)
    with suppress(KeyboardInterrupt, EOFError, OSError):
        return input()
    return ""


def _is_console(stream: Any) -> bool:
    """Whether a standard stream is a console; ``isatty`` says so of NUL, too."""
    if sys.platform != "win32":
        return False
    import ctypes
    import msvcrt
    from ctypes import wintypes

    try:
        handle = msvcrt.get_osfhandle(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return False
    mode = wintypes.DWORD()
    get_mode = ctypes.WinDLL("kernel32").GetConsoleMode
    return bool(get_mode(wintypes.HANDLE(handle), ctypes.byref(mode)))


def _names_in_console() -> set[str]:
    """Names of the executables of all processes in this console; empty where they are unknown."""
    if sys.platform != "win32":
        return set()
    import ctypes
    from ctypes import wintypes

    ids = (wintypes.DWORD * MOST_PROCESSES)()
    count = ctypes.WinDLL("kernel32").GetConsoleProcessList(ids, MOST_PROCESSES)
    names = {_name_of(number) for number in ids[:count]} if count <= MOST_PROCESSES else {""}
    return set() if "" in names else names


def _name_of(process: int) -> str:
    """Name of a process's executable in lower case; empty if that is not told.

    psutil's way to ask fails under Wine, where this is tested.
    """
    if sys.platform != "win32":
        return ""
    import ctypes
    from ctypes import wintypes

    kernel = ctypes.WinDLL("kernel32")
    kernel.OpenProcess.restype = wintypes.HANDLE
    handle = kernel.OpenProcess(QUERY_LIMITED_INFORMATION, False, process)
    if not handle:
        return ""
    try:
        name, size = ctypes.create_unicode_buffer(NAME_CHARACTERS), wintypes.DWORD(NAME_CHARACTERS)
        told = kernel.QueryFullProcessImageNameW(
            wintypes.HANDLE(handle), 0, name, ctypes.byref(size)
        )
    finally:
        kernel.CloseHandle(wintypes.HANDLE(handle))
    return ntpath.basename(name.value).lower() if told else ""
