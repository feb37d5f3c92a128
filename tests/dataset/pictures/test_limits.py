"""A picture's limits are checked on its first bytes; what is too large is never decoded."""

from __future__ import annotations

import os
import struct
import sys
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.limited import fault_without_memory
from helpers.made_pictures import saved, scene
from helpers.processes import Thread, printed_by
from hypothesis import given
from hypothesis import strategies as some

from dataset.errors import UserError
from dataset.pictures.headers import Header, read_header
from dataset.pictures.images import decode, read_image
from dataset.pictures.limits import MOST_PIXELS, InFlight, TooLarge, check_header
from dataset.sessions.imports import import_files

SUFFIXES = (".png", ".jpg", ".bmp", ".webp", ".tiff")


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png_of(width: int, height: int) -> bytes:
    """A black picture of one bit a pixel, in few bytes whatever its size."""
    packer = zlib.compressobj(9)
    row = bytes(1 + -(-width // 8))
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">II5B", width, height, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def jpeg_of_scans(count: int) -> bytes:
    """A progressive picture whose last scan comes again and again."""
    data = saved(scene(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (count - read(data).scans) + data[-2:]


def tiff_of_pages(count: int) -> bytes:
    """Directories of a width and a height each, one after the other."""
    step = 2 + 2 * 12 + 4
    pages = []
    for page in range(count):
        sides = b"".join(struct.pack("<HHII", tag, 4, 1, 8) for tag in (256, 257))
        following = 8 + step * (page + 1) if page + 1 < count else 0
        pages.append(struct.pack("<H", 2) + sides + struct.pack("<I", following))
    return struct.pack("<2sHI", b"II", 42, 8) + b"".join(pages)


def read(data: bytes) -> Header:
    found = read_header(data)
    assert found is not None
    return found


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(some.integers(1, 300), some.integers(1, 300))
def test_the_header_says_the_size_that_decoding_gives(suffix: str, width: int, height: int) -> None:
    data = cv2.imencode(suffix, np.zeros((height, width, 3), np.uint8))[1].tobytes()
    header = read(data)
    assert header.size == (width, height)
    assert (header.pages, header.scans) == (1, 1)
    assert decode(data, "a").shape == (height, width, 3)


@pytest.mark.parametrize(
    "data",
    [
        saved(scene(), "WEBP", lossless=True),
        saved(scene(4), "WEBP", exif=b"Exif\0\0II"),
        saved(scene(), "TIFF", big_tiff=True),
        saved(scene(), "JPEG", progressive=True, restart_marker_rows=1),
    ],
    ids=["lossless", "extended", "big", "restarts"],
)
def test_the_header_says_the_size_in_rarer_kinds_too(data: bytes) -> None:
    header = read(data)
    assert header.size == (36, 24)


@given(some.sampled_from(SUFFIXES), some.data())
def test_damage_is_never_more_than_no_header(suffix: str, data: some.DataObject) -> None:
    whole = cv2.imencode(suffix, scene())[1].tobytes()
    damaged = bytearray(whole[: data.draw(some.integers(0, len(whole)))])
    for _ in range(data.draw(some.integers(0, 5)) if damaged else 0):
        damaged[data.draw(some.integers(0, len(damaged) - 1))] = data.draw(some.integers(0, 255))
    read_header(bytes(damaged))


def test_a_directory_that_leads_back_to_itself_is_read_once() -> None:
    data = bytearray(tiff_of_pages(3))
    data[-4:] = struct.pack("<I", 8)
    assert read(bytes(data)).pages == 3


@pytest.mark.slow
def test_huge_pictures_are_left_out_of_an_import_and_never_decoded(tmp_path: Path) -> None:
    huge = png_of(32_000, 32_000)
    assert len(huge) < 200_000
    for name in "abcd":
        (tmp_path / f"{name}.png").write_bytes(huge)
    (tmp_path / "e.png").write_bytes(png_of(40, 30))
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from dataset.sessions.imports import import_files\n"
        "done = import_files([Path(sys.argv[1])], Path(sys.argv[2]))\n"
        "print(*done.skipped, sep='\\n')\n"
        # Not of getrusage, which counts what the process had before it became this program.
        "status = Path('/proc/self/status')\n"
        "text = status.read_text() if status.exists() else 'VmHWM: 0 kB'\n"
        "print(int(text.partition('VmHWM:')[2].split()[0]) // 1024)\n"
    )
    *skipped, megabytes = printed_by(code, tmp_path, tmp_path / "captures").splitlines()
    assert len(skipped) == 4
    assert all("has 32000x32000 pixels, over 400 million" in each for each in skipped)
    assert int(megabytes) < 700


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiff_of_pages(60_000), "holds over 100 pages"),
        (jpeg_of_scans(3_000), "is a JPEG of 3000 scans"),
        (png_of(30_000, 30_000), "has 30000x30000 pixels"),
    ],
    ids=["pages", "scans", "pixels"],
)
def test_what_would_take_minutes_is_refused_by_its_header(data: bytes, words: str) -> None:
    with pytest.raises(TooLarge, match=words) as caught:
        decode(data, "odd.bin")
    assert "odd.bin" in str(caught.value)


def test_scans_and_pixels_count_together() -> None:
    assert decode(jpeg_of_scans(100), "a").shape == (24, 36, 3)
    with pytest.raises(TooLarge, match="100 scans"):
        check_header(Header("JPEG", (20_000, 15_000), scans=100), "a")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits a process as Linux does")
def test_a_whole_picture_without_memory_for_it_is_not_called_broken() -> None:
    code = """
        import cv2, numpy as np
        from dataset.pictures.images import decode
        data = cv2.imencode(".png", np.zeros((9000, 9000, 3), np.uint8))[1].tobytes()
    """
    said = fault_without_memory(code, then='decode(data, "frame.png")')
    assert "frame.png takes more memory than is free" in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_pipes_and_devices_are_no_pictures(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"Cannot read .*a\.png: it is no regular file"):
        read_image(tmp_path / "a.png")
    with pytest.raises(UserError, match="Cannot read /dev/zero: it is no regular file"):
        read_image("/dev/zero")
    with pytest.raises(UserError, match="it is no regular file"):
        import_files([tmp_path / "a.png"], tmp_path / "captures")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (saved(scene(), "GIF"), "is GIF. Readable are PNG"),
        (b"P6 40000 40000 255\n", "is Netpbm"),
        (b"#?RADIANCE\n\n-Y 40000 +X 40000\n", r"is an HDR picture \(Radiance HDR\)"),
    ],
)
def test_formats_that_are_not_on_the_list_are_not_decoded(data: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words):
        decode(data, "a.png")


def test_only_so_many_pixels_are_in_flight() -> None:
    flight, inside, most = InFlight(100), [0], [0]
    lock = threading.Lock()

    def decode_one(pixels: int) -> None:
        for _ in range(50):
            with flight.room(pixels):
                with lock:
                    inside[0] += pixels
                    most[0] = max(most[0], inside[0])
                with lock:
                    inside[0] -= pixels

    threads = [Thread(target=decode_one, args=(size,)) for size in (30, 40, 50, 99)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert inside == [0]
    assert 0 < most[0] <= 100


def test_a_picture_over_the_budget_is_decoded_alone() -> None:
    flight = InFlight(100)
    with flight.room(MOST_PIXELS):
        pass
