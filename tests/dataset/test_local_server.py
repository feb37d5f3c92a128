"""Pages of this machine: closed to its other users, and there while they crowd at the door."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import request
from helpers import ROOT
from helpers.other_user import as_other_user, needs_other_user
from helpers.processes import Process, Thread
from helpers.reviews import Client, make_captures
from helpers.waiting import SOON_S, soon

from dataset import local_server
from dataset.local_server import HOST, OPENING, PageGuard, PageServer, bind_page, make_page
from dataset.review.server import PAGE, PAGE_FILES

pytestmark = pytest.mark.slow

RESTORING = """
from model.restoring.page_server import serve_restorer
serve_restorer(
    lambda told: lambda pixels: pixels, on_ready=lambda at: print(at, flush=True), browser=True
)
"""
BROWSER = """#!/bin/sh
tr '\\0' '\\n' </proc/$$/cmdline >"{told}.part"
mv "{told}.part" "{told}"
for _ in $(seq 600); do [ -e "{end}" ] && exit; sleep .1; done
"""

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="processes as Linux shows them")


class Opened:
    """A command that opens its page, and the browser's command line."""

    def __init__(self, printed: str, words: list[str]) -> None:
        self.address, self.words = printed, words
        self.place = printed.removeprefix("http://").split("/")[0]

    @property
    def file(self) -> Path:
        return Path(self.words[-1].removeprefix("file://"))

    def get(self, path: str, cookie: str = "") -> tuple[int, str]:
        """Status, and the cookie that came with it."""
        door = http.client.HTTPConnection(self.place, timeout=SOON_S)
        door.request("GET", path, headers={"Cookie": cookie} if cookie else {})
        answer = door.getresponse()
        answer.read()
        door.close()
        return answer.status, (answer.headers["Set-Cookie"] or "").split(";")[0]


@contextmanager
def opening(command: list[str], tmp_path: Path) -> Iterator[Opened]:
    """Run a command whose browser is a script that stays until the end."""
    browser, told, end = tmp_path / "browser", tmp_path / "told", tmp_path / "end"
    browser.write_text(BROWSER.format(told=told, end=end))
    browser.chmod(0o755)
    settings = {**os.environ, "BROWSER": str(browser)}
    with Process(command, cwd=ROOT, stdout=subprocess.PIPE, env=settings, text=True) as process:
        try:
            assert process.stdout is not None
            printed = process.stdout.readline().split()[-1]
            soon(told.exists)
            yield Opened(printed, told.read_text().splitlines())
        finally:
            end.touch()
            process.send_signal(signal.SIGINT)


@pytest.fixture(params=["review", "restore"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    if request.param == "restore":
        return [sys.executable, "-c", RESTORING]
    captures = make_captures(tmp_path / "captures")
    return [sys.executable, "cli.py", "review", "--source", str(captures)]


# Tries what can be seen of all processes, and the page without anything.
SPY = r"""
place, file = sys.argv[1:]
tokens, seen = {""}, ""
for each in glob.glob("/proc/[0-9]*/cmdline"):
    if each == f"/proc/{os.getpid()}/cmdline":
        continue
    try:
        seen += open(each, errors="replace").read() + "\n"
    except OSError:
        pass
tokens |= set(re.findall(r"token=([\w-]+)", seen)) | set(re.findall(r"[\w-]{32}", seen))
for token in tokens:
    for shown in ({}, {"Cookie": f"unclip_review_{place[10:]}={token}"}):
        door = http.client.HTTPConnection(place, timeout=20)
        door.request("GET", f"/?token={token}", headers=shown)
        print("page", door.getresponse().status)
for what, look in (("file", open), ("folder", os.listdir)):
    try:
        look(file if what == "file" else os.path.dirname(file))
        print(what, "open")
    except PermissionError:
        print(what, "closed")
print("browser", "seen" if file in seen else "missed")
"""


@needs_other_user
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_another_user_gets_nothing_from_the_browsers_command_line(
    command: list[str], tmp_path: Path
) -> None:
    with opening(command, tmp_path) as opened:
        heard = as_other_user(SPY, opened.place, str(opened.file)).splitlines()
        assert set(heard) == {"page 403", "file closed", "folder closed", "browser seen"}
        assert opened.file.exists()


@posix_only
def test_the_browsers_file_opens_the_page_once_and_goes(command: list[str], tmp_path: Path) -> None:
    with opening(command, tmp_path) as opened:
        assert stat.S_IMODE(opened.file.stat().st_mode) == 0o600
        assert stat.S_IMODE(opened.file.parent.stat().st_mode) == 0o700
        found = re.search(r'href="http://[\d.:]+(/\?token=[\w-]+)"', opened.file.read_text())
        assert found
        status, cookie = opened.get(found[1])
        assert (status, bool(cookie)) == (200, True)
        assert not opened.file.parent.exists()
        assert opened.get(found[1])[0] == 403
        assert opened.get(found[1], cookie)[0] == 200  # as it is reloaded
        assert opened.get("/", cookie)[0] == 200


@posix_only
def test_the_printed_address_opens_the_page_in_a_second_browser_too(
    command: list[str], tmp_path: Path
) -> None:
    with opening(command, tmp_path) as opened:
        path = opened.address.split(opened.place)[1]
        answers = [opened.get(path) for _ in range(2)]
    assert [status for status, _ in answers] == [200, 200]
    token, cookie = path.split("=")[1], answers[0][1]
    assert token not in cookie
    assert not opened.file.parent.exists()  # it was not used, but the command has ended


def test_a_browser_that_sees_little_of_the_disk_finds_the_file_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr(local_server, "SNAPS", tmp_path)
    folder = local_server._private_folder()
    assert folder.parent == tmp_path
    assert not folder.name.startswith(".")
    folder.rmdir()
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "none"))
    folder = local_server._private_folder()
    assert folder.parent != tmp_path / "none"
    folder.rmdir()


class Slow:
    """A page with one more address: it takes a body, and says when it begins to."""

    def __init__(self, **limits: Any) -> None:
        self.begun = threading.Event()
        app = make_page("test", PAGE, PAGE_FILES, 1000)
        app.add_url_rule("/body", "body", self.read, methods=["POST"])
        self.bound = socket.create_server((HOST, 0))
        self.server = PageServer(app, self.bound, **limits)
        self.guard = PageGuard(app, self.server)
        self.thread = Thread(target=self.server.serve_forever, args=(0.02,))

    def read(self) -> str:
        self.begun.set()
        return str(len(request.get_data()))

    def __enter__(self) -> Slow:
        self.thread.start()
        self.client = Client(self.guard.address, "test")
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.bound.close()

    def connect(self, said: str = "") -> socket.socket:
        door = socket.create_connection((HOST, self.server.port), timeout=SOON_S)
        door.sendall(said.encode())
        return door

    def begin_body(self, length: int, cookie: str) -> socket.socket:
        """Send the header of a request, and the first byte of its body."""
        place = self.client.place
        return self.connect(
            f"POST /body HTTP/1.1\r\nHost: {place}\r\nOrigin: http://{place}\r\n"
            f"Cookie: {cookie}\r\nContent-Length: {length}\r\n\r\nx"
        )


RELOADED = """
history.replaceState(null, "", "/");
const told = sessionStorage.told;
sessionStorage.told = "once";
if (told) fetch("/told"); else location.reload();
"""
FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")


@pytest.mark.skipif(FIREFOX is None, reason="needs Firefox: apt-get install firefox-esr")
def test_firefox_can_reload_the_page_that_a_file_led_to(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><script src='reload.js'></script>")
    (tmp_path / "reload.js").write_text(RELOADED)
    app = make_page("test", tmp_path, {"/": "index.html", "/reload.js": "reload.js"}, 1000)
    told, file = threading.Event(), tmp_path / "open.html"
    app.add_url_rule("/told", "told", lambda: str(told.set()))
    (tmp_path / "profile").mkdir()
    with bind_page(app, 0) as (server, guard):
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        file.write_text(OPENING.format(address=guard.invite(lambda: None)))
        command = [str(FIREFOX), "--headless", "--no-remote", "--profile", tmp_path / "profile"]
        firefox = Process(
            [*command, file.as_uri()],
            env={**os.environ, "HOME": str(tmp_path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert told.wait(SOON_S)
        finally:
            firefox.terminate()
            firefox.wait(SOON_S)
            server.shutdown()
            thread.join()


def heard(door: socket.socket) -> bytes:
    """What comes until the other side ends, or has ended already."""
    found = b""
    try:
        while piece := door.recv(4096):
            found += piece
    except ConnectionError:
        pass
    return found


HALF = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half"


@pytest.mark.parametrize("said", ["", HALF])
def test_a_crowd_of_idle_connections_does_not_keep_the_user_out(said: str) -> None:
    with Slow(stranger_s=600) as page, ExitStack() as doors:
        crowd = [doors.enter_context(page.connect(said)) for _ in range(400)]
        assert page.client.ask("/")[0] == 200
        assert heard(crowd[0]) == b""  # the oldest went
        assert threading.active_count() < 200


@pytest.mark.parametrize(
    "line",
    [
        b"GET http://[ HTTP/1.1",
        b"GET //[ HTTP/1.1",
        b"GET /\xff%00%ff HTTP/1.1",
        b"GET /?token=%00%ed%a0%80 HTTP/1.1",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1",
        b"__class__ / HTTP/1.1",
        b"POST / HTTP/1.1\r\nContent-Length: -1",
        b"POST / HTTP/1.1\r\nContent-Length: 1" + b"0" * 5000,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked",
        b"GET / HTTP/1.1" + b"\r\nA: b" * 200,
        b"GET / HTTP/1.1\r\nCookie: \xff=\x00",
        b"\x16\x03\x01\x00",
        b"GET",
    ],
    ids=range(13),
)
def test_what_is_no_request_of_ours_is_refused_without_a_word_in_the_terminal(
    line: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with Slow() as page, page.connect() as door:
        door.sendall(line + f"\r\nHost: {page.client.place}\r\n\r\nzz\r\n".encode())
        door.shutdown(socket.SHUT_WR)
        said = heard(door)
    assert re.search(rb"\b4\d\d\b", said)
    assert capfd.readouterr().err == ""


def test_who_does_not_show_the_token_has_little_time() -> None:
    with Slow() as page, ExitStack() as doors:
        page.server._stranger_s = 0.2
        assert heard(doors.enter_context(page.connect())) == b""
        assert heard(doors.enter_context(page.connect(HALF))) == b""


def test_the_body_of_a_stranger_is_not_waited_for() -> None:
    with Slow(stranger_s=600) as page, page.begin_body(900, "") as door:
        assert heard(door).startswith(b"HTTP/1.1 403")
        assert not page.begun.is_set()


def test_the_users_own_request_lasts_and_no_crowd_ends_it() -> None:
    with Slow(most=8) as page, ExitStack() as doors:
        own = doors.enter_context(page.begin_body(3, page.client.cookie))
        assert page.begun.wait(SOON_S)
        page.server._stranger_s = 0.2
        for _ in range(30):
            doors.enter_context(page.connect(HALF))
        assert heard(doors.enter_context(page.connect(HALF))) == b""  # longer than a stranger may
        own.sendall(b"yz")
        assert heard(own).endswith(b"3")


def test_a_body_that_never_ends_is_given_up() -> None:
    with Slow() as page:
        page.server._trusted_s = 0.2
        with page.begin_body(3, page.client.cookie) as own:
            assert page.begun.wait(SOON_S)
            assert b" 200 " not in heard(own)
        page.server._trusted_s = SOON_S
        assert page.client.ask("/")[0] == 200


def test_a_body_over_the_limit_is_refused_before_it_comes() -> None:
    with Slow() as page, page.begin_body(1001, page.client.cookie) as own:
        own.shutdown(socket.SHUT_WR)
        assert heard(own).startswith(b"HTTP/1.1 413")


def test_where_all_connections_are_the_users_one_more_is_turned_away() -> None:
    with Slow(most=2) as page, ExitStack() as doors:
        soon(lambda: not page.server._trusted)  # that of the client's first request is gone
        for _ in range(2):
            page.begun.clear()
            doors.enter_context(page.begin_body(3, page.client.cookie))
            assert page.begun.wait(SOON_S)
        assert heard(doors.enter_context(page.connect())) == b""
