"""HDR files that are damaged, cut off or hostile are refused in words, before they take memory."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dataset.errors import UserError
from dataset.pictures import jpegxr
from dataset.pictures.hdr import decode_hdr
from dataset.pictures.hdr_picture import MOST_LIGHT, HdrPicture, finished
from dataset.pictures.hdr_tiff import ASSUMED
from dataset.pictures.limits import TooLarge
from tests.helpers import made_light
from tests.helpers.made_light import CASES, chart
from tests.helpers.made_pictures import tiff

HUGE = 60_000  # of a side
PLACES = 25  # where a file is cut off
CUT = [
    *("PNG, PQ, 16 bits", "AVIF, PQ, 10 bits", "HEIF, PQ, 10 bits", "JPEG XL, PQ, 16 bits"),
    *("OpenEXR, half", "Radiance HDR, RGBE", "TIFF, 32-bit floats", "JPEG, gain map of Adobe"),
    *("HEIF, gain map of Apple", "HEIF, gain map of ISO 21496-1"),
    *("AVIF, gain map of ISO 21496-1", "JPEG XL, gain map of ISO 21496-1"),
]


def _patched(data: bytes, at: int, content: bytes) -> bytes:
    return data[:at] + content + data[at + len(content) :]


def _png() -> bytes:
    head = made_light.chunk(b"IHDR", struct.pack(">II5B", HUGE, HUGE, 16, 2, 0, 0, 0))
    return (
        CASES["PNG, PQ, 16 bits"].write(chart())[:8] + head + made_light.png(chart(), 16, 16)[33:]
    )


def _boxed(name: str) -> bytes:
    data = CASES[name].write(chart())
    return _patched(data, data.index(b"ispe") + 8, struct.pack(">II", HUGE, HUGE))


def _jpeg_xl() -> bytes:
    data = CASES["JPEG XL, PQ, 8 bits"].write(chart())
    bits = int.from_bytes(data[2:20], "little")
    bits |= (HUGE << 3) | (HUGE << 38)  # behind how many bits each has
    return data[:2] + bits.to_bytes(18, "little") + data[20:]


def _jpeg_xr() -> bytes:
    data = bytearray(made_light.jpeg_xr(chart() / 80))
    for tag in (jpegxr.WIDTH, jpegxr.HEIGHT):
        at = data.index(struct.pack("<H", tag))
        struct.pack_into("<I", data, at + 8, HUGE)
    at = data.index(jpegxr.SIGNATURE) + 12
    short = data[at - 2] & 0x80
    struct.pack_into(">HH" if short else ">II", data, at, HUGE - 1, HUGE - 1)
    return bytes(data)


def _exr(window: bytes) -> bytes:
    data = CASES["OpenEXR, half"].write(chart())
    at = data.index(window + b"\0box2i\0") + len(window) + 11
    return _patched(data, at, struct.pack("<4i", -5, -5, HUGE, HUGE))


def _tiff() -> bytes:
    data = tiff(np.ones((8, 8, 3), np.float32), photometric="rgb")
    for tag in (256, 257):
        kind = 4 if struct.pack("<HHI", tag, 4, 1) in data else 3
        at = data.index(struct.pack("<HHI", tag, kind, 1))
        data = _patched(data, at, struct.pack("<HHII", tag, 4, 1, HUGE))
    return data


def _map_of_jpeg() -> bytes:
    data = made_light.gain_map_jpeg(chart(800))
    at = data.rindex(b"\xff\xc0") + 5
    return _patched(data, at, struct.pack(">HH", HUGE, HUGE))


BOMBS: dict[str, Callable[[], bytes]] = {
    "PNG": _png,
    "AVIF": lambda: _boxed("AVIF, PQ, 10 bits"),
    "HEIF": lambda: _boxed("HEIF, PQ, 10 bits"),
    "JPEG XL": _jpeg_xl,
    "JPEG XR": _jpeg_xr,
    "OpenEXR, pixels": lambda: _exr(b"dataWindow"),
    "OpenEXR, display": lambda: _exr(b"displayWindow"),
    "Radiance HDR": lambda: b"#?RADIANCE\n\n-Y 60000 +X 60000\n" + bytes(4 * HUGE),
    "TIFF": _tiff,
    "gain map": _map_of_jpeg,
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS)
def test_a_size_that_is_too_large_is_refused_before_decoding(make: Callable[[], bytes]) -> None:
    data = make()
    assert len(data) < 400_000
    with pytest.raises(TooLarge, match=r"has \d+x\d+ pixels, over 400 million"):
        decode_hdr(data, "a.bin")


@pytest.mark.parametrize("name", CUT)
def test_a_size_over_the_free_memory_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from dataset.pictures import hdr_limits

    data = CASES[name].write(chart(800))
    monkeypatch.setattr(hdr_limits, "free_memory", lambda: 10_000)
    with pytest.raises(UserError, match="free"):
        decode_hdr(data, "a.bin")


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_is_cut_off_is_never_read(name: str) -> None:
    data = CASES[name].write(chart(800))
    for length in np.linspace(0, len(data) - 16, PLACES).astype(int):
        with pytest.raises(UserError):
            decode_hdr(data[:length], "a.bin")


def test_a_small_picture_in_a_large_display_window_is_refused() -> None:
    data = CASES["OpenEXR, half"].write(chart())
    at = data.index(b"displayWindow\0box2i\0") + 24
    with pytest.raises(UserError, match="far larger than its picture"):
        decode_hdr(_patched(data, at, struct.pack("<4i", 0, 0, 9_999, 9_999)), "a.exr")


@pytest.mark.slow  # a process each
def test_jpeg_xr_that_is_cut_off_is_never_read() -> None:
    data = made_light.jpeg_xr(chart() / 80)
    for length in (0, 4, 8, 40, 120, 170, len(data) // 2):
        with pytest.raises(UserError):
            decode_hdr(data[:length], "a.jxr")


@pytest.mark.slow
def test_a_decoder_that_dies_ends_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataset.pictures import jpegxr_decoder

    killed = ["-c", "import os; os.abort()"]
    for words in (killed, ["-c", "print('<f2 9 9 3')"], ["-c", "print('nothing')"]):
        monkeypatch.setattr(
            jpegxr_decoder, "module_command", lambda *_, words=words: [sys.executable, *words]
        )
        with pytest.raises(UserError, match="damaged or cut off"):
            decode_hdr(made_light.jpeg_xr(chart() / 80), "a.jxr")


def test_two_sizes_are_no_size() -> None:
    data = bytearray(made_light.jpeg_xr(chart() / 80))
    at = data.index(struct.pack("<H", jpegxr.WIDTH))
    struct.pack_into("<I", data, at + 8, 64)
    with pytest.raises(UserError, match="two different sizes"):
        decode_hdr(bytes(data), "a.jxr")


@pytest.mark.parametrize(
    ("value", "read", "word"),
    [
        (np.nan, 0.0, "NaN"),
        (np.inf, 40.0, "infinite"),
        (-np.inf, 0.0, "infinite"),
        (3e38, 40.0, "infinite"),
    ],
)
@pytest.mark.parametrize("kind", ["OpenEXR", "TIFF"])
def test_values_that_are_no_light_are_replaced_and_said(
    kind: str, value: float, read: float, word: str
) -> None:
    light = np.ones((16, 16, 3), np.float32)
    light[0, 0, 0], light[5, 6, 1] = 40, value
    data = made_light.exr({"RGB": light}) if kind == "OpenEXR" else tiff(light, photometric="rgb")
    found = decode_hdr(data, "a.bin")
    assert (found.light[0, 0, 0], found.light[5, 6, 1]) == (40, read)
    (note,) = (each for each in found.notes if each != ASSUMED)
    assert note.startswith("1 of its values")
    assert word in note


@pytest.mark.slow
def test_of_jpeg_xr_too() -> None:
    light = np.ones((16, 16, 3))
    light[3, 4] = (np.nan, np.inf, -np.inf)
    found = decode_hdr(made_light.jpeg_xr(light), "a.jxr")
    assert np.isfinite(found.light).all()
    assert len(found.notes) == 2


def test_negative_light_is_kept_and_said() -> None:
    light: Any = np.full((4, 4, 3), 0.5, np.float32)
    light[0, 0, 2] = -0.25
    found = finished(HdrPicture(light, None, "a"))
    assert found.light[0, 0, 2] == -0.25
    assert found.notes == ("6.25% of its pixels have colours outside of Rec. 709",)


def test_a_picture_of_nothing_but_nonsense_is_black() -> None:
    found = finished(HdrPicture(np.full((4, 4, 3), np.nan, np.float32), None, "a"))
    assert not found.light.any()
    found = finished(HdrPicture(np.full((4, 4, 3), np.inf, np.float32), None, "a"))
    assert found.light.max() <= MOST_LIGHT
