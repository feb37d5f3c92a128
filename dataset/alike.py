"""Perceptual hashes that differ in few bits, among millions. Numbers only."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]


def near_pairs(known: Hashes, bits: int) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of hashes that differ in 1 to `bits` bits.

    Parameters
    ----------
    known : uint64 array, (N,)
        Sorted, each once.
    bits : int
        0 or less: no pair. Time grows with 64 over `bits`, and linearly with N: bits are flipped
        and the result is looked up, however many hashes lie close together.

    Yields
    ------
    tuple of int64 arrays, (K,) and (K,)
        Positions of the smaller and of the larger hash, for each choice of bits.

    Examples
    --------
    >>> for low, high in near_pairs(np.array([1, 2, 3], np.uint64), 1):
    ...     print(low.tolist(), high.tolist())
    [1] [2]
    [0] [2]
    """
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


def starts_of_runs(*sorted_keys: NDArray[np.generic]) -> Ints:
    """Positions at which any of the equally long, jointly sorted keys changes; 0 is the first."""
    if not len(sorted_keys[0]):
        return np.zeros(0, np.int64)
    changes = np.zeros(len(sorted_keys[0]), np.bool_)
    changes[0] = True
    for key in sorted_keys:
        changes[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changes)
