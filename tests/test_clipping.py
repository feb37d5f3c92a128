"""The highlight statistics of one picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dataset.clipping import clipped_mask, measure_clipping

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
