"""Pictures in PipeWire's memory, and the PODs that are negotiated with, without PipeWire."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from helpers.painted import noise
from helpers.waiting import soon
from hypothesis import given
from hypothesis import strategies as st

from capture.screens import libpipewire as pw
from capture.screens import pods
from capture.screens.pipewire import VideoStream, _copied, _cropped, _upright, _view, picture_in
from dataset.errors import UserError

SIZE = (6, 4)
FORMAT = pods.VideoFormat(*SIZE, pods.BGRX)


def memory_of(stride: int, offset: int = 0, rest: int = 0) -> tuple[bytearray, np.ndarray]:
    """Memory with a picture in it, and the picture."""
    picture = np.random.default_rng(1).integers(0, 256, (*SIZE[::-1], 4), np.uint8)
    memory = bytearray(b"\xee" * (offset + stride * SIZE[1] + rest))
    for row, values in enumerate(picture):
        at = offset + row * stride
        memory[at : at + 4 * SIZE[0]] = values.tobytes()
    return memory, picture


def test_the_offer_names_four_formats_any_size_and_no_modifier() -> None:
    raw = pods.format_offer()
    size, kind, form, parameter = struct.unpack_from("=IIII", raw)
    assert (len(raw), kind) == (8 + size, pods.OBJECT)
    assert (form, parameter) == (pods.FORMAT_OBJECT, pods.ENUM_FORMAT)
    found = pods.read_object(raw)
    assert set(found) == {
        *(pods.MEDIA_TYPE, pods.MEDIA_SUBTYPE),
        *(pods.VIDEO_FORMAT, pods.VIDEO_SIZE, pods.VIDEO_RATE),
    }
    assert found[pods.VIDEO_FORMAT] == struct.pack("=I", pods.BGRX)
    assert pods.read_format(raw) == pods.VideoFormat(1920, 1080, pods.BGRX)
    assert len(raw) % 8 == 0


def test_a_wish_for_buffers_is_in_plain_memory() -> None:
    found = pods.read_object(pods.buffers_wish(4, 1, 16))
    values = {key: struct.unpack("=i", value)[0] for key, value in found.items()}
    assert values == {pods.BUFFER_COUNT: 4, pods.BUFFER_BLOCKS: 1, pods.BUFFER_TYPES: 0b110}
    asked = pods.read_object(pods.meta_wish(pw.CROP_META, 16))
    assert struct.unpack("=I", asked[pods.META_TYPE]) == (pw.CROP_META,)
    assert struct.unpack("=i", asked[pods.META_SIZE]) == (16,)


@pytest.mark.parametrize(
    "format_",
    [
        pods.VideoFormat(0, 10, pods.BGRX),
        pods.VideoFormat(10, pods.MOST_SIDE + 1, pods.BGRX),
        pods.VideoFormat(10, 10, 99),
    ],
)
def test_a_format_that_cannot_be_read_is_none(format_: pods.VideoFormat) -> None:
    raw = pods._object(
        pods.FORMAT_OBJECT,
        pods.FORMAT,
        (pods.VIDEO_FORMAT, pods._ident(format_.pixels)),
        (pods.VIDEO_SIZE, pods._pod(10, struct.pack("=II", format_.width, format_.height))),
    )
    assert pods.read_format(raw) is None
    assert pods.read_format(pods._object(pods.FORMAT_OBJECT, pods.FORMAT)) is None


@given(st.binary(min_size=8, max_size=200))
def test_any_bytes_are_read_without_harm(raw: bytes) -> None:
    pods.read_format(struct.pack("=II", len(raw), pods.OBJECT) + raw)


@pytest.mark.parametrize(("stride", "offset"), [(24, 0), (32, 0), (25, 7), (64, 128)])
def test_stride_and_offset_are_honoured(stride: int, offset: int) -> None:
    memory, picture = memory_of(stride, offset)
    view = picture_in(memory, FORMAT, (offset, len(memory), stride))
    assert view is not None
    assert np.array_equal(view, picture)


def test_rows_without_a_stride_have_no_gap() -> None:
    memory, picture = memory_of(24)
    assert np.array_equal(picture_in(memory, FORMAT, (0, len(memory), 0)), picture)  # type: ignore[arg-type]


def test_the_last_row_needs_no_gap_behind_it() -> None:
    memory, picture = memory_of(32)
    view = picture_in(memory[:-8], FORMAT, (0, 120, 32))
    assert view is not None
    assert np.array_equal(view, picture)


@pytest.mark.parametrize(
    "chunk",
    [(0, 0, 24), (0, 96, 20), (4, 96, 24), (0, 96, 28), (0, 96, -24), (1 << 31, 96, 24)],
    ids=["empty", "too narrow", "cut off by its offset", "too wide", "backwards", "far outside"],
)
def test_what_is_no_whole_picture_is_skipped(chunk: tuple[int, int, int]) -> None:
    memory, _ = memory_of(24)
    assert picture_in(memory, FORMAT, chunk) is None


def test_a_corrupted_chunk_is_skipped() -> None:
    memory, _ = memory_of(24)
    chunk = pw.Chunk(0, len(memory), 24, pw.CORRUPTED_CHUNK)
    place = (ctypes.c_uint8 * len(memory)).from_buffer(memory)
    data = pw.Data(maxsize=len(memory), data=ctypes.addressof(place), chunk=ctypes.pointer(chunk))
    buffer = pw.Buffer(0, 1, None, ctypes.pointer(data))
    assert _view(buffer, FORMAT) is None
    chunk.flags = 0
    assert _view(buffer, FORMAT) is not None
    buffer.n_datas = 0
    assert _view(buffer, FORMAT) is None


def test_a_crop_cuts_out_and_one_that_makes_no_sense_does_nothing() -> None:
    view = np.arange(4 * 6 * 4, dtype=np.uint8).reshape(4, 6, 4)
    assert np.array_equal(_cropped(view, pw.Crop(1, 2, 3, 2)), view[2:4, 1:4])
    for crop in (None, pw.Crop(0, 0, 0, 0), pw.Crop(-1, 0, 2, 2), pw.Crop(100, 0, 2, 2)):
        assert _cropped(view, crop) is view


@pytest.mark.parametrize("turned", range(8))
def test_turned_pictures_come_upright(turned: int) -> None:
    """By the protocol: mirrored around the vertical axis, and turned counter-clockwise."""
    upright = np.arange(4 * 6 * 4, dtype=np.uint8).reshape(4, 6, 4)
    mirrored = upright[:, ::-1] if turned >= 4 else upright
    seen = np.rot90(mirrored, turned % 4)
    assert np.array_equal(_upright(seen, pw.Transform(turned)), upright)
    assert _upright(upright, None) is not None


@pytest.mark.parametrize("pixels", pods.FORMATS)
def test_every_format_becomes_bgrx_of_ones_own(pixels: int) -> None:
    picture = noise(1, SIZE)
    x = np.full((*picture.shape[:2], 1), 7, np.uint8)
    known = pods.VideoFormat(*SIZE, pixels)
    view = np.concatenate([picture if known.is_rgb else picture[..., ::-1], x], axis=2)
    copied = _copied(view, known)
    assert np.array_equal(copied[..., 2::-1], picture)
    assert copied.flags.c_contiguous
    assert not np.shares_memory(copied, view)


def test_structures_are_as_large_as_pipewires() -> None:
    assert [
        ctypes.sizeof(each)
        for each in (pw.Chunk, pw.Data, pw.Meta, pw.Header, pw.Crop, pw.Buffer, pw.StreamBuffer)
    ] == [16, 40, 16, 32, 16, 24, 24]


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pw, "LIBRARY", "libpipewire-none.so.0")
    pw.load.cache_clear()
    try:
        with pytest.raises(UserError, match="Install libpipewire"):
            pw.load()
    finally:
        pw.load.cache_clear()


def test_a_pipewire_that_does_not_run_is_told_and_nothing_stays_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with skipped_where_missing():
        pw.load()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("PIPEWIRE_REMOTE", raising=False)
    process = psutil.Process()
    files, threads = process.num_fds(), process.num_threads()
    with pytest.raises(UserError, match=r"PipeWire.*(does not run|settings)"):
        VideoStream(None, 1)
    soon(lambda: process.num_fds() <= files and process.num_threads() <= threads)


@contextmanager
def skipped_where_missing() -> Iterator[None]:
    """Skip the test where PipeWire's library is not installed."""
    try:
        yield
    except UserError as error:
        pytest.skip(str(error))
