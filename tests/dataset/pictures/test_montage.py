"""Pictures side by side: every pixel is there, and labels stand above them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from dataset.pictures.images import Image
from dataset.pictures.montage import BACKGROUND, CAPTION_HEIGHT, add_caption, side_by_side


def noise(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(some.lists(some.tuples(some.integers(1, 60), some.integers(1, 60)), min_size=1, max_size=4))
def test_all_pictures_are_there_to_the_pixel(sizes: list[tuple[int, int]]) -> None:
    pictures = [noise(*size, seed) for seed, size in enumerate(sizes)]
    joined = side_by_side([("label", picture) for picture in pictures])
    assert joined.shape[0] == CAPTION_HEIGHT + max(height for height, _ in sizes)
    left = 0
    for picture in pictures:
        height, width = picture.shape[:2]
        shown = joined[CAPTION_HEIGHT : CAPTION_HEIGHT + height, left : left + width]
        assert np.array_equal(shown, picture)
        assert (joined[CAPTION_HEIGHT + height :, left : left + width] == BACKGROUND).all()
        left += width + 4
    assert joined.shape[1] == left - 4


def test_labels_grow_with_the_pictures() -> None:
    small, large = (side_by_side([("in", noise(side, side))] * 2) for side in (200, 2000))
    assert small.shape[0] == 200 + CAPTION_HEIGHT
    assert large.shape[0] > 2000 + 3 * CAPTION_HEIGHT
    assert np.array_equal(large[-2000:, :2000], noise(2000, 2000))
    assert large.shape[1] > 4000 + 4


def test_no_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        side_by_side([])


def ink(image: Image) -> int:
    return int((image[:CAPTION_HEIGHT] < 128).any(axis=2).sum())


def test_a_label_too_long_ends_in_dots() -> None:
    picture = noise(20, 100)
    long, short = (add_caption(picture, text) for text in ("input " * 20, "input"))
    assert long.shape == short.shape == (20 + CAPTION_HEIGHT, 100, 3)
    assert ink(long) > ink(short) > 0
    assert ink(add_caption(noise(20, 2), "input")) == 0
    assert np.array_equal(add_caption(picture, " two\nlines"), add_caption(picture, "two lines"))


def test_characters_that_the_font_lacks_do_no_harm() -> None:
    assert add_caption(noise(10, 100), "입력 (과다 노출)").shape == (10 + CAPTION_HEIGHT, 100, 3)
