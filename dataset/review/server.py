"""The server of ``cli review``: the requests of its page and their answers.

Frames are requested by number, so a client never sends a path, and files outside their session's
folder have no number. `local_server` controls access, `store` keeps the labels.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from flask import Flask, Response, abort, jsonify, request

from dataset import gate
from dataset.errors import UserError
from dataset.labelling.clipping import Mask
from dataset.labelling.labels import mask_notes
from dataset.labelling.rules import DUPLICATE, LABELS, UNREADABLE, LabelRow
from dataset.local_server import PageGuard, PageServer, bind_page, make_page, serve_page
from dataset.options import PAPER_COUNTS, ReviewOptions
from dataset.paths import inside
from dataset.pictures.images import Image, read_image
from dataset.review.store import Change, Reviewed, ReviewStore, ReviewSummary, open_review
from dataset.review.thumbnails import (
    PictureCache,
    find_clipped,
    make_overlay,
    make_thumbnail,
    whole_picture,
)

PAGE = Path(__file__).parent / "page"
PAGE_FILES = {"/": "index.html"} | {
    f"/{name}": name
    for name in ("review.css", "review.js", "state.js", "grid.js", "single.js", "charts.js")
}
LABEL_SOURCES = ("key", "light", "clipping", "review")
REQUEST_BYTES = 16_000_000  # a label for each of 500,000 frames
MOST_CHANGES = 500_000  # in one request
KEEP = "private, max-age=86400, immutable"  # for addresses that hold the mark of this run

Kind = TypeVar("Kind")


class Changes(msgspec.Struct):
    """Labels set by hand."""

    changes: Annotated[list[Change], msgspec.Meta(max_length=MOST_CHANGES)]


class Thresholds(msgspec.Struct):
    """Shares of a frame at which it is X, may be Y, and is Y by one connected area."""

    thresholds: tuple[gate.Share, gate.Share, gate.Share]


class Review:
    """Answers the requests of the page."""

    def __init__(self, store: ReviewStore, options: ReviewOptions) -> None:
        self.store, self.options = store, options
        self.mark = secrets.token_hex(4)  # in the addresses of pictures: numbers mean this run's
        self._thumbnails = PictureCache(options.cache_bytes)

    def frames(self) -> Response:
        """Everything except pixels, one list per column."""
        frames, rows = self.store.frames, self.store.rows()
        names = sorted({each.session for each in frames})
        place = {name: at for at, name in enumerate(names)}
        used = self.store.label_options
        return jsonify(
            mark=self.mark,
            wanted=PAPER_COUNTS,
            limit=used.limit,
            thresholds=[used.x_fraction, used.y_fraction, used.y_blob],
            sessions=names,
            session=[place[each.session] for each in frames],
            file=[each.frame.file for each in frames],
            time_ms=[each.frame.wall_ns // 1_000_000 for each in frames],
            fraction=[row.clipped_fraction if row else None for row in rows],
            blob=[row.largest_blob if row else None for row in rows],
            p99=[row.p99 if row else None for row in rows],
            fixed=[int(row is not None and row.method in (DUPLICATE, UNREADABLE)) for row in rows],
            **self._label_columns(),
        )

    def labels(self) -> Response:
        """Set labels by hand: ``{"changes": [[number, label or null], ...]}``."""
        changes = _asked(Changes).changes
        try:
            rows = self.store.set_labels(changes)
        except ValueError as error:
            abort(400, str(error))
        return jsonify(
            rows=[[number, *_codes(row)] for (number, _), row in zip(changes, rows, strict=True)]
        )

    def apply(self) -> Response:
        """Label again by other thresholds: ``{"thresholds": [x_fraction, y_fraction, y_blob]}``."""
        self.store.apply_thresholds(*_asked(Thresholds).thresholds)
        return jsonify(**self._label_columns())

    def thumbnail(self, number: str) -> Response:
        painted, shown = "clipped" in request.args, self._find(number)
        picture = self._thumbnails.get((shown.path, painted))
        if picture is None:
            image = read_image(_place(shown))
            clipped = self._clipped(image, shown) if painted else None
            picture = make_thumbnail(image, self.options.thumbnail_px, clipped)
            self._thumbnails.put((shown.path, painted), picture)
        return _picture(picture, "image/jpeg")

    def frame(self, number: str) -> Response:
        return _picture(*whole_picture(_place(self._find(number))))

    def overlay(self, number: str) -> Response:
        shown = self._find(number)
        return _picture(make_overlay(self._clipped(read_image(_place(shown)), shown)), "image/png")

    def _clipped(self, image: Image, shown: Reviewed) -> Mask:
        return find_clipped(image, shown.folder, self.store.label_options)

    def _find(self, number: str) -> Reviewed:
        """A frame by a plain number, or 404."""
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            abort(404)
        if int(number) >= len(self.store.frames):
            abort(404)
        return self.store.frames[int(number)]

    def _label_columns(self) -> dict[str, list[int]]:
        codes = [_codes(row) for row in self.store.rows()]
        return {"label": [label for label, _ in codes], "source": [source for _, source in codes]}


def _codes(row: LabelRow | None) -> tuple[int, int]:
    """Label and source as positions in LABELS and LABEL_SOURCES, from 1; 0: none."""
    if row is None:
        return 0, 0
    source = LABEL_SOURCES.index(row.source) + 1 if row.source in LABEL_SOURCES else 0
    return LABELS.index(row.label) + 1, source


def _asked(kind: type[Kind]) -> Kind:
    """The body of a request as typed values; 400 with a message for anything else."""
    try:
        return gate.parse_json(request.get_data(cache=False), kind)
    except ValueError as error:
        abort(400, f"This request cannot be understood: {error}.")


def _place(shown: Reviewed) -> Path:
    """The path of a frame; 404 if a link has since been made to lead out of its session."""
    try:
        return inside(shown.folder, shown.frame.file)
    except ValueError as error:
        abort(404, str(error))


def _picture(data: bytes, media_type: str) -> Response:
    return Response(data, mimetype=media_type, headers={"Cache-Control": KEEP})


def make_app(store: ReviewStore, options: ReviewOptions) -> Flask:
    """The WSGI application, without its guard."""
    review = Review(store, options)
    app = make_page("review", PAGE, PAGE_FILES, REQUEST_BYTES)
    app.register_error_handler(
        UserError, lambda error: Response(str(error), 409, mimetype="text/plain")
    )
    app.add_url_rule("/frames", "frames", review.frames)
    app.add_url_rule("/thumbnail/<number>", "thumbnail", review.thumbnail)
    app.add_url_rule("/frame/<number>", "frame", review.frame)
    app.add_url_rule("/overlay/<number>", "overlay", review.overlay)
    app.add_url_rule("/labels", "labels", review.labels, methods=["POST"])
    app.add_url_rule("/apply", "apply", review.apply, methods=["POST"])
    return app


@contextmanager
def serve_review(options: ReviewOptions) -> Iterator[tuple[PageServer, PageGuard, ReviewStore]]:
    """A server that is bound but does not answer yet, the guard of its page, and the store.

    Raises
    ------
    UserError
        The port is taken; or as of `open_review`.
    """
    with open_review(options.source) as store:
        app = make_app(store, options)
        with bind_page(app, options.port) as (server, guard):
            yield server, guard, store


def run_review(options: ReviewOptions, say: Callable[[str], Any]) -> ReviewSummary:
    """Serve the page until Ctrl-C; returns what was labelled.

    Parameters
    ----------
    options : ReviewOptions
    say : callable
        Called with the page's address once it can be opened.
    """
    ended = threading.Event()
    with serve_review(options) as (server, guard, store):
        folding = threading.Thread(target=_fold_now_and_then, args=(store, options.fold_s, ended))
        folding.start()
        try:
            for note in mask_notes(options.source):
                say(note)
            say(f"Review of {options.source}, Ctrl-C ends it: {guard.address}")
            serve_page(server, guard, options.browser)
        finally:
            ended.set()
            folding.join()
    return store.summary()


def _fold_now_and_then(store: ReviewStore, every_s: float, ended: threading.Event) -> None:
    while not ended.wait(every_s):
        try:
            store.fold()
        except UserError:
            continue  # a table that cannot be read or written now is reported at the end
