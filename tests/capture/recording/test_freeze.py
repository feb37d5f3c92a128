"""Thumbnails, and what they tell of a recording that goes wrong."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from capture.recording.freeze import (
    BLACK,
    BLACK_REMEDY,
    FreezeDetector,
    differs,
    frame_thumbnail,
    is_black,
)

SECOND = 1_000_000_000  # nanoseconds


def picture(seed: int, size: tuple[int, int] = (1920, 1080)) -> NDArray[np.uint8]:
    """BGRX noise of width and height ``size``."""
    width, height = size
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)


def plain(blue: int, green: int, red: int) -> NDArray[np.uint8]:
    return np.full((270, 480, 4), (blue, green, red, 77), np.uint8)


@pytest.mark.parametrize("size", [(1920, 1080), (3840, 2160), (1279, 801), (96, 64), (5, 3)])
def test_a_thumbnail_has_one_size_for_every_screen(size: tuple[int, int]) -> None:
    thumb = frame_thumbnail(picture(1, size))
    assert thumb.shape == (36, 64, 3)
    assert thumb.dtype == np.uint8


def test_a_thumbnail_is_rgb_and_ignores_the_fourth_channel() -> None:
    assert np.array_equal(
        np.unique(frame_thumbnail(plain(10, 20, 30)).reshape(-1, 3), axis=0), [[30, 20, 10]]
    )
    changed = plain(10, 20, 30)
    changed[..., 3] = 0
    assert not differs(frame_thumbnail(changed), frame_thumbnail(plain(10, 20, 30)), 0)


def test_a_thumbnail_keeps_the_light_of_each_place() -> None:
    image = plain(0, 0, 0)
    image[:135] = 200
    thumb = frame_thumbnail(image)
    assert (thumb[:18] == 200).all()
    assert (thumb[18:] == 0).all()


def test_pictures_differ_by_more_than_the_most() -> None:
    one = frame_thumbnail(plain(100, 100, 100))
    assert not differs(one, frame_thumbnail(plain(101, 100, 99)))
    assert differs(one, frame_thumbnail(plain(100, 102, 100)))
    assert not differs(one, frame_thumbnail(plain(100, 110, 100)), 10)


def test_one_changed_place_is_a_difference() -> None:
    before, after = picture(2), picture(2)
    after[500:560, 900:960] //= 2
    assert differs(frame_thumbnail(before), frame_thumbnail(after))


def test_a_black_picture_is_told_after_a_second_and_forgotten_when_it_recovers() -> None:
    detector = FreezeDetector()
    black, bright = frame_thumbnail(plain(0, 0, 0)), frame_thumbnail(plain(9, 9, 9))
    assert is_black(black)
    assert not is_black(bright)
    assert detector.look(black, 0) is None
    assert detector.look(black, SECOND // 2) is None
    assert detector.look(black, SECOND) == f"{BLACK} {BLACK_REMEDY}"
    assert detector.look(bright, 2 * SECOND) is None
    assert detector.look(black, 3 * SECOND) is None


def test_a_fade_to_black_is_no_fault() -> None:
    detector = FreezeDetector()
    for n, level in enumerate((40, 10, 0, 0, 10, 40)):
        assert detector.look(frame_thumbnail(plain(level, level, level)), n * SECOND // 5) is None


def test_a_frozen_picture_is_told_after_ten_seconds_with_how_long() -> None:
    detector = FreezeDetector()
    one, other = frame_thumbnail(picture(3)), frame_thumbnail(picture(4))
    assert detector.look(one, 0) is None
    assert detector.look(other, 5 * SECOND) is None
    assert detector.look(other, 14 * SECOND) is None
    notice = detector.look(other, 17 * SECOND)
    assert notice is not None
    assert "has not changed for 12 s" in notice
    assert detector.look(one, 18 * SECOND) is None


def test_a_picture_that_moves_a_little_is_not_frozen() -> None:
    detector = FreezeDetector()
    for second in range(60):
        level = 100 + second % 2
        assert detector.look(frame_thumbnail(plain(level, level, level)), second * SECOND) is None


def test_a_black_picture_is_not_called_frozen() -> None:
    detector = FreezeDetector()
    black = frame_thumbnail(plain(0, 0, 0))
    detector.look(black, 0)
    assert detector.look(black, 60 * SECOND) == f"{BLACK} {BLACK_REMEDY}"
