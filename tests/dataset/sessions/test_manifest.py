"""Pacing, file formats and hashes: laws that hold for any input."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from helpers.painted import noise
from hypothesis import given
from hypothesis import strategies as st

from capture.recording.pacing import NS_PER_S, PacingClock
from dataset.errors import UserError
from dataset.pictures.hashing import phash
from dataset.sessions.manifest import FRAMES_FILE, Frame, ManifestWriter, read_frames

texts = st.none() | st.text(max_size=20)
numbers = st.integers(0, 2**53)
frames = st.builds(
    Frame,
    index=numbers,
    file=st.text(string.ascii_letters + ".한", min_size=1)
    .filter(lambda name: name not in (".", ".."))  # which lead out of the folder
    .map("frames/".__add__),
    width=numbers,
    height=numbers,
    wall_ns=numbers,
    monotonic_ns=numbers,
    missed_before=numbers,
    duplicate_of=st.none() | numbers,
    label=st.sampled_from([None, "X", "Y"]),
    light=texts,
    viewpoint=texts,
    sha256=st.none() | st.text(string.hexdigits, max_size=64),
    phash=st.none() | st.text("0123456789abcdef", max_size=16),
    picture_ns=st.none() | numbers,
    extra=st.dictionaries(st.text(min_size=1).map("later_".__add__), texts | numbers, max_size=3),
)


@pytest.mark.slow
@given(st.lists(frames, max_size=5))
def test_a_manifest_is_read_as_it_was_written(written: list[Frame]) -> None:
    with TemporaryDirectory() as folder:
        with ManifestWriter(folder) as manifest:
            for frame in written:
                manifest.append(frame)
        assert list(read_frames(folder)) == written


def test_the_desktops_own_time_is_written_where_it_is_known_only() -> None:
    frame = Frame(0, "frames/000000.png", 8, 8, 5, 6)
    assert "picture_ns" not in frame.to_json()
    assert Frame.from_json(frame.to_json()) == frame
    known = replace(frame, picture_ns=4)
    assert known.to_json() == f'{frame.to_json()[:-1]}, "picture_ns": 4}}'
    assert Frame.from_json(known.to_json()) == known
    with pytest.raises(ValueError, match="picture_ns"):
        Frame.from_json(known.to_json().replace("4}", '"four"}'))


@pytest.mark.slow
@given(frames, st.data())
def test_a_line_cut_off_anywhere_costs_only_itself(frame: Frame, data: st.DataObject) -> None:
    line = frame.to_json().encode()
    cut = data.draw(st.integers(0, len(line) - 1))
    with TemporaryDirectory() as folder:
        (Path(folder) / FRAMES_FILE).write_bytes(line + b"\n" + line[:cut])
        assert list(read_frames(folder)) == [frame]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / FRAMES_FILE).write_bytes(b'{"index": \n{}\n')
    with pytest.raises(UserError, match="line 1 is damaged"):
        list(read_frames(tmp_path))


def test_a_manifest_is_never_overwritten(tmp_path: Path) -> None:
    ManifestWriter(tmp_path).close()
    with pytest.raises(FileExistsError):
        ManifestWriter(tmp_path)


rates = st.floats(0.1, 240) | st.sampled_from([1, 5, 24, 30, 29.97, 60, 144])


@pytest.mark.slow
@given(rates, st.integers(0, 10**15), st.lists(st.integers(0, 3 * NS_PER_S), min_size=1))
def test_served_and_skipped_intervals_are_the_deadlines_passed(
    fps: float, start_ns: int, waits: list[int]
) -> None:
    clock = PacingClock(fps)
    clock.start(start_ns)
    now, served, skipped = start_ns, 0, 0
    for wait in waits:
        now += wait
        if now >= clock.deadline_ns():
            skipped += clock.take(now)
            served += 1
        assert clock.deadline_ns() > now
    passed = served + skipped
    assert start_ns + round((passed - 1) * NS_PER_S / fps) <= now or passed == 0
    assert start_ns + round(passed * NS_PER_S / fps) > now


@given(rates, st.integers(0, 10**6))
def test_a_prompt_caller_never_skips_and_never_drifts(fps: float, late_ns: int) -> None:
    clock = PacingClock(fps)
    clock.start(0)
    for number in range(50):
        deadline = clock.deadline_ns()
        assert deadline == round(number * NS_PER_S / fps)
        assert clock.take(deadline + late_ns) == 0


@given(rates, st.integers(0, 100 * NS_PER_S))
def test_skipping_gives_up_everything_that_is_due(fps: float, now_ns: int) -> None:
    clock = PacingClock(fps)
    clock.start(0)
    given_up = clock.skip(now_ns)
    assert clock.deadline_ns() == round(given_up * NS_PER_S / fps) > now_ns
    assert clock.skip(now_ns) == 0


def test_no_interval_can_be_taken_before_it_is_due() -> None:
    clock = PacingClock(5)
    clock.start(0)
    clock.take(0)
    with pytest.raises(ValueError, match="due"):
        clock.take(NS_PER_S // 5 - 1)
    with pytest.raises(ValueError, match="over 0"):
        PacingClock(0)


def _bits(one: str, other: str) -> int:
    return bin(int(one, 16) ^ int(other, 16)).count("1")


def _scene(seed: int) -> np.ndarray:
    coarse = noise(seed, (12, 8))
    return np.kron(coarse, np.ones((40, 40, 1), np.uint8))


def test_the_perceptual_hash_is_near_for_near_pictures_and_far_for_others() -> None:
    hashes = [phash(_scene(seed)) for seed in range(20)]
    for seed, known in enumerate(hashes):
        dimmed = (_scene(seed) * 0.8).astype(np.uint8)[::2, ::2]
        assert _bits(known, phash(dimmed)) <= 6
    far = [_bits(one, other) for n, one in enumerate(hashes) for other in hashes[:n]]
    assert min(far) >= 14
    assert 28 <= np.mean(far) <= 36  # 32: independent bits
