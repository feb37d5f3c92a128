"""The server that restores pictures: over real connections, with files that mean no good."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from helpers import ROOT
from helpers.restorers import Gate, Guest, darken, decode, encode, files_below, noise, serving
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image as Pillow

from dataset.errors import UserError
from dataset.pictures.pixels import Pixels
from model.restoring.methods import OnShare, Restore
from model.restoring.page_server import bind_restorer
from model.restoring.queue import ServeLimits, clean_name

SMALL = ServeLimits(upload_bytes=100_000, pixels=1_000_000)


@pytest.fixture
def guest() -> Iterator[Guest]:
    with serving(limits=SMALL) as speaker:
        yield speaker


def test_it_listens_on_the_loopback_interface_only() -> None:
    with bind_restorer(lambda told: darken) as (server, _, _):
        assert server.socket.getsockname()[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_named() -> None:
    with (
        bind_restorer(lambda told: darken) as (server, _, _),
        pytest.raises(UserError, match=f"Cannot use port {server.port}"),
        bind_restorer(lambda told: darken, server.port),
    ):
        pass


def test_the_page_comes_with_strict_headers_and_a_cookie(guest: Guest) -> None:
    entered = guest.ask(f"/?token={guest.token}", Cookie="")
    for status, body, _ in (entered, guest.ask("/")):
        assert status == 200
        assert b"<script>" not in body
        assert b"style=" not in body
        assert b"//" not in body.replace(b"<!doctype", b"")  # nothing from elsewhere
    headers = entered[2]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "SameSite=Strict" in headers["Set-Cookie"]


@pytest.mark.parametrize("path", ["/", "/pictures", "/restore.js", "/?token=wrong"])
def test_without_the_token_nothing_is_served(guest: Guest, path: str) -> None:
    for cookie in ("", guest.cookie[:-1], f"{guest.cookie}x"):
        status, body, headers = guest.ask(path, Cookie=cookie)
        assert status == 403
        assert guest.token.encode() not in body
        assert "Set-Cookie" not in headers
    assert guest.hand_in(encode(noise(9, 9)), Cookie="")[0] == 403
    assert guest.listed() == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1.evil:80"])
def test_another_host_is_refused(guest: Guest, host: str) -> None:
    assert guest.ask("/pictures", Host=host)[0] == 403
    assert guest.hand_in(encode(noise(9, 9)), Host=host)[0] == 403
    assert guest.listed() == []


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1", ""])
def test_another_origin_changes_nothing(guest: Guest, origin: str) -> None:
    kept = guest.restore(encode(noise(9, 9)))["id"]
    assert guest.hand_in(encode(noise(9, 9)), Origin=origin)[0] == 403
    assert guest.ask(f"/pictures/{kept}", method="DELETE", Origin=origin)[0] == 403
    assert [each["id"] for each in guest.listed()] == [kept]
    if origin:
        assert guest.ask(f"/pictures/{kept}/after", Origin=origin)[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/../../etc/passwd",
        "/pictures/..%2f..%2fetc%2fpasswd/after",
        "//etc/passwd",
        "/restore_page/index.html",
        "/static/index.html",
        "/serve.py",
        "/pictures/none/after",
        "/pictures/none/data",
    ],
)
def test_only_what_was_handed_in_is_served(guest: Guest, path: str) -> None:
    status, body, _ = guest.ask(path)
    assert status in (404, 405)
    assert b"root:" not in body


def test_only_views_can_be_asked_for(guest: Guest) -> None:
    id = guest.restore(encode(noise(9, 9)))["id"]
    for view in ("before", "after", "thumbnail"):
        status, _, headers = guest.ask(f"/pictures/{id}/{view}")
        assert (status, headers["Cache-Control"]) == (200, "no-store")
        assert headers["X-Content-Type-Options"] == "nosniff"
    for other in ("data", "held_bytes", "__class__", "result"):
        assert guest.ask(f"/pictures/{id}/{other}")[0] == 404


def test_the_download_is_what_the_function_gives(guest: Guest) -> None:
    image = noise(31, 45)
    found = guest.restore(encode(image), "과다 노출.png")
    assert (found["state"], found["width"], found["height"]) == ("done", 45, 31)
    status, data, headers = guest.ask(f"/pictures/{found['id']}/download")
    assert (status, headers["Content-Type"]) == (200, "image/png")
    disposition = headers["Content-Disposition"]
    assert disposition.startswith("attachment; ")
    assert unquote(disposition.split("''")[1]) == "과다 노출_restored.png"
    assert np.array_equal(decode(data), image // 2)
    assert guest.ask(f"/pictures/{found['id']}/after")[1] == data
    assert guest.ask(f"/pictures/{found['id']}/before")[1] == encode(image)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".jpg", ".jpeg"])
def test_the_result_has_the_format_of_the_input(guest: Guest, suffix: str) -> None:
    image = np.full((40, 60, 3), 200, np.uint8)
    found = guest.restore(encode(image, suffix), f"a{suffix}")
    status, data, headers = guest.ask(f"/pictures/{found['id']}/download")
    assert status == 200
    assert f"a_restored{suffix}" in headers["Content-Disposition"]
    assert data[:2] == encode(image, suffix)[:2]
    assert np.abs(decode(data).astype(int) - 100).max() <= 2  # JPEG rounds
    for view in ("before", "after"):
        _, shown, headers = guest.ask(f"/pictures/{found['id']}/{view}")
        assert headers["Content-Type"] != "image/tiff"  # browsers show none
        assert decode(shown).shape == image.shape


def test_a_result_is_called_by_what_it_is(guest: Guest) -> None:
    found = guest.restore(encode(noise(9, 9), ".jpg"), "a.png")
    headers = guest.ask(f"/pictures/{found['id']}/download")[2]
    assert "a_restored.jpg" in headers["Content-Disposition"]


def test_sixteen_bits_stay_sixteen_bits(guest: Guest) -> None:
    image = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    found = guest.restore(encode(image))
    assert decode(guest.download(found["id"])).dtype == np.uint16


def test_a_file_too_large_is_told_so(guest: Guest) -> None:
    for data in (b"x" * 100_001, encode(noise(300, 300))):
        status, told = guest.hand_in(data)
        assert status == 413
        assert "0.1 MB" in told["error"]
        assert "cli restore" in told["error"]
    assert guest.listed() == []


def test_a_file_that_hides_its_length_is_refused(guest: Guest) -> None:
    shown = {"Host": guest.place, "Cookie": guest.cookie, "Origin": f"http://{guest.place}"}
    connection = http.client.HTTPConnection(guest.place, timeout=10)
    shown["Transfer-Encoding"] = "chunked"
    pieces = iter([b"x" * 50_000] * 3)
    connection.request("POST", "/pictures?name=a.png", pieces, shown, encode_chunked=True)
    assert connection.getresponse().status == 411
    connection.close()
    assert guest.listed() == []


def make_png(width: int, height: int) -> bytes:
    """A file whose header promises so many pixels, and that holds hardly any."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("side", [1001, 30_000, 2_000_000_000])
def test_a_bomb_is_refused_by_its_header(guest: Guest, side: int) -> None:
    status, told = guest.hand_in(make_png(side, side), "bomb.png")
    assert status == 415
    assert "bomb.png" in told["error"]
    assert guest.listed() == []


HOSTILE = {
    "empty": (b"", "is empty (0 bytes)"),
    "html": (b"<html><script>alert(1)</script></html>", "is not a picture"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "is not a picture"),
    "gif": (b"GIF89a" + bytes(20), "is GIF"),
    "pdf": (b"%PDF-1.7" + bytes(20), "is PDF"),
    "elf": (b"\x7fELF" + bytes(100), "is not a picture"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_picture_is_refused_whatever_it_is_called(guest: Guest, kind: str) -> None:
    data, message = HOSTILE[kind]
    status, told = guest.hand_in(data, "a.png")
    assert status == 415
    assert message in told["error"]
    assert guest.listed() == []


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp"])
def test_a_picture_cut_short_fails_in_words_and_stops_no_other(guest: Guest, suffix: str) -> None:
    whole = encode(noise(60, 80), suffix)
    status, told = guest.hand_in(whole[: len(whole) // 2], f"cut{suffix}")
    if status == 202:
        told = guest.wait_for(told["id"])
        assert told["state"] == "failed"
        assert told["message"].startswith(f"cut{suffix} cannot be decoded")
        assert guest.ask(f"/pictures/{told['id']}/download")[0] == 404
        assert guest.ask(f"/pictures/{told['id']}/before")[0] == 404
    else:  # its header is at the end
        assert (status, told["error"].split(" (")[0]) == (415, f"cut{suffix} cannot be decoded")
    assert guest.restore(whole, f"whole{suffix}")["state"] == "done"


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("../../x.png", "x.png"),
        ("..\\..\\x.png", "x.png"),
        ("/etc/passwd", "passwd"),
        ("C:\\Windows\\x.png", "x.png"),
        ("a\r\nSet-Cookie: b=c.png", "aSet-Cookie: b=c.png"),
        ("a\x00\u202egnp.png", "agnp.png"),
        ("..", "picture"),
        ("", "picture"),
        ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
        ('"; filename="x.exe', '"; filename="x.exe'),
    ],
)
def test_names_are_without_folders_and_do_no_harm(guest: Guest, name: str, cleaned: str) -> None:
    found = guest.restore(encode(noise(9, 9)), name)
    assert found["name"] == cleaned
    headers = guest.ask(f"/pictures/{found['id']}/download")[2]
    assert len(headers.get_all("Content-Disposition")) == 1
    assert headers.get_filename().endswith("_restored.png")
    assert "Set-Cookie" not in headers


@given(some.text(max_size=300))
def test_cleaned_names_stay_clean(name: str) -> None:
    cleaned = clean_name(name)
    assert 0 < len(cleaned) <= 240
    assert clean_name(cleaned) == cleaned
    assert not set("/\\\0\r\n") & set(cleaned)
    assert cleaned not in (".", "..")


def test_nothing_is_written_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with serving() as guest:
        guest.restore(encode(noise(900, 900)), "../x.png")  # over what parsers keep in memory
        guest.restore(encode(noise(100, 100), ".tif"), "x.tif")
        guest.hand_in(b"x" * 65_000_000)
        assert files_below(tmp_path) == []


def test_one_picture_is_restored_at_a_time_as_they_came() -> None:
    gate = Gate()
    with serving(gate) as guest:
        ids = [guest.hand_in(encode(noise(8, width)))[1]["id"] for width in (8, 9, 10)]
        assert gate.seen.acquire(timeout=20)
        assert [each["state"] for each in guest.listed()] == ["restoring", "waiting", "waiting"]
        assert guest.ask(f"/pictures/{ids[0]}/before")[0] == 200
        assert guest.ask(f"/pictures/{ids[0]}/after")[0] == 404
        gate.open.release(3)
        assert [guest.wait_for(id)["state"] for id in ids] == ["done"] * 3
    assert (gate.order, gate.most) == ([8, 9, 10], 1)


class NetworkThatReports(Gate):
    """Says that a quarter is done, and waits."""

    def tell(self, told: OnShare) -> Restore:
        self.told = told
        return self

    def __call__(self, pixels: Pixels) -> Pixels:
        self.told(0.25)
        return super().__call__(pixels)


def test_the_share_that_is_done_is_told() -> None:
    network = NetworkThatReports()
    with serving(open_restorer=network.tell) as guest:
        id = guest.hand_in(encode(noise(9, 9)))[1]["id"]
        assert network.seen.acquire(timeout=20)
        assert guest.listed()[0]["share"] == 0.25
        network.open.release()
        guest.wait_for(id)


def test_what_waits_is_bounded_and_may_be_taken_back() -> None:
    gate, data = Gate(), encode(noise(50, 50))
    limits = ServeLimits(kept_bytes=int(2.5 * len(data)))
    with serving(gate, limits) as guest:
        ids = [guest.hand_in(data)[1]["id"] for _ in range(2)]
        status, told = guest.hand_in(data)
        assert status == 429
        assert "later" in told["error"]
        assert guest.ask(f"/pictures/{ids[1]}", method="DELETE")[0] == 204
        last = guest.hand_in(data)[1]["id"]
        gate.open.release(3)
        assert guest.wait_for(last)["state"] == "done"
    assert len(gate.order) == 2


def test_results_are_forgotten_when_the_memory_is_full_those_asked_for_last_stay() -> None:
    data = encode(noise(50, 50))
    with serving(limits=ServeLimits(kept_bytes=7 * len(data))) as guest:
        first, second, third = (guest.restore(data)["id"] for _ in range(3))
        assert guest.ask(f"/pictures/{first}/after")[0] == 200
        fourth = guest.restore(data)["id"]
        assert [each["id"] for each in guest.listed()] == [first, third, fourth]
        assert guest.ask(f"/pictures/{second}/download")[0] == 404
    with serving(limits=ServeLimits(kept_bytes=len(data))) as guest:
        assert guest.ask(f"/pictures/{guest.restore(data)['id']}/download")[0] == 200
    with serving(limits=ServeLimits(kept_pictures=2)) as guest:
        ids = [guest.restore(data)["id"] for _ in range(3)]
        assert [each["id"] for each in guest.listed()] == ids[1:]


class NetworkThatFails:
    """Runs out of memory, then fails otherwise, then works."""

    def __init__(self) -> None:
        self.faults: list[Exception] = [
            RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
            MemoryError(),
            UserError("Choose another --device."),
            ZeroDivisionError("secret"),
        ]

    def __call__(self, pixels: Pixels) -> Pixels:
        if self.faults:
            raise self.faults.pop(0)
        return pixels


def test_a_fault_ends_one_picture_and_not_the_page(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(NetworkThatFails()) as guest:
        told = [guest.restore(encode(noise(9, 9)))["message"] for _ in range(5)]
    assert "not enough memory" in told[0]
    assert told[1] == told[0]
    assert told[2] == "Choose another --device."
    assert told[3] == "Restoring failed (ZeroDivisionError). The terminal shows where."
    assert told[4] == ""
    assert "ZeroDivisionError: secret" in capfd.readouterr().err


def test_what_is_no_picture_of_the_same_size_is_no_result(
    capfd: pytest.CaptureFixture[str],
) -> None:
    broken = iter([np.nan, np.inf, None])

    def restore(pixels: Pixels) -> Pixels:
        value = next(broken)
        return pixels[::2] if value is None else np.full_like(pixels, value)

    with serving(restore) as guest:
        found = [guest.restore(encode(noise(40, 60))) for _ in range(3)]
        assert guest.ask(f"/pictures/{found[0]['id']}/download")[0] == 404
    assert [each["state"] for each in found] == ["failed"] * 3
    assert ["not finite" in each["message"] for each in found] == [True, True, False]
    assert "60x20 pixels of a picture of 60x40" in found[2]["message"]
    assert capfd.readouterr().err == ""


def make_tiff(pages: int) -> bytes:
    """Many pages of one pixel."""
    data = io.BytesIO()
    page = Pillow.new("RGB", (1, 1))
    page.save(data, "TIFF", save_all=True, append_images=[page] * (pages - 1))
    return data.getvalue()


def make_jpeg(scans: int) -> bytes:
    """A progressive JPEG whose last scan is said over and over."""
    data = io.BytesIO()
    Pillow.fromarray(noise(16, 16)).save(data, "JPEG", progressive=True)
    whole = data.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * scans + b"\xff\xd9"


@pytest.mark.parametrize("name", ["pages.tif", "scans.jpg"])
def test_pages_and_scans_without_end_are_refused(name: str) -> None:
    data = make_tiff(300) if name == "pages.tif" else make_jpeg(3000)
    with serving() as guest:
        status, told = guest.hand_in(data, name)
        message = told["error"] if status == 415 else guest.wait_for(told["id"])["message"]
    assert "pages" in message or "scans" in message


SERVE = """
from model.restoring.page_server import serve_restorer
print(
    serve_restorer(
        lambda told: lambda pixels: pixels, on_ready=lambda address: print(address, flush=True)
    )
)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C as POSIX has it")
def test_it_serves_until_ctrl_c_and_says_how_many_it_restored() -> None:
    command = [sys.executable, "-c", SERVE]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        guest = Guest(process.stdout.readline().strip())
        assert guest.restore(encode(noise(9, 9)))["state"] == "done"
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.read() == "1\n"
    assert process.returncode == 0


def test_the_list_says_what_the_page_needs(guest: Guest) -> None:
    guest.restore(encode(noise(9, 9)))
    told: Any = json.loads(guest.ask("/pictures")[1])
    assert told["limits"] == {"bytes": 100_000, "pixels": 1_000_000}
    assert {".png", ".jpg", ".webp", ".tif", ".bmp"} <= set(told["suffixes"])
    assert told["pictures"][0]["expected_s"] > 0
    assert told["pictures"][0]["views"] == ["before", "after", "thumbnail"]
