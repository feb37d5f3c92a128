"""The server of ``cli restore --serve``: a page that takes pictures in and shows them restored.

Here are its addresses. Who may ask is `local_page`'s matter, what becomes of a picture
`serve_queue`'s. A picture is handed in as the plain body of a request, because forms would be
parsed by way of temporary files, and is named by a random word that the server gave it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, abort, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from dataset.errors import UserError
from dataset.local_page import PageGuard, bind_page, make_page, serve_page
from dataset.local_server import PageServer
from dataset.pictures.formats import PICTURES
from model.restoring.methods import OnShare, Restore
from model.restoring.queue import Encoded, Full, Job, RestoringQueue, ServeLimits

PAGE = Path(__file__).parent / "page"
PAGE_FILES = {"/": "index.html"} | {
    f"/{name}": name for name in ("restore.css", "restore.js", "pictures.js", "viewer.js")
}
VIEWS = ("before", "after", "thumbnail")
END_S = 10.0  # how long the end waits for the picture in hand


class RestorePage:
    """What the addresses of the page answer."""

    def __init__(self, queue: RestoringQueue) -> None:
        self.queue = queue

    def pictures(self) -> Response:
        """All that are kept, and how large they may be."""
        limits = self.queue.limits
        return jsonify(
            limits={"bytes": limits.upload_bytes, "pixels": limits.pixels},
            suffixes=PICTURES,
            pictures=[self._describe(job) for job in self.queue.jobs()],
        )

    def add(self) -> tuple[Response, int]:
        """Take in the body of a request, called as its address says: ``?name=x.png``."""
        if request.content_length is None:  # werkzeug would cut it off at the limit
            abort(411, "The request does not say how long it is.")
        try:
            job = self.queue.add(request.args.get("name", ""), request.get_data(cache=False))
        except Full:
            return jsonify(error="Too many pictures wait. Hand this one in again later."), 429
        return jsonify(self._describe(job)), 202

    def remove(self, id: str) -> tuple[str, int]:
        self.queue.remove(id)
        return "", 204

    def view(self, id: str, view: str) -> Response:
        """A picture as a browser can show it: as it came, restored, or small."""
        if view not in VIEWS:
            abort(404)
        return _send(getattr(self._find(id), view))

    def download(self, id: str) -> Response:
        job = self._find(id)
        response = _send(job.result)
        plain = job.result_name.encode("ascii", "replace").decode()
        names = {"filename": plain, "filename*": f"UTF-8''{quote(job.result_name, safe='')}"}
        response.headers.set("Content-Disposition", "attachment", **names)
        return response

    def _find(self, id: str) -> Job:
        return self.queue.find(id) or abort(404)

    def _describe(self, job: Job) -> dict[str, Any]:
        width, height = job.size
        return {
            "id": job.id,
            "name": job.name,
            "state": job.state,
            "message": job.message,
            "notes": job.notes,
            "width": width,
            "height": height,
            "elapsed_s": round(job.elapsed_s, 2),
            "expected_s": self.queue.expected_s(job),
            "share": job.share,
            "views": [view for view in VIEWS if getattr(job, view)],
        }


def _send(picture: Encoded | None) -> Response:
    if picture is None:
        abort(404)
    return Response(picture.data, mimetype=picture.media_type)


def make_app(queue: RestoringQueue) -> Flask:
    """The WSGI application, without its guard."""
    page, limits = RestorePage(queue), queue.limits
    app = make_page("restore", PAGE, PAGE_FILES, limits.upload_bytes)
    app.register_error_handler(UserError, lambda error: (jsonify(error=str(error)), 415))
    app.register_error_handler(
        RequestEntityTooLarge, lambda _: (jsonify(error=_oversize(limits)), 413)
    )
    app.register_error_handler(HTTPException, _tell)
    app.add_url_rule("/pictures", "pictures", page.pictures)
    app.add_url_rule("/pictures", "add", page.add, methods=["POST"])
    app.add_url_rule("/pictures/<id>", "remove", page.remove, methods=["DELETE"])
    app.add_url_rule("/pictures/<id>/<view>", "view", page.view)
    app.add_url_rule("/pictures/<id>/download", "download", page.download)
    return app


def _oversize(limits: ServeLimits) -> str:
    return (
        f"This file has more than the {limits.upload_bytes / 1e6:.3g} MB that this page takes. "
        "Make it smaller, or restore it with: cli restore FILE"
    )


def _tell(error: HTTPException) -> Any:
    if request.path == "/":
        return error  # for a person, not for the page's scripts
    return jsonify(error=error.description), error.code or 500


@contextmanager
def bind_restorer(
    open_restorer: Callable[[OnShare], Restore], port: int = 0, limits: ServeLimits | None = None
) -> Iterator[tuple[PageServer, PageGuard, RestoringQueue]]:
    """A server that is bound but does not answer yet, the guard of its page, and its queue.

    Pictures are restored from now on, one at a time, in a thread of their own.

    Raises
    ------
    UserError
        The port is taken.
    """
    queue = RestoringQueue(open_restorer, limits or ServeLimits())
    with bind_page(make_app(queue), port) as (server, guard):
        # A daemon, because a large picture would hold the end of the command up for minutes.
        worker = threading.Thread(target=queue.work, name="restoring", daemon=True)
        worker.start()
        try:
            yield server, guard, queue
        finally:
            queue.close()
            worker.join(END_S)


def serve_restorer(
    open_restorer: Callable[[OnShare], Restore],
    port: int = 0,
    on_ready: Callable[[str], object] = print,
    limits: ServeLimits | None = None,
    browser: bool = False,
) -> int:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    open_restorer : callable
        Given a function to call with the share of a picture that is done, returns what restores.
        Called once; what it returns, by one thread only.
    port : int
        Of the loopback interface; 0: a free one.
    on_ready : callable
        Called with the address of the page, token included, once it can be opened.
    limits : ServeLimits, optional
        How much the page takes and keeps.
    browser : bool
        Whether to open the page in the user's browser.

    Returns
    -------
    int
        How many pictures were restored.

    Raises
    ------
    UserError
        The port is taken.
    """
    with bind_restorer(open_restorer, port, limits) as (server, guard, queue):
        on_ready(guard.address)
        serve_page(server, guard, browser)
    return queue.restored
