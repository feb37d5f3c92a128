"""Real X11 windows whose pixels a test chooses, and keys as a keyboard presses them."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from Xlib import XK, X, Xatom
from Xlib import display as xdisplay
from Xlib.error import ConnectionClosedError
from Xlib.ext import shape
from Xlib.protocol import rq

from capture.screens.virtual_display import temporary_environment
from dataset.pictures.images import Image
from helpers.processes import Process, Thread
from helpers.waiting import SOON_S

ALPHA_DEPTH = 32  # bits of a window that may be see-through
LATIN = 256  # below it a key's symbol is its character
LONGEST = 200_000  # bytes in one request; X11 takes 262,140


class PaintedWindow:
    """A plain window of an own connection to the display."""

    def __init__(
        self,
        title: str = "Painted",
        place: tuple[int, int] = (0, 0),
        size: tuple[int, int] = (96, 64),
        see_through: bool = False,
        inside: tuple[int, int] | None = None,
    ) -> None:
        self._display = xdisplay.Display()
        self.size = size
        screen = self._display.screen()
        self._depth = ALPHA_DEPTH if see_through else screen.root_depth
        parent = screen.root
        if inside is not None:  # in a frame without a title, at this place, as managers make them
            parent = self._new(screen.root, (0, 0), (300, 200), screen)
            parent.map()
            place = inside
        self._frame = parent
        self._window = self._new(parent, place, size, screen)
        self._window.set_wm_name(title)
        self._gc = self._window.create_gc()
        self.show()

    def _new(self, parent: Any, place: tuple[int, int], size: tuple[int, int], screen: Any) -> Any:
        wanted: dict[str, Any] = {"background_pixel": 0}
        visual = X.CopyFromParent
        if self._depth != screen.root_depth:
            [depth] = [each for each in screen.allowed_depths if each.depth == self._depth]
            visual = depth.visuals[0].visual_id
            wanted["colormap"] = screen.root.create_colormap(visual, X.AllocNone)
            wanted["border_pixel"] = 0
        return parent.create_window(
            *place, *size, 0, self._depth, X.InputOutput, visual,
            event_mask=X.ExposureMask | X.StructureNotifyMask | X.FocusChangeMask, **wanted,
        )  # fmt: skip

    @property
    def id(self) -> int:
        """What X11 calls it."""
        return int(self._window.id)

    def __enter__(self) -> PaintedWindow:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self) -> None:
        self._window.map()
        self._until(X.Expose)

    def hide(self) -> None:
        self._window.unmap()
        self._until(X.UnmapNotify)

    def move(self, x: int, y: int) -> None:
        self._window.configure(x=x, y=y, stack_mode=X.Above)
        self._display.sync()

    def lower(self) -> None:
        self._window.configure(stack_mode=X.Below)
        self._display.sync()

    def focus(self) -> None:
        _focus(self.id)

    def set_number(self, name: str, *values: int) -> None:
        """Set a property to numbers, such as the opacity."""
        atom = self._display.intern_atom(name)
        self._window.change_property(atom, Xatom.CARDINAL, 32, values)
        self._display.sync()

    def take_clicks_in(self, x: int, y: int, width: int, height: int) -> None:
        """Let clicks through everywhere else; a width of 0: everywhere."""
        boxes = [{"x": x, "y": y, "width": width, "height": height}] if width else []
        self._window.shape_rectangles(shape.SO.Set, shape.SK.Input, 0, 0, 0, boxes)
        self._display.sync()

    def paint(self, image: Image) -> None:
        """Show RGB uint8 (H, W, 3); returns when it is on the screen."""
        height, width = image.shape[:2]
        bgrx = np.zeros((height, width, 4), np.uint8)
        bgrx[..., :3] = image[..., ::-1]
        rows = max(1, LONGEST // (4 * width))
        for top in range(0, height, rows):
            part = bgrx[top : top + rows]
            self._window.put_image(
                self._gc, 0, top, width, len(part), X.ZPixmap, self._depth, 0, part.tobytes()
            )
        self._display.sync()

    def name_frame(self, title: str) -> None:
        self._frame.set_wm_name(title)
        self._display.sync()

    def hide_frame(self) -> None:
        self._frame.unmap()
        self._display.sync()

    def close(self) -> None:
        if self._window is not None:
            with suppress(ConnectionClosedError):  # the server went first
                self._window.destroy()
                self._display.close()
            self._window = None

    def _until(self, kind: int) -> rq.Event:
        while True:
            event = self._display.next_event()
            if event.type == kind:
                return event


class PlayedWindow:
    """A window that hears keys: each is named to ``on_key``, in the window's own thread. Like many
    games it believes no event that a program sent straight to its window.
    """

    def __init__(
        self,
        title: str,
        place: tuple[int, int],
        size: tuple[int, int],
        on_key: Callable[[str], None],
    ) -> None:
        self._on_key = on_key
        self._over = threading.Event()
        self._picture = np.zeros((*size[::-1], 4), np.uint8)
        self._display: Any = xdisplay.Display()
        screen = self._display.screen()
        self._window = screen.root.create_window(
            *place, *size, 0, screen.root_depth, event_mask=X.KeyPressMask | X.ExposureMask
        )
        self._window.set_wm_name(title)
        self._gc = self._window.create_gc()
        self._window.map()
        while self._display.next_event().type != X.Expose:
            pass
        self._thread = Thread(self._live)
        self._thread.start()

    def paint(self, image: Image) -> None:
        """Show RGB uint8 (H, W, 3) of the window's size."""
        picture = np.zeros_like(self._picture)
        picture[..., :3] = image[..., ::-1]
        self._picture = picture
        self._draw()

    def focus(self) -> None:
        _focus(int(self._window.id))

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _live(self) -> None:
        while not self._over.is_set():
            select.select([self._display], [], [], 0.02)
            while self._display.pending_events():
                event = self._display.next_event()
                if event.type == X.Expose:
                    self._draw()
                elif event.type == X.KeyPress and not event.send_event:
                    self._hear(event)
        self._window.destroy()
        self._display.close()

    def _hear(self, event: Any) -> None:
        symbol = self._display.keycode_to_keysym(event.detail, event.state & X.ShiftMask)
        if symbol == XK.XK_Next:
            self._on_key("page_down")
        elif symbol < LATIN:
            self._on_key(chr(symbol))

    def _draw(self) -> None:
        (height, width), pixels = self._picture.shape[:2], self._picture.tobytes()
        depth = self._display.screen().root_depth
        self._window.put_image(self._gc, 0, 0, width, height, X.ZPixmap, depth, 0, pixels)
        self._display.sync()


def _focus(window: int) -> None:
    command = ["xdotool", "windowfocus", "--sync", str(window)]
    subprocess.run(command, check=True, timeout=SOON_S)


def press(*keys: str) -> None:
    """Press and release keys on the display, as a keyboard would."""
    subprocess.run(["xdotool", "key", "--delay", "60", *keys], check=True, timeout=SOON_S)


@contextmanager
def held_down(key: str) -> Iterator[None]:
    """Hold a key, as a player does."""
    subprocess.run(["xdotool", "keydown", key], check=True, timeout=SOON_S)
    try:
        yield
    finally:
        subprocess.run(["xdotool", "keyup", key], check=True, timeout=SOON_S)


@contextmanager
def own_server(screen: str = "1280x800x24") -> Iterator[subprocess.Popen[bytes]]:
    """An X server that a test may kill or change, with ``DISPLAY`` pointing at it."""
    server = shutil.which("Xvfb")
    assert server is not None
    reader, writer = os.pipe()
    process = Process(
        [server, "-displayfd", str(writer), "-screen", "0", screen, "-nolisten", "tcp", "-noreset"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as answer:
            number = answer.readline().strip()
        with temporary_environment(DISPLAY=f":{number}"):
            yield process
    finally:
        process.kill()
        process.wait(timeout=SOON_S)


def resize_screen(width: int, height: int) -> None:
    """Change the resolution of an Xvfb to any that is not larger than its first."""
    name = f"{width}x{height}"
    timings = ["0", str(width), "0", "0", "0", str(height), "0", "0", "0"]
    for arguments in (["--newmode", name, *timings], ["--addmode", "screen", name]):
        subprocess.run(["xrandr", *arguments], check=False, capture_output=True, timeout=SOON_S)
    subprocess.run(["xrandr", "--output", "screen", "--mode", name], check=True, timeout=SOON_S)
