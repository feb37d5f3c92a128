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
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from helpers import ROOT, made_modern
from helpers.processes import Process
from helpers.restorers import (
    Gate,
    Guest,
    darken,
    decode,
    encode,
    files_below,
    noise,
    read_answer,
    serving,
)
from helpers.tiny_physical import over_expose, scene
from helpers.waiting import SOON_S, soon
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image as Pillow
from PIL import ImageCms

from dataset.errors import UserError
from dataset.pictures.pixels import Pixels, to_image, to_pixels
from model.options import RestoreOptions
from model.restoring import page_server
from model.restoring.baselines import cielab
from model.restoring.keeping import keep_unclipped
from model.restoring.methods import OnShare, Restore
from model.restoring.page_server import (
    RestoringPage,
    bind_restorer,
    make_restore_app,
)
from model.restoring.uploads import ServeLimits, Upload, clean_name
from model.restoring.ways import ways_beside

pytestmark = pytest.mark.slow

ARTIST = 315  # of EXIF
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


@pytest.mark.parametrize("path", ["/", "/facts", "/restore.js", "/?token=wrong"])
def test_without_the_token_nothing_is_served(guest: Guest, path: str) -> None:
    for cookie in ("", guest.cookie[:-1], f"{guest.cookie}x"):
        status, body, headers = guest.ask(path, Cookie=cookie)
        assert status == 403
        assert guest.token.encode() not in body
        assert "Set-Cookie" not in headers
    assert guest.hand_in(encode(noise(9, 9)), Cookie="")[0] == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1.evil:80"])
def test_another_host_is_refused(guest: Guest, host: str) -> None:
    assert guest.ask("/facts", Host=host)[0] == 403
    assert guest.hand_in(encode(noise(9, 9)), Host=host)[0] == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1", ""])
def test_another_origin_restores_nothing(origin: str) -> None:
    gate = Gate()
    with serving(gate) as guest:
        assert guest.hand_in(encode(noise(9, 9)), Origin=origin)[0] == 403
        if origin:
            assert guest.ask("/facts", Origin=origin)[0] == 403
    assert gate.order == []


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/restore",
        "/page/index.html",
        "/static/index.html",
        "/page_server.py",
    ],
)
def test_only_the_page_is_served(guest: Guest, path: str) -> None:
    status, body, _ = guest.ask(path)
    assert status in (404, 405)
    assert b"root:" not in body


def test_an_answer_is_kept_by_no_one_but_the_page(guest: Guest) -> None:
    headers = guest.ask("/restore", encode(noise(9, 9)))[2]
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Type"] == "application/octet-stream"


def test_the_result_is_what_the_function_gives(guest: Guest) -> None:
    image = noise(31, 45)
    found = guest.restore(encode(image), "과다 노출.png")
    assert (found.state, found.facts["width"], found.facts["height"]) == ("done", 45, 31)
    assert found.facts["elapsed_s"] >= 0
    assert (found.result_name, found.kinds["result"]) == ("과다 노출_restored.png", "image/png")
    assert np.array_equal(decode(found.parts["result"]), image // 2)
    assert max(decode(found.parts["thumbnail"]).shape) == 45
    # The browser has the file itself, and the result can be shown as it is.
    assert (found.kinds["before"], found.parts["before"]) == ("image/png", b"")
    assert "after" not in found.parts


@pytest.mark.parametrize(
    ("name", "suffix"), [("AVIF", "avif"), ("HEIC", "HEIC"), ("JPEG XL", "jxl")]
)
def test_what_browsers_may_not_show_is_sent_as_png(guest: Guest, name: str, suffix: str) -> None:
    image = made_modern.levels(height=64, width=64)
    found = guest.restore(made_modern.MAKERS[name](image), f"a.{suffix}")
    assert found.result_name == "a_restored.png"
    assert found.kinds["before"] == found.kinds["result"] == "image/png"
    assert np.array_equal(decode(found.parts["before"]), image)
    assert np.array_equal(decode(found.parts["result"]), image // 2)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".jpg", ".jpeg"])
def test_the_result_has_the_format_of_the_input(guest: Guest, suffix: str) -> None:
    image = np.full((40, 60, 3), 200, np.uint8)
    file = encode(image, suffix)
    found = guest.restore(file, f"a{suffix}")
    assert found.result_name == f"a_restored{suffix}"
    assert found.parts["result"][:2] == file[:2]
    assert np.abs(decode(found.parts["result"]).astype(int) - 100).max() <= 2  # JPEG rounds
    shown = [found.parts["before"] or file, found.parts.get("after", found.parts["result"])]
    assert [decode(each).shape for each in shown] == [image.shape] * 2
    assert "image/tiff" not in (found.kinds["before"], found.kinds.get("after"))  # shown nowhere
    assert ("after" in found.parts) == (suffix == ".tif")


def test_a_result_is_called_by_what_it_is(guest: Guest) -> None:
    found = guest.restore(encode(noise(9, 9), ".jpg"), "a.png")
    assert (found.result_name, found.kinds["result"]) == ("a_restored.jpg", "image/jpeg")


def test_sixteen_bits_transparency_and_metadata_are_kept(guest: Guest) -> None:
    image = np.random.default_rng(0).integers(0, 65536, (20, 30, 4), dtype=np.uint16)
    given, found = (
        decode(each, channels=4)
        for each in (encode(image), guest.restore(encode(image)).parts["result"])
    )
    assert found.dtype == np.uint16
    assert np.array_equal(found[..., 3], given[..., 3])
    photo, buffer = Pillow.fromarray(noise(8, 8)), io.BytesIO()
    exif = photo.getexif()
    exif[ARTIST] = "somebody"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo.save(buffer, "JPEG", exif=exif, icc_profile=profile)
    with Pillow.open(io.BytesIO(guest.restore(buffer.getvalue(), "a.jpg").parts["result"])) as kept:
        assert kept.getexif()[ARTIST] == "somebody"
        assert kept.info["icc_profile"] == profile


def test_a_file_too_large_is_told_so(guest: Guest) -> None:
    for data in (b"x" * 100_001, encode(noise(300, 300))):
        status, told = guest.hand_in(data)
        assert status == 413
        assert "0.1 MB" in told["error"]
        assert "cli restore" in told["error"]


def test_a_file_that_hides_its_length_is_refused(guest: Guest) -> None:
    shown = {"Host": guest.place, "Cookie": guest.cookie, "Origin": f"http://{guest.place}"}
    connection = http.client.HTTPConnection(guest.place, timeout=SOON_S)
    shown["Transfer-Encoding"] = "chunked"
    pieces = iter([b"x" * 50_000] * 3)
    connection.request("POST", "/restore?name=a.png", pieces, shown, encode_chunked=True)
    assert connection.getresponse().status == 411
    connection.close()


@pytest.mark.parametrize("asked", ["strength=", "strength=1.01", "strength=-1", "strength=nan"])
def test_a_strength_that_is_no_share_is_refused(asked: str) -> None:
    gate = Gate()
    with serving(gate, SMALL) as guest:
        for text in (asked, "strength=0%2C5"):
            status, told = guest.hand_in(encode(noise(9, 9)), asked=f"&{text}")
            assert status == 400
            assert "not a share. Choose a number from 0 to 1" in told["error"]
        assert guest.hand_in(encode(noise(300, 100)), asked=f"&{asked}")[0] == 400
    assert gate.order == []


@pytest.mark.parametrize("way", ["", "network", "RESTORED", "cielab"])
def test_a_way_that_is_not_offered_is_refused(way: str) -> None:
    gate = Gate()
    with serving(gate, ways=("restored", "unclipped")) as guest:
        status, told = guest.hand_in(encode(noise(9, 9)), asked=f"&way={way}")
    assert status == 400
    assert told["error"] == f"There is no way {way!r}. Choose one of: restored, unclipped."
    assert gate.order == []


def test_bad_queries_take_no_place_from_others() -> None:
    with serving(limits=ServeLimits(uploads=1)) as guest:
        for _ in range(3):
            assert guest.hand_in(encode(noise(9, 9)), asked="&way=no")[0] == 400
        assert guest.restore(encode(noise(9, 9))).state == "done"


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_strength_gives_a_share_of_the_correction(guest: Guest, suffix: str) -> None:
    image = noise(40, 50)
    found = {
        share: guest.restore(encode(image, suffix), f"a{suffix}", f"&way=restored&strength={share}")
        for share in ("0", "0.25", "1")
    }
    assert np.array_equal(decode(found["0"].parts["result"]), image)
    assert np.array_equal(decode(found["1"].parts["result"]), image // 2)
    mixed = np.rint(image + 0.25 * (image // 2 - image.astype(float)))
    assert np.abs(decode(found["0.25"].parts["result"]) - mixed).max() <= 1  # halves
    assert found["0.25"].parts.keys() == {"result"}  # it is downloaded, not shown
    assert found["0.25"].result_name == f"a_restored{suffix}"


def test_full_strength_is_the_file_that_came_first(guest: Guest) -> None:
    data = encode(noise(40, 50), ".jpg")
    first = guest.restore(data, "a.jpg")
    again = guest.restore(data, "a.jpg", "&way=restored&strength=1")
    assert again.parts["result"] == first.parts["result"]
    assert again.facts["notes"] == first.facts["notes"]


@pytest.mark.parametrize("share", ["", "&strength=0.5"])
def test_each_way_restores_by_its_method(guest: Guest, share: str) -> None:
    image = over_expose(scene(1, 60, 90), 3.0)
    pixels = to_pixels(image)
    methods = {
        "restored": darken,
        "unclipped": lambda given: keep_unclipped(given, darken(given)),
        "cielab": cielab,
    }
    for way, method in methods.items():
        found = guest.restore(encode(image), "a.png", f"&way={way}{share}")
        wanted = pixels + np.float32(0.5 if share else 1) * (method(pixels) - pixels)
        assert np.array_equal(decode(found.parts["result"]), to_image(wanted))
        assert found.result_name == f"a_{way}.png"
        assert "before" not in found.parts  # its browser has it
        assert ("thumbnail" in found.parts) == (not share)


def test_a_picture_counts_once_however_often_it_is_restored() -> None:
    page = RestoringPage(lambda told: darken, SMALL)
    client = make_restore_app(page).test_client()
    for asked in ("", "&way=restored", "&way=cielab&strength=0.5", ""):
        answer = client.post(f"/restore?name=a.png{asked}", data=encode(noise(9, 9)))
        assert read_answer(answer.data).state == "done"
    assert page.restored == 2


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        (RestoreOptions(), ("restored", "unclipped", "cielab")),
        (RestoreOptions(keep="unclipped", run="x"), ("restored", "cielab")),
        (RestoreOptions(method="cielab"), ("restored", "unclipped")),
        (RestoreOptions(method="cielab", threshold=90.0), ("restored", "unclipped", "cielab")),
        (RestoreOptions(method="cielab", keep="unclipped"), ("restored", "cielab")),
    ],
)
def test_ways_that_would_be_the_same_are_not_offered(
    options: RestoreOptions, offered: tuple[str, ...]
) -> None:
    assert ways_beside(options) == offered
    with serving(ways=offered) as guest:
        assert json.loads(guest.ask("/facts")[1])["ways"] == list(offered)


def make_png(width: int, height: int) -> bytes:
    """A file whose header promises this many pixels, with hardly any in it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("side", [1001, 30_000, 2_000_000_000])
def test_a_bomb_is_refused_by_its_header(side: int) -> None:
    gate = Gate()
    with serving(gate, SMALL) as guest:
        told = guest.restore(make_png(side, side), "bomb.png")
    assert told.state == "failed"
    assert "bomb.png" in told.message
    assert gate.order == []


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
    told = guest.restore(data, "a.png")
    assert told.state == "failed"
    assert message in told.message
    assert told.parts == {}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp"])
def test_a_picture_cut_short_fails_in_words_and_stops_no_other(guest: Guest, suffix: str) -> None:
    whole = encode(noise(60, 80), suffix)
    told = guest.restore(whole[: len(whole) // 2], f"cut{suffix}")
    assert told.state == "failed"
    assert told.message.startswith(f"cut{suffix} cannot be decoded")
    assert told.parts == {}
    assert guest.restore(whole, f"whole{suffix}").state == "done"


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
    assert found.facts["name"] == cleaned
    assert found.result_name == f"{Path(cleaned).stem}_restored.png"
    assert "Set-Cookie" not in guest.ask(f"/restore?name={quote(name)}", b"")[2]


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


def test_one_picture_is_restored_at_a_time() -> None:
    gate = Gate()
    with serving(gate) as guest, ThreadPoolExecutor() as windows:
        waiting = [windows.submit(guest.restore, encode(noise(8, width))) for width in (8, 9, 10)]
        assert gate.seen.acquire(timeout=SOON_S)
        assert not gate.seen.acquire(timeout=0.2)
        gate.open.release(3)
        assert [each.result(SOON_S).state for each in waiting] == ["done"] * 3
    assert (sorted(gate.order), gate.most) == ([8, 9, 10], 1)


class NetworkThatReports(Gate):
    """Says that a quarter is done, waits, and says that half is done."""

    def tell(self, told: OnShare) -> Restore:
        self.told = told
        return self

    def __call__(self, pixels: Pixels) -> Pixels:
        self.told(0.25)
        super().__call__(pixels)
        self.told(0.5)
        return pixels


def test_the_share_that_is_done_is_told_while_it_is_restored() -> None:
    network = NetworkThatReports()
    with serving(open_restorer=network.tell) as guest:
        shown = {"Host": guest.place, "Cookie": guest.cookie, "Origin": f"http://{guest.place}"}
        connection = http.client.HTTPConnection(guest.place, timeout=SOON_S)
        connection.request("POST", "/restore?name=a.png", encode(noise(9, 9)), shown)
        answer, begun = connection.getresponse(), b""
        while b'{"share": 0.25}\n' not in begun:
            begun += answer.read1()
        network.open.release()
        assert read_answer(begun + answer.read()).shares == [0.25, 0.5]
        connection.close()


def test_a_picture_that_nobody_waits_for_is_not_restored_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uploads: list[Upload] = []

    def remembered(*about: Any) -> Upload:
        uploads.append(Upload(*about))
        return uploads[-1]

    monkeypatch.setattr(page_server, "Upload", remembered)
    network = NetworkThatReports()
    with serving(open_restorer=network.tell) as guest:
        shown = {"Host": guest.place, "Cookie": guest.cookie, "Origin": f"http://{guest.place}"}
        for width in (9, 10):
            connection = http.client.HTTPConnection(guest.place, timeout=SOON_S)
            connection.request("POST", "/restore?name=a.png", encode(noise(9, width)), shown)
            connection.getresponse().read1()
            if width == 9:
                assert network.seen.acquire(timeout=SOON_S)  # the other one waits for its turn
            connection.close()
        soon(lambda: [each.cancelled.is_set() for each in uploads] == [True, True])
        network.open.release(2)
        assert guest.restore(encode(noise(9, 11))).state == "done"
    assert network.order == [9, 11]


def test_no_more_pictures_wait_than_memory_is_kept_for() -> None:
    gate, data = Gate(), encode(noise(50, 50))
    with serving(gate, ServeLimits(uploads=2)) as guest, ThreadPoolExecutor() as windows:
        sent = [windows.submit(guest.hand_in, data) for _ in range(3)]
        refused = next(as_completed(sent, timeout=SOON_S))  # the two others wait at the gate
        status, told = refused.result(SOON_S)
        assert status == 429
        assert "later" in told["error"]
        gate.open.release(3)
        answers = [each.result(SOON_S)[1] for each in sent if each is not refused]
        assert [read_answer(each).state for each in answers] == ["done"] * 2
        assert guest.restore(data).state == "done"


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
        told = [guest.restore(encode(noise(9, 9))).message for _ in range(5)]
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
    assert [each.state for each in found] == ["failed"] * 3
    assert ["result" in each.parts for each in found] == [False] * 3
    assert ["not finite" in each.message for each in found] == [True, True, False]
    assert "60x20 pixels of a picture of 60x40" in found[2].message
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
        message = guest.restore(data, name).message
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
    with Process(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        guest = Guest(process.stdout.readline().strip())
        assert guest.restore(encode(noise(9, 9))).state == "done"
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.read() == "1\n"
    assert process.returncode == 0


def test_the_page_learns_what_it_may_send(guest: Guest) -> None:
    told: Any = json.loads(guest.ask("/facts")[1])
    assert told["limits"] == {"bytes": 100_000, "pixels": 1_000_000}
    assert {".png", ".jpg", ".webp", ".tif", ".bmp"} <= set(told["suffixes"])
    assert {".mp4", ".mkv", ".mov"} <= set(told["videos"])
    assert told["ways"] == ["restored", "unclipped", "cielab"]
