"""Which frames stay together."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from helpers.members import Member, columns_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dataset.options import SplitOptions
from dataset.splitting.groups import Neighbours
from dataset.splitting.groups import group_frames as group_columns

SECOND = 1_000_000_000
OPTIONS = SplitOptions(burst_gap_s=2, burst_s=10, guard_s=2, burst_frames=30, phash_bits=1)
SCENE = "0f1e2d3c4b5a6978"  # 32 of 64 bits set, as in any hash cut at the median


def group_frames(members: list[Member], options: SplitOptions) -> NDArray[np.int64]:
    return group_columns(columns_of(members), options)


def recording(
    seconds: float, fps: float, session: str = "flight", start: float = 0
) -> list[Member]:
    return [
        Member(session, at, round((start + at / fps) * SECOND))
        for at in range(round(seconds * fps))
    ]


def test_a_viewpoint_is_one_group_and_the_next_one_another() -> None:
    members = [Member("sweep", at, at * SECOND // 4, viewpoint=f"v{at // 3}") for at in range(9)]
    assert group_frames(members, OPTIONS).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_the_same_viewpoint_id_in_two_sessions_is_two_viewpoints() -> None:
    members = [Member("a", 0, 0, "v0"), Member("b", 0, 0, "v0")]
    assert group_frames(members, OPTIONS).tolist() == [0, 1]


def test_a_gap_ends_a_burst() -> None:
    members = [Member("f", at, t * SECOND) for at, t in enumerate((0, 1, 2, 4, 5, 60))]
    assert group_frames(members, OPTIONS).tolist() == [0, 0, 0, 1, 1, 2]


def test_a_long_recording_is_cut_into_stretches_of_bounded_length() -> None:
    members = recording(seconds=95, fps=4)
    groups = group_frames(members, OPTIONS)
    assert groups.max() == 9  # ten stretches of 9.5 s, none over 10 s
    for group in range(10):
        times = [members[at].time_ns / SECOND for at in np.flatnonzero(groups == group)]
        assert max(times) - min(times) <= 10
    assert (np.diff(groups) >= 0).all()


def test_imported_screenshots_with_one_time_can_still_be_divided() -> None:
    members = [Member("import", at, 5 * SECOND, timed=False) for at in range(100)]
    assert np.bincount(group_frames(members, OPTIONS)).tolist() == [30, 30, 30, 10]


def test_screenshots_taken_minutes_apart_stand_alone() -> None:
    members = [Member("import", at, at * 60 * SECOND, timed=False) for at in range(4)]
    assert group_frames(members, OPTIONS).tolist() == [0, 1, 2, 3]


def test_identical_files_join_their_groups_across_sessions() -> None:
    members = [
        Member("a", 0, 0, "v0", sha256="same"),
        Member("a", 1, 1, "v1", sha256="other"),
        Member("b", 0, 0, "v0", sha256="same"),
    ]
    assert group_frames(members, OPTIONS).tolist() == [0, 1, 0]


def test_hashes_one_bit_apart_are_one_picture_and_two_bits_are_not() -> None:
    value = int(SCENE, 16)
    hashes = [value, value ^ 1 << 63, value ^ 0b110]
    members = [Member("a", at, 0, f"v{at}", phash=f"{each:016x}") for at, each in enumerate(hashes)]
    assert group_frames(members, OPTIONS).tolist() == [0, 0, 1]
    assert group_frames(members, replace(OPTIONS, phash_bits=2)).tolist() == [0, 0, 0]
    assert group_frames(members, replace(OPTIONS, phash_bits=-1)).tolist() == [0, 1, 2]


def test_hashes_of_flat_pictures_join_nothing() -> None:
    members = [Member("a", at, 0, f"v{at}", phash="8000000000000000") for at in range(3)]
    assert group_frames(members, OPTIONS).tolist() == [0, 1, 2]


def test_a_camera_that_stands_still_makes_one_group() -> None:
    members = [replace(each, phash=SCENE) for each in recording(60, 2)]
    assert set(group_frames(members, OPTIONS)) == {0}


def test_neighbours_that_look_alike_do_not_chain_a_slow_recording() -> None:
    # Every frame looks like the one before and like none two seconds away.
    members = [
        replace(each, phash=f"{int(SCENE, 16) ^ 0xFFF << each.index // 3 % 50:016x}")
        for each in recording(40, 2)
    ]
    assert set(group_frames(members, OPTIONS)) == {0, 1, 2, 3}


def test_a_picture_that_comes_back_later_joins_its_stretches() -> None:
    members = recording(40, 1)
    members[2] = replace(members[2], phash=SCENE)
    members[33] = replace(members[33], phash=SCENE)
    groups = group_frames(members, OPTIONS)
    assert groups[2] == groups[33] == 0
    assert groups[15] != 0


def test_distances_are_those_within_a_recording() -> None:
    members = [
        Member("a", 0, 0),
        Member("a", 1, 1 * SECOND),
        Member("a", 2, 4 * SECOND),
        Member("b", 0, 0),  # another session: its clock says nothing here
        Member("a", 3, 5 * SECOND, "v0"),
        Member("a", 4, 6 * SECOND, "v1"),
        Member("c", 0, 0, timed=False),
    ]
    other = np.array([False, True, False, False, True, False, False])
    found = Neighbours(columns_of(members)).seconds_to(other)
    # v0 and v1 are 4 and 5 s from the plain frame at 1 s; that v0 is near v1 does not count
    assert found.tolist() == [1, 0, 1, np.inf, 4, 5, np.inf]


@pytest.mark.slow
def test_a_hundred_thousand_frames_take_seconds_and_little_memory() -> None:
    random = np.random.default_rng(0)
    hashes = [f"{each:016x}" for each in random.integers(0, 2**63, 100_000).tolist()]
    members = [replace(each, phash=p) for each, p in zip(recording(20_000, 5), hashes, strict=True)]
    tracemalloc.start()
    groups = group_frames(members, replace(OPTIONS, phash_bits=0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert groups.max() == 1999  # 20,000 s in stretches of 10 s
    assert peak < 200e6  # a square of 100,000 would be 10 GB, and its time over a test's limit


frames = st.builds(
    Member,
    session=st.sampled_from("ab"),
    index=st.integers(0, 999),
    time_ns=st.integers(0, 60).map(lambda seconds: seconds * SECOND),
    viewpoint=st.sampled_from([None, None, "v0", "v1"]),
    timed=st.just(True),
    sha256=st.sampled_from([None, None, None, "s", "t"]),
    phash=st.sampled_from([None, SCENE, SCENE[:-1] + "9", SCENE[::-1]]),
)


@pytest.mark.slow
@given(st.lists(frames, max_size=40), st.randoms())
def test_laws_of_grouping(members: list[Member], random: Random) -> None:
    members = [
        replace(each, index=at)
        for at, each in enumerate(sorted(members, key=lambda each: (each.session, each.time_ns)))
    ]
    groups = group_frames(members, OPTIONS)
    assert set(groups) == set(range(len(set(groups))))
    for one, a in enumerate(members):
        for two, b in enumerate(members):
            if a.viewpoint and (a.session, a.viewpoint) == (b.session, b.viewpoint):
                assert groups[one] == groups[two]
            if a.sha256 and a.sha256 == b.sha256:
                assert groups[one] == groups[two]
            apart = a.session != b.session or abs(a.time_ns - b.time_ns) >= 2 * SECOND
            if a.phash and a.phash == b.phash and apart:
                assert groups[one] == groups[two]
    order = list(range(len(members)))
    random.shuffle(order)
    shuffled = group_frames([members[at] for at in order], OPTIONS)
    assert shuffled.tolist() == groups[order].tolist()
