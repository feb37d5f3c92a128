"""The control channel: how local clients send commands to a running recorder.

A request is one line of JSON, ``{"command": "label", "value": "X"}``, and so is the answer. The
channel is a Unix socket of mode 0600 whose peer must be the same user; on systems without such
sockets a loopback port, whose clients must send a token that only this user can read. Whatever a
client sends becomes a `Command` on the recorder's queue, or an error in the answer.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from capture.commands import Command, CommandQueue, Reply
from capture.control.endpoints import (
    Endpoint,
    endpoint_file,
    read_endpoint,
    running_endpoints,
    write_endpoint,
)
from capture.locks import is_recorder_running
from dataset.errors import UserError
from dataset.files import remove_file
from dataset.gate import parse_json

LINE_BYTES = 4096  # longest request
ANSWER_BYTES = 1 << 20  # longest answer
CLIENTS = 8  # served at once; more are turned away
SILENCE_S = 5.0  # a client that is silent for this long is disconnected
REPLY_S = 10.0  # longest wait for the recorder
ROOM_S = 1.0  # longest wait for another client to go: one that was answered may be just about to

UNIX = hasattr(socket, "AF_UNIX") and os.name == "posix"


@contextmanager
def control_channel(out: Path, commands: CommandQueue, unix: bool = UNIX) -> Iterator[Endpoint]:
    """Listen for clients while in the context. The caller holds the folder's lock.

    Parameters
    ----------
    out : Path
        The folder of sessions, by which clients find the recorder.
    commands : queue of Command
        Gets the requests, each with a future for the reply.
    unix : bool
        A Unix socket, else a loopback port with a token.

    Raises
    ------
    UserError
        The channel cannot be opened.
    """
    note = endpoint_file(out)
    path = note.with_suffix(".sock")
    token = None if unix else secrets.token_hex(32)
    try:
        remove_file(path)  # stale: we hold the lock
        server = _Server(path if unix else None, commands, token)
    except OSError as error:
        raise UserError(f"Cannot open the control channel {path}: {error}", 1) from error
    where: dict[str, Any] = {"socket": str(path)} if unix else {"port": server.server_address[1]}
    endpoint = Endpoint(os.path.realpath(out), os.getpid(), token=token, **where)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="control", daemon=True)
    thread.start()
    try:
        write_endpoint(endpoint)
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        with suppress(OSError):  # the next holder of the lock removes them
            remove_file(note)
            remove_file(path)


class _Request(msgspec.Struct):
    """The request of a client."""

    command: str
    value: str | None = None
    token: Any = None


class Answer(msgspec.Struct):
    """The answer to a client."""

    ok: bool = False
    error: str = "the recorder could not do it"
    status: dict[str, Any] = {}


class _Clients(socketserver.StreamRequestHandler):
    """One client, served until it is silent, sends nonsense or disconnects."""

    timeout = SILENCE_S
    server: _Server

    def handle(self) -> None:
        with suppress(OSError):
            while line := self.rfile.readline(LINE_BYTES + 1):
                answer = self._answer(line)
                self.wfile.write(encode_line(answer))
                if not answer["ok"] and answer.get("final"):
                    return

    def finish(self) -> None:
        with suppress(OSError):  # it may have gone with half of the answer
            super().finish()

    def _answer(self, line: bytes) -> Reply:
        if len(line) > LINE_BYTES:
            return {"ok": False, "error": "the request is too long", "final": True}
        try:
            request = parse_json(line, _Request)
            self._check_token(request.token)
            reply: Future[Reply] = Future()
            command = Command(request.command, request.value, by="control", reply=reply)
        except PermissionError as error:
            return {"ok": False, "error": str(error), "final": True}
        except ValueError as error:
            return {"ok": False, "error": str(error)}
        self.server.commands.put(command)
        try:
            return reply.result(REPLY_S)
        except NoAnswer:
            return {"ok": False, "error": f"the recorder gave no answer in {REPLY_S:g} s"}

    def _check_token(self, shown: Any) -> None:
        wanted = self.server.token
        if wanted is not None and not hmac.compare_digest(str(shown).encode(), wanted.encode()):
            raise PermissionError("wrong token")


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves a bounded number of clients of this user, on a socket's path or a port."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 4 * CLIENTS  # a client that finds no room there fails at once

    def __init__(self, path: Path | None, commands: CommandQueue, token: str | None) -> None:
        self.commands, self.token = commands, token
        self._slots = threading.BoundedSemaphore(CLIENTS)
        address: Any = ("127.0.0.1", 0)
        if path is not None:
            self.address_family, address = socket.AF_UNIX, str(path)
        super().__init__(address, _Clients)
        if path is not None:
            os.chmod(path, 0o600)  # and the folder above can be entered by nobody else

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return _is_same_user(request) and self._slots.acquire(timeout=ROOM_S)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A fault in serving one client affects no other."""


def _is_same_user(connection: socket.socket) -> bool:
    """Whether the peer of a Unix socket runs as this user; True if that is unknown."""
    if connection.family != getattr(socket, "AF_UNIX", None) or not hasattr(socket, "SO_PEERCRED"):
        return True
    about = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", about)
    return bool(user == os.getuid())


def send_command(endpoint: Endpoint, name: str, value: str | None = None) -> Reply:
    """Send one command to a recorder; its reply.

    Raises
    ------
    UserError
        The recorder cannot be reached, or could not do it.
    """
    try:
        Command(name, value)
    except ValueError as error:
        raise UserError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    request = {"command": name, "value": value, "token": endpoint.token}
    try:
        with _connect(endpoint) as connection, connection.makefile("rwb") as stream:
            stream.write(encode_line(request))
            stream.flush()
            answer = parse_json(stream.readline(ANSWER_BYTES), Answer)
    except (OSError, ValueError) as error:
        raise UserError(
            f"The recorder (process {endpoint.pid}) gives no answer; it may be ending ({error}).",
            1,
        ) from error
    if not answer.ok:
        raise UserError(answer.error, 1)
    return {"ok": True, "status": answer.status}


def encode_line(values: Reply) -> bytes:
    """One line of JSON; the names of folders need not be UTF-8."""
    return json.dumps(values, ensure_ascii=False).encode(errors="replace") + b"\n"


def find_recorder(out: Path | None, default: Path) -> Endpoint:
    """The running recorder of a folder of sessions.

    Parameters
    ----------
    out : Path or None
        The folder; None: the recorder of ``default`` if there is one, else the only one that is
        running, so that a desktop shortcut finds it from any folder.
    default : Path

    Raises
    ------
    UserError
        No recorder is running, or several are.
    """
    wanted = out or default
    endpoint = read_endpoint(wanted)
    if endpoint is not None and is_recorder_running(wanted):
        return endpoint
    running = running_endpoints()
    if out is None and len(running) == 1:
        return running[0]
    if not running:
        raise UserError(
            "No recorder is running. Start one with `cli capture --hotkey`, or with `cli capture "
            "--background` to have the terminal back.",
            1,
        )
    listed = "; ".join(f"--out {each.out}" for each in running)
    raise UserError(f"Say which recorder: {listed}.")


def _connect(endpoint: Endpoint) -> socket.socket:
    if endpoint.socket is not None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        address: Any = endpoint.socket
    else:
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        address = ("127.0.0.1", endpoint.port)
    connection.settimeout(REPLY_S + SILENCE_S)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection
