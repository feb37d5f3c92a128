"""A review for tests: two labelled sessions, a server on a free port, and who speaks with it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dataset.labelling.labels import label_captures, read_labels
from dataset.options import LabelOptions, ReviewOptions
from dataset.review.server import serve_review
from helpers.made_sessions import frame, make_session
from helpers.processes import Thread
from helpers.waiting import SOON_S

AS_JUDGED = ["X clipping", "unsure clipping", "Y clipping", "X key"]


def make_captures(folder: Path) -> Path:
    """Two sessions, measured and judged: X, unsure, Y of ``day``, X of ``night`` by a key."""
    make_session(folder, "day", [frame(at, at) for at in range(3)], [0, 0.05, 0.5])
    make_session(folder, "night", [frame(0, 99, label="X")], [0.2])
    label_captures(LabelOptions(folder, y_fraction=0.1))
    return folder


def in_table(captures: Path) -> list[str]:
    return [f"{row.label} {row.source}" for row in read_labels(captures)]


class Client:
    """Speaks HTTP with a page of ours, with its token unless told otherwise."""

    def __init__(self, address: str, page: str = "review") -> None:
        place, token = address.removeprefix("http://").split("/?token=")
        self.address, self.place, self.token, self.cookie = address, place, token, ""
        cookie = str(self.ask(f"/?token={token}")[2]["Set-Cookie"]).split(";")[0]
        assert cookie.startswith(f"unclip_{page}_{place.split(':')[1]}=")
        self.cookie = cookie

    def ask(
        self, path: str, body: Any = None, method: str = "GET", **headers: str
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        shown = {"Host": self.place, "Cookie": self.cookie}
        if body is not None:
            method, body = "POST", body if isinstance(body, bytes) else json.dumps(body)
            shown |= {"Content-Type": "application/json"}
        if method not in ("GET", "HEAD"):
            shown |= {"Origin": f"http://{self.place}"}
        shown = {name: value for name, value in (shown | headers).items() if value}
        connection = http.client.HTTPConnection(self.place, timeout=SOON_S)
        try:
            connection.request(method, path, body, shown)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def label(self, *changes: tuple[int, str | None]) -> list[list[int]]:
        status, body, _ = self.ask("/labels", {"changes": changes})
        assert status == 200, body
        return list(json.loads(body)["rows"])


@contextmanager
def serving(captures: Path) -> Iterator[Client]:
    """A review of these captures, answering in another thread."""
    with serve_review(ReviewOptions(captures)) as (server, guard, _):
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield Client(guard.address)
        finally:
            server.shutdown()
            thread.join()
