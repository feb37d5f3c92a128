"""Videos that do not flicker: what is found in frames, what is measured between them, and cuts."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_videos import film_of, frames_of
from hypothesis import given
from hypothesis import strategies as some

from dataset.pictures.images import Image
from dataset.pictures.pixels import Pixels, to_pixels
from model.belief import Proposals
from model.exposure import EDGES, Exposure
from model.options import RestoreOptions
from model.restoring import restore, steady
from model.restoring.full_size import Plane, small_planes
from model.restoring.keeping import KeepingUnclipped
from model.restoring.methods import AdaptiveStrength
from model.restoring.restore import restore_files
from model.restoring.small_copy import SmallCopyRestorer
from model.restoring.steady import Change, FrameLights
from model.restoring.video import restore_video

SIZE = 96, 160  # height, width


class Guessing:
    """F that finds half of the truth, and is off by another amount in each frame."""

    gain_error, source = 0.3, "the network"

    def __init__(
        self,
        truth: Sequence[float],
        linear: bool = True,
        noise: float = 0.25,
        parts: float = 0.0,  # by how much its left and right half are apart, by turns
    ) -> None:
        random, self.parts = np.random.default_rng(0), parts
        self.linear = linear
        self.guesses = [each * 0.6 + random.normal(0, noise) * (each > 0) for each in truth]
        self.proposed = 0

    def free_bytes(self) -> int:
        return 1 << 30

    def propose(self, small: Plane) -> Proposals:
        found = np.zeros((1, 4, 4, 6), np.float32)
        found[:, :3] = self.guesses[self.proposed % len(self.guesses)]
        found[:, :3, :, :3] += self.parts * (-1) ** self.proposed
        found[:, :3, :, 3:] -= self.parts * (-1) ** self.proposed
        self.proposed += 1
        return found

    def draw(self, small: Plane, gains: Plane) -> Plane:
        return np.full((1, 3, *small.shape[2:]), 0.6, np.float32)


def light_of(seed: int = 0, height: int = SIZE[0], width: int = SIZE[1]) -> Pixels:
    """Light of a smooth scene with edges, 0.02 to 0.16, and one lamp of 0.8: (H, W, 3)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width] / 40
    light = np.zeros((height, width, 3), np.float32)
    for channel in range(3):
        for _ in range(4):
            a, b, c = random.uniform(-3, 3, 3)
            light[..., channel] += np.sin(a * rows + b * columns + 3 * c)
    light += 2 * (np.floor(rows * 2 + seed) % 2 + np.floor(columns * 2) % 2)[..., None]
    light = 0.02 + 0.14 * (light - light.min()) / np.ptp(light)
    light[8:20, 8:20] = 0.8
    return light


def shown(light: Pixels, log_gain: float, linear: bool = True) -> Image:
    """A picture of it under more light, 8 bits."""
    exposed = light * np.exp(log_gain) if linear else light
    curve = 1.055 * np.maximum(exposed, 1e-9) ** (1 / 2.4) - 0.055
    value = np.where(exposed <= 0.0031308, 12.92 * exposed, curve)
    value = value if linear else value * np.exp(log_gain)
    return np.asarray(np.rint(np.clip(value, 0, 1) * 255), np.uint8)


def means(frames: Sequence[Any]) -> np.ndarray[Any, Any]:
    return np.array([frame.mean() for frame in frames])


def followed_over(method: Callable[[Pixels], Pixels], frames: Iterable[Pixels]) -> steady.Followed:
    """What restores frames that were all looked at."""
    return steady.follow(method, steady.look(method, frames))


def alone(method: Callable[[Pixels], Pixels]) -> Callable[[Pixels], Pixels]:
    """The method without its way to follow a video."""
    return lambda pixels: method(pixels)


RAMP = [0.05 * number for number in range(36)]
STEADY = [1.4] * 12


def ramp(path: Path, truth: Sequence[float] = RAMP, linear: bool = True) -> Path:
    light = light_of()
    return film_of(path, [shown(light, each, linear) for each in truth])


@pytest.mark.slow
@pytest.mark.parametrize("linear", [True, False], ids=["light", "encoded"])
def test_an_exposure_that_rises_evenly_comes_out_flat(tmp_path: Path, linear: bool) -> None:
    truth = RAMP if linear else [each / 4 for each in RAMP]
    source = ramp(tmp_path / "a.mp4", truth, linear)
    finder = Guessing([4 * each for each in truth] if not linear else truth, linear)
    restored = []
    for name, how in (("alone", alone), ("followed", lambda method: method)):
        finder.proposed = 0
        restore_video(source, tmp_path / f"{name}.mp4", how(SmallCopyRestorer(finder)))
        restored.append(means(frames_of(tmp_path / f"{name}.mp4")))
    before, (flickering, flat) = means(frames_of(source)), restored
    assert np.abs(np.diff(flickering)).max() > 8
    beyond = np.abs(np.diff(flat)) - np.abs(np.diff(before))
    assert beyond.max() < 0.5
    assert np.abs(np.diff(flat)).max() < 1.2
    if linear:
        assert np.ptp(flat) < 4
        assert abs(flat[0] - before[0]) < 3  # where no light was added


@pytest.mark.slow
def test_nothing_is_smoothed_over_a_cut(tmp_path: Path) -> None:
    truth = [0.0] * 12 + [1.4] * 12
    scenes = [light_of(1), light_of(2)]
    images = [shown(scenes[number >= 12], each) for number, each in enumerate(truth)]
    source = film_of(tmp_path / "a.mp4", images)
    seen = FrameLights()
    for frame in frames_of(source):
        seen.see(small_planes(to_pixels(frame)))
    assert seen.scenes() == [slice(0, 12), slice(12, 24)]
    restore_video(source, tmp_path / "b.mp4", SmallCopyRestorer(Guessing(truth)))
    before, after = frames_of(source), frames_of(tmp_path / "b.mp4")
    assert np.abs(means(after)[:12] - means(before)[:12]).max() < 1
    assert np.ptp(means(after)[12:]) < 1
    assert means(before)[12] - means(after)[12] > 25


def test_a_jump_of_exposure_is_no_cut_and_is_followed_at_once() -> None:
    truth = [0.3] * 10 + [1.3] * 10
    frames = [to_pixels(shown(light_of(), each)) for each in truth]
    seen = FrameLights()
    for frame in frames:
        seen.see(small_planes(frame))
    assert seen.scenes() == [slice(0, 20)]
    assert seen.changes[10].ratio == pytest.approx(1.0, abs=0.02)
    followed = followed_over(SmallCopyRestorer(Guessing(truth)), frames)
    found = means([followed(number, frame) for number, frame in enumerate(frames)]) * 255
    assert np.abs(np.diff(found)).max() < 1.5
    before = means(frames) * 255
    assert before[10] - before[9] > 40


@pytest.mark.parametrize(("right", "down"), [(0, 0), (9, 0), (-14, 6), (3.5, -8)])
@pytest.mark.parametrize("gain", [-0.2, 0.0, 0.35])
def test_exposure_is_measured_while_the_camera_moves(
    right: float, down: float, gain: float
) -> None:
    import cv2

    wide = light_of(3, 256, 384)
    views = []
    for number, log_gain in enumerate((0.5, 0.5 + gain)):
        move = np.array([[1, 0, number * right - 60.0], [0, 1, number * down - 60.0]])
        view = cv2.warpAffine(wide, move, (256, 160))
        views.append(small_planes(to_pixels(shown(np.asarray(view, np.float32), log_gain))))
    seen = FrameLights()
    for view in views:
        seen.see(view)
    change = seen.changes[1]
    assert change.ratio == pytest.approx(gain, abs=0.02)
    scale = views[0].shape[2] / 256
    assert change.shift == pytest.approx((right * scale, down * scale), abs=0.5)
    assert seen.scenes() == [slice(0, 2)]


def test_what_cannot_be_seen_is_not_measured() -> None:
    white, grey = np.ones((*SIZE, 3), np.float32), np.full((*SIZE, 3), 0.5, np.float32)
    halves = np.ones((2, *SIZE, 3), np.float32)
    halves[0, : SIZE[0] // 2] = halves[1, SIZE[0] // 2 :] = 0.5
    for first, second, spread in ((white, grey, "nan"), (white, white, "nan"), (*halves, "inf")):
        seen = FrameLights()
        for each in (first, second):
            seen.see(small_planes(each))
        assert str(seen.changes[1].spread) == spread
        assert len(seen.scenes()) == (2 if spread == "inf" else 1)


@given(
    some.lists(some.floats(0, 3), min_size=1, max_size=40),
    some.floats(-0.3, 0.3),
    some.sampled_from([0.0, 0.05, 0.4, float("nan")]),
)
def test_gains_are_never_below_nothing_and_keep_to_what_is_found(
    found: list[float], ratio: float, spread: float
) -> None:
    gains = steady.steady_gains(found, [Change(ratio, spread)] * len(found), 0.3)
    assert gains.shape == (len(found),)
    assert (gains >= 0).all()
    if spread != spread or ratio == 0:  # no trend was measured
        assert gains.max() <= max(found) + 1e-6
    still = steady.steady_gains(found, [Change(0.0, 0.0)] * len(found), 0.3)
    assert still.mean() == pytest.approx(np.mean(found), abs=1e-6)
    assert np.abs(np.diff(still)).max(initial=0) < 0.01


def test_light_of_scenes_that_are_not_over_exposed_may_change() -> None:
    frames = [to_pixels(shown(light_of(), each)) for each in [0.0] * 9 + [-1.2] * 9 + [0.0] * 9]
    followed = followed_over(SmallCopyRestorer(Guessing([0.0])), frames)
    for number, frame in enumerate(frames):
        assert np.abs(followed(number, frame) - frame)[30:].max() < 0.001


def test_content_keeps_what_was_drawn_before_and_moves_with_it() -> None:
    drawn = np.zeros((4, 1, 3, 8, 8), np.float32)
    drawn[0, :, :, 3, 2] = 1.0
    drawn[1:] = 0.0
    changes = [Change(0, 0), Change(0, 0, (2.0, 1.0)), Change(0, 0.05), Change(0, 1.0)]
    content = steady.SteadyContent(changes, [slice(0, 4)])
    clipped = np.ones_like(drawn[0])
    shown = [content.settle(number, each, clipped) for number, each in enumerate(drawn)]
    assert shown[0].max() == 1
    assert np.argwhere(shown[1][0, 0] > 0.1).tolist() == [[4, 4]]
    assert shown[1][0, 0, 4, 4] == pytest.approx(0.8, abs=0.01)
    assert shown[2][0, 0, 4, 4] == pytest.approx(0.8 * 0.4, abs=0.01)  # half of it follows
    assert shown[3].max() == 0  # nothing follows
    beyond = steady.SteadyContent(changes, [slice(0, 1), slice(1, 4)])
    beyond.settle(0, drawn[0], clipped)
    assert beyond.settle(1, drawn[1], clipped).max() == 0  # a cut
    assert beyond.settle(3, drawn[0], clipped).max() == 1  # a frame was left out
    newly = steady.SteadyContent(changes, [slice(0, 4)])
    newly.settle(0, drawn[0], 0 * clipped)
    assert newly.settle(1, drawn[1], clipped).max() == 0  # nothing was clipped before


def test_parts_do_not_flicker_against_each_other() -> None:
    frames = [to_pixels(shown(light_of(), each)) for each in STEADY]
    method = SmallCopyRestorer(Guessing(STEADY, noise=0.0, parts=0.2))
    followed = followed_over(method, frames)
    corner = [followed(number, frame)[50:, :40] for number, frame in enumerate(frames)]
    each = [method(frame)[50:, :40] for frame in frames]
    assert np.abs(np.diff(means(each))).max() > 0.02
    assert np.abs(np.diff(means(corner))).max() < 0.002


def test_what_is_kept_unclipped_follows_as_the_whole_does() -> None:
    frames = [to_pixels(shown(light_of(), each)) for each in STEADY]
    finder = Guessing(STEADY, noise=0.5)
    followed = followed_over(KeepingUnclipped(SmallCopyRestorer(finder)), frames)
    assert finder.proposed == len(frames)
    found = [followed(number, frame) for number, frame in enumerate(frames)]
    assert finder.proposed == len(frames)  # no frame was judged alone
    for before, after in zip(frames, found, strict=True):
        assert (after[30:] == before[30:]).all()  # nothing is clipped there
        assert (after[10:18, 10:18] < before[10:18, 10:18]).any()


def test_a_part_of_the_correction_follows_as_all_of_it_does() -> None:
    frames = [to_pixels(shown(light_of(), each)) for each in STEADY]
    whole = followed_over(SmallCopyRestorer(Guessing(STEADY)), frames)
    half = followed_over(AdaptiveStrength(SmallCopyRestorer(Guessing(STEADY)), 0.5), frames)
    for number, frame in enumerate(frames):
        wanted = (frame + whole(number, frame)) / 2
        np.testing.assert_allclose(half(number, frame), wanted, atol=1e-6)


# Over-exposed looks what is brighter than 0.7; half bright pictures are in between.
LEARNED = Exposure(tuple(np.where(EDGES[:-1] >= 0.7, 6.0, -3.0)), 0.0)


def blinking(bright: Sequence[float], seed: int = 0) -> list[Pixels]:
    """Frames of which a share is bright, before a scene that stays."""
    frames = []
    for share in bright:
        frame = to_pixels(shown(light_of(seed), 0.5)) * np.float32(0.7)
        frame[:, : round(share * SIZE[1])] = 0.9
        frames.append(frame)
    return frames


def test_a_learned_strength_is_smoothed_over_time_and_not_over_cuts() -> None:
    random = np.random.default_rng(0)
    bright = 0.3 + random.uniform(-0.1, 0.1, 30)
    dark = [np.clip(frame * 0.2, 0, 1) for frame in blinking([0.0] * 30, seed=7)]
    frames = blinking(list(bright)) + dark
    method = AdaptiveStrength(lambda pixels: np.zeros_like(pixels), LEARNED)
    followed = followed_over(method, frames)
    shares = [1 - followed(n, frame).sum() / frame.sum() for n, frame in enumerate(frames)]
    each = [1 - method(frame).sum() / frame.sum() for frame in frames]
    assert np.abs(np.diff(each[:30])).max() > 0.1
    assert np.abs(np.diff(shares[:30])).max() < 0.02
    assert np.mean(shares[:30]) == pytest.approx(np.mean(each[:30]), abs=0.05)
    np.testing.assert_allclose(shares[30:], each[30:], atol=0.02)  # beyond the cut


def test_frames_are_not_looked_at_for_methods_that_do_not_follow() -> None:
    def never() -> Iterator[Pixels]:
        raise AssertionError
        yield

    def darker(pixels: Pixels) -> Pixels:
        return pixels / 2

    frame = to_pixels(shown(light_of(), 0.0))
    for method in (darker, AdaptiveStrength(darker, 1.0), KeepingUnclipped(darker)):
        followed = followed_over(method, never())
        np.testing.assert_array_equal(followed(5, frame), method(frame))


@pytest.mark.slow
def test_both_passes_are_told(tmp_path: Path) -> None:
    source = ramp(tmp_path / "a.mp4", STEADY)
    looks: list[tuple[int, int | None]] = []
    done: list[tuple[int, int | None]] = []
    restore_video(
        source,
        tmp_path / "b.mp4",
        SmallCopyRestorer(Guessing(STEADY)),
        lambda *now: done.append(now),
        on_look=lambda *now: looks.append(now) if not done else pytest.fail("too late"),
    )
    assert looks == done == [(number, 12) for number in range(1, 13)]


@pytest.mark.slow
def test_one_bar_shows_both_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ramp(tmp_path / "a.mp4", STEADY)
    method = SmallCopyRestorer(Guessing(STEADY))
    monkeypatch.setattr(restore, "open_method", lambda *_: method)
    told: list[tuple[float, str]] = []
    [outcome] = restore_files(
        [source], RestoreOptions(), lambda done, total, name: told.append((done, name))
    )
    assert outcome.frames == 12
    assert not outcome.fault
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert told[6] == (0.1, "a.mp4 looking at light, 6/12 frames")
    assert told[12][0] == pytest.approx(0.2)
    assert told[18] == (pytest.approx(0.6), "a.mp4 6/12 frames")


def test_each_frame_takes_a_few_kilobytes() -> None:
    picture = to_pixels(shown(light_of(), 0.7))

    def taken(frames: int) -> int:
        method = SmallCopyRestorer(Guessing([0.7]))
        gc.collect()
        tracemalloc.start()
        followed = followed_over(method, (picture for _ in range(frames)))
        followed(0, picture)
        size, _ = tracemalloc.get_traced_memory()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return max(size, peak)

    taken(5)
    assert (taken(230) - taken(30)) / 200 < 4096
