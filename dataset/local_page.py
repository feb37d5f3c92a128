"""A page of this machine for its own user: who may ask, and what every answer says.

The server listens on the loopback interface only. Every request must name this server as its host,
come from its own page where it says where it comes from, and show the token that stands in the
address printed at the start. What a page shows and does is its own module's affair.
"""

from __future__ import annotations

import hmac
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from dataset.errors import UserError

HOST = "127.0.0.1"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def make_page(name: str, folder: Path, files: Mapping[str, str], request_bytes: int) -> Flask:
    """An application that answers with the files of a page, and nothing else yet.

    Parameters
    ----------
    name : str
        What the page is called; its cookie is named after it.
    folder : Path
        Where the files lie.
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
    app.add_url_rule("/favicon.ico", "icon", lambda: ("", 204))
    return app


def _page_file(path: Path) -> Callable[[], Response]:
    content_type = f"{MEDIA_TYPES[path.suffix]}; charset=utf-8"
    return lambda: Response(path.read_bytes(), content_type=content_type)


@contextmanager
def bind_page(app: Flask, port: int) -> Iterator[tuple[BaseWSGIServer, str]]:
    """A server that is bound but does not answer yet, and its address with the token.

    Parameters
    ----------
    app : Flask
        As of `make_page`. Every request passes the guard first.
    port : int
        0: a free one.

    Raises
    ------
    UserError
        The port is taken.
    """
    token = secrets.token_urlsafe(24)
    with _bound(port) as bound:
        port = bound.getsockname()[1]
        guard_page(app, port, token)
        server = make_server(
            HOST, port, app, threaded=True, request_handler=_Quiet, fd=bound.fileno()
        )
        try:
            yield server, f"http://{HOST}:{port}/?token={token}"
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


def guard_page(app: Flask, port: int, token: str) -> None:
    """Let nothing through but requests of the page's own user, and seal every answer."""
    cookie = f"{app.name}_{port}"  # cookies know hosts but no ports
    app.before_request(lambda: check_request(port, token, cookie))
    app.after_request(lambda response: _seal(response, token, cookie))


def check_request(port: int, token: str, cookie: str) -> None:
    """403 for a request of another site, of another user, or under another name of this machine.

    The host says so where a name was pointed at 127.0.0.1 (DNS rebinding); the origin where
    another page asks; a change must name its origin.
    """
    hosts = {f"{HOST}:{port}", f"localhost:{port}"}
    origin = request.headers.get("Origin")
    if request.headers.get("Host") not in hosts:
        abort(403, "wrong host")
    if origin not in {None, *(f"http://{host}" for host in hosts)}:
        abort(403, "wrong origin")
    if origin is None and request.method not in ("GET", "HEAD"):
        abort(403, "no origin")
    shown = request.cookies.get(cookie, "")
    if request.path == "/" and "token" in request.args:
        shown = request.args["token"]
    if not hmac.compare_digest(shown.encode(), token.encode()):
        abort(403, "Wrong or missing token: open the address that the command printed.")


def _seal(response: Response, token: str, cookie: str) -> Response:
    """Headers of every answer; who came with the token gets it as a cookie."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    if request.path == "/" and response.status_code == 200:
        response.set_cookie(cookie, token, httponly=True, samesite="Strict")
    return response


class _Quiet(WSGIRequestHandler):
    """Keeps connections open, and says nothing of each request."""

    protocol_version = "HTTP/1.1"

    def version_string(self) -> str:
        return "unclip"

    def log(self, type: str, message: str, *args: Any) -> None:
        """The address of a request holds the token: it belongs in no log."""
