"""What came before the network: it works on scenes whose truth is known, and never breaks."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dataset.labelling.clipping import over_exposure
from dataset.pictures.pixels import Pixels
from model.restoring.baselines import (
    BASELINES,
    CIELAB_THRESHOLD,
    MID_GREY,
    ORACLES,
    THRESHOLD_METHODS,
    YCBCR_THRESHOLD,
    best_factor,
    cielab,
    gamma,
    over_exposure_map,
    true_k,
    true_k_mean_colours,
    ycbcr,
)
from model.restoring.filling import Floats

DEFAULTS = {"cielab": CIELAB_THRESHOLD, "ycbcr": YCBCR_THRESHOLD}
SIDE = 64  # pixels

Method = Callable[[Pixels, float], Pixels]

by_threshold = pytest.mark.parametrize("method", THRESHOLD_METHODS.values(), ids=THRESHOLD_METHODS)


def colour_of(pixels: Pixels) -> Floats:
    """a and b of CIELAB, (H, W, 2)."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2Lab)[..., 1:], np.float32)


def bright_patch(colour: tuple[float, float, float]) -> tuple[Pixels, Pixels]:
    """A colour that grows towards the middle beyond what can be shown: (clipped, truth).

    The truth has the colour of every pixel, as bright as can be shown.
    """
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] - SIDE / 2
    strength = 0.7 + 0.9 * np.exp(-(rows**2 + columns**2) / (2 * 10.0**2))
    scene = (strength[..., None] * np.array(colour)).astype(np.float32)
    return np.clip(scene, 0, 1), scene / np.maximum(scene.max(axis=2, keepdims=True), 1)


def random_picture(seed: int, low: float = 0.0, high: float = 1.0) -> Pixels:
    """Smooth colours between two bounds."""
    coarse = np.random.default_rng(seed).uniform(low, high, (5, 6, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (40, 33), interpolation=cv2.INTER_CUBIC), low, high)


@by_threshold
@pytest.mark.parametrize("colour", [(1.0, 0.93, 0.85), (1.0, 0.8, 0.72), (0.8, 0.9, 1.0)])
def test_a_clipped_patch_gets_its_colour_nearer_to_the_truth(
    method: Method, colour: tuple[float, float, float]
) -> None:
    clipped, truth = bright_patch(colour)
    lost = (clipped >= 1).sum(axis=2) >= 2  # in two channels, so that the third says little
    assert lost.any()
    restored = method(clipped, 80.0 if method is cielab else 215.0)
    before, after = (
        np.linalg.norm(colour_of(each) - colour_of(truth), axis=2)[lost].mean()
        for each in (clipped, restored)
    )
    assert after < 0.75 * before


@by_threshold
def test_a_clipped_patch_becomes_darker_than_white(method: Method) -> None:
    clipped, _ = bright_patch((1.0, 0.93, 0.85))
    middle = method(clipped, 80.0 if method is cielab else 215.0)[SIDE // 2, SIDE // 2]
    assert clipped[SIDE // 2, SIDE // 2].min() == 1
    assert 0.6 < middle.max() < 0.97


@by_threshold
def test_a_dark_thing_before_a_clipped_sky_stays_as_it_is(method: Method) -> None:
    scene = np.ones((SIDE, SIDE, 3), np.float32)
    scene[20:40, 10:50] = (0.1, 0.15, 0.2)
    scene[50:] = (0.6, 0.7, 0.8)
    restored = method(scene, DEFAULTS["cielab" if method is cielab else "ycbcr"])
    assert np.array_equal(restored[scene[..., 0] < 1], scene[scene[..., 0] < 1])
    assert restored[:15].min() > 0.5  # the sky follows the bright ground, not the thing


@given(some.integers(0, 1000))
@settings(max_examples=15)
def test_pictures_without_anything_over_exposed_come_back_exactly(seed: int) -> None:
    picture = random_picture(seed, 0.0, 0.75)
    for method in THRESHOLD_METHODS:
        assert np.array_equal(BASELINES[method](picture), picture)


@by_threshold
@given(seed=some.integers(0, 1000), low=some.integers(40, 95), more=some.integers(0, 20))
@settings(max_examples=15)
def test_a_higher_threshold_changes_no_other_pixels(
    method: Method, seed: int, low: int, more: int
) -> None:
    picture = random_picture(seed)
    scale = 1.0 if method is cielab else 2.55
    first, second = (
        np.any(method(picture, each * scale) != picture, axis=2) for each in (low, low + more)
    )
    assert not (second & ~first).any()


def test_thresholds_beyond_white_change_nothing() -> None:
    picture = random_picture(3)
    assert np.array_equal(cielab(picture, 100.0), picture)
    assert np.array_equal(ycbcr(picture, 256.0), picture)


def test_a_grey_of_exactly_the_threshold_is_over_exposed_in_ycbcr() -> None:
    greys = (np.array([[233, 234, 235, 236]]) / 255).astype(np.float32)[..., None].repeat(3, axis=2)
    assert (ycbcr(greys) != greys).any(axis=2).tolist() == [[False, False, True, True]]


def test_the_map_is_that_of_the_clipping_statistic() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert over_exposure_map(image.astype(np.float32) / 255) == pytest.approx(
        over_exposure(image), abs=1e-5
    )


@pytest.mark.parametrize("name", [*BASELINES, *ORACLES])
@pytest.mark.parametrize(
    "picture",
    [
        np.ones((1, 1, 3)),
        np.zeros((1, 1, 3)),
        np.ones((1, 40, 3)),
        np.ones((37, 5, 3)),
        np.ones((90, 70, 3)),
        np.full((30, 30, 3), 0.5),
        np.random.default_rng(0).uniform(0, 1, (31, 45, 3)),
        np.random.default_rng(0).uniform(0, 1, (3, 4, 3)) > 0.5,
    ],
    ids=lambda each: "x".join(map(str, each.shape)),
)
def test_no_picture_breaks_a_method(name: str, picture: np.ndarray) -> None:
    pixels = picture.astype(np.float32)
    kept = pixels.copy()
    method = BASELINES.get(name) or (lambda source: ORACLES[name](source, source, 1.5))
    restored = method(pixels)
    assert restored.shape == pixels.shape
    assert restored.dtype == np.float32
    assert np.isfinite(restored).all()
    assert 0 <= restored.min() <= restored.max() <= 1
    assert np.array_equal(pixels, kept)  # the input is nobody's to change


@by_threshold
def test_what_is_all_clipped_stays_white(method: Method) -> None:
    white = np.ones((50, 60, 3), np.float32)
    assert method(white, 80.0) == pytest.approx(white, abs=1e-5)


@pytest.mark.slow
def test_large_pictures_are_filled_as_small_ones_are() -> None:
    small, _ = bright_patch((1.0, 0.9, 0.8))
    large = np.clip(cv2.resize(small, (700, 700), interpolation=cv2.INTER_CUBIC), 0, 1)
    shrunk = cv2.resize(cielab(large), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    assert shrunk == pytest.approx(cielab(small), abs=0.06)


def test_gamma_takes_the_mean_to_a_grey_card_and_never_brightens() -> None:
    assert gamma(np.full((3, 3, 3), 0.7, np.float32)) == pytest.approx(MID_GREY, abs=1e-3)
    dark = random_picture(0, 0.0, 0.4)
    assert np.array_equal(gamma(dark), dark)
    assert gamma(np.full((1, 1, 3), 0.5, np.float32), 3.0) == pytest.approx(0.125)


@pytest.mark.slow
@given(some.floats(0.15, 0.9))
def test_the_best_factor_finds_a_factor(factor: float) -> None:
    picture = random_picture(5, 0.0, 0.9)
    found = best_factor(picture, picture * np.float32(factor))
    assert found == pytest.approx(picture * factor, abs=0.05 * factor)  # half a step of the grid


def test_a_true_gain_gives_back_what_was_not_clipped() -> None:
    truth = random_picture(7, 0.2, 0.9)
    bright = np.clip(truth * np.float32(1.6), 0, 1)
    restored = true_k(bright, 1.6)
    assert restored[bright < 1] == pytest.approx(truth[bright < 1], abs=1e-6)
    assert restored[bright == 1] == pytest.approx(1 / 1.6)  # which it was at least
    assert np.array_equal(true_k(bright, math.nan), bright)


def test_mean_colours_are_those_of_each_channel_where_it_was_clipped() -> None:
    truth = np.array([[[0.6, 0.9, 0.1], [0.8, 0.3, 0.2], [0.7, 0.4, 0.3]]], np.float32)
    bright = np.clip(truth * 2, 0, 1)  # clipped: red in all three, green in the first
    restored = true_k_mean_colours(bright, truth, 2.0)
    expected = [[[0.7, 0.9, 0.1], [0.7, 0.3, 0.2], [0.7, 0.4, 0.3]]]
    assert restored == pytest.approx(np.array(expected), abs=1e-6)
    darker = true_k_mean_colours(bright, truth / 2, 2.0)  # a mean of 0.35 is too little
    assert darker[..., 0] == pytest.approx(0.5)
    unknown = true_k_mean_colours(bright, truth, math.nan)
    assert unknown[0, :, 0] == pytest.approx(0.7)
    assert np.array_equal(unknown[..., 2], bright[..., 2])
