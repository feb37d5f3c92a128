"""The server of ``cli restore --serve``: takes a picture in and streams it back restored.

It keeps no pictures: the browser holds originals and results. The body of ``POST /restore`` is the
file itself, because forms would be parsed through temporary files. The answer is a stream of JSON
lines; a line with ``bytes`` is followed by that many bytes. One picture is restored at a time.
For another way or another strength the browser sends the original again. Access is controlled by
`local_server`.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from queue import Empty
from typing import Any

import flask
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from dataset import local_server
from dataset.errors import UserError
from dataset.local_server import PageServer
from dataset.pictures import folders, formats, pixels
from dataset.pictures.encoding import encode_picture, losses
from dataset.pictures.picture import Picture, decode_picture
from dataset.review.thumbnails import make_thumbnail
from model.options import RestoreOptions
from model.restoring.methods import AdaptiveStrength, OnShare, Restore
from model.restoring.uploads import ServeLimits, Upload, clean_name, open_light
from model.restoring.ways import RESTORED, WAYS, find_way, parse_share

RESTORE_PAGE = Path(__file__).parent / "page"
RESTORE_FILES = {"/": "index.html"} | {
    f"/{name}": name
    for name in (
        *("restore.css", "restore.js", "pictures.js", "viewer.js"),
        *("messages.js", "offered.js", "tools.js", "zip.js"),
    )
}
SHOWN = ("PNG", "JPEG", "WebP", "BMP")  # formats that every browser shows
THUMBNAIL_PX = 160  # longer side, pixels
BEAT_S = 0.5  # between keep-alive messages, which reveal that a browser has left
ANSWER_S = 24 * 3600.0  # longest answer: a large picture on a slow machine
SERVE_END_S = 10.0  # how long shutting down waits for the current picture


class Cancelled(Exception):
    """Nobody is waiting for this picture any more."""


class RestoringPage:
    """Answers the requests of the page.

    Parameters
    ----------
    open_restorer : callable
        As of `serve_restorer`.
    limits : ServeLimits
    ways : sequence of str
        As of `serve_restorer`.
    options : RestoreOptions, optional
        As of `serve_restorer`.

    Attributes
    ----------
    restored : int
        Pictures restored so far, each counted once.
    """

    def __init__(
        self,
        open_restorer: Callable[[OnShare], Restore],
        limits: ServeLimits,
        ways: Sequence[str] = tuple(WAYS),
        options: RestoreOptions | None = None,
    ) -> None:
        self.limits, self.ways, self.restored = limits, ways, 0
        self._options = options or RestoreOptions()
        self._restore = open_restorer(self._report)
        self._turn = threading.Lock()  # held while a picture is decoded, restored, encoded
        self._present: Upload | None = None
        self._places = threading.BoundedSemaphore(limits.uploads)
        self._closed = False

    def facts(self) -> flask.Response:
        """What the page takes."""
        return flask.jsonify(
            limits={"bytes": self.limits.upload_bytes, "pixels": self.limits.pixels},
            suffixes=formats.PICTURES + formats.HDR_ONLY,
            unread=tuple(chain(*formats.OTHER_SUFFIXES.values())),
            videos=formats.VIDEOS,
            thumbnails=tuple(folders.THUMBNAIL_FOLDERS),
            ways=self.ways,
        )

    def restore(self) -> flask.Response:
        """Restore the file in the request's body; its name is in the address: ``?name=x.png``.

        There may be ``way=``, for a picture whose original the browser has, and ``strength=``, the
        share of the correction, for a file to download: it comes without pictures to show.
        """
        if flask.request.content_length is None:  # werkzeug would truncate it at the limit
            flask.abort(411, "The request does not say how long it is.")
        if not self._places.acquire(blocking=False):
            flask.abort(429, "Too many pictures are waiting. Send this one again later.")
        try:
            upload = self._read_upload(flask.request.get_data(cache=False))
        except BaseException:
            self._places.release()
            raise
        # A daemon thread: a large picture would delay the end of the command by minutes.
        threading.Thread(target=self._work, args=(upload,), daemon=True).start()
        answer = flask.Response(self._messages(upload), mimetype="application/octet-stream")
        answer.call_on_close(upload.cancelled.set)
        return answer

    def close(self) -> None:
        """Stop restoring; wait a moment for the current picture."""
        self._closed = True
        self._turn.acquire(timeout=SERVE_END_S)

    def _read_upload(self, data: bytes) -> Upload:
        asked = flask.request.args
        way, strength = asked.get("way"), asked.get("strength")
        try:
            return Upload(
                clean_name(asked.get("name", "")),
                data,
                None if way is None else find_way(way, self.ways),
                None if strength is None else parse_share(strength),
            )
        except UserError as error:
            flask.abort(400, str(error))

    @staticmethod
    def _messages(upload: Upload) -> Iterator[bytes]:
        while True:
            try:
                message = upload.outgoing.get(timeout=BEAT_S)
            except Empty:
                message = b"\n"
            if not message:
                return
            yield message

    def _work(self, upload: Upload) -> None:
        """Restore an upload when its turn comes, and send the result."""
        with self._turn:
            self._present = upload
            try:
                self._check_wanted(upload)
                self._restore_upload(upload)
                self.restored += upload.way is None
            except Cancelled:
                pass
            except UserError as error:
                upload.tell(state="failed", message=str(error))
            except Exception as error:  # a bug ends this picture, not the page
                traceback.print_exc()
                upload.tell(state="failed", message=fault_message(error))
            upload.outgoing.put(b"")
        self._places.release()

    def _check_wanted(self, upload: Upload) -> None:
        if self._closed or upload.cancelled.is_set():
            raise Cancelled

    def _report(self, share: float) -> None:
        if self._present:
            self._check_wanted(self._present)
            self._present.tell(share=round(share, 3))

    def _restore_upload(self, upload: Upload) -> None:
        begin = time.monotonic()
        light = open_light(upload, self.limits, self._options)
        picture = decode_picture(upload.data, upload.name) if light is None else light.picture
        restore = self._restore if light is None else light.restore
        width, height = picture.size
        upload.tell(state="restoring", name=upload.name, width=width, height=height)
        if upload.way is None:
            upload.send("thumbnail", thumbnail(picture), "JPEG")
            is_shown = light is None or not light.is_cut_off
            send_before(upload, picture, is_shown and kind_of(upload.data) in SHOWN)
        restored = pixels.check_finite(method_of(upload, restore)(picture.pixels))
        if restored.shape != picture.pixels.shape:
            raise UserError(
                f"The network makes {restored.shape[1]}x{restored.shape[0]} pixels of a picture of "
                f"{width}x{height}. Choose another with --run."
            )
        notes = send_result(upload, replace(picture, pixels=restored))
        seconds = round(time.monotonic() - begin, 2)
        upload.tell(state="done", elapsed_s=seconds, notes=picture.notes + notes)


def method_of(upload: Upload, restore: Restore) -> Restore:
    """What restores an upload by its way, to its strength."""
    method = WAYS[upload.way or RESTORED](restore)
    return method if upload.strength is None else AdaptiveStrength(method, upload.strength)


def kind_of(data: bytes) -> str | None:
    return formats.format_of(data[: formats.HEAD])


def send_before(upload: Upload, picture: Picture, is_shown: bool = True) -> None:
    """Send the original, unless every browser shows the file itself in the same way: `SHOWN`."""
    turned = picture.format != "JPEG" and picture.exif is not None  # not everywhere upright
    if turned or not is_shown:
        upload.send("before", encode_picture(picture, ".png"), "PNG")
    else:
        upload.tell(part="before", type=formats.media_type(picture.format))


def send_result(upload: Upload, restored: Picture) -> tuple[str, ...]:
    """Send the restored file and how to show it; returns what its format could not keep."""
    suffix = suffix_for(upload.name, restored.format)
    name = f"{Path(upload.name).stem}_{upload.way or RESTORED}{suffix}"
    upload.send("result", encode_picture(restored, suffix), restored.format, name=name)
    if upload.strength is None:
        if restored.format == "TIFF":
            upload.send("after", encode_picture(restored, ".png"), "PNG")
        upload.send("thumbnail", thumbnail(restored), "JPEG")
    return losses(restored, suffix)


def suffix_for(name: str, kind: str) -> str:
    """The suffix of a name, where it is one of its format; else the format's usual one."""
    suffix = Path(name).suffix
    return suffix if formats.format_for(suffix) == kind else formats.SUFFIXES[kind][0]


def thumbnail(picture: Picture) -> bytes:
    """A small JPEG."""
    step = max(1, max(picture.size) // (4 * THUMBNAIL_PX))
    return make_thumbnail(pixels.to_image(picture.pixels[::step, ::step]), THUMBNAIL_PX)


def fault_message(error: Exception) -> str:
    """What the page says about an error that is not the user's."""
    if isinstance(error, MemoryError) or "memory" in str(error).lower():
        return "There is not enough memory to restore a picture of this size. Make it smaller."
    return f"Restoring failed ({type(error).__name__}). The terminal shows where."


def make_restore_app(page: RestoringPage) -> flask.Flask:
    """The WSGI application, without its guard."""
    limits = page.limits
    app = local_server.make_page("restore", RESTORE_PAGE, RESTORE_FILES, limits.upload_bytes)
    app.register_error_handler(
        RequestEntityTooLarge, lambda _: (flask.jsonify(error=_oversize(limits)), 413)
    )
    app.register_error_handler(HTTPException, _explain)
    app.add_url_rule("/facts", "facts", page.facts)
    app.add_url_rule("/restore", "restore", page.restore, methods=["POST"])
    return app


def _oversize(limits: ServeLimits) -> str:
    return (
        f"This file has more than the {limits.upload_bytes / 1e6:.3g} MB that this page takes. "
        "Make it smaller, or restore it with: cli restore FILE"
    )


def _explain(error: HTTPException) -> Any:
    if flask.request.path == "/":
        return error  # for a person, not for the page's scripts
    return flask.jsonify(error=error.description), error.code or 500


@contextmanager
def bind_restorer(
    open_restorer: Callable[[OnShare], Restore],
    port: int = 0,
    limits: ServeLimits | None = None,
    ways: Sequence[str] = tuple(WAYS),
    options: RestoreOptions | None = None,
) -> Iterator[tuple[PageServer, local_server.PageGuard, RestoringPage]]:
    """A server that is bound but does not answer yet, the guard of its page, and the page.

    Raises
    ------
    UserError
        The port is taken.
    """
    page = RestoringPage(open_restorer, limits or ServeLimits(), ways, options)
    with local_server.bind_page(make_restore_app(page), port, ANSWER_S) as (server, guard):
        try:
            yield server, guard, page
        finally:
            page.close()


def serve_restorer(
    open_restorer: Callable[[OnShare], Restore],
    port: int = 0,
    on_ready: Callable[[str], object] = print,
    limits: ServeLimits | None = None,
    browser: bool = False,
    ways: Sequence[str] = tuple(WAYS),
    options: RestoreOptions | None = None,
) -> int:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    open_restorer : callable
        Given a function to call with the share of a picture that is done, returns what restores.
        Called once; what it returns, by one thread at a time.
    port : int
        Of the loopback interface; 0: a free one.
    on_ready : callable
        Called with the address of the page, token included, once it can be opened.
    limits : ServeLimits, optional
        How much the page takes.
    browser : bool
        Whether to open the page in the user's browser.
    ways : sequence of str
        The names of `WAYS` that are offered, ``restored`` first.
    options : RestoreOptions, optional
        How HDR files are restored, by their own light.

    Returns
    -------
    int
        How many pictures were restored.

    Raises
    ------
    UserError
        The port is taken.
    """
    with bind_restorer(open_restorer, port, limits, ways, options) as (server, guard, page):
        on_ready(guard.address)
        local_server.serve_page(server, guard, browser)
    return page.restored
