"""Every reader of what comes through a socket, with good messages to begin with, for ``fuzz.py``.

Pages, the control channel, and what recorders and games answer. As in ``fuzz_readers.py``, where
files are. Measures nothing by itself.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fuzz_mutations as ways

Reader = tuple[Sequence[bytes], ways.Mutate, Callable[[bytes], object]]
OPEN = ExitStack()  # what stays open while a reader is at work


def _request(client: Any, data: bytes) -> None:
    """One request: method and address in the first line, then the body. 500 is a fault of ours.

    So is a picture that fails otherwise than in words.
    """
    head, _, body = data.partition(b"\n")
    method, _, address = head.decode("latin-1").partition(" ")
    if method not in ("GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "PATCH"):
        method = "POST"
    kind = "application/json" if body[:1] in (b"{", b"[") else "application/octet-stream"
    answer = client.open(f"/{address.lstrip('/')}", method=method, data=body, content_type=kind)
    if answer.status_code >= 500 or b"The terminal shows where" in answer.get_data():
        raise RuntimeError(f"answered with {answer.status}")
    answer.close()


def _mutate_request(random: Any, seeds: Sequence[bytes]) -> bytes:
    head, _, body = random.choice(seeds).partition(b"\n")
    if random.random() < 0.4:
        head = ways.mutate_bytes(random, [head]).replace(b"\n", b"")
    if body[:1] == b"{":
        body = ways.mutate_json(random, [body])
    elif body:
        body = ways.mutate_bytes(random, [body])
    return bytes(head + b"\n" + body)


@contextmanager
def _review_client(folder: Path) -> Iterator[Any]:
    from helpers.made_sessions import make_sweep  # type: ignore[import-not-found]

    from dataset.options import ReviewOptions
    from dataset.review.server import make_app
    from dataset.review.store import open_review

    make_sweep(folder / "captures", "s", 2, [0, 0.5])
    captures = folder / "captures"
    with open_review(captures) as store:
        app = make_app(store, ReviewOptions(captures))
        app.config["PROPAGATE_EXCEPTIONS"] = True
        yield app.test_client()


def review_page(folder: Path) -> Reader:
    """Requests of the page of `cli review`."""
    client = OPEN.enter_context(_review_client(folder))
    seeds = [
        b'POST /labels\n{"changes": [[0, "X"], [1, null]]}',
        b'POST /apply\n{"thresholds": [0.01, 0.1, 0.0]}',
        *(b"GET " + each for each in (b"/", b"/frames", b"/review.js", b"/favicon.ico")),
        *(b"GET " + each for each in (b"/frame/0", b"/overlay/1", b"/thumbnail/2?clipped")),
    ]
    return seeds, _mutate_request, lambda data: _request(client, data)


def restore_page(folder: Path) -> Reader:
    """Requests of the page of `cli restore --serve`."""
    from helpers.made_pictures import saved, scene  # type: ignore[import-not-found]

    from model.restoring.page_server import RestoringPage, ServeLimits, make_restore_app

    app = make_restore_app(RestoringPage(lambda told: lambda pixels: pixels, ServeLimits()))
    app.config["PROPAGATE_EXCEPTIONS"] = True
    client = app.test_client()
    small = [saved(scene(), name) for name in ("PNG", "JPEG", "TIFF")]
    seeds = [b"POST /restore?name=a.png\n" + each for each in small]
    seeds += [b"POST /restore?name=a.png&way=cielab&strength=0.5\n" + small[0]]
    seeds += [b"GET /", b"GET /facts", b"GET /restore.js"]
    return seeds, _mutate_request, lambda data: _request(client, data)


def control(folder: Path) -> Reader:
    """Lines that a recorder is sent, over its socket."""
    from capture.control import channel

    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    commands: Any = queue.SimpleQueue()

    def answer() -> None:
        while (command := commands.get()) is not None:
            command.reply.set_result({"ok": True, "status": {"state": str(command.value)[:9]}})

    faults: list[BaseException] = []

    def note(self: Any, request: Any, client_address: Any) -> None:
        faults.append(sys.exc_info()[1] or RuntimeError("?"))

    channel._Server.handle_error = note  # type: ignore[method-assign]
    threading.Thread(target=answer, daemon=True).start()
    OPEN.callback(commands.put, None)
    place = OPEN.enter_context(channel.control_channel(folder, commands))

    def read(data: bytes) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(8)
            client.connect(str(place.socket))
            client.sendall(data + b"\n")
            client.shutdown(socket.SHUT_WR)
            said = b""
            while part := client.recv(1 << 16):
                said += part
        for each in said.splitlines():
            json.loads(each)
        if faults:
            raise faults.pop()

    seeds = [
        json.dumps({"command": name, "value": value}).encode()
        for name, value in (("status", None), ("label", "X"), ("light", "noon"), ("stop", None))
    ]
    return seeds, ways.mutate_json, read


def _heard(connection: socket.socket) -> bytes:
    said = b""
    try:
        while part := connection.recv(1 << 16):
            said += part
    except ConnectionError:
        pass
    return said


def page_bytes(folder: Path) -> Reader:
    """Whatever may come to the port of a page, with and without its token."""
    from dataset.local_server import bind_page, make_page

    for name in ("index.html", "a.js"):
        (folder / name).write_text("a")
    app = make_page("fuzz", folder, {"/": "index.html", "/a.js": "a.js"}, 1000)
    app.add_url_rule("/body", "body", lambda: _body(), methods=["POST"])
    server, guard = OPEN.enter_context(bind_page(app, 0))
    OPEN.callback(server.shutdown)
    faults: list[BaseException] = []
    server.handle_error = lambda *_: faults.append(sys.exc_info()[1] or RuntimeError("?"))  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    place = f"127.0.0.1:{server.port}"
    query = guard.address.partition("/?")[2].encode()
    shown = f" HTTP/1.1\r\nHost: {place}\r\nOrigin: http://{place}\r\n".encode()
    chunked, end = b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n\r\n"
    seeds = [
        b"GET /?" + query + shown + end,
        b"GET /a.js" + shown + b"Cookie: a=b\r\n" + end,
        b"POST /body?" + query + shown + b"Content-Length: 5\r\n" + end + b"hello",
        b"POST /body?" + query + shown + chunked + end + b"2\r\nhi\r\n0\r\n\r\n",
    ]

    def read(data: bytes) -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=8) as door:
            try:
                door.sendall(data)
                door.shutdown(socket.SHUT_WR)
            except ConnectionError:
                pass  # it had heard enough
            said = _heard(door)
        if faults:
            raise faults.pop()
        if b" 500 " in said[:16]:
            raise RuntimeError("answered with 500")
        if b" 200 " in said[:16] and query not in data:
            raise RuntimeError("answered without its token")

    return seeds, ways.mutate_bytes, read


def _body() -> str:
    import flask

    return str(len(flask.request.get_data()))


@contextmanager
def _answering(data: bytes) -> Iterator[int]:
    """A port where each client hears the same, whatever it says."""

    def serve() -> None:
        while True:
            try:
                connection, _ = door.accept()
            except OSError:  # closed
                return
            with connection:
                connection.settimeout(8)
                try:
                    connection.recv(1 << 12)
                    connection.sendall(data)
                except OSError:
                    pass

    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield door.getsockname()[1]
        finally:
            door.shutdown(socket.SHUT_RDWR)  # wakes accept()


def recorder_answer(folder: Path) -> Reader:
    """What a recorder answers to a client."""
    from capture.control.channel import send_command
    from capture.control.endpoints import Endpoint

    def read(data: bytes) -> None:
        with _answering(data + b"\n") as port:
            send_command(Endpoint(str(folder), os.getpid(), port=port, token="t"), "status")

    status = {"state": "recording", "frames": 3, "session": "s"}
    seeds = [{"ok": True, "status": status}, {"ok": False, "error": "not now"}]
    return [json.dumps(each).encode() for each in seeds], ways.mutate_json, read


def endpoint(folder: Path) -> Reader:
    """The note by which clients find a recorder."""
    from capture.control.endpoints import Endpoint, endpoint_file, read_endpoint

    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    path = endpoint_file(folder)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        read_endpoint(folder)

    seeds = [asdict(Endpoint(str(folder), 5, port=6, token="t")), {"out_bytes": "2f61", "pid": 5}]
    return [json.dumps(each).encode() for each in seeds], ways.mutate_json, read


def flightgear(folder: Path) -> Reader:
    """What FlightGear answers: properties, a line each."""
    from capture.sweep.flightgear import PropertyServer

    def read(data: bytes) -> None:
        with _answering(data) as port:
            game = PropertyServer("127.0.0.1", port, 2.0)
            try:
                game.number("/unclip/frame")
                game.get("/sim/aircraft")
            finally:
                game.close()

    return [b"12\r\n0.5\r\n", b"A320\r\nnan\r\n", b"\r\n\r\n"], ways.mutate_bytes, read


def video_format(folder: Path) -> Reader:
    """What PipeWire says that the pictures of a stream are."""
    from capture.screens import pods

    offer = pods.format_offer()
    seeds = [offer, pods.buffers_wish(4, 1, 16), pods.meta_wish(2, 16)]

    def read(data: bytes) -> None:
        pods.read_format(data)

    return seeds, ways.mutate_bytes, read


def consent(folder: Path) -> Reader:
    """The token of a desktop's consent."""
    from capture.consent import consent_folder, kept_token

    os.environ["XDG_STATE_HOME"] = str(folder)
    consent_folder().mkdir(parents=True)

    def read(data: bytes) -> None:
        (consent_folder() / "monitor").write_bytes(data)
        kept_token("monitor")

    return [b"39fbc471-d970-4fea-ba89-f79db6ac4e8d"], ways.mutate_bytes, read


DOORS = (
    *(review_page, restore_page, control, page_bytes, recorder_answer, endpoint, flightgear),
    *(video_format, consent),
)
