"""Damaged, huge and foreign files are refused with a way on, and none is read by half."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_pictures import exif, read, saved, scene, tiff
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image

from dataset.errors import UserError
from dataset.pictures import decoding, png
from dataset.pictures.decoding import MOST_PIXELS, open_checked
from dataset.pictures.encoding import encode_picture, losses, write_picture
from dataset.pictures.exif import PREFIX
from dataset.pictures.images import decode
from dataset.pictures.picture import Picture, decode_picture, read_picture

FILES = {
    "png": saved(scene(4), "PNG"),
    "png16": png.encode_samples(scene(3, np.uint16)),
    "jpeg": saved(scene(), "JPEG", exif=PREFIX + exif(6)),
    "progressive": saved(scene(), "JPEG", progressive=True),
    "webp": saved(scene(), "WEBP", exif=exif(6)),
    "webp lossless": saved(scene(4), "WEBP", lossless=True),
    "tiff": saved(scene(), "TIFF"),
    "tiff lzw": saved(scene(), "TIFF", compression="tiff_lzw"),
    "tiff16": encode_picture(Picture(scene() / np.float32(255), depth=16, exif=exif()), ".tiff"),
    "bmp": saved(scene(), "BMP"),
}


@pytest.mark.parametrize("name", FILES)
def test_half_a_picture_is_never_read(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = FILES[name]
    good = read(data, tmp_path).pixels
    for cut in {0, 1, 10, *range(0, len(data), max(1, len(data) // 40)), len(data) - 1}:
        try:
            found = read(data[:cut], tmp_path)
        except UserError:
            continue
        assert np.array_equal(found.pixels, good), cut
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@settings(max_examples=300)
@given(some.sampled_from(sorted(FILES)), some.data())
def test_damage_is_refused_or_read_but_breaks_nothing(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: Any
) -> None:
    damaged = bytearray(FILES[name])
    places = some.integers(0, min(400, len(damaged) - 1)) | some.integers(0, len(damaged) - 1)
    for place in data.draw(some.lists(places, min_size=1, max_size=8)):
        damaged[place] = data.draw(some.sampled_from([0, 255]) | some.integers(0, 255))
    folder = tmp_path_factory.mktemp("damage")
    try:
        picture = read(bytes(damaged), folder)
    except UserError:
        return
    for suffix in (".png", ".jpg", ".webp", ".tiff", ".bmp"):
        if max(picture.size) < 16_000:
            encode_picture(picture, suffix)
            losses(picture, suffix)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".bmp"])
def test_a_damaged_tag_of_exif_is_left_out_in_silence(suffix: str, tmp_path: Path) -> None:
    whole = FILES["jpeg"]
    for place in range(20, 400):  # every byte of the block and of what stands before it
        for value in (0, 255):
            damaged = bytearray(whole)
            damaged[place] = value
            try:
                picture = read(bytes(damaged), tmp_path)
            except UserError:
                continue
            assert encode_picture(picture, suffix)


def test_a_flipped_bit_in_a_png_is_noticed(tmp_path: Path) -> None:
    for data in (FILES["png"], FILES["png16"]):
        damaged = bytearray(data)
        damaged[data.index(b"IDAT") + 20] ^= 1
        with pytest.raises(UserError, match=r"picture\.bin cannot be decoded"):
            read(bytes(damaged), tmp_path)


def bombs() -> dict[str, bytes]:
    """Headers of pictures of 60,000 x 60,000 pixels, in a few bytes."""
    side = 60_000
    header = struct.pack(">II5B", side, side, 8, 2, 0, 0, 0)
    rows = png.chunk(b"IDAT", zlib.compress(bytes(1000))) + png.chunk(b"IEND", b"")
    frame = struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0])
    jpeg = saved(scene(1), "JPEG")
    start = jpeg.index(b"\xff\xc0")
    bmp = bytearray(saved(scene(), "BMP"))
    struct.pack_into("<ii", bmp, 18, side, side)
    strip = tiff(np.zeros((1, 1), np.uint8), photometric="minisblack")
    large = strip
    for tag in (256, 257):
        at = large.index(struct.pack("<HH", tag, 4))
        large = large[:at] + struct.pack("<HHII", tag, 4, 1, side) + large[at + 12 :]
    return {
        "png": png.SIGNATURE + png.chunk(b"IHDR", header) + rows,
        "jpeg": jpeg[: start + 4] + frame + jpeg[start + 4 + len(frame) :],
        "bmp": bytes(bmp),
        "tiff": large,
    }


@pytest.mark.parametrize("name", ["png", "jpeg", "bmp", "tiff"])
def test_bombs_are_refused_by_their_header(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="60000x60000 pixels, over 400 million"):
        read(bombs()[name], tmp_path)


def test_a_bomb_of_text_is_refused(tmp_path: Path) -> None:
    text = png.chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 27)))
    with pytest.raises(UserError, match="cannot be decoded"):
        read(png.encode_samples(scene(), extra=text), tmp_path)


@pytest.mark.slow
def test_large_pictures_that_pillow_would_refuse_are_decoded() -> None:
    side = 14_000
    assert 2 * 89_478_485 < side**2 < MOST_PIXELS  # Pillow warns from the first on, and at double
    for name in ("PNG", "TIFF"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            image = open_checked(saved(Image.new("1", (side, side)), name), Path("large"), None)
            image.load()
        assert image.size == (side, side)


def many_pages() -> bytes:
    pages = []
    for page in range(60_000):
        sides = b"".join(struct.pack("<HHII", tag, 4, 1, 8) for tag in (256, 257))
        pages.append(struct.pack("<H", 2) + sides + struct.pack("<I", 8 + 30 * (page + 1)))
    return struct.pack("<2sHI", b"II", 42, 8) + b"".join(pages)[:-4] + bytes(4)


def many_scans() -> bytes:
    data = saved(scene(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 3_000 + data[-2:]


@pytest.mark.parametrize(
    ("data", "words"), [(many_pages(), "over 100 pages"), (many_scans(), "JPEG of 30.. scans")]
)
def test_what_would_take_minutes_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read(data, tmp_path)


def test_a_picture_larger_than_the_memory_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "free_memory", lambda: 1 << 20)
    with pytest.raises(UserError, match=r"300x400 takes .* GiB are free"):
        read(saved(np.zeros((400, 300, 3), np.uint8), "PNG"), tmp_path)


def animation(name: str) -> bytes:
    frames = [Image.fromarray(scene()), Image.fromarray(scene()[::-1])]
    return saved(frames[0], name, save_all=True, append_images=frames[1:])


PLANES = scene(3, np.uint16).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"hello, I am a text file\n", "is not a picture"),
        (animation("GIF"), "is GIF. Readable are PNG, .*, BMP, AVIF, HEIC, JPEG XL: "),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "is JPEG 2000"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "its header is damaged or cut off"),
        (animation("PNG"), "holds 2 frames of an animation"),
        (animation("WEBP"), "holds 2 frames of an animation"),
        (animation("TIFF"), "holds 2 pages"),
        (tiff(scene().astype(np.float32), photometric="rgb"), "HDR picture .floating"),
        (tiff(scene(1).astype(np.float32), photometric="minisblack"), "HDR picture .floating"),
        (tiff(scene(1).astype(np.int16), photometric="minisblack"), "signed or floating"),
        (tiff(scene(1).astype(np.uint32), photometric="minisblack"), "32 bits per channel"),
        (
            tiff(
                scene(3, np.uint16).transpose(2, 0, 1), photometric="rgb", planarconfig="separate"
            ),
            "stored one by one",
        ),
        (saved(Image.fromarray(scene()).convert("LAB"), "TIFF"), "colours are LAB"),
    ],
)
def test_what_is_not_read_is_named_with_a_way_on(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        read(data, tmp_path)
    assert "picture.bin" in str(caught.value)
    assert caught.value.exit_code == 1


def test_the_frames_that_phones_add_to_a_jpeg_are_told_of(tmp_path: Path) -> None:
    image = Image.fromarray(scene())
    data = saved(image, "MPO", save_all=True, append_images=[Image.fromarray(scene()[::2, ::2])])
    picture = read(data, tmp_path)
    assert picture.size == (36, 24)
    assert picture.notes == ("further pictures in the same JPEG, like a preview, left out",)


def test_paths_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match=r"folder\.png is not a file"):
        read_picture(tmp_path / "folder.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(UserError, match=r"pipe\.png is not a file"):
            read_picture(tmp_path / "pipe.png")
    with pytest.raises(UserError, match=r"Cannot read .*none\.png: No such file"):
        read_picture(tmp_path / "none.png")
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        return  # nothing is unreadable for root, nor by its mode on Windows
    (tmp_path / "locked.png").write_bytes(FILES["png"])
    (tmp_path / "locked.png").chmod(0)
    with pytest.raises(UserError, match="Permission denied"):
        read_picture(tmp_path / "locked.png")


def test_formats_that_cannot_be_written_are_named() -> None:
    picture = Picture(np.zeros((1, 20_000, 3), np.float32))
    with pytest.raises(UserError, match=r"16383 pixels a side, and this picture is 20000x1"):
        encode_picture(picture, ".webp")
    with pytest.raises(UserError, match=r"not written as \.gif\. Use one of \.png"):
        encode_picture(picture, ".gif")


def test_a_picture_that_cannot_be_written_leaves_what_was_there(small_disk: Path) -> None:
    path = small_disk / "a.png"
    path.write_bytes(b"before")
    noise = np.random.default_rng(0).random((1500, 2500, 3), np.float32)
    with pytest.raises(UserError, match=r"a\.png: No space left"):
        write_picture(path, Picture(noise))
    assert path.read_bytes() == b"before"
    assert [each.name for each in small_disk.iterdir()] == ["a.png"]


@pytest.mark.parametrize("way", ["strips", "one strip", "tiles", "deflate"])
def test_a_tiff_that_states_more_rows_than_it_has_is_no_picture(tmp_path: Path, way: str) -> None:
    tags: dict[str, dict[int, Any]] = {
        "strips": {278: 4},
        "one strip": {},
        "tiles": {},
        "deflate": {278: 4},
    }
    how = {"compression": "tiff_adobe_deflate"} if way in ("deflate", "tiles") else {}
    data = bytearray(saved(scene(), "TIFF", tiffinfo=tags[way], **how))
    if way == "tiles":
        data = bytearray(tiled(scene()))
    read(bytes(data), tmp_path)
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    for place in range(first + 2, first + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from("<HH", data, place)
        if tag == 257:  # its height
            struct.pack_into("<HIH" if kind == 3 else "<HII", data, place + 2, kind, 1, 60_000)
    with pytest.raises(UserError, match="part of its picture is missing"):
        read(bytes(data), tmp_path)


def tiled(picture: Any) -> bytes:
    """RGB uint8 as a TIFF of tiles of 16."""
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, picture, tile=(16, 16), photometric="rgb", metadata=None)
    return file.getvalue()


def test_a_jpeg_too_short_for_its_size_is_no_picture(tmp_path: Path) -> None:
    data = bytearray(saved(scene(), "JPEG", progressive=True))
    place = data.index(b"\xff\xc2") + 5  # its frame: length, precision, height, width
    struct.pack_into(">HH", data, place, 6_894, 56_560)
    with pytest.raises(UserError, match="part of its picture is missing"):
        read(bytes(data), tmp_path)
    with pytest.raises(UserError, match="part of its picture is missing"):
        decode(bytes(data), "x.jpg")
    white = np.full((2_000, 2_000, 3), 255, np.uint8)  # the shortest that is whole
    assert (read(saved(white, "JPEG", quality=1), tmp_path).pixels == 1).all()


def test_a_decoder_that_trips_is_told_in_our_words() -> None:
    with pytest.raises(UserError, match="its numbers make no sense"):
        decode_picture(b"\x89PNG\r\n\x1a\nxx", "a.png")
