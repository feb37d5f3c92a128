"""Pictures side by side: every pixel is there, and labels stand above them in any script."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from dataset.pictures import fonts
from dataset.pictures.fonts import pick_font
from dataset.pictures.images import Image
from dataset.pictures.montage import BACKGROUND, LABEL_HEIGHT, add_caption
from model.restoring.compare import compare

KOREAN = "입력 (과다 노출)"


def noise(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(some.lists(some.tuples(some.integers(1, 60), some.integers(1, 60)), min_size=1, max_size=4))
def test_all_pictures_are_there_to_the_pixel(sizes: list[tuple[int, int]]) -> None:
    pictures = [noise(*size, seed) for seed, size in enumerate(sizes)]
    joined = compare([("label", picture) for picture in pictures])
    assert joined.shape[0] == LABEL_HEIGHT + max(height for height, _ in sizes)
    left = 0
    for picture in pictures:
        height, width = picture.shape[:2]
        shown = joined[LABEL_HEIGHT : LABEL_HEIGHT + height, left : left + width]
        assert np.array_equal(shown, picture)
        assert (joined[LABEL_HEIGHT + height :, left : left + width] == BACKGROUND).all()
        left += width + 4
    assert joined.shape[1] == left - 4


def test_labels_grow_with_the_pictures() -> None:
    small, large = (compare([("in", noise(side, side))] * 2) for side in (200, 2000))
    assert small.shape[0] == 200 + LABEL_HEIGHT
    assert large.shape[0] > 2000 + 3 * LABEL_HEIGHT
    assert np.array_equal(large[-2000:, :2000], noise(2000, 2000))
    assert large.shape[1] > 4000 + 4


def test_nothing_is_compared_with_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        compare([])


def ink(image: Image) -> int:
    return int((image[:LABEL_HEIGHT] < 128).any(axis=2).sum())


def test_a_label_too_long_ends_in_dots() -> None:
    picture = noise(20, 100)
    long, short = (add_caption(picture, text) for text in ("input " * 20, "input"))
    assert long.shape == short.shape == (20 + LABEL_HEIGHT, 100, 3)
    assert ink(long) > ink(short) > 0
    assert ink(add_caption(noise(20, 2), "input")) == 0
    assert np.array_equal(add_caption(picture, " two\nlines"), add_caption(picture, "two lines"))


@pytest.mark.parametrize("text", ["Вход", "είσοδος", "entrée ÷ œuvre"])
def test_other_scripts_take_a_font_that_has_them(text: str) -> None:
    font = pick_font(text, 20)
    missing = bytes(font.getmask("\U000f0000"))  # for private use: the box of a missing character
    assert all(bytes(font.getmask(letter)) != missing for letter in text if letter != " ")


def test_korean_is_legible_where_a_font_has_it() -> None:
    font = pick_font(KOREAN, 20)
    if not set(map(ord, KOREAN)) <= fonts._characters(font.path):
        pytest.skip("needs a font with Hangul")
    assert len({bytes(font.getmask(letter)) for letter in "입력과다노출"}) == 6


def test_characters_that_no_font_has_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_files", lambda: iter(["/gone.ttf", str(Path(__file__))]))
    fonts._best_file.cache_clear()
    pick_font.cache_clear()
    try:
        assert add_caption(noise(10, 100), KOREAN).shape == (10 + LABEL_HEIGHT, 100, 3)
    finally:
        fonts._best_file.cache_clear()
        pick_font.cache_clear()


def test_plain_labels_look_for_no_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_best_file", lambda wanted: pytest.fail("looked for a font"))
    assert find_spec("matplotlib")
    assert ink(compare([("input", noise(40, 80)), ("output", noise(40, 80))])) > 0
