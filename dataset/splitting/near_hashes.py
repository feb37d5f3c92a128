"""Finds perceptual hashes that differ in few bits, among millions. Numbers only."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from dataset.sessions.columns import Ints

Hashes = NDArray[np.uint64]

HASH_BLOCK_PAIRS = 1_000_000  # compared at a time: some 10 MB
LOOKUP_COST = 66  # comparisons that take as long as looking one flipped hash up


def near_pairs(known: Hashes, bits: int) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of hashes that differ in 1 to `bits` bits.

    Parameters
    ----------
    known : uint64 array, (N,)
        Sorted, each once.
    bits : int
        0 or less: no pair. Either bits are flipped and the result is looked up: time grows with
        64 over `bits`, and linearly with N, however many hashes are close together. Or, for two
        bits and more, where that is quicker, each is compared with each.

    Yields
    ------
    tuple of int64 arrays, (K,) and (K,)
        Positions of the smaller and of the larger hash; each pair comes once.

    Examples
    --------
    >>> for low, high in near_pairs(np.array([1, 2, 3], np.uint64), 1):
    ...     print(low.tolist(), high.tolist())
    [1] [2]
    [0] [2]
    """
    lookups = sum(comb(64, count) for count in range(1, bits + 1))
    if bits > 1 and len(known) < LOOKUP_COST * lookups:
        yield from _compare_all(known, bits)
        return
    for count in range(1, bits + 1):
        for flips in combinations(range(64), count):
            flip = np.uint64(sum(1 << bit for bit in flips))
            # The smaller of two hashes lacks the highest of the bits in which they differ.
            low = np.flatnonzero((known & np.uint64(1 << flips[-1])) == 0)
            flipped = known[low] ^ flip
            high = np.minimum(np.searchsorted(known, flipped), len(known) - 1)
            hit = known[high] == flipped
            if hit.any():
                yield low[hit], high[hit]


def _compare_all(known: Hashes, bits: int) -> Iterator[tuple[Ints, Ints]]:
    """Each hash with each larger one, a block of rows at a time."""
    rows = max(HASH_BLOCK_PAIRS // max(len(known), 1), 1)
    for start in range(0, len(known), rows):
        apart = np.bitwise_count(known[start : start + rows, None] ^ known[None, start:])
        low, high = np.nonzero(apart <= bits)
        larger = low < high
        if larger.any():
            yield low[larger] + start, high[larger] + start


def starts_of_runs(*sorted_keys: NDArray[np.generic]) -> Ints:
    """Positions at which any of the equally long, jointly sorted keys changes; 0 is the first."""
    if not len(sorted_keys[0]):
        return np.zeros(0, np.int64)
    changes = np.zeros(len(sorted_keys[0]), np.bool_)
    changes[0] = True
    for key in sorted_keys:
        changes[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changes)
