"""The server under a page of this machine: few connections, and none of them for long.

Whoever can connect may be another user of this machine, or a page of the browser that means no
good. Until the page's guard knows a connection, it has a few seconds, and is the first to go when
there are many. Who may ask, and what is answered, is not known here.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

HOST = "127.0.0.1"
MOST_CONNECTIONS = 64  # each has a thread; browsers open about six for a page
STRANGER_S = 10.0  # for the header of a request; its answer ends the connection
TRUSTED_S = 600.0  # for the rest of a request of the page's own user, and its answer


class _Quiet(WSGIRequestHandler):
    """Says nothing of requests: the address of one holds a token, which belongs in no log."""

    protocol_version = "HTTP/1.1"

    def run_wsgi(self) -> None:
        try:
            urlsplit(self.path)
        except ValueError:  # werkzeug would raise it once more
            self.send_error(400)
        else:
            super().run_wsgi()

    def version_string(self) -> str:
        return "unclip"

    def log(self, type: str, message: str, *args: Any) -> None:
        pass

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class PageServer(ThreadedWSGIServer):
    """Answers the requests of one page, each in a thread.

    Parameters
    ----------
    app : Flask
    bound : socket
        Listens on the loopback interface already.
    most : int
        Connections at a time. One more ends the oldest that is not trusted, or is ended itself.
    stranger_s, trusted_s : float
        How long a connection may last, before and after `trust`.
    """

    def __init__(
        self,
        app: Flask,
        bound: socket.socket,
        most: int = MOST_CONNECTIONS,
        stranger_s: float = STRANGER_S,
        trusted_s: float = TRUSTED_S,
    ) -> None:
        port = bound.getsockname()[1]
        super().__init__(HOST, port, app, _Quiet, fd=bound.fileno())
        self._most, self._stranger_s, self._trusted_s = most, stranger_s, trusted_s
        self._strangers: dict[Any, float] = {}  # connection -> its end, monotonic; oldest first
        self._trusted: dict[Any, float] = {}
        self._connections = threading.Lock()

    def trust(self, connection: Any) -> None:
        """Give a connection time: whoever is at its other end is the page's own user."""
        with self._connections:
            if self._strangers.pop(connection, None) is not None:
                self._trusted[connection] = time.monotonic() + self._trusted_s

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection in, if need be in place of another."""
        if self._has_room():
            with self._connections:
                self._strangers[request] = time.monotonic() + self._stranger_s
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def _has_room(self) -> bool:
        with self._connections:
            if len(self._strangers) + len(self._trusted) < self._most:
                return True
            if not self._strangers:
                return False
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
        _end(oldest)
        return True

    def shutdown_request(self, request: Any) -> None:
        with self._connections:
            self._strangers.pop(request, None)
            self._trusted.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called between requests, twice a second at least: ends what has lasted too long."""
        now = time.monotonic()
        with self._connections:
            known = (*self._strangers.items(), *self._trusted.items())
        for connection, end in known:
            if end < now:
                _end(connection)


def _end(connection: Any) -> None:
    """Wake the thread that reads or writes there; it closes the connection then."""
    with suppress(OSError):  # closed meanwhile
        connection.shutdown(socket.SHUT_RDWR)
