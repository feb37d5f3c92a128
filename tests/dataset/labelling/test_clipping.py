"""The highlight statistics of one picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dataset.labelling.clipping import (
    CLIPPING_METHODS,
    ClippingStatistics,
    clipped_mask,
    measure_clipping,
    over_exposure,
)

pictures = arrays.arrays(
    np.uint8,
    st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3)),
    elements=st.integers(0, 255),
)


def test_one_saturated_channel_is_enough() -> None:
    image = np.array([[[250, 0, 0], [0, 250, 0], [0, 0, 250], [249, 249, 249]]], np.uint8)
    assert clipped_mask(image).tolist() == [[True, True, True, False]]


def test_numbers_of_a_drawn_picture() -> None:
    image = np.zeros((20, 50, 3), np.uint8)
    image[2:7, 3:13] = 255  # 5 x 10 = 50 pixels
    image[7, 13] = 255  # touches only with its corner: 8-connected, 51
    image[15, 40:45] = 251  # 5 pixels elsewhere
    found = measure_clipping(image)
    assert found.clipped_fraction == 56 / 1000
    assert found.largest_blob == 51 / 1000
    assert found.p99 == 255  # 944 of 1000 pixels are black, so rank 990 is white


def test_p99_is_numpys_inverted_cdf() -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    expected = np.percentile(image.max(axis=2), 99, method="inverted_cdf")  # Hyndman & Fan 1
    assert measure_clipping(image).p99 == expected


def test_scattered_glints_have_no_large_blob() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[::3, ::3] = 255  # 34 x 34 single pixels
    found = measure_clipping(image)
    assert found.clipped_fraction == 0.1156
    assert found.largest_blob == 0.0001


def test_a_transposed_picture_measures_the_same() -> None:
    image = np.random.default_rng(2).integers(200, 256, (30, 20, 3), np.uint8)
    assert measure_clipping(image.transpose(1, 0, 2)) == measure_clipping(image)


@given(pictures, st.integers(1, 254))
def test_fraction_falls_as_the_limit_rises(image: np.ndarray, limit: int) -> None:
    low, high = measure_clipping(image, limit), measure_clipping(image, limit + 1)
    assert low.clipped_fraction >= high.clipped_fraction
    assert low.largest_blob >= high.largest_blob
    assert low.p99 == high.p99


@given(pictures, st.integers(1, 255))
def test_fraction_is_the_mean_of_the_mask(image: np.ndarray, limit: int) -> None:
    found = measure_clipping(image, limit)
    assert found.clipped_fraction == pytest.approx(clipped_mask(image, limit).mean())
    assert 0 <= found.largest_blob <= found.clipped_fraction <= 1


methods = st.sampled_from(sorted(CLIPPING_METHODS))


@pytest.mark.parametrize("method", CLIPPING_METHODS)
def test_white_is_clipped_and_grey_is_not_by_every_method(method: str) -> None:
    image = np.full((4, 6, 3), 128, np.uint8)
    image[:, :3] = 255
    found = measure_clipping(image, 250, method)
    assert found == ClippingStatistics(0.5, 0.5, 255)
    assert clipped_mask(image, 250, method)[:, :3].all()


def test_only_the_brightest_channel_sees_a_saturated_colour() -> None:
    blue = np.full((4, 4, 3), (80, 120, 255), np.uint8)
    seen = {
        method: measure_clipping(blue, 250, method).clipped_fraction for method in CLIPPING_METHODS
    }
    assert seen == {"max_rgb": 1.0, "luminance": 0.0, "cielab": 0.0, "ycbcr": 0.0}


def test_lab_comes_from_floats() -> None:
    """Mid-grey has L = 53.585 (CIE 15): M = (tanh((53.585 - 40) / 60) + 1) / 2 = 0.6113."""
    assert over_exposure(np.full((1, 1, 3), 128, np.uint8))[0, 0] == pytest.approx(0.6113, abs=1e-4)


def test_a_scattered_hud_makes_no_large_blob_and_ignored_it_makes_nothing() -> None:
    image = np.full((120, 160, 3), 90, np.uint8)
    hud = np.zeros((120, 160), bool)
    hud[4:116:8, 4:156:6] = True  # glyphs of two pixels all over the picture
    hud[5:116:8, 4:156:6] = True
    image[hud] = 255
    found = measure_clipping(image)
    assert found.clipped_fraction > 0.03
    assert found.largest_blob == 2 / image[..., 0].size
    assert measure_clipping(image, ignore=hud) == ClippingStatistics(0.0, 0.0, 90)


def test_everything_ignored_measures_nothing() -> None:
    image = np.full((3, 3, 3), 255, np.uint8)
    assert measure_clipping(image, ignore=np.ones((3, 3), bool)) == ClippingStatistics(0, 0, 0)


@given(pictures, methods, st.integers(1, 254), st.integers(0, 2**32))
def test_fraction_falls_with_the_limit_by_every_method_and_mask(
    image: np.ndarray, method: str, limit: int, seed: int
) -> None:
    ignore = np.random.default_rng(seed).random(image.shape[:2]) < 0.3
    low = measure_clipping(image, limit, method, ignore)
    high = measure_clipping(image, limit + 1, method, ignore)
    assert low.clipped_fraction >= high.clipped_fraction
    assert low.largest_blob >= high.largest_blob


@given(pictures, methods, st.integers(1, 255), st.integers(0, 2**32))
def test_what_stands_under_the_hud_changes_nothing(
    image: np.ndarray, method: str, limit: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    ignore = random.random(image.shape[:2]) < 0.3
    other = image.copy()
    other[ignore] = random.integers(0, 256, (int(ignore.sum()), 3))
    assert measure_clipping(image, limit, method, ignore) == measure_clipping(
        other, limit, method, ignore
    )
    assert not clipped_mask(image, limit, method, ignore)[ignore].any()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32), st.floats(0, 5))
def test_the_largest_blob_is_opencvs(height: int, width: int, seed: int, blur: float) -> None:
    """From noise to smooth areas: both ways to join pixels are taken."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    level = cv2.GaussianBlur(noise, (0, 0), blur) if blur > 0.3 else noise
    mask = np.asarray(level >= 128)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    expected = stats[1:, cv2.CC_STAT_AREA].max(initial=0) / level.size
    assert measure_clipping(np.dstack([level] * 3), 128).largest_blob == expected
