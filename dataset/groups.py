"""Which frames must stay on one side of a split. Numbers only: no pixels, no files.

Frames of one *strand* follow each other: the frames of one viewpoint, or of one recording without
a gap. A viewpoint is one group, however long. A recording would be one group as well and could
never be divided, so it is cut into stretches of bounded length; `Neighbours` then measures which
frames around a cut are too near to the other side to be used. Consecutive viewpoints are not
neighbours in this sense: the camera has moved in between.

Times of imported screenshots often say nothing (copying gives hundreds of files one time). There
a run of files close in time is cut after a number of frames, in natural order, with no guard.

Identical files and near-identical perceptual hashes join groups across viewpoints, sessions and
domains. Inside one recording they do so only beyond the guard: neighbours always look alike, and
would otherwise chain a slow recording into one group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from dataset.options import SplitOptions


@dataclass(frozen=True)
class Member:
    """What grouping needs to know of one frame."""

    session: str
    index: int  # running number in the session
    time_ns: int  # monotonic within the session
    viewpoint: str | None = None
    timed: bool = True  # False: imported screenshots, whose times are those of a copy
    sha256: str | None = None
    phash: str | None = None  # hexadecimal


def group_frames(members: Sequence[Member], options: SplitOptions) -> NDArray[np.int64]:
    """Number the groups of frames that must stay together.

    Parameters
    ----------
    members : sequence of Member
        In any order.
    options : SplitOptions
        `burst_gap_s`, `burst_s`, `burst_frames`, `guard_s` and `phash_bits` are used.

    Returns
    -------
    int64 array, (len(members),)
        Group of each member: 0, 1, ... in order of (session, index). Memory and time grow with
        the number of frames, not with its square.
    """
    order = sorted(range(len(members)), key=lambda at: (members[at].session, members[at].index))
    strand, piece = _cut(members, order, options)
    joined = _Forest(max(piece, default=-1) + 1)
    for same in _with_equal(member.sha256 for member in members):
        joined.join_all(piece[at] for at in same)
    guard_ns = round(options.guard_s * 1e9)
    for alike in _with_similar([member.phash for member in members], options.phash_bits):
        _join_alike(alike, members, strand, piece, joined, guard_ns)
    numbers: dict[int, int] = {}
    groups = np.empty(len(members), np.int64)
    for at in order:
        groups[at] = numbers.setdefault(joined.root(piece[at]), len(numbers))
    return groups


class Neighbours:
    """Distances in time between the two sides of a split.

    Only within a session and where times say something; two frames with viewpoints are no
    neighbours, however near in time.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._times = np.array([each.time_ns for each in members], np.int64)
        self._free = np.array([each.viewpoint is None for each in members], np.bool_)
        sessions: dict[str, list[int]] = defaultdict(list)
        for at, member in enumerate(members):
            if member.timed:
                sessions[member.session].append(at)
        self._sessions = [np.array(each) for each in sessions.values()]

    def seconds_to(self, other: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Seconds from each member to the nearest of the others.

        Parameters
        ----------
        other : bool array, (members,)

        Returns
        -------
        float64 array, (members,)
            Infinity where there is no neighbour.
        """
        seconds = np.full(len(self._times), np.inf)
        for inside in self._sessions:
            others = inside[other[inside]]
            free = inside[self._free[inside]]
            posed = inside[~self._free[inside]]
            seconds[free] = _nearest(self._times[free], self._times[others])
            seconds[posed] = _nearest(self._times[posed], self._times[others[self._free[others]]])
        return seconds


def _nearest(times: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds from each time to the nearest of the others; infinity if there are none."""
    if not len(others):
        return np.full(len(times), np.inf)
    others = np.sort(others)
    after = np.minimum(np.searchsorted(others, times), len(others) - 1)
    before = np.maximum(after - 1, 0)
    gaps = np.minimum(np.abs(others[after] - times), np.abs(others[before] - times))
    return np.asarray(gaps / 1e9, np.float64)


def _cut(
    members: Sequence[Member], order: Sequence[int], options: SplitOptions
) -> tuple[list[int], list[int]]:
    """Number of the strand and of the piece (stretch or viewpoint) that each member lies in."""
    strand, piece = [0] * len(members), [0] * len(members)
    viewpoints: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at in order:
        viewpoint = members[at].viewpoint
        if viewpoint is not None:
            viewpoints[members[at].session, viewpoint].append(at)
    runs = _runs(members, order, round(options.burst_gap_s * 1e9))
    strands = chain(([each] for each in viewpoints.values()), _cut_runs(members, runs, options))
    pieces = 0
    for number, stretches in enumerate(strands):
        for stretch in stretches:
            for at in stretch:
                strand[at], piece[at] = number, pieces
            pieces += 1
    return strand, piece


def _runs(members: Sequence[Member], order: Sequence[int], gap_ns: int) -> Iterator[list[int]]:
    """Frames without a viewpoint, session by session, parted where time jumps by the gap."""
    run: list[int] = []
    for at in order:
        if members[at].viewpoint is not None:
            continue
        if run:
            before = members[run[-1]]
            jump = abs(members[at].time_ns - before.time_ns)
            if members[at].session != before.session or jump >= gap_ns:
                yield run
                run = []
        run.append(at)
    if run:
        yield run


def _cut_runs(
    members: Sequence[Member], runs: Iterable[list[int]], options: SplitOptions
) -> Iterator[list[list[int]]]:
    """Each run as its stretches; screenshots without times give one strand a stretch."""
    for run in runs:
        if members[run[0]].timed:
            yield _cut_by_time(members, run, max(round(options.burst_s * 1e9), 1))
        else:
            size = max(options.burst_frames, 1)
            yield from ([run[start : start + size]] for start in range(0, len(run), size))


def _cut_by_time(members: Sequence[Member], run: list[int], longest_ns: int) -> list[list[int]]:
    """A recording in equal stretches of at most the longest time."""
    start = members[run[0]].time_ns
    length = abs(members[run[-1]].time_ns - start) + 1
    count = -(-length // longest_ns)
    stretches: dict[int, list[int]] = defaultdict(list)
    for at in run:
        stretches[(members[at].time_ns - start) * count // length].append(at)
    return list(stretches.values())


def _with_equal(values: Iterable[str | None]) -> Iterator[list[int]]:
    """Positions that share a value; None is no value."""
    found: dict[str, list[int]] = defaultdict(list)
    for at, value in enumerate(values):
        if value is not None:
            found[value].append(at)
    return (each for each in found.values() if len(each) > 1)


def _with_similar(hashes: Sequence[str | None], bits: int) -> Iterator[list[int]]:
    """Positions whose 64-bit hashes are equal, then each pair of hashes up to `bits` apart.

    Flipping bits and looking the result up takes time linear in the number of hashes.
    """
    found: dict[int, list[int]] = defaultdict(list)
    for at, text in enumerate(hashes):
        # A flat picture has hardly a bit set, or nearly all: that says nothing of what it shows.
        if text and len(text) <= 16 and 4 < (value := int(text, 16)).bit_count() < 60:
            found[value].append(at)
    if bits < 0 or not found:
        return
    yield from (each for each in found.values() if len(each) > 1)
    known = np.sort(np.array(list(found), np.uint64))
    for count in range(1, bits + 1):
        for flips in combinations(range(64), count):
            flipped = known ^ np.uint64(sum(1 << bit for bit in flips))
            place = np.minimum(np.searchsorted(known, flipped), len(known) - 1)
            hits = np.flatnonzero((known[place] == flipped) & (known < flipped))
            for one, two in zip(known[hits].tolist(), flipped[hits].tolist(), strict=True):
                yield found[one] + found[two]


def _join_alike(
    alike: Sequence[int],
    members: Sequence[Member],
    strand: Sequence[int],
    piece: Sequence[int],
    joined: _Forest,
    guard_ns: int,
) -> None:
    """Join the pieces of frames that look alike; within one strand only beyond the guard."""
    if len({strand[at] for at in alike}) > 1:
        joined.join_all(piece[at] for at in alike)
        return
    # Any two that are a guard apart are each a guard from the first or from the last.
    first = min(alike, key=lambda at: members[at].time_ns)
    last = max(alike, key=lambda at: members[at].time_ns)
    for at in alike:
        for end in (first, last):
            if abs(members[at].time_ns - members[end].time_ns) >= guard_ns:
                joined.join(piece[at], piece[end])


class _Forest:
    """Union-find over numbers; a root is the smallest number of its tree."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, node: int) -> int:
        while self._parent[node] != node:
            self._parent[node] = node = self._parent[self._parent[node]]
        return node

    def join(self, one: int, two: int) -> None:
        low, high = sorted((self.root(one), self.root(two)))
        self._parent[high] = low

    def join_all(self, nodes: Iterable[int]) -> None:
        first: int | None = None
        for node in nodes:
            if first is None:
                first = node
            self.join(first, node)
