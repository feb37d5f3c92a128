"""Windows of a Wayland desktop whose pixels a test chooses, or whose pictures are numbered.

A client of the plain protocol with wl_shm: ``PaintedWindow`` in this process, and
``moving_pictures`` in one of its own, where each picture carries its number and its time.
"""

from __future__ import annotations

import argparse
import mmap
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataset.pictures.images import Image
from helpers import ROOT
from helpers.processes import LIFE_S, Process
from helpers.waiting import SOON_S

Handler = Callable[[int, bytes], object]

REPLY_S = SOON_S
XRGB8888 = 1  # of wl_shm: BGRX in memory
CELL, BITS = 8, 96  # a stamp: pixels of a bit, and 32 bits of number, 64 of nanoseconds
PACE = 16  # rows that the picture moves for each number
BUFFERS = 3
BEFORE = (64, 64)  # of a full-screen window until the compositor tells its size


class Connection:
    """Objects of a Wayland compositor, called by the numbers of their requests."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        folder, name = os.environ["XDG_RUNTIME_DIR"], os.environ["WAYLAND_DISPLAY"]
        self._socket.connect(os.path.join(folder, name))
        self._next, self._left = 2, b""
        self._handlers: dict[int, Handler] = {1: self._on_display}
        self._globals: dict[str, tuple[int, int]] = {}
        self._registry = self.new(self._on_registry)
        self.send(1, 1, struct.pack("=I", self._registry))
        self.roundtrip()

    def new(self, handler: Handler | None = None) -> int:
        """The number of a new object, and what hears its events."""
        number, self._next = self._next, self._next + 1
        if handler is not None:
            self._handlers[number] = handler
        return number

    def send(self, name: int, number: int, body: bytes = b"", *fds: int) -> None:
        data = struct.pack("=IHH", name, number, 8 + len(body)) + body
        socket.send_fds(self._socket, [data], fds)

    def bind(self, interface: str, version: int, handler: Handler | None = None) -> int:
        number, offered = self._globals[interface]
        bound = self.new(handler)
        wanted = struct.pack("=II", min(version, offered), bound)
        self.send(self._registry, 0, struct.pack("=I", number) + text(interface) + wanted)
        return bound

    def pump(self, timeout_s: float) -> None:
        """Hear what has come, or comes first within the time."""
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the compositor is gone")
        self._left += data
        while len(self._left) >= 8:
            name, number, size = struct.unpack_from("=IHH", self._left)
            if len(self._left) < size:
                break
            body, self._left = self._left[8:size], self._left[size:]
            self._handlers.get(name, lambda *_: None)(number, body)

    def until(self, holds: Callable[[], object]) -> None:
        end = time.monotonic() + REPLY_S
        while not holds():
            assert time.monotonic() < end, "the compositor does not answer"
            self.pump(0.1)

    def roundtrip(self) -> None:
        """Until all that was sent has been carried out."""
        done: list[int] = []
        self.send(1, 0, struct.pack("=I", self.new(lambda *_: done.append(1))))
        self.until(lambda: done)

    def close(self) -> None:
        self._socket.close()

    def _on_display(self, number: int, body: bytes) -> None:
        if number == 0:
            name, code, length = struct.unpack_from("=III", body)
            raise RuntimeError(f"Wayland: object {name}, error {code}: {body[12 : 11 + length]!r}")

    def _on_registry(self, number: int, body: bytes) -> None:
        if number == 0:
            name, length = struct.unpack_from("=II", body)
            interface = body[8 : 7 + length].decode()
            version = struct.unpack_from("=I", body, 8 + length + (-length % 4))[0]
            self._globals[interface] = (name, version)


def text(value: str) -> bytes:
    """A string as Wayland writes it.

    >>> text("abc")
    b'\\x04\\x00\\x00\\x00abc\\x00'
    """
    raw = value.encode() + b"\0"
    return struct.pack("=I", len(raw)) + raw + b"\0" * (-len(raw) % 4)


@dataclass
class Buffer:
    """Pixels that the compositor reads while it is busy."""

    pixels: NDArray[np.uint8]  # BGRX (H, W, 4)
    name: int = 0
    busy: bool = False


@dataclass
class Surface:
    """A window: full-screen, or floating at a size of its own."""

    title: str = "Painted"
    size: tuple[int, int] | None = None  # None: full-screen
    connection: Connection = field(default_factory=Connection)

    def __post_init__(self) -> None:
        self._size = self.size or BEFORE
        self._buffers: list[Buffer] = []
        self._configured = self.closed = False
        self.is_placed = self.size is not None  # it has the size that it will have
        self.ready = True  # for another picture
        bind, send = self.connection.bind, self.connection.send
        compositor, self._shm = bind("wl_compositor", 4), bind("wl_shm", 1)
        self._base = bind("xdg_wm_base", 1, self._on_base)
        self._name, self._role = self.connection.new(), self.connection.new(self._on_role)
        send(compositor, 0, struct.pack("=I", self._name))
        send(self._base, 2, struct.pack("=II", self._role, self._name))
        top = self.connection.new(self._on_top)
        send(self._role, 1, struct.pack("=I", top))
        send(top, 2, text(self.title))
        send(top, 3, text(self.title))  # its application
        if self.size is None:
            send(top, 11, struct.pack("=I", 0))  # full-screen
        else:  # of one size only, which makes it float
            for request in (7, 8):
                send(top, request, struct.pack("=ii", *self.size))
        send(self._name, 6)
        self.connection.until(lambda: self._configured)

    def _on_base(self, number: int, body: bytes) -> None:
        self.connection.send(self._base, 3, body)  # a pong for each ping

    def _on_role(self, number: int, body: bytes) -> None:
        self.connection.send(self._role, 4, body)
        self._configured = True

    def _on_top(self, number: int, body: bytes) -> None:
        if number == 0 and self.size is None and any(size := struct.unpack_from("=ii", body)):
            self._size, self.is_placed = size, True
        self.closed |= number == 1

    def free(self) -> Buffer | None:
        """A buffer of the window's size that the compositor does not read."""
        width, height = self._size
        if not self._buffers or self._buffers[0].pixels.shape[:2] != (height, width):
            self._buffers = [self._new_buffer(width, height) for _ in range(BUFFERS)]
        return next((each for each in self._buffers if not each.busy), None)

    def _new_buffer(self, width: int, height: int) -> Buffer:
        size, fd = width * height * 4, os.memfd_create("pixels")
        os.ftruncate(fd, size)
        mapped = np.frombuffer(mmap.mmap(fd, size), np.uint8).reshape(height, width, 4)
        buffer, pool = Buffer(mapped), self.connection.new()
        self.connection.send(self._shm, 0, struct.pack("=Ii", pool, size), fd)
        buffer.name = self.connection.new(lambda *_: setattr(buffer, "busy", False))
        about = struct.pack("=IiiiiI", buffer.name, 0, width, height, width * 4, XRGB8888)
        self.connection.send(pool, 0, about)
        os.close(fd)
        return buffer

    def show(self, buffer: Buffer) -> None:
        """Have the compositor show a buffer with its next picture."""
        height, width = buffer.pixels.shape[:2]
        buffer.busy, self.ready = True, False
        send = self.connection.send
        send(self._name, 1, struct.pack("=Iii", buffer.name, 0, 0))
        send(self._name, 9, struct.pack("=iiii", 0, 0, width, height))
        shown = self.connection.new(lambda *_: setattr(self, "ready", True))
        send(self._name, 3, struct.pack("=I", shown))
        send(self._name, 6)

    def wait_for_free(self) -> Buffer:
        self.connection.until(self.free)
        buffer = self.free()
        assert buffer is not None
        return buffer


class PaintedWindow:
    """A window, full-screen unless it has a size, that shows what it is given."""

    def __init__(self, title: str = "Painted", size: tuple[int, int] | None = None) -> None:
        self.surface = Surface(title, size)
        self.paint(np.zeros((*self.size[::-1], 3), np.uint8))
        self.surface.connection.until(lambda: self.surface.is_placed)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self.surface.wait_for_free().pixels.shape[:2]
        return width, height

    def __enter__(self) -> PaintedWindow:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def paint(self, image: Image) -> None:
        """Show RGB uint8 (H, W, 3) of the window's size; returns when it is on the screen."""
        self.surface.connection.roundtrip()
        buffer = self.surface.wait_for_free()
        buffer.pixels[..., :3] = image[..., ::-1]
        self.surface.show(buffer)
        self.surface.connection.until(lambda: self.surface.ready)

    def close(self) -> None:
        self.surface.connection.close()


def stamp(pixels: NDArray[np.uint8], number: int, when_ns: int) -> None:
    """Write number and time as black and white cells into the first rows."""
    bits = np.unpackbits(np.frombuffer(struct.pack(">IQ", number, when_ns), np.uint8))
    row = np.repeat(bits * np.uint8(255), CELL)[: pixels.shape[1]]
    pixels[:CELL, : len(row), :3] = row[None, :, None]


def read_stamp(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    """Number and CLOCK_MONOTONIC in ns of a picture by `moving_pictures`, in any order of channels.

    >>> pixels = np.zeros((8, 768, 4), np.uint8)
    >>> stamp(pixels, 7, 12345)
    >>> read_stamp(pixels)
    (7, 12345)
    """
    row = pixels[CELL // 2, CELL // 2 : BITS * CELL : CELL, 1] > 127
    number, when_ns = struct.unpack(">IQ", np.packbits(row).tobytes())
    return number, when_ns


def base_picture(size: tuple[int, int]) -> NDArray[np.uint8]:
    """What moves, BGRX: noise, the same for the same size."""
    width, height = size
    return np.random.default_rng(1).integers(0, 256, (height, width, 4), np.uint8)


def numbered_picture(size: tuple[int, int], number: int, when_ns: int) -> Image:
    """What `moving_pictures` has drawn, RGB."""
    pixels = np.roll(base_picture(size), -((number * PACE) % size[1]), 0)
    stamp(pixels, number, when_ns)
    return np.ascontiguousarray(pixels[..., 2::-1])


def move(fps: float, seconds: float) -> None:
    """Show numbered pictures, full-screen; prints how many at the end."""
    surface = PaintedWindow("Moving pictures").surface
    base = np.zeros((0, 0, 4), np.uint8)
    number, due = 0, time.monotonic()
    end = due + seconds
    while (now := time.monotonic()) < end and not surface.closed:
        buffer = surface.free()
        if buffer is None or not surface.ready or now < due:
            late = buffer is None or not surface.ready
            surface.connection.pump(0.05 if late else max(0.0005, due - now))
            continue
        due = max(due + 1 / fps, now - 1 / fps)
        height, width = buffer.pixels.shape[:2]
        if base.shape != buffer.pixels.shape:
            base = base_picture((width, height))
        top = (number * PACE) % height
        buffer.pixels[: height - top], buffer.pixels[height - top :] = base[top:], base[:top]
        stamp(buffer.pixels, number, time.monotonic_ns())
        surface.show(buffer)
        number += 1
        if number == 2:  # the first is on the screen
            print("moving", flush=True)
    print(number, flush=True)


@contextmanager
def moving_pictures(fps: float = 60, life_s: float = LIFE_S) -> Iterator[Process]:
    """`move` in a process of its own, which is given; its first picture is shown."""
    path = f"{ROOT / 'tests'}{os.pathsep}{ROOT}"
    with Process(
        [sys.executable, Path(__file__), f"{fps:g}", f"{life_s:g}"], life_s,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"moving\n"
            yield process
        finally:
            process.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("fps", type=float)
    parser.add_argument("seconds", type=float)
    asked = parser.parse_args()
    with suppress(ConnectionError, KeyboardInterrupt):
        move(asked.fps, asked.seconds)


if __name__ == "__main__":
    main()
