"""The server of the review: over real connections, and killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from helpers import ROOT
from helpers.made_sessions import frame, make_session
from helpers.processes import Process
from helpers.reviews import AS_JUDGED, Client, in_table

import cli
from dataset.labelling.hand_labels import REVIEW_JOURNAL
from dataset.labelling.labels import read_labels
from dataset.options import ReviewOptions
from dataset.pictures.images import write_png
from dataset.review.server import serve_review
from dataset.review.thumbnails import PictureCache

pytestmark = pytest.mark.slow


def test_it_listens_on_the_loopback_interface_only(captures: Path) -> None:
    with serve_review(ReviewOptions(captures)) as (server, _, _):
        assert server.socket.getsockname()[0] == "127.0.0.1"


def test_the_page_comes_with_strict_headers_and_a_cookie(client: Client) -> None:
    entered = client.ask(f"/?token={client.token}", Cookie="")
    for status, body, _ in (entered, client.ask("/")):
        assert status == 200
        assert b"<script>" not in body
        assert b"//" not in body.replace(b"<!doctype", b"")  # nothing from elsewhere
    headers = entered[2]
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
    assert (captures / REVIEW_JOURNAL).read_bytes() == b""
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
    assert (captures / REVIEW_JOURNAL).read_bytes() == b""


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/apply", b'{"thresholds": [NaN, 0.1, 0]}'),
        ("/apply", b'{"thresholds": [-5, 0.1, 0]}'),
        ("/apply", b'{"thresholds": [0, 0.1, 1e400]}'),
        ("/apply", b'{"thresholds": [0, 0.1, 2]}'),
        ("/apply", b'{"thresholds": ["0", 0.1, 0]}'),
        ("/apply", b'{"thresholds": [0, 0.1]}'),
        ("/apply", b'{"thresholds": [0, 0.1, 0, 0]}'),
        ("/apply", b'{"thresholds": null}'),
        ("/apply", b"[" * 100_000),
        ("/apply", b'{"thresholds": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        ("/apply", b"\xff\xfe"),
        ("/apply", b""),
        ("/labels", b'{"changes": ' + b'{"a": ' * 100_000),
        ("/labels", b'{"changes": [[1' + b"0" * 5000 + b', "X"]]}'),
        ("/labels", b'{"changes": [[0, "X\\u0000"]]}'),
        ("/labels", b'{"changes": [[0.5, "X"]]}'),
        ("/labels", b'{"changes": [[0, "X", 1]]}'),
        ("/labels", b'{"changes": [' + b"[0,null]," * 500_000 + b"[0,null]]}"),
    ],
    ids=range(18),
)
def test_hostile_requests_are_answered_in_words(
    client: Client, captures: Path, path: str, body: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    before = in_table(captures)
    status, told, _ = client.ask(path, body)
    assert status == 400
    assert b"annot be understood" in told or b"no frame" in told
    assert capfd.readouterr().err == ""
    assert (captures / REVIEW_JOURNAL).read_bytes() == b""
    assert in_table(captures) == before


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


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes as POSIX has them")
def test_what_takes_a_frames_place_meanwhile_is_not_followed(
    client: Client, captures: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.png"
    write_png(secret, np.zeros((20, 20, 3), np.uint8))
    frames = captures / "day" / "frames"
    for name in ("000000.png", "000001.png", "000002.png"):
        (frames / name).unlink()
    (frames / "000000.png").symlink_to(secret)
    os.mkfifo(frames / "000001.png")
    (frames / "000002.png").symlink_to("/dev/zero")
    for kind in ("frame", "thumbnail", "overlay"):
        assert [client.ask(f"/{kind}/{at}")[0] for at in range(3)] == [404, 409, 404]


@pytest.mark.skipif(sys.platform == "win32", reason="links as POSIX has them")
def test_a_mask_of_the_hud_from_elsewhere_is_refused(
    client: Client, captures: Path, tmp_path: Path
) -> None:
    write_png(tmp_path / "secret.png", np.zeros((20, 20, 3), np.uint8))
    (captures / "day" / "hud_mask.png").symlink_to(tmp_path / "secret.png")
    status, told, _ = client.ask("/overlay/2")
    assert (status, b"cannot be used" in told) == (409, True)


def test_the_cache_forgets_the_oldest() -> None:
    kept = PictureCache(10)
    for key in (1, 2, 1, 3):
        kept.put(key, b"12345")
    assert [kept.get(key) for key in (1, 2, 3)] == [b"12345", None, b"12345"]


def test_applied_thresholds_spare_hands_and_keys(client: Client, captures: Path) -> None:
    client.label((0, "Y"))
    status, body, _ = client.ask("/apply", {"thresholds": [0.1, 0.6, 0.01]})
    assert status == 200
    assert json.loads(body) == {"label": [2, 1, 3, 1], "source": [4, 3, 3, 1]}
    assert in_table(captures) == ["Y review", "X clipping", "unsure clipping", "X key"]
    assert read_labels(captures)[1].threshold == "X<=0.1 Y>=0.6 blob>=0.01"
    assert client.ask("/apply", {"thresholds": [0.6, 0.1, 0]})[0] == 409
    assert client.ask("/apply", {"thresholds": ["a"]})[0] == 400


def start_server(captures: Path) -> tuple[subprocess.Popen[str], Client]:
    command = [sys.executable, "cli.py", "review", "--no-browser", "--source", str(captures)]
    process = Process(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
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
