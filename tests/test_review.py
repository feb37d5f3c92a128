"""The review page: in a real browser, over real connections, and killed in the middle."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from made_sessions import frame, make_session

import cli
from dataset.errors import UserError
from dataset.images import write_png
from dataset.labels import label_captures, read_labels, write_labels
from dataset.options import LabelOptions, ReviewOptions
from dataset.review import serve_review
from dataset.review_pictures import Kept
from dataset.review_store import JOURNAL, open_review

ROOT = Path(__file__).parent.parent


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """Two sessions, measured and judged: X, unsure, Y of ``day``, X of ``night`` by a key."""
    folder = tmp_path / "captures"
    make_session(folder, "day", [frame(at, at) for at in range(3)], [0, 0.05, 0.5])
    make_session(folder, "night", [frame(0, 99, label="X")], [0.2])
    label_captures(LabelOptions(folder, y_fraction=0.1))
    return folder


def in_table(captures: Path) -> list[str]:
    return [f"{row.label} {row.source}" for row in read_labels(captures)]


AS_JUDGED = ["X clipping", "unsure clipping", "Y clipping", "X key"]


class Client:
    """Speaks HTTP with a review, with its token unless told otherwise."""

    def __init__(self, address: str) -> None:
        place, token = address.removeprefix("http://").split("/?token=")
        self.address, self.place, self.token = address, place, token
        self.cookie = f"unclip_review_{place.split(':')[1]}={token}"

    def ask(
        self, path: str, body: Any = None, method: str = "GET", **headers: str
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        shown = {"Host": self.place, "Cookie": self.cookie}
        if body is not None:
            method, body = "POST", json.dumps(body)
            shown |= {"Content-Type": "application/json", "Origin": f"http://{self.place}"}
        shown = {name: value for name, value in (shown | headers).items() if value}
        connection = http.client.HTTPConnection(self.place, timeout=10)
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


@pytest.fixture
def client(captures: Path) -> Iterator[Client]:
    with serve_review(ReviewOptions(captures)) as (server, address, _):
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield Client(address)
        finally:
            server.shutdown()
            thread.join()


def test_it_listens_on_the_loopback_interface_only(captures: Path) -> None:
    with serve_review(ReviewOptions(captures)) as (server, _, _):
        assert server.socket.getsockname()[0] == "127.0.0.1"


def test_the_page_comes_with_strict_headers_and_a_cookie(client: Client) -> None:
    status, body, headers = client.ask(f"/?token={client.token}", Cookie="")
    assert status == 200
    assert b"<script>" not in body
    assert b"//" not in body.replace(b"<!doctype", b"")  # nothing from elsewhere
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "SameSite=Strict" in headers["Set-Cookie"]


@pytest.mark.parametrize("path", ["/", "/frames", "/thumbnail/0", "/review.js", "/?token=wrong"])
def test_without_the_token_nothing_is_served(client: Client, path: str) -> None:
    for cookie in ("", client.cookie[:-1], f"{client.cookie}x", client.cookie.replace("=", "=é")):
        status, body, headers = client.ask(path, Cookie=cookie)
        assert status == 403
        assert client.token.encode() not in body
        assert "Set-Cookie" not in headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1.evil:80"])
def test_another_host_is_refused(client: Client, host: str) -> None:
    assert client.ask("/frames", Host=host)[0] == 403
    assert client.ask(f"/?token={client.token}", Host=host)[0] == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1", ""])
def test_another_origin_changes_nothing(client: Client, captures: Path, origin: str) -> None:
    assert client.ask("/labels", {"changes": [[0, "Y"]]}, Origin=origin)[0] == 403
    assert client.ask("/apply", {"thresholds": [0, 0.1, 0]}, Origin=origin)[0] == 403
    assert (captures / JOURNAL).read_bytes() == b""
    if origin:
        assert client.ask("/frames", Origin=origin)[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/frame/../../etc/passwd",
        "/frame/%2e%2e/%2e%2e/etc/passwd",
        "/frame/..%2f..%2fetc%2fpasswd",
        "/frame//etc/passwd",
        "//etc/passwd",
        "/../labels.csv",
        "/labels.csv",
        "/review_page/index.html",
        "/static/index.html",
        "/frame/4",
        "/frame/-1",
        "/frame/1e0",
        "/frame/%D9%A3",  # a three, but not ASCII's
        "/frame/0x0",
        "/thumbnail/99999999999999999999",
        "/overlay/" + "9" * 6000,
    ],
)
def test_only_numbers_of_frames_are_served(client: Client, path: str) -> None:
    status, body, _ = client.ask(path)
    assert status == 404
    assert b"root:" not in body


def test_a_manifest_cannot_lead_out_of_its_session(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    make_session(tmp_path, "flight", [frame(at, at) for at in range(3)], [0, 0.2, 0.4])
    lines = (tmp_path / "flight" / "frames.jsonl").read_text().splitlines()
    lines[0] = lines[0].replace("frames/000000.png", "../secret.png")
    (tmp_path / "flight" / "frames" / "000000.png").rename(secret)
    (tmp_path / "flight" / "frames" / "000001.png").unlink()
    (tmp_path / "flight" / "frames" / "000001.png").symlink_to(secret)
    (tmp_path / "flight" / "frames.jsonl").write_text("\n".join(lines) + "\n")
    with open_review(tmp_path) as store:
        assert [each.frame.file for each in store.frames] == ["frames/000002.png"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"changes": 1},
        {"changes": [[0, "Z"]]},
        {"changes": [["0", "X"]]},
        {"changes": [[True, "X"]]},
        {"changes": [[0, "X"], [4, "X"]]},
        {"changes": [[-1, "X"]]},
    ],
)
def test_what_is_no_change_is_refused_whole(client: Client, captures: Path, body: Any) -> None:
    assert client.ask("/labels", body)[0] == 400
    assert (captures / JOURNAL).read_bytes() == b""


def test_pictures_are_small_whole_or_marked(client: Client, captures: Path) -> None:
    status, whole, headers = client.ask("/frame/2")
    assert (status, headers["Content-Type"]) == (200, "image/png")
    assert whole == (captures / "day" / "frames" / "000002.png").read_bytes()
    _, overlay, _ = client.ask("/overlay/2")
    alpha = cv2.imdecode(np.frombuffer(overlay, np.uint8), cv2.IMREAD_UNCHANGED)[..., 3]
    assert alpha[:10].all()
    assert not alpha[10:].any()
    plain, painted = client.ask("/thumbnail/2?1"), client.ask("/thumbnail/2?1&clipped")
    assert "immutable" in plain[2]["Cache-Control"]
    assert plain[1] != painted[1]
    assert client.ask("/thumbnail/2?1")[1] == plain[1]


def test_the_overlay_leaves_the_hud_out(client: Client, captures: Path) -> None:
    hud = np.zeros((20, 20, 3), np.uint8)
    hud[:, :5] = 255
    write_png(captures / "day" / "hud_mask.png", hud)
    overlay = client.ask("/overlay/2")[1]
    alpha = cv2.imdecode(np.frombuffer(overlay, np.uint8), cv2.IMREAD_UNCHANGED)[..., 3]
    assert (alpha[:10].min(axis=0) > 0).tolist() == [False] * 5 + [True] * 15


def test_a_frame_that_is_no_picture_is_not_sent(client: Client, captures: Path) -> None:
    (captures / "day" / "frames" / "000001.png").write_text("secret")
    for kind in ("frame", "thumbnail", "overlay"):
        status, body, _ = client.ask(f"/{kind}/1")
        assert (status, b"secret" in body) == (409, False)


def test_the_cache_forgets_the_oldest() -> None:
    kept = Kept(10)
    for key in (1, 2, 1, 3):
        kept.put(key, b"12345")
    assert [kept.get(key) for key in (1, 2, 3)] == [b"12345", None, b"12345"]


def test_labels_end_in_the_table_and_can_be_taken_back(captures: Path) -> None:
    with open_review(captures) as store:
        store.set_labels([(0, "Y"), (1, "drop"), (3, "Y")])
        store.fold()
        assert in_table(captures) == ["Y review", "drop review", "Y clipping", "Y review"]
        store.set_labels([(1, None), (3, None)])
    assert in_table(captures) == ["Y review", *AS_JUDGED[1:]]
    with open_review(captures) as store:  # which never saw what the row was before
        store.set_labels([(0, None)])
    assert in_table(captures) == AS_JUDGED


def test_a_label_by_hand_beats_the_statistic(captures: Path) -> None:
    with open_review(captures) as store:
        store.set_labels([(0, "Y")])
    label_captures(LabelOptions(captures, y_fraction=0.2))
    assert in_table(captures)[0] == "Y review"


def test_frames_that_were_never_measured_can_be_labelled(tmp_path: Path) -> None:
    make_session(tmp_path, "flight", [frame(at, at) for at in range(2)], [0, 0.5])
    with open_review(tmp_path) as store:
        assert store.rows() == [None, None]
        store.set_labels([(1, "X"), (0, "Y")])
        store.set_labels([(0, None)])
    assert in_table(tmp_path) == ["X review"]


def test_a_table_written_meanwhile_keeps_both(captures: Path) -> None:
    old = read_labels(captures)
    with open_review(captures) as store:
        store.set_labels([(0, "Y")])
        store.fold()
        write_labels(captures, [replace(row, p99=7) for row in old])  # had read it before
    assert in_table(captures) == ["Y review", *AS_JUDGED[1:]]
    assert [row.p99 for row in read_labels(captures)] == [7] * 4


def test_applied_thresholds_spare_hands_and_keys(client: Client, captures: Path) -> None:
    client.label((0, "Y"))
    status, body, _ = client.ask("/apply", {"thresholds": [0.1, 0.6, 0.01]})
    assert status == 200
    assert json.loads(body) == {"label": [2, 1, 3, 1], "source": [4, 3, 3, 1]}
    assert in_table(captures) == ["Y review", "X clipping", "unsure clipping", "X key"]
    assert read_labels(captures)[1].threshold == "X<=0.1 Y>=0.6 blob>=0.01"
    assert client.ask("/apply", {"thresholds": [0.6, 0.1, 0]})[0] == 409
    assert client.ask("/apply", {"thresholds": ["a"]})[0] == 400


def test_a_second_review_is_refused(captures: Path) -> None:
    again = pytest.raises(UserError, match="Another review")
    with open_review(captures), again, open_review(captures):
        pass
    with open_review(captures) as store:
        assert store.summary().by_hand == 0


def test_a_torn_line_is_removed_and_a_damaged_one_named(captures: Path) -> None:
    line = json.dumps({"session": "day", "file": "frames/000000.png", "label": "Y", "wall_ns": 1})
    (captures / JOURNAL).write_text(f'{line}\n{{"session": "da')
    with open_review(captures) as store:
        store.set_labels([(1, "X")])
    assert in_table(captures)[:2] == ["Y review", "X review"]
    (captures / JOURNAL).write_text(f"nonsense\n{line}\n")
    with pytest.raises(UserError, match=r"review\.jsonl, line 1"), open_review(captures):
        pass


def start_server(captures: Path) -> tuple[subprocess.Popen[str], Client]:
    command = [sys.executable, "cli.py", "review", "--no-browser", "--source", str(captures)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Client(process.stdout.readline().split()[-1])


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 and Ctrl-C as POSIX has them")
def test_killed_in_the_middle_no_label_is_lost(captures: Path) -> None:
    process, client = start_server(captures)
    with process:
        client.label((0, "Y"))
        client.label((1, "drop"), (2, "unsure"))
        os.kill(process.pid, signal.SIGKILL)
    assert in_table(captures) == AS_JUDGED  # nothing was folded yet
    process, client = start_server(captures)
    with process:
        assert json.loads(client.ask("/frames")[1])["label"] == [2, 4, 3, 1]
        client.label((2, None))
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert "2 by hand in a review" in process.stdout.read()
    assert process.returncode == 0
    assert in_table(captures) == ["Y review", "drop review", "Y clipping", "X key"]


def test_the_command_says_what_is_wrong(tmp_path: Path, captures: Path) -> None:
    nothing = CliRunner().invoke(cli.main, ["review", "--source", str(tmp_path / "none")])
    assert (nothing.exit_code, "No recorded frames" in nothing.output) == (2, True)
    with serve_review(ReviewOptions(captures)) as (server, _, _):
        other = captures.parent / "other"
        make_session(other, "flight", [frame(0, 0)], [0])
        command = ["review", "--source", str(other), "--port", str(server.port)]
        taken = CliRunner().invoke(cli.main, command)
    assert f"Cannot use port {server.port}" in taken.output


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium; Playwright downloads none."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("needs Playwright: pip install playwright")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    root = hasattr(os, "getuid") and os.getuid() == 0
    with sync_playwright() as play:
        started = play.chromium.launch(
            executable_path=program, args=["--no-sandbox"] if root else []
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, client: Client) -> Iterator[Any]:
    """The page of the review; a fault in its scripts or a breach of its policy fails the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    opened.goto(client.address)
    opened.wait_for_selector(".cell.cursor")
    yield opened
    context.close()
    assert faults == []


def saved(page: Any) -> list[str]:
    """The labels in the grid, once the server has them all."""
    page.wait_for_timeout(60)
    page.wait_for_selector("#saved:text-is('all saved')")
    cells = page.locator(".cell:not([hidden])").all()
    cells.sort(key=lambda cell: int(cell.get_attribute("data-place")))
    return [" ".join(cell.locator(".badge, .how").all_inner_texts()) for cell in cells]


AS_SHOWN = ["X statistic", "unsure statistic", "Y statistic", "X key"]


def test_keys_label_undo_and_redo(page: Any, client: Client, captures: Path) -> None:
    assert "token" not in page.url
    assert saved(page) == AS_SHOWN
    for key in ("y", "d", "ArrowRight", "u"):
        page.keyboard.press(key)
    labelled = ["Y hand", "drop hand", "Y statistic", "unsure hand"]
    assert saved(page) == labelled
    for key in ("z", "z"):
        page.keyboard.press(key)
    assert saved(page) == ["Y hand", *AS_SHOWN[1:]]
    for key in ("Shift+Z", "Shift+Z"):
        page.keyboard.press(key)
    assert saved(page) == labelled
    page.keyboard.press("z")
    saved(page)
    page.reload()
    page.wait_for_selector(".cell.cursor")
    assert saved(page) == ["Y hand", "drop hand", *AS_SHOWN[2:]]
    lines = [json.loads(line) for line in (captures / JOURNAL).read_text().splitlines()]
    assert lines[0]["label"] == "Y"
    assert lines[-1].keys() == {"session", "file", "label", "wall_ns"}
    assert lines[-1]["label"] is None


def test_a_range_is_labelled_at_once_and_a_filter_finds_it(page: Any) -> None:
    page.keyboard.press("l")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("x")
    assert saved(page) == ["X statistic", "X hand", "X hand", "X key"]
    page.keyboard.press("f")
    page.select_option("#by-source", "4")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    assert saved(page) == ["X hand", "X hand"]
    page.keyboard.press("z")
    page.keyboard.press("r")
    assert saved(page) == []


def test_one_frame_is_shown_with_what_is_clipped(page: Any) -> None:
    for key in ("ArrowRight", "ArrowRight", "Enter", "c"):
        page.keyboard.press(key)
    page.wait_for_selector("#overlay", state="visible")
    assert page.evaluate("document.getElementById('overlay').decode().then(() => true)")
    assert "clipped 50.0 %" in page.inner_text("#caption")
    assert "statistic" in page.inner_text("#caption")
    page.keyboard.press("d")
    assert "night" in page.inner_text("#caption")  # on to the next
    page.keyboard.press("Enter")
    assert page.is_hidden("#single")


def test_thresholds_are_counted_at_once_and_applied_when_told(page: Any, captures: Path) -> None:
    def column(number: int) -> list[str]:
        return list(page.locator(f"#table td:nth-child({number})").all_inner_texts())

    assert [column(2), column(3)] == [["2", "1", "1", "0"]] * 2
    assert column(4) == ["5,076", "4,300", "", ""]
    page.locator("#y-fraction").fill("970")  # some 76 %
    page.wait_for_timeout(60)
    assert [column(2), column(3)] == [["2", "1", "1", "0"], ["2", "0", "2", "0"]]
    page.click("#apply")
    page.wait_for_selector("#saved:has-text('applied')")
    assert in_table(captures) == ["X clipping", "unsure clipping", "unsure clipping", "X key"]
