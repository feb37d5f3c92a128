"""Measures against published numbers, definitions worked out by hand, and laws."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import bootstrap

from dataset.pictures.images import Image
from model.metrics import (
    colour_difference,
    compute_metrics,
    deltaE_ciede2000,
    edge_correlation,
    flip_error,
    kernel_distance,
    masked_psnr,
    mean_interval,
    measure_quality,
    psnr_best_factor,
    well_exposed_change,
)

SHARMA = [  # L, a, b twice and CIEDE2000: of table 1 in Sharma, Wu and Dalal (2005)
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 3.1571, -77.2803), (50.0, 0.0, -82.7485), 2.8615),
    ((50.0, 2.8361, -74.0200), (50.0, 0.0, -82.7485), 3.4412),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (58.0, 24.0, 15.0), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


def noise(seed: int, high: int = 256, size: tuple[int, int] = (24, 20)) -> Image:
    return np.random.default_rng(seed).integers(0, high, (*size, 3), dtype=np.uint8)


def grey(value: int, size: tuple[int, int] = (4, 4)) -> Image:
    return np.full((*size, 3), value, np.uint8)


def test_quality_of_known_pictures() -> None:
    picture = noise(0, 200, (40, 40))
    found = measure_quality(picture + np.uint8(16), picture)
    assert found.psnr == pytest.approx(10 * np.log10(255**2 / 16**2))  # the definition
    assert found.edges == pytest.approx(1.0)  # a shift moves no edge
    assert measure_quality(picture, picture).ssim == 1.0


def test_a_smeared_picture_loses_its_edges() -> None:
    sharp = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((8, 8)))[..., None].repeat(3, 2)
    sharp = (sharp * 255).astype(np.uint8)
    assert edge_correlation(sharp, sharp) == pytest.approx(1.0)
    assert edge_correlation(np.full_like(sharp, 127), sharp) == 0.0


@pytest.mark.parametrize(("first", "second", "expected"), SHARMA)
def test_ciede2000_agrees_with_the_published_pairs(
    first: tuple[float, ...], second: tuple[float, ...], expected: float
) -> None:
    assert deltaE_ciede2000(np.array(first), np.array(second)) == pytest.approx(expected, abs=1e-4)


def lightness(value: int) -> float:
    """CIE L* of a grey of sRGB: IEC 61966-2-1, then CIE 15."""
    linear = ((value / 255 + 0.055) / 1.055) ** 2.4
    return 116 * linear ** (1 / 3) - 16


def test_the_difference_of_greys_follows_from_their_lightness_alone() -> None:
    first, second = lightness(120), lightness(180)
    middle = ((first + second) / 2 - 50) ** 2
    expected = (second - first) / (1 + 0.015 * middle / math.sqrt(20 + middle))
    found = colour_difference(grey(120), grey(180))
    assert found.shape == (4, 4)
    assert found == pytest.approx(expected, abs=2e-3)


# FLIP of two uniform pictures follows from its publication by hand: no edges, so it is the colour
# difference alone. HyAB in Hunt-adjusted CIELAB, of greys the difference of L*, to the power 0.7.
# Its maximum, between green and blue, is 203.3^0.7 = 41.27; 0.4 of that is mapped to 0.95 linearly,
# the rest to the last 0.05.
FLIP_MOST = 41.27


def test_flip_of_white_and_black_is_the_published_mapping() -> None:
    expected = 0.95 + 0.05 * (100**0.7 - 0.4 * FLIP_MOST) / (0.6 * FLIP_MOST)
    assert flip_error(grey(255, (40, 40)), grey(0, (40, 40))) == pytest.approx(expected, abs=1e-3)


def test_flip_of_greys_follows_from_their_lightness_alone() -> None:
    expected = 0.95 * (lightness(180) - lightness(120)) ** 0.7 / (0.4 * FLIP_MOST)
    assert flip_error(grey(120, (40, 40)), grey(180, (40, 40))) == pytest.approx(expected, abs=2e-3)


def test_flip_of_equal_pictures_is_nothing_at_any_size() -> None:
    assert flip_error(noise(5), noise(5)) == 0
    assert 0 < flip_error(grey(9, (1, 1)), grey(200, (1, 1))) <= 1


def test_without_its_package_flip_is_not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.metrics.flip_evaluator", None)
    assert math.isnan(compute_metrics(grey(9), grey(7), grey(200)).flip)


def test_structure_does_not_change_with_brightness() -> None:
    reference = noise(3, 100)
    found = [psnr_best_factor((reference * k).astype(np.uint8), reference) for k in (1, 2)]
    assert found == [100.0, 100.0]


def test_structure_is_measured_after_clipping() -> None:
    # The factor (200*100 + 100*250) / (200^2 + 100^2) is 0.9: errors of 80, 160 and 0, of which
    # nothing is clipped; and of 255 and 1 against 255 and 0 nothing that matters.
    picture = np.array([[[200, 100, 0]]], np.uint8)
    reference = np.array([[[100, 250, 0]]], np.uint8)
    expected = 10 * np.log10(255**2 / ((80**2 + 160**2) / 3))
    assert psnr_best_factor(picture, reference) == pytest.approx(expected)
    # (200*255 + 100*60) / (200^2 + 100^2) is 1.14, but with 255 for 250: 228 and 114.
    brighter = np.array([[[250, 10, 0]]], np.uint8), np.array([[[255, 200, 0]]], np.uint8)
    factor = (250 * 255 + 10 * 200) / (250**2 + 10**2)
    assert 250 * factor > 255
    expected = 10 * np.log10(255**2 / ((200 - 10 * factor) ** 2 / 3))  # the first becomes 255
    assert psnr_best_factor(*brighter) == pytest.approx(expected)


def test_the_error_of_the_tone_is_that_of_the_gain_taken_back() -> None:
    source, reference = grey(180), grey(90)
    assert compute_metrics(source, reference, source).log_k_error == pytest.approx(math.log(2))
    assert compute_metrics(reference, reference, source).log_k_error == 0
    found = compute_metrics(reference, reference, source, gain=3.0)  # known better than measured
    assert found.log_k_error == pytest.approx(math.log(1.5))
    assert math.isnan(compute_metrics(reference, reference, grey(255)).log_k_error)


def test_psnr_inside_and_outside_make_up_the_whole() -> None:
    first, second = noise(1), noise(2)
    mask = np.zeros(first.shape[:2], bool)
    mask[:5, 3:9] = True
    inside, outside = (masked_psnr(first, second, each) for each in (mask, ~mask))
    errors = [255**2 / 10 ** (each / 10) for each in (inside, outside)]
    whole = mask.mean() * errors[0] + (~mask).mean() * errors[1]
    assert measure_quality(first, second).psnr == pytest.approx(10 * np.log10(255**2 / whole))
    assert math.isnan(masked_psnr(first, second, np.zeros_like(mask)))


def test_inside_is_what_the_input_had_clipped() -> None:
    source, reference = grey(100), grey(100)
    source[:2], reference[:2] = 255, 180
    restored = reference.copy()
    restored[:2] += np.uint8(51)  # wrong by a fifth of 255 where it was clipped, right elsewhere
    found = compute_metrics(restored, reference, source)
    assert found.psnr_inside == pytest.approx(20 * np.log10(5))
    assert found.psnr_outside == 100.0
    assert found.delta_e_inside > 5
    assert found.delta_e_outside == 0
    assert found.change_median == found.change_p95 == 0
    assert found.clipped == 0
    assert compute_metrics(source, reference, source).clipped == 0.5


def test_what_there_is_no_pixel_for_is_not_a_number() -> None:
    dark, white = grey(50), grey(255)
    assert math.isnan(compute_metrics(dark, dark, dark).psnr_inside)
    found = compute_metrics(white, dark, white)
    assert math.isnan(found.psnr_outside)
    assert math.isnan(found.change_median)
    assert well_exposed_change(white, white).shape == (0,)


def test_a_few_sparks_are_no_region() -> None:
    source = grey(50, (40, 50))
    source[0, 0] = 255
    assert math.isnan(compute_metrics(source, source, source).psnr_inside)
    source[0, 1] = 255
    assert compute_metrics(source, source, source).psnr_inside == 100.0


def test_pictures_smaller_than_the_window_have_no_ssim() -> None:
    found = compute_metrics(grey(9, (1, 1)), grey(7, (1, 1)), grey(255, (1, 1)))
    assert math.isnan(found.ssim)
    assert math.isfinite(found.psnr)


@pytest.mark.slow
@given(some.integers(0, 1000))
def test_nearer_to_the_reference_is_never_worse(seed: int) -> None:
    source, reference = noise(seed).astype(float), noise(seed + 1).astype(float)
    ways = [np.rint(source + share * (reference - source)) for share in (0, 0.5, 1)]
    found = [
        compute_metrics(way.astype(np.uint8), reference.astype(np.uint8), source.astype(np.uint8))
        for way in ways
    ]
    assert found[0].psnr < found[1].psnr < found[2].psnr == 100
    assert found[0].ssim < found[1].ssim < found[2].ssim == 1
    assert found[2].delta_e == 0
    assert all(math.isfinite(each) for each in astuple(found[1]))


def test_intervals_agree_with_scipy() -> None:
    values = np.random.default_rng(3).gamma(1.5, 2, 60)
    found = mean_interval(values)
    known = bootstrap((values,), np.mean, n_resamples=20_000, method="BCa").confidence_interval
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=0.08)
    assert found == mean_interval(values)  # the same each time


@pytest.mark.slow
@given(some.lists(some.floats(-50, 50), min_size=2, max_size=30), some.floats(-9, 9))
def test_an_interval_holds_the_mean_and_moves_with_the_values(
    values: list[float], shift: float
) -> None:
    found, moved = (mean_interval(np.array(values) + by) for by in (0.0, shift))
    assert found.low <= found.mean + 1e-9
    assert found.mean <= found.high + 1e-9
    assert moved.mean == pytest.approx(found.mean + shift, abs=1e-6)
    assert min(values) - 1e-9 <= found.low
    assert found.high <= max(values) + 1e-9


def test_intervals_of_few_or_no_frames() -> None:
    none, one = mean_interval(np.array([np.nan])), mean_interval(np.array([2.0]))
    assert none.count == 0
    assert math.isnan(none.mean)
    assert (one.mean, one.count) == (2.0, 1)
    assert math.isnan(one.low)
    assert mean_interval(np.array([2.0, 2.0, np.nan])).high == 2.0


def test_more_frames_make_a_narrower_interval() -> None:
    values = np.random.default_rng(0).normal(size=400)
    few, many = mean_interval(values[:25]), mean_interval(values)
    assert many.high - many.low < (few.high - few.low) / 2


def test_kernel_distance_is_the_unbiased_estimate_of_its_definition() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(7, 5)), random.normal(1, 1, (6, 5))
    kernel = [
        [np.mean([(a @ b / 5 + 1) ** 3 for j, b in enumerate(other) if i != j or one is not other])
         for i, a in enumerate(one)]
        for one, other in ((first, first), (second, second), (first, second))
    ]  # fmt: skip
    expected = np.mean(kernel[0]) + np.mean(kernel[1]) - 2 * np.mean(kernel[2])
    assert kernel_distance(first, second) == pytest.approx(expected)


def test_kernel_distance_grows_as_domains_part() -> None:
    random = np.random.default_rng(1)
    first, second = random.normal(size=(2, 300, 8))
    apart = [kernel_distance(first, second + shift) for shift in (0, 0.5, 1, 2)]
    assert abs(apart[0]) < 0.05 < apart[1] < apart[2] < apart[3]
