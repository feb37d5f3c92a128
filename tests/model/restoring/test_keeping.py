"""--keep unclipped: what is not clipped stays to the bit, and what is filled in has no seam."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from helpers.made_videos import film, frames_of
from helpers.tiny_physical import over_expose, restorer, scene
from hypothesis import given, settings
from hypothesis import strategies as some

from dataset.errors import UserError
from dataset.pictures.images import Image
from dataset.pictures.pixels import Pixels, to_image, to_pixels
from model.options import METHOD_NAMES, RestoreOptions
from model.restoring import keeping, methods
from model.restoring.baselines import THRESHOLD_METHODS
from model.restoring.full_size import clipped_of
from model.restoring.keeping import BYTES, clipped_anywhere, keep_unclipped
from model.restoring.physical import small_copy_restorer
from model.restoring.restore import restore_files
from model.restoring.video import restore_video

LEVEL = 1 / 255


def sky(side: int = 256) -> Image:
    """A blue sky that becomes brighter to one corner, with soft clouds: RGB uint8, not clipped."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    light = 0.15 + 0.6 * (rows + columns) / 2
    cloud = np.clip(np.sin(17 * rows) * np.sin(13 * columns), 0, 1) * 0.25
    picture = light[..., None] * np.array([0.5, 0.75, 1.0]) * (1 - cloud[..., None])
    return np.asarray((255 * picture ** (1 / 2.2)).round(), np.uint8)


def exposed(wanted: Image, gain: float = 3.5) -> Pixels:
    return to_pixels(over_expose(wanted, gain))


def blue(picture: Pixels) -> Any:
    return picture[..., 2] - picture[..., 0]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_what_is_not_clipped_stays_to_the_bit(kind: Any) -> None:
    most, depth = np.iinfo(kind).max, 8 * np.dtype(kind).itemsize
    before = (exposed(scene(5, 200, 300), 2.5).astype(float) * most).round().astype(kind)
    pixels = to_pixels(before)
    network = restorer(1.0)
    for weights in (network.head.proposal[-1], network.content.last):
        weights.weight.data += 0.1 * torch.randn(
            weights.weight.shape, generator=torch.Generator().manual_seed(0)
        )
    restore = small_copy_restorer(network)
    result = to_image(keep_unclipped(pixels, restore(pixels)), depth)
    known = ~clipped_anywhere(pixels)
    assert 0.2 < known.mean() < 0.9
    assert np.array_equal(result[known], before[known])
    assert (result[~known] != before[~known]).any()
    assert np.abs(restore(pixels) - pixels)[known].max() > 0.1


def test_there_is_no_seam_in_a_smooth_sky() -> None:
    wanted = sky()
    pixels = exposed(wanted)
    result = keep_unclipped(pixels, to_pixels(wanted))
    clipped = clipped_anywhere(pixels)
    assert 0.2 < clipped.mean() < 0.9
    pasted = np.where(clipped[..., None], to_pixels(wanted), pixels)
    steps, pasted_steps = (max(np.abs(np.diff(each, axis=axis)).max() for axis in (0, 1))
                           for each in (result, pasted))  # fmt: skip
    assert steps < 8 * LEVEL
    assert pasted_steps > 30 * LEVEL


def test_hue_comes_back_and_clouds_are_seen() -> None:
    wanted = sky()
    pixels = exposed(wanted)
    result = keep_unclipped(pixels, to_pixels(wanted))
    white = np.all(pixels >= 1 - LEVEL / 2, axis=2)
    assert white.mean() > 0.05
    assert blue(result)[white].mean() > 0.1
    assert result[white].max(1).mean() > 0.9
    deep = keeping.distance_share(pixels, (~clipped_anywhere(pixels)).astype(np.float32)) == 1
    assert deep.mean() > 0.2
    shown, true = (each.mean(2) - cv2.GaussianBlur(each, (0, 0), 20).mean(2)
                   for each in (result, to_pixels(wanted)))  # fmt: skip
    assert np.corrcoef(shown[deep], true[deep])[0, 1] > 0.8
    assert shown[deep].std() > 0.5 * true[deep].std()


def test_a_hole_in_dark_surroundings_needs_no_transition() -> None:
    wanted = np.full((256, 256, 3), 20, np.uint8)
    wanted[64:192, 64:192] = sky()[64:192, 64:192]
    pixels = exposed(wanted, 12.0)
    result = keep_unclipped(pixels, to_pixels(wanted))
    known = ~clipped_anywhere(pixels)
    assert np.array_equal(result[known], pixels[known])
    assert result[70:186, 70:186].mean(2).std() > 5 * LEVEL


def test_a_picture_without_clipped_pixels_stays() -> None:
    pixels = to_pixels(sky())
    assert keep_unclipped(pixels, pixels / 3) is pixels


def test_what_was_not_changed_is_not_changed() -> None:
    pixels = exposed(sky())
    assert np.abs(keep_unclipped(pixels, pixels.copy()) - pixels).max() < 1e-5


def test_a_picture_that_is_clipped_all_over_becomes_the_restored_one() -> None:
    pixels = np.ones((60, 80, 3), np.float32)
    restored = to_pixels(sky(80))[:60]
    result = keep_unclipped(pixels, restored)
    assert np.abs(result - restored).max() < 1e-4


def test_grey_stays_grey() -> None:
    grey = np.repeat(exposed(sky())[..., 1:2], 3, axis=2)
    result = keep_unclipped(grey, grey * np.float32(0.5))
    assert np.array_equal(result[..., 0], result[..., 2])


@settings(max_examples=25, deadline=None)
@given(some.integers(1, 70), some.integers(1, 70), some.integers(0, 5))
def test_any_picture_keeps_its_size_and_what_is_known(height: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    pixels = np.minimum(random.random((height, width, 3), np.float32) * 1.2, 1)
    restored = random.random((height, width, 3), np.float32)
    before = pixels.copy(), restored.copy()
    result = keep_unclipped(pixels, restored)
    known = ~clipped_anywhere(pixels)
    assert result.shape == pixels.shape
    assert result.dtype == np.float32
    assert np.array_equal(result[known], pixels[known])
    assert 0 <= result.min() <= result.max() <= 1
    assert np.array_equal(pixels, before[0])
    assert np.array_equal(restored, before[1])


@pytest.mark.parametrize("size", [(1, 3000), (4000, 2)])
def test_a_strip_of_pixels_is_filled(size: tuple[int, int]) -> None:
    pixels = np.minimum(np.random.default_rng(0).random((*size, 3), np.float32) * 1.5, 1)
    assert keep_unclipped(pixels, pixels / 2).shape == pixels.shape


def test_a_lossy_file_is_filled_without_speckles() -> None:
    noise = np.random.default_rng(0).normal(0, 12, (256, 256, 1))
    before = np.clip(exposed(sky()) * 255 + noise, 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", before[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    pixels = to_pixels(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    found = clipped_anywhere(pixels)
    for channel in range(3):
        assert found[clipped_of(np.ascontiguousarray(pixels[..., channel]))].all()
    result = keep_unclipped(pixels, np.asarray(pixels * 0.5, np.float32))
    assert np.array_equal(result[~found], pixels[~found])


@pytest.mark.slow
@pytest.mark.parametrize("light", [1.0, 0.7])
def test_a_picture_takes_no_more_memory_than_is_asked_for(light: float) -> None:
    pixels = np.full((1500, 1500, 3), light, np.float32)
    pixels[:200, :200] = 1
    restored = pixels * np.float32(0.6)
    keep_unclipped(pixels, restored)  # what is allocated once
    tracemalloc.start()
    keep_unclipped(pixels, restored)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 12 * 1500**2 < peak <= BYTES * 1500**2


def test_a_picture_that_does_not_fit_into_memory_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "free_memory", lambda: 1000)
    with pytest.raises(UserError, match=r"256x256 takes .* or make it smaller\.$"):
        keep_unclipped(exposed(sky()), to_pixels(sky()))


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_every_method_can_keep_what_is_not_clipped(trained: Path, method: str) -> None:
    pixels = exposed(sky(64))
    known = ~clipped_anywhere(pixels)
    options = RestoreOptions(runs=trained / "runs", method=method, strength=1, device="cpu")
    whole = methods.open_method(options)(pixels)
    kept = methods.open_method(RestoreOptions(**{**vars(options), "keep": "unclipped"}))(pixels)
    assert np.array_equal(kept[known], pixels[known])
    untouched = method in THRESHOLD_METHODS  # they change nothing else by themselves
    assert np.array_equal(whole[known], pixels[known]) == untouched


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_file_keeps_its_unclipped_pixels_and_its_transparency(
    trained: Path, tmp_path: Path, depth: Any
) -> None:
    most = np.iinfo(depth).max
    before = (exposed(sky(96)).astype(float) * most).round().astype(depth)
    alpha = np.random.default_rng(0).integers(0, most, (96, 96, 1)).astype(depth)
    source = tmp_path / "a.png"
    cv2.imwrite(str(source), np.concatenate((before[..., ::-1], alpha), 2))
    options = RestoreOptions(runs=trained / "runs", strength=1, device="cpu", keep="unclipped")
    (done,) = restore_files([source], options)
    after = cv2.imread(str(done.target), cv2.IMREAD_UNCHANGED)
    assert after.dtype == depth
    assert np.array_equal(after[..., 3:], alpha)
    known = ~clipped_anywhere(to_pixels(before))
    assert np.array_equal(after[known][:, 2::-1], before[known])


def test_a_video_keeps_what_its_format_keeps(tmp_path: Path) -> None:
    source, target = film(tmp_path / "a.mkv"), tmp_path / "b.mkv"
    restore_video(source, target, keeping.keeping_unclipped(lambda pixels: pixels / 2))
    for before, after in zip(frames_of(source), frames_of(target), strict=True):
        known = ~clipped_anywhere(to_pixels(np.asarray(before)))
        assert np.abs(after[known].astype(int) - before[known].astype(int)).mean() < 4
