"""What a window to be recorded is, whichever system shows it. Asks no system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

Rectangle = tuple[int, int, int, int]  # x, y, width, height on the desktop, in pixels


class NothingToSee(Exception):
    """The window is there but shows nothing now: minimised, or off the screen."""


class Window(Protocol):
    """One window of another program."""

    title: str

    def rectangle(self) -> Rectangle:
        """Where its picture is now, borders and title bar left out.

        Raises
        ------
        NothingToSee
            It is minimised.
        UserError
            It was closed.
        """

    def close(self) -> None:
        """Let go of it; the window itself stays."""


@dataclass(frozen=True)
class Candidate:
    """A visible window with a title."""

    title: str
    area: int  # pixels
    handle: Any  # what the system calls it
