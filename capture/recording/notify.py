"""Notifies the player while the game has the screen: best effort, never in the way.

Nothing here raises, blocks, or depends on a tool that may be missing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from contextlib import suppress

from capture.children import NO_WINDOW

LONGEST_S = 10.0  # a helper program that takes longer is ended
SOUND = "/usr/share/sounds/freedesktop/stereo/message.oga"  # of the freedesktop sound theme

# Title and text are arguments, so that nothing in them is run as a script.
APPLE_NOTICE = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend"
APPLE_BEEP = "beep"
NAMESPACE = "Windows.UI.Notifications"
MANAGER = f"{NAMESPACE}.ToastNotificationManager"
# A toast needs a registered application; PowerShell is one.
WINDOWS_TOAST = f"""
$null = [{MANAGER}, {NAMESPACE}, ContentType=WindowsRuntime]
$doc = [{MANAGER}]::GetTemplateContent(2)
$texts = $doc.GetElementsByTagName('text')
$null = $texts.Item(0).AppendChild($doc.CreateTextNode($args[0]))
$null = $texts.Item(1).AppendChild($doc.CreateTextNode($args[1]))
$app = '{{1AC14E77-02E7-4E5D-B744-2EB1AE5198B7}}\\WindowsPowerShell\\v1.0\\powershell.exe'
$toast = [{NAMESPACE}.ToastNotification]::new($doc)
[{MANAGER}]::CreateToastNotifier($app).Show($toast)
"""


def notify(title: str, text: str, show: bool = True, sound: bool = False) -> threading.Thread:
    """Show a desktop notification, play a sound, or both; returns at once.

    Parameters
    ----------
    title, text : str
        Plain text.
    show : bool
        Whether to show it.
    sound : bool
        Whether to play the desktop's message sound, or the terminal's bell without one.

    Returns
    -------
    Thread
        What does it: a process that ends next has to wait for it.
    """
    work = threading.Thread(target=_notify, args=(title, text, show, sound), daemon=True)
    with suppress(RuntimeError):  # no more threads, or the interpreter is ending
        work.start()
    return work


def commands(title: str, text: str, show: bool, sound: bool, system: str) -> list[list[str]]:
    """The commands for ``system`` (a ``sys.platform``); an empty one is the terminal's bell."""
    if system == "win32":
        shell = ["powershell", "-NoProfile", "-NonInteractive", "-WindowStyle", "Hidden"]
        toast = [*shell, "-Command", f"& {{{WINDOWS_TOAST}}} {_quoted(title)} {_quoted(text)}"]
        return [toast] if show else []  # the sound needs no command
    if system == "darwin":
        notice = [["osascript", "-e", APPLE_NOTICE, title, text]] if show else []
        return [*notice, ["osascript", "-e", APPLE_BEEP]] if sound else notice
    notice = [["notify-send", "--app-name=unclip", "--", title, text]] if show else []
    return [*notice, _linux_sound()] if sound else notice


def _notify(title: str, text: str, show: bool, sound: bool) -> None:
    if sound and sys.platform == "win32":
        import winsound  # Windows only

        with suppress(RuntimeError):
            winsound.MessageBeep()
    for command in commands(title, text, show, sound, sys.platform):
        if not command:
            _ring()
        elif shutil.which(command[0]):
            _run(command)


def _run(command: list[str]) -> None:
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LONGEST_S,
            creationflags=NO_WINDOW,
        )


def _linux_sound() -> list[str]:
    """The first player that is installed; empty: none."""
    players = [
        ["canberra-gtk-play", "--id=message", "--description=unclip"],
        ["paplay", SOUND],
        ["pw-play", SOUND],
    ]
    return next((each for each in players if shutil.which(each[0])), [])


def _ring() -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        with suppress(OSError, ValueError):  # the terminal was closed
            print("\a", end="", file=sys.stderr, flush=True)


def _quoted(text: str) -> str:
    """A PowerShell string in single quotes; PowerShell also ends it at curly ones."""
    for mark in "'\u2018\u2019\u201a\u201b":
        text = text.replace(mark, mark * 2)
    return f"'{text}'"
