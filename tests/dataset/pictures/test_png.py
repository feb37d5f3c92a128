"""The fast PNG encoder: what comes out is PNG for others, and every bit is in it."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from helpers.processes import Thread
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image as PillowImage

import dataset.pictures.png
from dataset.errors import UserError
from dataset.pictures.images import decode
from dataset.pictures.png import encode_png

pictures = arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3)))


@pytest.mark.slow
@given(pictures)
def test_every_bit_comes_back_in_opencv_and_pillow(picture: np.ndarray) -> None:
    data = encode_png(picture)
    assert np.array_equal(decode(data, "picture"), picture)
    with PillowImage.open(io.BytesIO(data)) as read:
        read.verify()
    with PillowImage.open(io.BytesIO(data)) as read:
        assert read.mode == "RGB"
        assert np.array_equal(np.asarray(read), picture)


def test_without_isa_l_zlib_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    monkeypatch.setattr(dataset.pictures.png, "deflate", zlib)
    assert np.array_equal(decode(encode_png(picture), "picture"), picture)


def test_threads_with_pictures_of_their_own_sizes_do_not_mix() -> None:
    def encode(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(50):
            picture = random.integers(0, 256, (random.integers(1, 60), 80, 3), np.uint8)
            if not np.array_equal(decode(encode_png(picture), "picture"), picture):
                wrong.append(seed)

    wrong: list[int] = []
    threads = [Thread(target=encode, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_views_that_are_not_contiguous_are_encoded_as_they_look() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    view = picture[::2, 1::3, ::-1]
    assert np.array_equal(decode(encode_png(view), "picture"), view)


@pytest.mark.parametrize("place", [8 + 25, 8])  # of the pixels' chunk, of the header's
def test_a_chunk_that_is_longer_than_its_file_is_refused_before_room_is_made(
    place: int, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(encode_png(np.zeros((9, 9, 3), np.uint8)))
    data[place : place + 4] = (0x7F000000).to_bytes(4, "big")
    with pytest.raises(UserError, match="not a readable picture"):
        decode(bytes(data), "frame.png")
    assert capfd.readouterr() == ("", "")  # the decoder was not asked
