"""A page of this machine for its own user: who may ask, and what every answer says.

The server listens on the loopback interface only. Every request must name this server as its host,
come from its own page where it says where it comes from, and show the cookie that this run gave.
The cookie is given to whoever opens the address printed at the start, or the one that is shown to
the browser in a file of this user's own. What a page shows and does is its own module's affair.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from flask import Flask, Response, abort, request

from dataset.errors import UserError
from dataset.files import remove_empty, remove_file, write_whole
from dataset.local_server import HOST, TRUSTED_S, PageServer

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
    content_type = f"{PAGE_MEDIA_TYPES[path.suffix]}; charset=utf-8"
    return lambda: Response(path.read_bytes(), content_type=content_type)


class PageGuard:
    """Lets nothing through but requests of the page's own user, and seals every answer.

    Attributes
    ----------
    address : str
        Opens the page as often as it is used, while the server runs: it was printed for its user,
        who may have another browser too.
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
        """An address that opens the page once; what is to happen then."""
        token = secrets.token_urlsafe(24)
        self._invitations[token] = when_used
        return f"{self._place}/?token={token}"

    def check(self) -> Response | None:
        """Let a request pass, or let its user in; 403 for another site, user or name of ours.

        The host says so where a name was pointed at 127.0.0.1 (DNS rebinding); the origin where
        another page asks; a change must name its origin.
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
        """Headers of every answer; who opened the page is known by a cookie from then on."""
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
    """A server that is bound but does not answer yet, and its guard, who knows the address.

    Parameters
    ----------
    app : Flask
        As of `make_page`. Every request passes the guard first.
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
    """Answer until Ctrl-C; open the user's browser first, if it is wanted."""
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
    """Open a page in the user's browser, and show its address to nobody else.

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
    """A new folder of mode 0700, where the browser can read too.

    Browsers packed as snaps see no temporary folder and nothing hidden, but what is at home.
    """
    if SNAPS.is_dir():
        with suppress(OSError, RuntimeError):  # no home, or none that can be written
            return Path(tempfile.mkdtemp(prefix="unclip-page-", dir=Path.home()))
    return Path(tempfile.mkdtemp(prefix="unclip-page-"))
