"""Pages of this machine for their own user: the server, who may ask, and what answers carry.

The server listens on the loopback interface only. A request must name it as its host, come from
its own page if it names an origin, and carry the cookie of this run. The cookie is given to
whoever opens the printed address, or the one passed to the browser in a file that only this user
can read. Another user of the machine can connect too: until the guard knows a connection, it has
a few seconds, and is the first to be closed when there are many. What a page shows and does is in
its own module.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, request
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from dataset.errors import UserError
from dataset.files import remove_empty, remove_file, write_whole

HOST = "127.0.0.1"
MOST_CONNECTIONS = 64  # each has a thread; browsers open about six for a page
STRANGER_S = 10.0  # for the header of a request; its answer ends the connection
TRUSTED_S = 600.0  # for the rest of a request of the page's own user, and its answer
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
PAGE_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
SHARED = Path(__file__).parent / "page" / "keys.js"  # of all pages
SNAPS = Path("/snap")  # there where programs may be packed so that they see little of the disk
OPENING = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>unclip</title>
<p><a href="{address}">Open the page</a>
"""
# From here on it is our own page that asks for itself. Reloaded, Firefox would show no cookie
# where somebody else's had led to it.
ENTERING = """<!doctype html>
<meta http-equiv="refresh" content="0; url=/">
<title>unclip</title>
<p><a href="/">Open the page</a>
"""


class _Quiet(WSGIRequestHandler):
    """Logs no requests: their addresses may hold a token."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with suppress(OSError):  # what Windows says where the server has ended the connection
            super().handle()

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
    """Serves one page, each connection in a thread.

    Parameters
    ----------
    app : Flask
    bound : socket
        Listens on the loopback interface already.
    most : int
        Maximum of connections. One more closes the oldest untrusted one, or is closed itself.
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
        """Give a connection more time: it is that of the page's own user."""
        with self._connections:
            if self._strangers.pop(connection, None) is not None:
                self._trusted[connection] = time.monotonic() + self._trusted_s

    def process_request(self, request: Any, client_address: Any) -> None:
        """Accept a connection, if need be in place of another."""
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
        """Called at least twice a second: closes connections that lasted too long."""
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
        if sys.platform == "win32":  # there that stops only who reads or writes from now on
            from dataset import shared_win32

            shared_win32.stop_waiting(connection.fileno())


def make_page(name: str, folder: Path, files: Mapping[str, str], request_bytes: int) -> Flask:
    """An application that serves the files of a page, `SHARED`, and nothing else yet.

    Parameters
    ----------
    name : str
        Name of the page, and of its cookie.
    folder : Path
        Folder of the files.
    files : mapping
        Address -> name of a file: ``{"/": "index.html"}``.
    request_bytes : int
        Larger requests are answered with 413.
    """
    app = Flask(f"unclip_{name}", static_folder=None, template_folder=None)
    app.url_map.merge_slashes = False  # no answer but 404 to an address that is not ours
    app.config["MAX_CONTENT_LENGTH"] = request_bytes
    app.json.compact = True  # type: ignore[attr-defined]
    app.json.sort_keys = False  # type: ignore[attr-defined]
    for address, file in files.items():
        app.add_url_rule(address, file, _page_file(folder / file))
    app.add_url_rule(f"/{SHARED.name}", SHARED.name, _page_file(SHARED))
    app.add_url_rule("/favicon.ico", "icon", lambda: ("", 204))
    return app


def _page_file(path: Path) -> Callable[[], Response]:
    content_type = f"{PAGE_MEDIA_TYPES[path.suffix]}; charset=utf-8"
    return lambda: Response(path.read_bytes(), content_type=content_type)


class PageGuard:
    """Admits only requests of the page's own user; adds security headers to every answer.

    Attributes
    ----------
    address : str
        Opens the page any number of times while the server runs: its user may have several
        browsers.
    """

    def __init__(self, app: Flask, server: PageServer) -> None:
        self._server = server
        self._place = f"http://{HOST}:{server.port}"
        self._hosts = {f"{HOST}:{server.port}", f"localhost:{server.port}"}
        self._cookie = f"{app.name}_{server.port}"  # cookies know hosts but no ports
        # The cookie's secret stands in no address, and is never one that a request brought along.
        self._secret, self._token = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self._invitations: dict[str, Callable[[], object]] = {}
        self.address = f"{self._place}/?token={self._token}"
        app.before_request(self.check)
        app.after_request(self.seal)

    def invite(self, when_used: Callable[[], object]) -> str:
        """An address that opens the page once, and calls `when_used` then."""
        token = secrets.token_urlsafe(24)
        self._invitations[token] = when_used
        return f"{self._place}/?token={token}"

    def check(self) -> Response | None:
        """Admit a request, or its user; 403 for another site, user or host name.

        A foreign host means a name pointed at 127.0.0.1 (DNS rebinding), a foreign origin another
        page; a change must name its origin.
        """
        origin = request.headers.get("Origin")
        if request.headers.get("Host") not in self._hosts:
            abort(403, "wrong host")
        if origin not in {None, *(f"http://{host}" for host in self._hosts)}:
            abort(403, "wrong origin")
        if origin is None and request.method not in ("GET", "HEAD"):
            abort(403, "no origin")
        known = _same(request.cookies.get(self._cookie, ""), self._secret)
        if not known and not self._shows_token():
            abort(403, "Wrong or missing token: open the address that the command printed.")
        self._server.trust(request.environ.get("werkzeug.socket"))
        return None if known else Response(ENTERING, content_type="text/html; charset=utf-8")

    def _shows_token(self) -> bool:
        if request.path != "/" or request.method != "GET":
            return False
        shown = request.args.get("token", "")
        return _same(shown, self._token) or self._is_invited(shown)

    def _is_invited(self, shown: str) -> bool:
        for token in tuple(self._invitations):
            if _same(shown, token):
                when_used = self._invitations.pop(token, None)  # of two at once, one is let in
                if when_used:
                    when_used()
                return when_used is not None
        return False

    def seal(self, response: Response) -> Response:
        """Add the headers of every answer, and the cookie of whoever opened the page."""
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        if request.path == "/" and response.status_code == 200:
            response.set_cookie(self._cookie, self._secret, httponly=True, samesite="Strict")
        return response


def _same(shown: str, expected: str) -> bool:
    return hmac.compare_digest(shown.encode(), expected.encode())


@contextmanager
def bind_page(
    app: Flask, port: int, answer_s: float = TRUSTED_S
) -> Iterator[tuple[PageServer, PageGuard]]:
    """A bound server that does not answer yet, and its guard, which knows the address.

    Parameters
    ----------
    app : Flask
        From `make_page`. Every request passes the guard first.
    port : int
        0: a free one.
    answer_s : float
        How long an answer to the page's own user may take.

    Raises
    ------
    UserError
        The port is taken.
    """
    with _bound(port) as bound:
        server = PageServer(app, bound, trusted_s=answer_s)
        try:
            yield server, PageGuard(app, server)
        finally:
            server.server_close()


def _bound(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise UserError(
            f"Cannot use port {port} ({error.strerror}). Choose another with --port, or leave "
            "--port out for a free one."
        ) from error


def serve_page(server: PageServer, guard: PageGuard, browser: bool) -> None:
    """Answer until Ctrl-C; open the user's browser first if wanted."""
    try:
        if browser:
            with open_in_browser(guard):
                server.serve_forever()  # returns at Ctrl-C
        else:
            server.serve_forever()
    except KeyboardInterrupt:  # before it served
        pass


@contextmanager
def open_in_browser(guard: PageGuard) -> Iterator[None]:
    """Open a page in the user's browser without showing its address to anyone else.

    Other users of the machine read the command lines of all programs. So the browser is given a
    file that only its user can read, which sends it on to an address that opens the page once; the
    file goes as soon as that was used, or when the context ends. Where a browser cannot read the
    file, the printed address is left.
    """
    try:
        folder = _private_folder()
    except OSError:  # no room for it
        yield
        return
    file = folder / "open.html"

    def remove() -> None:
        with suppress(OSError):
            remove_file(file)
        remove_empty(folder)

    try:
        with suppress(UserError):
            opening = OPENING.format(address=guard.invite(remove))
            write_whole(file, opening.encode(), mode=0o600)
            # In a thread of its own: a browser in the terminal is waited for, and asks meanwhile.
            threading.Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()
        yield
    finally:
        remove()


def _private_folder() -> Path:
    """A new folder of mode 0700 that the browser can read.

    Browsers packed as snaps see only the home folder, without hidden files.
    """
    if SNAPS.is_dir():
        with suppress(OSError, RuntimeError):  # no home, or none that can be written
            return Path(tempfile.mkdtemp(prefix="unclip-page-", dir=Path.home()))
    return Path(tempfile.mkdtemp(prefix="unclip-page-"))
