"""Which frames must stay on one side of a split. Numbers only: no pixels, no files.

Frames of one *strand* follow each other: the frames of one viewpoint, or of one recording without
a gap. A viewpoint is one group, however long. A recording would be one group as well and could
never be divided, so it is cut into stretches of bounded length; `Neighbours` then measures which
frames around a cut are too near to the other side to be used. Consecutive viewpoints are not
neighbours in this sense: the camera has moved in between.

Times of imported screenshots are often meaningless (copying gives hundreds of files one time).
There a run of files close in time is cut after a number of frames, in natural order, with no guard.

Identical files and near-identical perceptual hashes join groups across viewpoints, sessions and
domains. Inside one recording they do so only beyond the guard: neighbours always look alike, and
would otherwise chain a slow recording into one group.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dataset.options import SplitOptions
from dataset.sessions.columns import Bools, Columns, Ints
from dataset.splitting.near_hashes import near_pairs, starts_of_runs

Edges = tuple[Ints, Ints]  # pieces that belong together, pair by pair


def group_frames(frames: Columns, options: SplitOptions) -> Ints:
    """Number the groups of frames that must stay together.

    Parameters
    ----------
    frames : Columns
        In any order.
    options : SplitOptions
        `burst_gap_s`, `burst_s`, `burst_frames`, `guard_s` and `phash_bits` are used.

    Returns
    -------
    int64 array, (len(frames),)
        Group of each frame: 0, 1, ... in order of (session, index). Memory grows with the number
        of frames, not with its square; so does time where `phash_bits` is at most 1.
    """
    order = np.lexsort((frames.index, frames.session))
    ordered = frames.take(order)
    strand, piece = _cut(ordered, options)
    edges = [_with_equal_bytes(ordered, piece)]
    guard_ns = round(options.guard_s * 1e9)
    looks = _Looks(ordered, strand, piece, guard_ns)
    # Many frames are alike if many bits may differ; their pieces are few.
    edges += map(_distinct, looks.edges(options.phash_bits))
    groups = np.empty(len(frames), np.int64)
    groups[order] = _by_appearance(_components(edges, piece)[piece])
    return groups


class Neighbours:
    """Distances in time between the two sides of a split.

    Only within a session and where times are meaningful; two frames with viewpoints are no
    neighbours, however near in time.
    """

    def __init__(self, frames: Columns) -> None:
        self._times = frames.time_ns
        self._free = frames.viewpoint < 0
        timed = np.flatnonzero(frames.timed)
        timed = timed[np.argsort(frames.session[timed], kind="stable")]
        self._sessions = np.split(timed, starts_of_runs(frames.session[timed])[1:])

    def seconds_to(self, other: Bools) -> NDArray[np.float64]:
        """Seconds from each frame to the nearest of the others.

        Parameters
        ----------
        other : bool array, (frames,)

        Returns
        -------
        float64 array, (frames,)
            Infinity if there is no neighbour.
        """
        return self.nearest(other)[0]

    def nearest(self, other: Bools) -> tuple[NDArray[np.float64], Ints]:
        """`seconds_to`, and the position of the nearest of the others, or -1."""
        seconds, place = np.full(len(self._times), np.inf), np.full(len(self._times), -1)
        for inside in self._sessions:
            others = inside[other[inside]]
            free = inside[self._free[inside]]
            posed = inside[~self._free[inside]]
            for some, candidates in ((free, others), (posed, others[self._free[others]])):
                if len(candidates):
                    place[some] = candidates[_nearest(self._times[some], self._times[candidates])]
                    gaps = self._times[some] - self._times[place[some]]
                    seconds[some] = np.abs(gaps) / 1e9
        return seconds, place


def _nearest(times: Ints, others: Ints) -> Ints:
    """Position of the nearest of the others, of which there is one at least, to each time."""
    order = np.argsort(others, kind="stable")
    rising = others[order]
    after = np.minimum(np.searchsorted(rising, times), len(others) - 1)
    before = np.maximum(after - 1, 0)
    is_after = np.abs(rising[after] - times) < np.abs(rising[before] - times)
    return np.asarray(order[np.where(is_after, after, before)])


def _cut(frames: Columns, options: SplitOptions) -> tuple[Ints, Ints]:
    """Number of the strand and of the piece (stretch or viewpoint) of each frame."""
    free = np.flatnonzero(frames.viewpoint < 0)
    runs = _runs(frames, free, round(options.burst_gap_s * 1e9))
    timed = frames.timed[free]
    stretch = np.where(
        timed,
        _stretch_by_time(frames.time_ns[free], runs, max(round(options.burst_s * 1e9), 1)),
        _rank_in_run(runs) // max(options.burst_frames, 1),
    )
    first = int(frames.viewpoint.max(initial=-1)) + 1  # viewpoints have the numbers before
    strand, piece = frames.viewpoint.copy(), frames.viewpoint.copy()
    pieces = _number(runs, stretch)
    piece[free] = first + pieces
    # Screenshots without times: each stretch is a strand of its own.
    strand[free] = first + np.where(timed, runs, int(runs.max(initial=-1)) + 1 + pieces)
    return strand, piece


def _runs(frames: Columns, free: Ints, gap_ns: int) -> Ints:
    """Runs of frames without a viewpoint, session by session, parted where time jumps."""
    times, sessions = frames.time_ns[free], frames.session[free]
    starts = np.zeros(len(free), np.bool_)
    starts[1:] = (np.abs(np.diff(times)) >= gap_ns) | (np.diff(sessions) != 0)
    return np.cumsum(starts)


def _rank_in_run(runs: Ints) -> Ints:
    first = np.searchsorted(runs, runs)
    return np.arange(len(runs)) - first


def _stretch_by_time(times: Ints, runs: Ints, longest_ns: int) -> Ints:
    """Recordings in equal stretches of at most the longest time: the stretch of each frame."""
    if not len(times):
        return np.zeros(0, np.int64)
    starts = starts_of_runs(runs)
    ends = np.append(starts[1:], len(runs)) - 1
    begin = times[starts]
    length = np.abs(times[ends] - begin) + 1
    count = -(-length // longest_ns)
    # Nanoseconds of a recording of days, times its stretches, do not fit into 64 bits.
    exact = np.int64 if float(np.max(length * count.astype(float))) < 2**61 else object
    since = (times - begin[runs]).astype(exact)
    return np.asarray(since * count[runs] // length[runs]).astype(np.int64)


def _number(runs: Ints, stretch: Ints) -> Ints:
    """Numbers of the (run, stretch) pairs, from 0."""
    order = np.lexsort((stretch, runs))
    starts = np.zeros(len(runs), np.int64)
    starts[starts_of_runs(runs[order], stretch[order])[1:]] = 1
    numbers = np.empty(len(runs), np.int64)
    numbers[order] = np.cumsum(starts)
    return numbers


def _with_equal_bytes(frames: Columns, piece: Ints) -> Edges:
    known = np.flatnonzero(frames.sha256 != b"")
    known = known[np.argsort(frames.sha256[known], kind="stable")]
    same = np.flatnonzero(frames.sha256[known[1:]] == frames.sha256[known[:-1]])
    return piece[known[same]], piece[known[same + 1]]


class _Looks:
    """Frames by perceptual hash. Within one strand they join only beyond the guard: of any two
    that are a guard apart, each is a guard from the first or from the last of those alike."""

    def __init__(self, frames: Columns, strand: Ints, piece: Ints, guard_ns: int) -> None:
        telling = np.flatnonzero(frames.has_informative_hash)
        by_time = np.lexsort((frames.time_ns[telling], frames.phash[telling]))
        at = telling[by_time]
        self.piece, self.strand = piece[at], strand[at]
        self.time, self.guard_ns = frames.time_ns[at], guard_ns
        hashes = frames.phash[at]
        self.first = starts_of_runs(hashes)  # of each hash, the earliest frame
        self.size = np.diff(np.append(self.first, len(hashes)))
        self.known = hashes[self.first]

    def edges(self, bits: int) -> Iterator[Edges]:
        if bits < 0 or not len(self.known):
            return
        low = np.minimum.reduceat(self.strand, self.first)
        high = np.maximum.reduceat(self.strand, self.first)
        whole = low != high  # hashes whose frames are all joined, whatever the time
        for one, two in near_pairs(self.known, bits):
            mixed = (low[one] != high[two]) | (low[two] != high[one]) | whole[one] | whole[two]
            whole[one[mixed]] = whole[two[mixed]] = True
            yield self.piece[self.first[one[mixed]]], self.piece[self.first[two[mixed]]]
            yield from self._beyond_guard(one[~mixed], two[~mixed])
        same = np.arange(len(self.known))
        yield from self._beyond_guard(same[~whole], same[~whole])
        inner = np.repeat(whole, self.size)
        inner[self.first] = False
        yield self.piece[np.flatnonzero(inner) - 1], self.piece[inner]

    def _beyond_guard(self, one: Ints, two: Ints) -> Iterator[Edges]:
        """Frames of two hashes of one strand with the first and the last frame of both."""
        last = self.first + self.size - 1
        first_at = self._either(self.first[one], self.first[two], later=False)
        last_at = self._either(last[one], last[two], later=True)
        for hashes in (one, two):
            sizes = self.size[hashes]
            ends = np.cumsum(sizes)
            frame = np.arange(sizes.sum()) + np.repeat(self.first[hashes] - ends + sizes, sizes)
            for at in (np.repeat(first_at, sizes), np.repeat(last_at, sizes)):
                far = np.abs(self.time[frame] - self.time[at]) >= self.guard_ns
                yield self.piece[frame[far]], self.piece[at[far]]

    def _either(self, one: Ints, two: Ints, later: bool) -> Ints:
        is_one = (self.time[one] > self.time[two]) == later
        return np.asarray(np.where(is_one, one, two))


def _distinct(edges: Edges) -> Edges:
    """Each edge once."""
    one, two = edges
    size = int(two.max(initial=0)) + 1
    return np.divmod(np.unique(one * size + two), size)


def _components(edges: list[Edges], piece: Ints) -> Ints:
    """Number of the connected component of each piece."""
    size = int(piece.max(initial=-1)) + 1
    one, two = (np.concatenate([each[at] for each in edges]) for at in (0, 1))
    graph = coo_array((np.ones(len(one), np.bool_), (one, two)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _by_appearance(numbers: Ints) -> Ints:
    """The same partition, numbered 0, 1, ... in order of first appearance."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
