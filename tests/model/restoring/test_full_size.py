"""What is found on a small copy, applied to every pixel: in NumPy as in torch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from helpers.tiny_physical import over_expose, scene
from hypothesis import given
from hypothesis import strategies as some

from dataset.pictures.pixels import to_pixels
from model import formation
from model.physical_networks import small_copy
from model.restoring.full_size import CLIPPED, clipped_of, small_planes, take_back


def test_what_counts_as_clipped_is_that_of_the_formation() -> None:
    assert CLIPPED == formation.CLIPPED


@pytest.mark.parametrize(
    "size", [(256, 384), (150, 310), (128, 128), (1, 700), (50, 60), (1080, 1000)]
)
def test_the_small_copy_is_that_of_the_network(size: tuple[int, int]) -> None:
    pixels = to_pixels(over_expose(scene(5, *size), 2.5))
    wanted = small_copy(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]
    torch.testing.assert_close(torch.from_numpy(small_planes(pixels)), wanted, atol=2e-6, rtol=0)


@given(
    some.lists(some.floats(0, 1, width=32), min_size=1, max_size=40),
    some.floats(-3, 6),
    some.booleans(),
)
def test_a_gain_is_taken_back_as_the_formation_says(
    values: list[float], log_gain: float, linear: bool
) -> None:
    plane = np.array([values], np.float32)
    found = take_back(plane, np.array([[log_gain]], np.float32), linear)
    wanted = formation.unexpose(torch.from_numpy(plane), torch.tensor(log_gain), linear)
    np.testing.assert_allclose(found, wanted.numpy(), atol=3e-6, rtol=3e-6)


def test_the_dark_toe_of_srgb_is_taken_back_exactly() -> None:
    levels = np.arange(256, dtype=np.float32)[None] / np.float32(255)
    for log_gain in (0.0, 0.01, 1.0, 3.0, 6.0):
        found = take_back(levels, np.array([[log_gain]], np.float32), linear=True)
        wanted = formation.unexpose(torch.from_numpy(levels), torch.tensor(log_gain), True)
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)
        assert found[0, 0] == 0
        assert (np.diff(found[0]) > 0).all()


def disc(side: int = 200) -> np.ndarray:
    """A sun in a smooth sky, (side, side, 3) uint8: clipped in its middle, nearly so around it."""
    down, across = np.mgrid[:side, :side] - side / 2
    glow = 330 * np.exp(-np.hypot(down, across) / side)
    tints = np.array([1.0, 0.95, 0.9])
    return np.clip(np.round(glow[..., None] * tints), 0, 255).astype(np.uint8)


def test_a_lossless_picture_is_clipped_where_it_is_white_and_nowhere_else() -> None:
    picture = disc()
    for channel in range(3):
        assert 0.05 < (picture[..., channel] == 255).mean() < 0.5
        plane = to_pixels(picture)[..., channel]
        assert np.array_equal(clipped_of(plane), picture[..., channel] == 255)


@pytest.mark.parametrize("quality", [75, 90, 95])
def test_what_a_lossy_file_makes_of_a_clipped_area_counts_as_clipped(quality: int) -> None:
    noise = np.random.default_rng(0).normal(0, 30, (200, 200, 1))
    before = np.clip(disc() + noise, 0, 255).astype(np.uint8)
    white = np.all(disc() == 255, axis=2)
    before[white] = 255
    _, data = cv2.imencode(".jpg", before, [cv2.IMWRITE_JPEG_QUALITY, quality])
    after = cv2.imdecode(data, cv2.IMREAD_COLOR)
    inside = cv2.erode(white.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    assert (after[inside] < 255).any()
    for channel in range(3):
        found = clipped_of(to_pixels(after)[..., channel])
        assert found[inside].mean() > 0.98
        assert not found[after[..., channel] < 240].any()


@pytest.mark.parametrize("quality", [75, 90])
def test_a_large_lossy_picture_is_filled_in_whole_blocks(quality: int) -> None:
    rows, columns = np.mgrid[0:540, 0:960] / 540
    sky = 150 + 130 * (rows + columns) / 2 + 12 * np.sin(40 * rows) * np.sin(35 * columns)
    before = np.clip(sky[..., None] * np.array([0.8, 0.92, 1.0]), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", before[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    after = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    for channel in (1, 2):
        inside = cv2.erode((before[..., channel] == 255).view(np.uint8), np.ones((9, 9), np.uint8))
        found = clipped_of(to_pixels(after)[..., channel])
        assert np.array_equal(
            clipped_of(to_pixels(before)[..., channel]), before[..., channel] == 255
        )
        assert inside.mean() > 0.05
        assert (after[inside > 0][..., channel] < 255).mean() > 0.01
        assert found[inside > 0].mean() > 0.995
