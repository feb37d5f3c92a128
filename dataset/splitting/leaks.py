"""How much of the test could be known from training: each test frame's nearest training frame.

Measured on the finished choice, not on the plan: in time within one recording, and in bits of the
perceptual hash. One scene under two lights differs in 2 to 8 bits, more than grouping joins by
default; different scenes can be as near, so a person has to look. Numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.sessions.columns import Columns, Ints
from dataset.splitting.groups import Neighbours

MOST_PAIRS = 2_500_000_000  # hashes of 50,000 test and 50,000 training frames: some ten seconds
LEAK_BLOCK_PAIRS = 4_000_000  # compared at a time: 32 MB
REPORTED_BITS = (0, 1, 2, 4, 8)  # test frames are counted up to each of these
NEAR_BITS = REPORTED_BITS[-1]  # up to here a training frame may show the scene of a test frame
REPORTED_SECONDS = (1, 2, 5, 10, 30, 60)  # test frames are counted below each of these
WORST = 12


@dataclass(frozen=True)
class Near:
    """A test frame and the training frame that is nearest to it."""

    test: int
    train: int
    bits: int  # of 64 in which the perceptual hashes differ
    seconds: float | None  # to the nearest training frame of the recording; None: no such frame


def nearest_hashes(
    test: NDArray[np.uint64], train: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], Ints]:
    """Hamming distance to, and position of, the nearest training hash, for each test hash.

    Parameters
    ----------
    test, train : uint64 arrays, (T,) and (N,), N at least 1

    Returns
    -------
    int64 arrays, (T,) and (T,)
        Memory is bounded; time grows with T times N.

    Examples
    --------
    >>> bits, place = nearest_hashes(np.array([7], np.uint64), np.array([0, 6, 8], np.uint64))
    >>> bits.tolist(), place.tolist()
    ([1], [1])
    """
    bits, place = np.empty(len(test), np.int64), np.empty(len(test), np.int64)
    rows = max(LEAK_BLOCK_PAIRS // len(train), 1)
    for start in range(0, len(test), rows):
        some = slice(start, start + rows)
        apart = np.bitwise_count(test[some, None] ^ train[None, :])
        place[some] = apart.argmin(axis=1)
        bits[some] = apart.min(axis=1)
    return bits, place


def measure_leaks(
    frames: Columns,
    domain: Ints,
    groups: Ints,
    neighbours: Neighbours,
    train: Sequence[int],
    test: Sequence[int],
    seed: int,
) -> tuple[dict[str, Any], list[Near]]:
    """The leak report, and the test frames that look most like a training frame.

    Parameters
    ----------
    frames : Columns
        All frames that may be used.
    domain, groups : int64 arrays, (len(frames),)
    neighbours : Neighbours
        Of `frames`.
    train, test : sequences of int
        Positions of the chosen frames.
    seed : int
        Of the sample, if there are too many frames to compare all pairs.
    """
    one, two = np.array(train, np.int64), np.array(test, np.int64)
    in_train = np.zeros(len(frames), np.bool_)
    in_train[one] = True
    apart, place = neighbours.nearest(in_train)
    seconds, beside = apart[two], place[two]
    closest = int(np.argmin(seconds)) if np.isfinite(seconds).any() else None
    bytes_of = [set(frames.sha256[side].tolist()) - {b""} for side in (one, two)]
    looks, near = _looks(frames, domain, one, two, seconds, seed)
    report = {
        "groups_on_both_sides": len(set(groups[one].tolist()) & set(groups[two].tolist())),
        "identical_files_on_both_sides": len(bytes_of[0] & bytes_of[1]),
        "closest_s": None if closest is None else float(seconds[closest]),
        "closest_frames": None if closest is None else [int(two[closest]), int(beside[closest])],
        "time_s": _times(seconds),
        "hash_bits": looks,
    }
    return report, near


def _times(seconds: NDArray[np.float64]) -> dict[str, Any]:
    near = seconds[np.isfinite(seconds)]
    return {
        "frames": len(near),
        "without_a_neighbour": len(seconds) - len(near),
        **_summary(near),
        "nearer_than": {str(each): int((near < each).sum()) for each in REPORTED_SECONDS},
    }


def _looks(
    frames: Columns,
    domain: Ints,
    train: Ints,
    test: Ints,
    seconds: NDArray[np.float64],
    seed: int,
) -> tuple[dict[str, Any], list[Near]]:
    """Distances of hashes; those of flat pictures are meaningless and left out."""
    telling = frames.has_informative_hash
    known = train[telling[train]]
    asked = np.flatnonzero(telling[test])
    flat = len(test) - len(asked)
    most = MOST_PAIRS // max(len(known), 1)
    sampled = len(asked) > most
    if sampled:
        asked = np.sort(np.random.default_rng(seed).choice(asked, most, replace=False))
    bits, near, across = np.zeros(0, np.int64), [], 0
    if len(known) and len(asked):
        bits, place = nearest_hashes(frames.phash[test[asked]], frames.phash[known])
        others = domain[test[asked]] != domain[known[place]]
        across = int((others & (bits <= NEAR_BITS)).sum())
        for at in np.lexsort((seconds[asked], bits))[:WORST].tolist():
            apart = float(seconds[asked[at]])
            near.append(
                Near(
                    int(test[asked[at]]),
                    int(known[place[at]]),
                    int(bits[at]),
                    apart if np.isfinite(apart) else None,
                )
            )
    return {
        "frames": len(bits),
        "sampled": sampled,
        "flat_or_unknown": flat,
        **_summary(bits),
        "at_most": {str(each): int((bits <= each).sum()) for each in REPORTED_BITS},
        "near_bits": NEAR_BITS,
        "near": int((bits <= NEAR_BITS).sum()),
        "near_x_beside_y": across,
    }, near


def describe_near(leaks: dict[str, Any]) -> str:
    """Sentences on test frames that may show a training scene; empty if none is near.

    Parameters
    ----------
    leaks : dict
        From `measure_leaks`.
    """
    looks = leaks.get("hash_bits", {})
    if not looks.get("near"):
        return ""
    some = "of a sample of" if looks["sampled"] else "of"
    return (
        f"{looks['near']:,} {some} {looks['frames']:,} test frames have a training frame within "
        f"{looks['near_bits']} of 64 bits of the perceptual hash, {looks['near_x_beside_y']:,} of "
        "them X beside Y or Y beside X. Where report/leaks.png shows one scene twice, `cli split "
        "--phash-bits N` with the bits written there keeps it on one side."
    )


def _summary(values: NDArray[Any]) -> dict[str, float | None]:
    """Minimum, percentiles and median; None if there are no values."""
    names = {"min": 0, "p1": 1, "p5": 5, "p25": 25, "median": 50}
    return {
        name: float(np.percentile(values, rank)) if len(values) else None
        for name, rank in names.items()
    }
