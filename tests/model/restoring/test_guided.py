"""A correction found on a small copy is done to the large picture, edges and all."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dataset.pictures.pixels import Pixels
from model.restoring.guided import ScaledRestorer, apply_correction, fit, mix, shrink


def scene(height: int = 240, width: int = 320) -> Pixels:
    """Soft shades with a few hard edges, in 0.1..0.9."""
    random = np.random.default_rng(0)
    coarse = random.random((6, 8, 3)).astype(np.float32) * 0.6 + 0.1
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0.1, 0.8)
    picture[60:120, 100:104] += 0.1  # an edge narrower than a pixel of the small copy
    return np.asarray(picture, np.float32)


def test_a_gain_and_an_offset_are_applied_with_every_edge() -> None:
    large = scene()
    small = shrink(large, 48)
    wanted = 0.6 * large + 0.1
    corrected = apply_correction(large, small, np.asarray(0.6 * small + 0.1, np.float32))
    assert np.abs(corrected - wanted).max() < 0.03
    enlarged = cv2.resize(0.6 * small + 0.1, (320, 240), interpolation=cv2.INTER_CUBIC)
    assert np.abs(corrected - wanted).mean() < 0.5 * np.abs(enlarged - wanted).mean()


def test_what_is_drawn_into_a_clipped_area_arrives_there() -> None:
    large = np.ones((160, 160, 3), np.float32)
    small = shrink(large, 40)
    restored = scene(40, 40)
    corrected = apply_correction(large, small, restored)
    enlarged = cv2.resize(restored, (160, 160), interpolation=cv2.INTER_LINEAR)
    assert np.abs(corrected - enlarged).max() < 1e-3


def test_nothing_to_correct_changes_nothing() -> None:
    large = scene()
    small = shrink(large, 48)
    assert np.abs(apply_correction(large, small, small) - large).max() < 1e-5


def test_a_fit_of_the_same_line_everywhere_finds_the_line() -> None:
    guide = np.random.default_rng(1).random((30, 30)).astype(np.float32)
    gain, offset = fit(guide, 0.5 * guide + 0.2)
    assert gain == pytest.approx(0.5, abs=0.04)
    assert offset == pytest.approx(0.2, abs=0.04)


def test_a_mixture_has_the_details_of_one_and_the_tones_of_the_other() -> None:
    native = scene()
    corrected = np.asarray(cv2.GaussianBlur(native, (0, 0), 3) * 0.5, np.float32)
    mixed = mix(native, corrected, 2)
    assert mixed.mean() == pytest.approx(corrected.mean(), abs=0.01)
    edges = [np.abs(cv2.Laplacian(each, cv2.CV_32F)).mean() for each in (native, mixed, corrected)]
    assert edges[1] > 0.7 * edges[0] > 1.5 * edges[2]


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (700, 3)])
def test_odd_sizes_shrink_to_at_least_a_pixel(size: tuple[int, int]) -> None:
    large = np.full((*size, 3), 0.5, np.float32)
    small = shrink(large, 16)
    assert min(small.shape[:2]) >= 1
    assert apply_correction(large, small, small) == pytest.approx(large, abs=0.01)


@pytest.mark.parametrize("way", ["auto", "native", "guided", "carried", "mixed"])
def test_what_changes_nothing_does_so_at_every_scale(way: str) -> None:
    large = scene()
    assert np.abs(ScaledRestorer(lambda pixels: pixels, 32, way)(large) - large).max() < 1e-5


def test_at_the_scale_of_training_the_network_sees_a_small_copy() -> None:
    sizes: list[tuple[int, ...]] = []

    def watched(pixels: Pixels) -> Pixels:
        sizes.append(pixels.shape[:2])
        return pixels

    ScaledRestorer(watched, 32, "guided")(scene(64, 128))
    ScaledRestorer(watched, 32, "mixed")(scene(64, 128))
    ScaledRestorer(watched, 32, "carried")(scene(36, 40))  # hardly larger; the old word
    ScaledRestorer(watched, 0, "guided")(scene(64, 128))  # trained on frames of any size
    assert sizes == [(32, 64), (32, 64), (64, 128), (36, 40), (64, 128)]
