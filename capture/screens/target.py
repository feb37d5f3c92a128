"""What can be recorded, on any system: rectangles and windows. Asks no system itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from capture.clock import now_s
from capture.options import CaptureOptions
from dataset.errors import UserError

Rectangle = tuple[int, int, int, int]  # x, y, width, height on the desktop, in pixels

COVERED_SHARE = 0.01  # of a window's area: a tooltip or a cursor covers less
LOOK_SHARE = 0.05  # of the time that may be spent on looking for windows above
WINDOW_CHECK_S = 0.25  # longest time between two such looks


class NotVisible(UserError):
    """It exists but cannot be seen now: minimised, covered, or off the screen."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what, 1, remedy=remedy)


class Window(Protocol):
    """One window of another program. Every method raises ``UserError`` once it was closed."""

    title: str
    id: int  # the system's number of it
    others: list[Candidate]  # further windows that were meant as well, the next best first

    def rectangle(self) -> Rectangle:
        """Where its picture is now, borders and title bar left out.

        Raises
        ------
        NotVisible
            It is minimised.
        UserError
            It was closed.
        """

    def covering(self) -> str | None:
        """The title of a window that covers more than `COVERED_SHARE` of it, or None."""

    def has_focus(self) -> bool:
        """Whether it has the keyboard focus."""

    def focus(self) -> None:
        """Bring it to the front and give it the keyboard focus, as far as the system lets us."""

    def close(self) -> None:
        """Release it; the window itself stays."""


@dataclass(frozen=True)
class Candidate:
    """A visible window with a title."""

    title: str
    area: int  # pixels
    handle: Any  # what the system calls it
    size: tuple[int, int] = (0, 0)  # width and height, pixels
    id: int = 0  # the system's number of it
    top: int = 0  # the number of the window that it is a part of, or its own; 0: not known
    own: bool = False  # whether it is of the terminal that this runs in

    def __str__(self) -> str:
        return f'"{self.title}" ({self.id:#x}, {self.size[0]}x{self.size[1]})'


class Followed:
    """A window and where it can be seen, however it moves.

    Looking for windows above it takes longer than a frame should wait. While none was found, it is
    done only as often as takes `LOOK_SHARE` of the time, but at least every `WINDOW_CHECK_S`.
    """

    def __init__(self, window: Window, clock: Callable[[], float] = now_s) -> None:
        self.window = window
        self._clock = clock
        self._next_look_s = clock()

    def rectangle(self, desktop: Rectangle) -> Rectangle:
        """The part of the window inside ``desktop``.

        Raises
        ------
        NotVisible
            It is minimised, covered or off the screen.
        UserError
            It was closed.
        """
        seen = self.uncovered_rectangle(desktop)
        if self._clock() >= self._next_look_s:
            self._look()
        return seen

    def uncovered_rectangle(self, desktop: Rectangle) -> Rectangle:
        """The same, whether or not it is covered."""
        seen = intersect(self.window.rectangle(), desktop)
        if seen is None:
            raise NotVisible(f'The window "{self.window.title}" is off the screen.')
        return seen

    def _look(self) -> None:
        began = self._clock()
        other = self.window.covering()
        if other is not None:  # asked again at once: no frame is waiting
            raise NotVisible(f'The window "{self.window.title}" is covered by "{other}".')
        now = self._clock()
        self._next_look_s = now + min(WINDOW_CHECK_S, (now - began) / LOOK_SHARE)


def choose_rectangle(options: CaptureOptions, monitors: list[Rectangle]) -> Rectangle:
    """Where the region or the monitor of the options is.

    Parameters
    ----------
    options : CaptureOptions
        ``window`` is ignored.
    monitors : list of Rectangle
        The whole desktop, then each monitor.

    Raises
    ------
    NotVisible
        It does not exist; the message says what does.
    """
    region, number = options.region, options.monitor
    if region is not None:
        if min(region[2:]) <= 0 or not is_covered(region, monitors[1:] or monitors):
            there = _list(monitors) if monitors[2:] else show(monitors[0])
            raise NotVisible(
                f"The region {show(region)} is not all on the screen, which is {there}."
            )
        return region
    if not 0 <= number < len(monitors):
        raise NotVisible(
            f"There is no monitor {number}. There are {_list(monitors)}; 0 is all of them."
        )
    return monitors[number]


def _list(monitors: list[Rectangle]) -> str:
    """Each monitor in words, without the whole desktop."""
    return "; ".join(f"{number}: {show(each)}" for number, each in enumerate(monitors) if number)


def source_of(options: CaptureOptions) -> str:
    """window, region or monitor: what the options ask for."""
    if options.window is not None:
        return "window"
    return "monitor" if options.region is None else "region"


def intersect(one: Rectangle, other: Rectangle) -> Rectangle | None:
    """The intersection of two rectangles, or None.

    >>> intersect((0, 0, 10, 10), (8, -2, 10, 10))
    (8, 0, 2, 8)
    """
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    if right <= left or bottom <= top:
        return None
    return left, top, right - left, bottom - top


def is_covered(one: Rectangle, others: Sequence[Rectangle]) -> bool:
    """Whether several rectangles together cover the first one.

    >>> is_covered((-5, 0, 10, 10), [(-5, 0, 5, 20), (0, 0, 20, 20)])
    True
    """
    shared = [each for each in (intersect(one, other) for other in others) if each]
    across = sorted({x for left, _, width, _ in (one, *shared) for x in (left, left + width)})
    down = sorted({y for _, top, _, height in (one, *shared) for y in (top, top + height)})
    cells = [(x, y, 1, 1) for x in across[:-1] for y in down[:-1]]  # a corner stands for its cell
    return all(any(intersect(cell, each) for each in shared) for cell in cells)


def shared_fraction(one: Rectangle, other: Rectangle) -> float:
    """How much of the first rectangle is inside the other, 0 to 1.

    >>> shared_fraction((0, 0, 10, 10), (5, 5, 10, 10))
    0.25
    """
    shared = intersect(one, other)
    return 0.0 if shared is None else shared[2] * shared[3] / (one[2] * one[3])


def show(rectangle: Rectangle) -> str:
    """A rectangle in words.

    >>> show((5, 6, 640, 480))
    '640x480 at 5,6'
    """
    x, y, width, height = rectangle
    return f"{width}x{height} at {x},{y}"


def unreadable(why: object) -> NotVisible:
    """The error of a display that gives no picture for now, as Windows' own when it is locked."""
    return NotVisible(
        "The screen cannot be read now: it is locked, Windows asks for permission, or a monitor "
        f"is changing ({why})."
    )


def display_gone() -> UserError:
    """The error of everything that asks a display which has ended."""
    return UserError(
        "The display is gone: its server has ended, or you were logged out. Everything recorded "
        "before is whole.",
        1,
    )
