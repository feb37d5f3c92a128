"""A Wayland socket in front of a compositor that has no dmabuf: wayland_filter.py LISTEN TARGET.

xdg-desktop-portal-wlr up to 0.7.1 refuses to cast a compositor whose zwlr_screencopy frames name no
dmabuf format, as one without a GPU, though it then uses shared memory. After each frame's event
``buffer`` this puts one called ``linux_dmabuf``, of the same format and size. Nothing else is
changed.

References
----------
emersion/xdg-desktop-portal-wlr #289; wlr-screencopy-unstable-v1.xml; "Wire Format" of Wayland's
documentation.
"""

from __future__ import annotations

import array
import os
import select
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress

from helpers.processes import Thread

MANAGER = b"zwlr_screencopy_manager_v1\0"
FOURCC = {0: b"AR24", 1: b"XR24"}  # wl_shm has numbers of its own for these two
DISPLAY = 1  # the first object of every connection
BIND = CAPTURE_OUTPUT = BUFFER = 0
CAPTURE_REGION = DELETE_ID = 1
LINUX_DMABUF = 5
MOST_FDS = 28  # that Wayland puts beside one message


class Messages:
    """Whole messages out of a stream of bytes."""

    def __init__(self) -> None:
        self._left = b""

    def of(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Object, number and bytes of each message that is complete."""
        self._left += data
        while len(self._left) >= 8:
            name, number, size = struct.unpack_from("=IHH", self._left)
            if len(self._left) < size:
                break
            message, self._left = self._left[:size], self._left[size:]
            yield name, number, message


class Filter:
    """One client's connection."""

    def __init__(self) -> None:
        self._up, self._down = Messages(), Messages()
        self._managers: set[int] = set()
        self._frames: set[int] = set()

    def up(self, data: bytes) -> bytes:
        """What a client says; frames are noted."""
        for name, number, message in self._up.of(data):
            if number == BIND and message[16 : 16 + len(MANAGER)] == MANAGER:
                self._managers.add(struct.unpack_from("=I", message, len(message) - 4)[0])
            elif name in self._managers and number in (CAPTURE_OUTPUT, CAPTURE_REGION):
                self._frames.add(struct.unpack_from("=I", message, 8)[0])
        return data

    def down(self, data: bytes) -> bytes:
        """What the compositor says, and a dmabuf for each frame."""
        told = b""
        for name, number, message in self._down.of(data):
            told += message
            if name == DISPLAY and number == DELETE_ID:
                self._frames.discard(struct.unpack_from("=I", message, 8)[0])
            elif name in self._frames and number == BUFFER:
                form, width, height = struct.unpack_from("=III", message, 8)
                fourcc = FOURCC.get(form) or struct.pack("=I", form)
                told += struct.pack("=IHH4sII", name, LINUX_DMABUF, 20, fourcc, width, height)
        return told


def receive(source: socket.socket) -> tuple[bytes, array.array[int]]:
    """Bytes, and the descriptors beside them."""
    fds = array.array("i")
    data, beside, _, _ = source.recvmsg(65536, socket.CMSG_SPACE(MOST_FDS * fds.itemsize))
    for level, kind, raw in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(raw[: len(raw) - len(raw) % fds.itemsize])
    return data, fds


def send(target: socket.socket, data: bytes, fds: array.array[int]) -> None:
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else []
    if data or fds:
        sent = target.sendmsg([data], beside)
        target.sendall(data[sent:])
    for fd in fds:
        os.close(fd)


def serve(client: socket.socket, target: str) -> None:
    """Forward both ways until one end closes."""
    between = Filter()
    with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
        server.connect(target)
        ways = {client: (server, between.up), server: (client, between.down)}
        while True:
            for source in select.select(list(ways), [], [])[0]:
                other, change = ways[source]
                data, fds = receive(source)
                if not data:
                    return
                send(other, change(data), fds)


def main() -> None:
    listen, target = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(listen)
        listener.listen()
        while True:
            client, _ = listener.accept()
            Thread(serve, [client, target]).start()


if __name__ == "__main__":
    main()
